"""imc.service.waiting with the engine, the outbox, the writer and a database of each kind; only the wires are fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest
import trio

from imc.aor import Aor
from imc.delivery.backlog import BacklogOptions
from imc.delivery.engine import DeliveryOptions, Engine
from imc.delivery.hops import Contact
from imc.delivery.job import Dispatch
from imc.errors import RpcError, StoreUnavailable
from imc.measures import Measures
from imc.service.forget import Forget
from imc.service.manager import Manager
from imc.service.operations import Operations
from imc.service.operators import Operators
from imc.service.outbox import Outbox
from imc.service.rooms import Rooms
from imc.service.traffic import Traffic
from imc.service.waiting import DeadLetterOptions, WaitingCopies
from imc.sip.ids import Ids
from imc.store.options import StoreOptions
from imc.store.outbox import WaitingRow
from imc.store.reader import StoreReader
from imc.store.store import Store
from imc.store.writer import Writer
from tests.databases import Database
from tests.delivery.fakes import FakeCarrier, FakeStack, contact, message

ALICE, BOB = Aor("alice", "example.com"), Aor("bob", "example.com")
KEEP_FOR = 1000.0


class Post:
    """All that waits for bob and alice, who are away until they `register`. ``wall`` is what time it is."""

    def __init__(self, store: Store, nursery: trio.Nursery, options: DeadLetterOptions) -> None:
        self.store = store
        self.nursery = nursery
        self.wall = 1_000_000.0
        self.settled: list[tuple[str, Aor, int]] = []
        self.contacts: dict[Aor, list[Contact]] = {}
        self.writer = Writer(store)
        self.reader = StoreReader(threads=1)
        self.stack = FakeStack()
        self.outbox = Outbox(
            self.writer,
            Ids(),
            lambda: self.wall,
            load=partial(self.reader.run, store.load_waiting),
            spawn=self._spawn,
            wake=lambda: None,
        )
        self.engine = Engine(
            DeliveryOptions(backlog=BacklogOptions(keep_for=KEEP_FOR)),
            stack=self.stack,
            carrier=FakeCarrier(),
            keeper=self.outbox,
            locate=lambda aor: self.contacts.get(aor, []),
            spawn=self._spawn,
            clock=lambda: self.wall,
            wall=lambda: self.wall,
            on_settled=self._settled,
            on_waiting=lambda *_: None,
            on_done=self.outbox.job_done,
            wake=lambda: None,
        )
        self.outbox.attach(self.engine)
        self.copies = WaitingCopies(
            options,
            store=store,
            reader=self.reader,
            outbox=self.outbox,
            backlogs=self.engine.backlogs,
            settled=self._settled,
            wall=lambda: self.wall,
        )

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        self.nursery.start_soon(work)

    def _settled(self, dispatch: Dispatch, aor: Aor, status: int) -> None:
        self.settled.append((dispatch.body.decode(), aor, status))

    async def say(self, text: str, aor: Aor = BOB, *, wants_result: bool = False, expires: float | None = None) -> None:
        dispatch = message(text.encode(), aor, wants_result=wants_result)
        dispatch.expires = expires
        job = self.outbox.job([dispatch], is_durable=True)
        assert job is not None
        await self.writer.commit([self.outbox.put(job)])
        self.outbox.release(job)
        await self.written()

    async def written(self) -> None:
        done = trio.Event()
        self.outbox.after_all(lambda _: done.set())
        await done.wait()

    async def register(self, aor: Aor = BOB) -> None:
        self.contacts[aor] = [contact(aor.user)]
        self.engine.contacts_changed(aor)

    async def deliver(self, count: int) -> list[str]:
        """Answer so many copies with 200, as they come; their texts."""
        found: list[str] = []
        while len(found) < count:
            self.engine.pump(64)
            for sent in list(self.stack.open.values()):
                found.append(sent.body.decode())
                del self.stack.open[sent.branch]
                self.engine.on_response(sent.token, 200)
            await trio.lowlevel.checkpoint()
        await self.written()
        return found

    def rows(self, *, is_dead: bool) -> list[str]:
        return [
            row.payload.rpartition(b"\n")[2].decode() for row in self.store.list_waiting(100) if row.is_dead == is_dead
        ]


@asynccontextmanager
async def post(database: Database, options: DeadLetterOptions | None = None) -> AsyncIterator[Post]:
    with Store.open(StoreOptions(url=database.url)) as store:
        async with trio.open_nursery() as nursery:
            on = Post(store, nursery, options or DeadLetterOptions(keep=100, keep_for=5000.0))
            nursery.start_soon(on.writer.run)
            with trio.fail_after(60):
                yield on
            nursery.cancel_scope.cancel()


def anything(_row: WaitingRow) -> bool:
    return True


async def test_what_is_too_old_is_a_dead_letter_and_who_asked_hears_it_once(database: Database) -> None:
    # spec S-LANE-14
    async with post(database) as on:
        await on.say("old", wants_result=True)
        on.wall += KEEP_FOR - 1
        await on.say("young", wants_result=True)
        await on.copies.sweep()
        assert on.rows(is_dead=True) == []
        on.wall += 1
        await on.copies.sweep()
        await on.copies.sweep()
        assert (on.rows(is_dead=True), on.rows(is_dead=False)) == (["old"], ["young"])
        assert on.settled == [("old", BOB, 480)]
        assert on.engine.backlogs.statistics()["waiting"] == 1
        await on.register()
        assert await on.deliver(1) == ["young"]
        assert on.engine.backlogs.of == {}


async def test_what_has_expired_goes(database: Database) -> None:
    # spec S-LANE-15
    async with post(database) as on:
        await on.say("brief", wants_result=True, expires=on.wall + 10)
        await on.say("long", expires=on.wall + 20)
        on.wall += 10
        await on.copies.sweep()
        assert on.rows(is_dead=False) == ["long"]
        assert on.settled == [("brief", BOB, 480)]
        assert len(on.store.list_waiting(10)) == 1
        on.wall += 10
        await on.copies.sweep()
        assert on.store.outbox_end() == 0
        assert on.engine.backlogs.of == {}


async def test_dead_letters_are_bounded_in_number_and_age(database: Database) -> None:
    # spec S-LANE-14
    async with post(database, DeadLetterOptions(keep=3, keep_for=5000.0)) as on:
        for number in range(5):
            await on.say(str(number))
            on.wall += 1
        on.wall += KEEP_FOR
        await on.copies.sweep()
        assert on.rows(is_dead=True) == ["2", "3", "4"]
        on.wall += 5000
        await on.copies.sweep()
        assert on.store.outbox_end() == 0


async def test_a_backlog_that_moves_is_left_alone(database: Database) -> None:
    # spec S-LANE-14
    async with post(database) as on:
        await on.say("old", wants_result=True)
        on.wall += KEEP_FOR - 1
        await on.register()
        while not on.stack.open:
            on.engine.pump(64)
            await trio.lowlevel.checkpoint()
        on.wall += 1
        await on.copies.sweep()
        assert (on.rows(is_dead=False), on.settled) == (["old"], [])
        assert await on.copies.drop(None, anything) == 0
        assert await on.deliver(1) == ["old"]
        assert on.store.outbox_end() == 0


async def test_what_was_delivered_while_a_page_was_read_does_not_come_again(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page was read before it was delivered, and looked at when nothing of the backlog was in memory any more."""
    # spec S-LANE-6, S-LANE-14
    async with post(database) as on:
        await on.say("old", wants_result=True)
        on.wall += KEEP_FOR - 1
        run = on.reader.run

        async def slow_run(read: Callable[..., object], *arguments: object) -> object:
            rows = await run(read, *arguments)
            if arguments[0] == on.wall - KEEP_FOR and not on.stack.started:  # those that are too old
                on.wall -= 1
                await on.register()
                assert await on.deliver(1) == ["old"]
                on.wall += 1
            return rows

        on.wall += 1
        monkeypatch.setattr(on.reader, "run", slow_run)
        await on.copies.sweep()
        assert on.stack.started
        assert on.store.list_waiting(10) == []
        assert on.store.outbox_end() == 0
        assert on.settled == [("old", BOB, 200)]


