"""A database that goes away under a running daemon, and comes back; a commit that fails (spec R-DURABLE-2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from conformance.agent.client import Received, SipClient
from imc.aor import Aor
from imc.errors import StoreConflict, StoreError, StoreUnavailable
from imc.options import store_options
from imc.sip.message import Response
from imc.store.guard import Guard
from imc.store.ops import Op
from imc.store.store import Store
from tests.databases import Database, Server
from tests.e2e.stage import Stage, settings, stage
from tests.e2e.test_metrics import get

ROOM = "sip:chat-x@example.com"
AOR = Aor("chat-x", "example.com")
BACK_WITHIN = 10.0
Commit = Callable[[Sequence[Sequence[Op]], Sequence[Guard | None] | None], list[StoreError | None]]


def is_try_later(response: Response) -> bool:
    return response.status == 503 and int(response.headers.get("Retry-After") or "0") > 0


def events(received: dict[str, list[Received]]) -> dict[str, list[str | None]]:
    return {user: [one.event for one in messages] for user, messages in received.items()}


async def room_of(on: Stage, *names: str) -> list[SipClient]:
    """The first makes the room, the others join."""
    for name in names:
        await on.client(name)
        assert (await on.clients[name].message(ROOM, "#join")).status == 200
    await on.settle(names)
    return [on.clients[name] for name in names]


# --- servers that are stopped and started -----------------------------------------------------------------------------


@pytest.fixture(params=["mariadb", "postgresql"])
def gone_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database on a server that the test may stop; it runs again afterwards."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    url = server.create_database()
    yield Database(request.param, url, server)
    if server.process is None:
        server.start()
    server.drop_database(url)


async def wait_back(client: SipClient, text: str, status: int) -> None:
    """Until the daemon serves again: at most the next request after the server's return may fail."""
    with trio.fail_after(BACK_WITHIN):
        while (response := await client.message(ROOM, text)).status != status:
            assert is_try_later(response)


async def test_server_goes_and_comes(tmp_path: Path, gone_database: Database) -> None:
    server = gone_database.live_server
    config = settings(tmp_path, "limits.enabled=false", "manage.listen=127.0.0.1:0", db_url=gone_database.url)
    async with stage(config) as on:
        alice, bob, carol = await room_of(on, "alice", "bob", "carol")
        assert (await alice.message(ROOM, "before")).status == 202
        await on.settle()
        rooms_before = on.daemon.statistics()["active_rooms"]
        await trio.to_thread.run_sync(server.stop, server.ending)

        ready = await get(on, "/readyz")
        assert ready.status_code == 503
        assert "the database cannot be read" in ready.json()["reasons"]
        # Whatever promises something is refused, whether its room is in memory or has to be read.
        assert is_try_later(await alice.message(ROOM, "lost"))
        assert is_try_later(await alice.message(ROOM, "#invite dave"))
        assert is_try_later(await bob.message(ROOM, "#leave"))
        assert is_try_later(await alice.message("sip:chat-y@example.com", "#create"))
        assert is_try_later(await alice.message("sip:chat-z@example.com", "hello"))
        assert is_try_later(await carol.register())
        # What promises nothing goes on: people talk to each other, and nobody was told of what failed.
        assert events(await on.settle()) == {"alice": [], "bob": [], "carol": []}
        assert on.daemon.statistics()["active_rooms"] == rooms_before

        await trio.to_thread.run_sync(server.start)
        await wait_back(alice, "after", 202)
        assert (await get(on, "/readyz")).status_code == 200
        received = await on.settle()
        assert {user: [one.text for one in messages] for user, messages in received.items()} == {
            "alice": [], "bob": ["[alice]: after"], "carol": ["[alice]: after"],
        }  # fmt: skip
        assert (await carol.register()).status == 200
        assert (await bob.message(ROOM, "#members")).status == 200  # so bob has not left
        assert (await alice.message("sip:chat-y@example.com", "#create")).status == 200
        assert on.daemon.statistics()["active_rooms"] == rooms_before + 1
    with Store.open(store_options(config)) as store:  # nothing acknowledged is lost, nothing refused is there
        room = store.load_room(AOR)
        assert room is not None
        assert {user.user for user in room.members} == {"alice", "bob", "carol"}
        assert store.load_outbox(100, 0) == []


