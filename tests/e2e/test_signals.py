"""How the daemon starts, reloads and ends: signals, its service manager, and errors (issue: "life as a daemon")."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from conformance.agent.client import SipClient
from imc.sip.message import Request, Response
from imc.sip.uas import build_response
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.daemon import Daemon
from tests.databases import Database
from tests.e2e.process import Served, config, served

ROOM = "sip:chat-x@example.com"
FOLLOWED_WITHIN = 3.0
ENDED_WITHIN = 5.0


def undelivered(daemon: Daemon) -> list[bytes]:
    """To whom something is still to be delivered, by the outbox."""
    with Store.open(StoreOptions(url=daemon.settings["imc"]["db_url"], base=daemon.folder)) as store:
        return [row.recipients for row in store.load_outbox(100, 0)]


async def room_of(on: Served, *names: str) -> list[SipClient]:
    """The first makes the room, the others join."""
    for name in names:
        await on.client(name)
        assert (await on.clients[name].message(ROOM, "#join")).status == 200
    await on.settle(names)
    return [on.clients[name] for name in names]


def answer_late(client: SipClient, request: Request) -> None:
    """200 to what the client has been silent about."""
    client.send_raw(build_response(request, 200, to_tag=client.tag).render())


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_end_finishes_what_was_begun(tmp_path: Path, number: signal.Signals) -> None:
    """In flight when the signal comes, answered after it: delivered, and the end waits for nothing else."""
    async with served(tmp_path, config()) as on:
        alice, bob = await room_of(on, "alice", "bob")
        bob.answer = None
        assert (await alice.message(ROOM, "one")).status == 202
        assert (await alice.message(ROOM, "two")).status == 202
        first = await bob.wait_message(text="[alice]: one")
        on.daemon.send(number)
        notices = await on.wait_notice("STOPPING=1")
        assert any(line.startswith("STATUS=") for line in notices)
        bob.answer = 200  # for the second, which waited behind the first
        answer_late(bob, first.request)
        began = time.monotonic()
        assert await trio.to_thread.run_sync(on.daemon.wait) == 0
        assert time.monotonic() - began < 2.0
        await bob.wait_message(text="[alice]: two")
        assert undelivered(on.daemon) == []
        last = on.daemon.records()[-1]
        assert (last["event"], last["undelivered"]) == ("stopped", 0)


async def test_end_stores_what_a_silent_recipient_left(tmp_path: Path) -> None:
    """Within 5 s; new requests get 503 meanwhile; the next start sends the rest, with the Call-IDs of before."""
    async with served(tmp_path, config()) as on:
        alice, bob, carol = await room_of(on, "alice", "bob", "carol")
        bob.answer = None
        assert (await alice.message(ROOM, "one")).status == 202
        assert (await alice.message(ROOM, "two")).status == 202
        before = await bob.wait_message(text="[alice]: one")
        await carol.wait_message(text="[alice]: one")
        await carol.wait_message(text="[alice]: two")
        on.daemon.send(signal.SIGTERM)
        began = time.monotonic()
        await on.wait_notice("STOPPING=1")
        for refused in (
            await alice.message(ROOM, "three"),
            await alice.message(ROOM, "#destroy"),
            await alice.register(),
            await alice.request("OPTIONS", "sip:example.com"),
        ):
            assert (refused.status, refused.headers.get("Retry-After") is not None) == (503, True)
        assert await trio.to_thread.run_sync(on.daemon.wait) == 0
        assert time.monotonic() - began < ENDED_WITHIN
        last = on.daemon.records()[-1]
        assert (last["undelivered"], last["waiting"]) == (0, 2)  # bob is slow: his copies have rows of their own
        assert undelivered(on.daemon) == []
        bob.answer = 200
        await on.start()
        heard = [await bob.wait_message(event="message") for _ in range(2)]
        assert [one.text for one in heard] == ["[alice]: one", "[alice]: two"]
        assert heard[0].request.call_id == before.request.call_id
        received = await on.settle(("alice", "bob", "carol"))
        texts = {user: [one.text for one in messages] for user, messages in received.items()}
        assert texts == {"alice": [], "bob": [], "carol": []}
        assert await on.stop() == 0
        assert on.daemon.records()[-1]["waiting"] == 0
        assert undelivered(on.daemon) == []


async def test_end_answers_what_was_asked(tmp_path: Path) -> None:
    """A relayed message whose recipient answers after the signal: its sender gets the status."""
    async with served(tmp_path, config()) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        bob.answer = None
        answers: list[Response] = []

        async def ask() -> None:
            answers.append(await alice.message(bob.address, "hello"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            asked = await bob.wait_message(text="hello")
            on.daemon.send(signal.SIGTERM)
            await on.wait_notice("STOPPING=1")
            bob.send_raw(build_response(asked.request, 486, to_tag=bob.tag).render())
        assert [answer.status for answer in answers] == [486]
        assert await trio.to_thread.run_sync(on.daemon.wait) == 0


# --- reload -----------------------------------------------------------------------------------------------------------


async def reload(on: Served, change: Callable[[str], str]) -> list[str]:
    """Change the file, SIGHUP, and wait until it is done: the records of it, as event and what it is about."""
    seen = len(on.daemon.records())
    on.daemon.config.write_text(change(on.daemon.config.read_text()))
    on.daemon.send(signal.SIGHUP)
    notices = await on.wait_notice("READY=1")
    assert notices[0] == "RELOADING=1"
    assert notices[1].startswith("MONOTONIC_USEC=")
    records = on.daemon.records()[seen:]
    return [f"{one['event']} {one.get('changed') or one.get('settings') or one.get('error')}" for one in records]


async def test_reload_takes_what_it_can_and_says_what_it_cannot(tmp_path: Path) -> None:
    async with served(tmp_path, config()) as on:
        (alice,) = await room_of(on, "alice")
        assert await reload(on, lambda text: text) == ["reloaded nothing"]
        said = await reload(
            on,
            lambda text: text.replace(
                "[imc]", '[imc]\nowner_leave = "refuse"\nhash_size = 5\nextra_hdrs = "X-A: b\\r\\n"'
            ),
        )
        assert said == ["reloaded imc.extra_hdrs, imc.owner_leave", "needs-a-restart imc.hash_size"]
        assert (await alice.message(ROOM, "#leave")).status == 403
        told = await alice.wait_message(event="last-owner")
        assert told.request.headers.get("X-A") == "b"
        # What needs a restart is said each time, and is not in force.
        assert await reload(on, lambda text: text.replace("refuse", "destroy")) == [
            "reloaded imc.owner_leave",
            "needs-a-restart imc.hash_size",
        ]
        assert (await alice.message(ROOM, "#leave")).status == 200
        assert await on.stop() == 0


async def test_broken_file_at_reload_keeps_what_was(tmp_path: Path) -> None:
    async with served(tmp_path, config()) as on:
        (alice,) = await room_of(on, "alice")
        good = on.daemon.config.read_text()
        for broken, wanted in (
            (good.replace("[imc]", '[imc]\nowner_leave = "refuse"\nnonsense = 1'), "imc.toml:4: [imc] nonsense"),
            (good.replace("[imc]", '[imc\nowner_leave = "refuse"'), "imc.toml"),
            (good.replace("[imc]", '[imc]\nowner_leave = "never"'), "imc.toml:3: [imc] owner_leave"),
        ):
            (said,) = await reload(on, lambda _, text=broken: text)  # type: ignore[misc]
            assert said.startswith("not-reloaded ")
            assert wanted in said
        on.daemon.config.unlink()
        on.daemon.send(signal.SIGHUP)
        await on.wait_notice("READY=1")
        assert "cannot be read" in on.daemon.records()[-1]["error"]
        assert (await alice.message(ROOM, "#leave")).status == 200  # destroyed, as before
        on.daemon.config.write_text(good)
        assert await on.stop() == 0


# --- errors at the start ----------------------------------------------------------------------------------------------


def fail(daemon: Daemon, *flags: str) -> str:
    """Start what cannot start: the one line that says why."""
    daemon.spawn(*flags)
    assert daemon.wait() == 1
    text = daemon.log.read_text()
    daemon.log.write_text("")
    assert "Traceback" not in text
    said = [line for line in text.splitlines() if not line.startswith("{") or json.loads(line)["level"] != "info"]
    assert len(said) == 1, text
    if said[0].startswith("{"):
        record = json.loads(said[0])
        assert (record["level"], record["event"]) == ("error", "not-started")
        return str(record["error"])
    return said[0].removeprefix("imc: ")


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_port_in_use(tmp_path: Path, kind: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.1", 0))
        if kind == "tcp":
            other.listen()
        address = f"{kind}:127.0.0.1:{other.getsockname()[1]}"
        said = fail(Daemon(tmp_path, config()), "--set", f"sip.listen={address}")
        assert said == f"cannot listen on {address}: another program listens there already"


def test_management_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        said = fail(Daemon(tmp_path, config()), "--set", f"manage.listen={address}")
        assert said == f"manage.listen: cannot listen on {address}: Address already in use"


@pytest.mark.parametrize("scheme", ["mysql", "postgres"])
def test_database_unreachable(tmp_path: Path, scheme: str) -> None:
    with socket.socket() as other:  # bound and not listening: nobody else has the port
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        said = fail(Daemon(tmp_path, config(f"{scheme}://root:geheim@127.0.0.1:{port}/imc")))
    assert said.startswith("database ")
    assert f"127.0.0.1:{port}/imc" in said
    assert "refused" in said
    assert "geheim" not in said


def test_database_folder_missing(tmp_path: Path) -> None:
    said = fail(Daemon(tmp_path, config(f"sqlite:///{tmp_path}/none/imc.db")))
    assert said == f"database {tmp_path}/none/imc.db: No such file or directory"


def test_unknown_key(tmp_path: Path) -> None:
    said = fail(Daemon(tmp_path, config().replace("[auth]", "[auth]\ntrusted_peer = []")))
    assert said.endswith("imc.toml:9: [auth] trusted_peer: unknown setting, did you mean 'trusted_peers'?")


def test_no_file(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "")
    daemon.config.unlink()
    assert fail(daemon) == f"{daemon.config}: cannot be read: No such file or directory"


def test_mode_none_beyond_loopback(tmp_path: Path) -> None:
    said = fail(Daemon(tmp_path, config()), "--set", "sip.listen=udp:0.0.0.0:0")
    assert "none lets anyone who can reach udp:0.0.0.0:0 speak as anyone" in said
    assert "i_know_anyone_can_speak_as_anyone = true" in said


def test_no_accounts_beyond_loopback(tmp_path: Path) -> None:
    said = fail(Daemon(tmp_path, config(mode="digest")), "--set", "sip.listen=udp:0.0.0.0:0")
    assert said.startswith("no accounts and no trusted peers, but udp:0.0.0.0:0 can be reached from elsewhere")


async def test_second_daemon_on_the_same_database(tmp_path: Path, database: Database) -> None:
    """It is told so, and the first goes on; where the first was killed, a second one starts."""
    (tmp_path / "second").mkdir()
    second = Daemon(tmp_path / "second", config(database.url))
    async with served(tmp_path, config(database.url)) as on:
        said = await trio.to_thread.run_sync(fail, second)
        assert "another imc daemon uses the database" in said
        assert (await (await on.client("alice")).message(ROOM, "#create")).status == 200
        on.daemon.kill()
        try:
            await trio.to_thread.run_sync(second.start)
        finally:
            second.kill()


# --- a fresh interpreter, and accounts beside a running daemon --------------------------------------------------------


def test_program_as_it_is_started(tmp_path: Path) -> None:
    """`python -m imc`, not forked off like the others."""
    daemon = Daemon(tmp_path, config(), is_fresh=True)
    try:
        daemon.start()
        assert daemon.stop() == 0
        assert [one["event"] for one in daemon.records()][-3:] == ["ready", "stopping", "stopped"]
    finally:
        daemon.kill()


def add(daemon: Daemon, user: str, password: str) -> None:
    done = daemon.imc("user", "add", f"sip:{user}@example.com", "--password-stdin", stdin=password + "\n")
    assert (done.returncode, done.stderr) == (0, ""), done


async def wait_register(client: SipClient, status: int) -> None:
    """Until a REGISTER is answered so. It fails after `FOLLOWED_WITHIN` seconds."""
    with trio.fail_after(FOLLOWED_WITHIN):
        while (await client.register()).status != status:
            pass


async def test_accounts_beside_a_running_daemon(tmp_path: Path) -> None:
    """Before the first start, and followed within 3 s: added, another password, removed with what was registered."""
    daemon = Daemon(tmp_path, config(mode="digest"))
    add(daemon, "alice", "first")  # makes the database
    async with trio.open_nursery() as nursery:
        on = Served(nursery, daemon)
        try:
            await on.start()
            alice = await on.client("alice", password="first")
            bob = await on.client("bob", password="geheim", is_registered=False)
            assert (await bob.register()).status == 401
            await trio.to_thread.run_sync(add, daemon, "bob", "geheim")
            await wait_register(bob, 200)
            assert (await alice.message(bob.address, "hello")).status == 200

            command = ("user", "passwd", "sip:bob@example.com", "--password-stdin")
            done = await trio.to_thread.run_sync(lambda: daemon.imc(*command, stdin="anders\n"))
            assert done.returncode == 0, done
            await wait_register(bob, 401)
            bob.password = "anders"
            assert (await bob.register()).status == 200

            done = await trio.to_thread.run_sync(lambda: daemon.imc("user", "remove", "sip:bob@example.com"))
            assert done.returncode == 0, done
            await wait_register(bob, 401)
            with trio.fail_after(FOLLOWED_WITHIN):  # nothing more is sent to one who has no account
                while (await alice.message(bob.address, "still there?")).status != 404:
                    pass
            assert await on.stop() == 0
            for secret in ("first", "geheim", "anders"):
                assert secret not in daemon.log.read_text()
        finally:
            daemon.kill()
        nursery.cancel_scope.cancel()