async def test_retry_and_drop(database: Database) -> None:
    # spec S-LANE-14
    async with post(database) as on:
        for text in ("a", "b", "c"):
            await on.say(text)
        await on.say("told", wants_result=True)
        await on.say("brief", expires=on.wall + KEEP_FOR + 10)
        await on.say("hers", ALICE)
        on.wall += KEEP_FOR
        await on.copies.sweep()
        assert len(on.rows(is_dead=True)) == 6
        on.wall += 10
        rows = {row.payload.rpartition(b"\n")[2]: row for row in await on.copies.page(10)}
        assert await on.copies.drop(BOB, lambda row: row.seq == rows[b"b"].seq) == 1
        assert await on.copies.retry(BOB, anything) == 2  # not what was told to have failed, nor what has expired
        assert on.engine.backlogs.of[BOB].rows == 2
        await on.register()
        assert await on.deliver(2) == ["a", "c"]
        assert on.rows(is_dead=True) == ["hers", "told", "brief"]
        assert await on.copies.retry(None, anything) == 1
        assert await on.copies.drop(ALICE, anything) == 1
        assert on.engine.backlogs.of == {}
        assert await on.copies.drop(None, anything) == 2
        assert on.store.outbox_end() == 0


async def test_a_database_that_is_gone_is_told_to_the_operator(database: Database) -> None:
    async with post(database) as on:
        await on.say("a")
        failure = StoreUnavailable("gone")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(on.store, "stage_groups", lambda *_: None)
            patch.setattr(on.store, "commit_groups", lambda groups, _guards: [failure] * len(groups))
            with pytest.raises(StoreUnavailable):
                await on.copies.drop(None, anything)
        await on.written()  # and it is not forgotten
        assert on.store.outbox_end() == 0