async def test_server_goes_under_load(tmp_path: Path, gone_database: Database) -> None:
    """Many at once while the server is killed: what got 2xx arrives, once; what got 503 is told to nobody."""
    server = gone_database.live_server
    config = settings(tmp_path, "limits.enabled=false", db_url=gone_database.url)
    statuses: dict[str, int] = {}
    async with stage(config) as on:
        alice, bob = await room_of(on, "alice", "bob")

        async def say(text: str) -> None:
            response = await alice.message(ROOM, text)
            statuses[text] = response.status
            assert response.status == 202 or is_try_later(response)

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(say, f"text {number}")
            await bob.wait_message()
            await trio.to_thread.run_sync(server.stop, server.ending)
        await trio.to_thread.run_sync(server.start)
        await wait_back(alice, "last", 202)
        await on.settle()
        heard = [one.text.removeprefix("[alice]: ") for one in bob.messages if one.event == "message"]
        assert len(heard) == len(set(heard))
        assert set(heard) == {text for text, status in statuses.items() if status == 202} | {"last"}


async def test_users_in_digest_mode(tmp_path: Path, gone_database: Database) -> None:
    """Who is known can be authenticated; who must be looked up gets 503, not 401: their password was not looked at."""
    server = gone_database.live_server
    config = settings(tmp_path, mode="digest", db_url=gone_database.url)
    async with stage(config, {"alice": "a", "bob": "b"}) as on:
        alice = await on.client("alice", password="a")
        bob = await on.client("bob", password="b", is_registered=False)
        assert (await alice.message(alice.address, "to myself")).status == 200
        await trio.to_thread.run_sync(server.stop, server.ending)
        assert (await alice.message(alice.address, "to myself again")).status == 200
        assert is_try_later(await bob.message(alice.address, "hello"))
        await trio.to_thread.run_sync(server.start)
        with trio.fail_after(BACK_WITHIN):
            while (response := await bob.message(alice.address, "hello again")).status != 200:
                assert is_try_later(response)
        await alice.wait_message(text="hello again")


# --- commits that fail on demand --------------------------------------------------------------------------------------


