"""Store and forward, by a real daemon: who is away gets all of it later, in order, whatever happens to the daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conformance.agent.client import Received, SipClient
from imc.sip.message import Request
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.daemon import Daemon
from tests.databases import Database
from tests.e2e.process import Served, config, served

ROOM = "sip:chat-x@example.com"
SAME = ("Call-ID", "From", "To", "Date", "IMC-Event")


def names(received: Received) -> dict[str, str | None]:
    """What tells a recipient that it is the same message."""
    return {name: received.request.headers.get(name) for name in SAME}


def is_empty(daemon: Daemon) -> bool:
    """Whether nothing is left in the database of what was to be delivered."""
    with Store.open(StoreOptions(url=daemon.settings["imc"]["db_url"], base=daemon.folder)) as store:
        return store.outbox_end() == 0 and store.list_waiting(1) == []


async def told(client: SipClient, *texts: str) -> None:
    for text in texts:
        assert (await client.message(ROOM, text)).status in (200, 202), text


def with_socket(folder: Path, text: str, delivery: str = "") -> str:
    return f'{text}socket = "{folder}/sock"\n[delivery]\n{delivery}'


def outbox(on: Served, *arguments: str) -> str:
    done = on.daemon.imc("outbox", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_who_is_away_gets_it_all_in_order_after_a_kill(tmp_path: Path, database: Database) -> None:
    # spec S-LANE-7, S-LANE-9, S-LANE-12, S-LANE-13, R-INVITE-4
    async with served(tmp_path, with_socket(tmp_path, config(database.url))) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await told(alice, "#create")
        await told(bob, "#join")

        def not_now(request: Request) -> int:
            return 480 if b"text 0" in request.body else 200

        bob.answer = not_now
        await told(alice, "text 0")
        before = await bob.wait_message(text="[alice]: text 0")
        await on.settle(("bob",))  # its 480 was heard
        assert (await bob.register(expires=0)).status == 200
        await told(alice, "text 1", "text 2", "#invite carol")
        rows: list[dict[str, Any]] = json.loads(outbox(on, "list", "--json"))
        assert [(row["recipient"], row["event"], row["state"], row["status"]) for row in rows] == [
            ("sip:bob@example.com", "message", "waiting", 480),
            ("sip:bob@example.com", "message", "waiting", 0),
            ("sip:bob@example.com", "message", "waiting", 0),
            ("sip:carol@example.com", "invitation", "waiting", 480),
        ]
        on.daemon.kill()
        await on.start()
        bob.answer = 200
        assert (await bob.register()).status == 200
        carol = await on.client("carol")
        heard = [await bob.wait_message(event="message") for _ in range(3)]
        assert [one.text for one in heard] == [f"[alice]: text {number}" for number in range(3)]
        assert names(heard[0]) == names(before)
        assert (before.request.cseq.number, heard[0].request.cseq.number) == (1, 2)
        assert (await carol.wait_message(event="invitation")).sender == ROOM
        await told(carol, "#accept")
        received = await on.settle(("bob", "carol"))
        assert [one.event for one in received["bob"] if one.event == "message"] == []
        assert await on.stop() == 0
        assert is_empty(on.daemon)


async def test_a_retry_after_is_heeded(tmp_path: Path) -> None:
    # spec S-LANE-9, S-LANE-13
    async with served(tmp_path, config()) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await told(alice, "#create")
        await told(bob, "#join")
        tries: list[Request] = []

        def once(request: Request) -> int:
            if b"text" in request.body:
                tries.append(request)
            return 480 if len(tries) == 1 and b"text" in request.body else 200

        bob.answer, bob.answer_headers = once, (("Retry-After", "1 (in a meeting)"),)
        await told(alice, "text")
        first, again = [await bob.wait_message(text="[alice]: text") for _ in range(2)]
        assert names(first) == names(again)
        assert [one.request.cseq.number for one in (first, again)] == [1, 2]
        await on.settle(("bob",))
        assert await on.stop() == 0
        assert is_empty(on.daemon)


async def test_dead_letters_are_listed_exported_sent_again_and_dropped(tmp_path: Path) -> None:
    # spec S-LANE-14
    async with served(tmp_path, with_socket(tmp_path, config(), "max_waiting = 1\n")) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await told(alice, "#create")
        await told(bob, "#join")
        assert (await bob.register(expires=0)).status == 200
        await told(alice, *(f"text {number}" for number in range(4)))
        assert "text" not in outbox(on, "list", "bob")
        exported = [json.loads(line) for line in outbox(on, "export").splitlines()]
        assert [(row["state"], row["body"]) for row in exported] == [
            ("dead", f"[alice]: text {number}") for number in (1, 2, 3)
        ]
        assert outbox(on, "drop", "bob", "--id", exported[1]["id"]) == "1 deleted\n"
        assert outbox(on, "retry", "all", "--id", exported[0]["id"]) == "1 put back\n"
        assert outbox(on, "retry", "carol") == "0 put back\n"
        assert (await bob.register()).status == 200
        heard = [await bob.wait_message(event="message") for _ in range(2)]
        assert [one.text for one in heard] == ["[alice]: text 0", "[alice]: text 1"]
        await on.settle(("bob",))
        assert outbox(on, "drop", "all") == "1 deleted\n"
        assert json.loads(outbox(on, "list", "--json")) == []
        assert await on.stop() == 0
        assert is_empty(on.daemon)