async def test_pages_for_operators(database: Database) -> None:
    async with post(database) as on:
        for number in range(3):
            await on.say(f"b{number}")
            await on.say(f"a{number}", ALICE)
        manager = Manager(
            rooms=cast(Rooms, None),
            store=on.store,
            reader=on.reader,
            ids=Ids(),
            waiting=on.copies,
            forget=cast(Forget, None),
            traffic=cast(Traffic, None),
            operators=cast(Operators, None),
            operations=cast(Operations, None),
            statistics=dict,
            measures=Measures(),
            complaints=cast(Callable[[], Awaitable[tuple[str, ...]]], None),
            wake=lambda: None,
            default_domain=lambda: "example.com",
        )
        seen: list[str] = []
        after = ""
        while True:
            rows, after = await manager.outbox("", "all", after, 2)
            seen += [row.body.decode() for row in rows]
            if not after:
                break
        assert seen == ["a0", "a1", "a2", "b0", "b1", "b2"]
        rows, after = await manager.outbox("alice", "waiting", "", 2)
        assert [row.body for row in rows] == [b"a0", b"a1"]
        rows, after = await manager.outbox("alice", "waiting", after, 2)
        assert ([row.body for row in rows], after) == ([b"a2"], "")
        assert await manager.outbox("alice", "dead", "", 2) == ([], "")
        for recipient, after in (("sip:", ""), ("", "nonsense"), ("", "a b c d")):
            with pytest.raises(RpcError):
                await manager.outbox(recipient, "all", after, 2)
        with pytest.raises(RpcError):
            await manager.outbox_drop("sip:", "all", "")
        assert await manager.outbox_drop("bob", "dead", "") == 0
        assert await manager.outbox_drop("bob", "waiting", "") == 3
        assert await manager.outbox_retry("all", "") == 0
        assert await manager.outbox_drop("all", "all", rows[0].id) == 1
        assert on.rows(is_dead=False) == ["a0", "a1"]


async def said_by_alice(on: Post, text: str) -> None:
    dispatch = message(text.encode(), BOB, wants_result=False)
    dispatch.by = str(ALICE)
    job = on.outbox.job([dispatch], is_durable=True)
    assert job is not None
    await on.writer.commit([on.outbox.put(job)])
    on.outbox.release(job)
    await on.written()


@pytest.mark.parametrize("is_slow", [False, True])
async def test_of_who_is_forgotten_only_what_is_in_flight_arrives(database: Database, is_slow: bool) -> None:
    # spec R-HISTORY-9
    async with post(database) as on:
        await on.register()
        await said_by_alice(on, "in flight")
        while not on.stack.open:
            on.engine.pump(64)
            await trio.lowlevel.checkpoint()
        (sent,) = on.stack.open.values()
        await said_by_alice(on, "queued")
        await on.say("another's")
        if is_slow:
            on.engine.on_slow(sent.token)
            await on.written()
            assert await on.copies.count_said_by(ALICE) == 2
        assert await on.copies.drop_said_by(ALICE) == (2 if is_slow else 0)
        # neither a row nor an entry is left that a start could hand over, nor does a shutdown write one
        on.outbox.leave()
        await on.written()
        payloads = [row.payload for row in on.store.load_outbox(9)] + [row.payload for row in on.store.list_waiting(9)]
        assert {payload.rpartition(b"\n")[2] for payload in payloads} == {b"another's"}
        # the phone stays silent: what was in flight is not tried again
        on.engine.on_timeout(sent.token)
        del on.stack.open[sent.branch]
        on.engine.pump(64)
        await on.written()
        on.wall += 40
        on.engine.tick(on.wall)
        await on.register()
        assert await on.deliver(1) == ["another's"]
        while on.engine.backlogs.of:  # it looks once more for rows that are gone
            await trio.lowlevel.checkpoint()
        assert (on.store.outbox_end(), on.stack.open, on.engine.is_idle) == (0, {}, True)


async def test_an_entry_that_others_share_keeps_what_is_theirs(database: Database) -> None:
    # spec R-HISTORY-9
    async with post(database) as on:
        mine, others = message(b"mine", BOB, wants_result=False), message(b"others", BOB, wants_result=False)
        mine.by = str(ALICE)
        on.outbox.is_held = True  # as after a crash: nothing of it is in memory
        job = on.outbox.job([mine, others], is_durable=True)
        assert job is not None
        await on.writer.commit([on.outbox.put(job)])
        assert await on.copies.drop_said_by(ALICE) == 0
        (row,) = on.store.load_outbox(9)
        assert row.recipients == b"\nbob@example.com"


async def test_a_page_that_was_read_before_is_read_anew(database: Database) -> None:
    # spec R-HISTORY-9
    async with post(database) as on:
        await said_by_alice(on, "secret")
        await on.say("another's")
        await on.register()  # the reading has begun
        assert await on.copies.drop_said_by(ALICE) == 1
        assert await on.deliver(1) == ["another's"]
        while on.engine.backlogs.of:
            await trio.lowlevel.checkpoint()
        assert on.store.outbox_end() == 0