class Failing:
    """A store's `commit_groups` that can be held, and made to fail."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.commit: Commit = store.commit_groups
        self.error: StoreError | None = None
        self.is_written_all_the_same = False

    def __call__(
        self, groups: Sequence[Sequence[Op]], guards: Sequence[Guard | None] | None
    ) -> list[StoreError | None]:
        if self.error is None:
            return self.commit(groups, guards)
        if self.is_written_all_the_same:
            self.commit(groups, guards)
        return [self.error] * len(groups)


@asynccontextmanager
async def failing_stage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Stage, Failing]]:
    made: list[Failing] = []
    open_store = Store.open.__func__  # type: ignore[attr-defined]

    def open_failing(cls: type[Store], options: object) -> Store:
        store: Store = open_store(cls, options)
        made.append(Failing(store))
        monkeypatch.setattr(store, "commit_groups", made[-1])
        monkeypatch.setattr(store, "stage_groups", lambda _groups: None)
        return store

    monkeypatch.setattr(Store, "open", classmethod(open_failing))
    async with stage(settings(folder, "limits.enabled=false")) as on:
        yield on, made[0]


@pytest.mark.parametrize(
    ("error", "status"), [(StoreUnavailable("gone"), 503), (StoreConflict("does not fit"), 500), (StoreError("?"), 500)]
)
async def test_commit_that_fails_leaves_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: StoreError, status: int
) -> None:
    async with failing_stage(tmp_path, monkeypatch) as (on, commits):
        alice, bob, carol = await room_of(on, "alice", "bob", "carol")
        commits.error = error
        for sender, text in (
            (alice, "#remove bob"),
            (alice, "#modify carol owner"),
            (alice, "hello"),
            (carol, "#leave"),
            (alice, "#destroy"),
        ):
            response = await sender.message(ROOM, text)
            assert response.status == status, text
            assert (response.headers.get("Retry-After") is not None) == (status == 503)
            assert response.headers.get("Warning") is not None
        assert (await bob.message("sip:chat-y@example.com", "#create")).status == status
        assert (await bob.register(expires=0)).status == status
        commits.error = None
        assert events(await on.settle()) == {"alice": [], "bob": [], "carol": []}
        assert (await alice.message(ROOM, "hello again")).status == 202
        received = await on.settle()
        assert {user: [one.text for one in messages] for user, messages in received.items()} == {
            "alice": [], "bob": ["[alice]: hello again"], "carol": ["[alice]: hello again"],
        }  # fmt: skip
        assert (await carol.message(ROOM, "#destroy")).status == 403  # not made an owner
        assert on.daemon.statistics()["active_rooms"] == 1


async def test_what_was_built_on_a_failure_fails_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipelined: all are judged on a room that goes ahead of its commits; where one fails, so do those behind it."""
    async with failing_stage(tmp_path, monkeypatch) as (on, commits):
        alice, bob = await room_of(on, "alice", "bob")
        gate = trio.Event()
        held = trio.Event()
        token = trio.lowlevel.current_trio_token()
        commit, calls = commits.commit, 0

        def hold(groups: Sequence[Sequence[Op]], guards: Sequence[Guard | None] | None) -> list[StoreError | None]:
            nonlocal calls
            calls += 1
            if calls == 1:
                trio.from_thread.run_sync(held.set, trio_token=token)
                trio.from_thread.run(gate.wait, trio_token=token)
                return [StoreUnavailable("gone")] * len(groups)
            return commit(groups, guards)

        commits.commit = hold
        statuses: dict[str, int] = {}

        async def send(sender: SipClient, text: str) -> None:
            statuses[text] = (await sender.message(ROOM, text)).status

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, alice, "#modify bob owner")
            await held.wait()
            for sender, text in ((bob, "#remove alice"), (bob, "#invite dave"), (bob, "hello")):
                nursery.start_soon(partial(send, sender, text))
                await wait_judged(on, 1 + len(statuses) + (text != "#remove alice") + (text == "hello"))
            gate.set()
        # bob's were good on top of what alice did, and so they fail with it: nothing of them happened.
        assert statuses == {
            "#modify bob owner": 503, "#remove alice": 503, "#invite dave": 503, "hello": 503,
        }  # fmt: skip
        assert events(await on.settle()) == {"alice": [], "bob": []}
        assert (await bob.message(ROOM, "#remove alice")).status == 403  # a member, as the database has it
        assert (await alice.message(ROOM, "#modify bob owner")).status == 200


async def wait_judged(on: Stage, count: int) -> None:
    """Until so many decisions wait for the writer beside the one that it holds."""
    while on.daemon.statistics()["writes_waiting"] < count:
        await trio.lowlevel.checkpoint()


async def test_what_failed_and_was_written_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server died between the commit and its answer: 503, then all goes by what the database has."""
    async with failing_stage(tmp_path, monkeypatch) as (on, commits):
        alice, bob, carol = await room_of(on, "alice", "bob", "carol")
        commits.error, commits.is_written_all_the_same = StoreUnavailable("gone"), True
        assert (await alice.message("sip:chat-y@example.com", "#create")).status == 503
        assert (await alice.message(ROOM, "#remove bob")).status == 503
        assert (await alice.message(ROOM, "hello")).status == 503
        commits.error = None
        assert (await bob.message(ROOM, "#leave")).status == 403  # removed
        assert (await bob.message("sip:chat-y@example.com", "#join")).status == 200
        assert on.daemon.statistics()["active_rooms"] == 2
        assert events(await on.settle(("alice", "carol"))) == {"alice": ["member-joined"], "carol": []}
        with trio.fail_after(BACK_WITHIN):  # what nobody was promised does not wait for the next start
            while await trio.to_thread.run_sync(commits.store.load_outbox, 100, 0):
                await on.settle(("alice",))
        assert carol.messages[-1].text.startswith("barrier")
