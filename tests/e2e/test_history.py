"""The log of the whole daemon, on each kind of database: after kill -9, under load, and when it is taken back.

Spec R-HISTORY-1, R-HISTORY-2, R-HISTORY-8, R-HISTORY-9.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import trio

from tests.databases import Database
from tests.e2e.process import Served, config, served

ROOM, OTHER = "sip:chat-x@example.com", "sip:chat-y@example.com"


async def say(on: Served, sender: str, text: str, status: int = 202, room: str = ROOM) -> None:
    assert (await on.clients[sender].message(room, text)).status == status, text


async def lines(on: Served, user: str) -> list[str]:
    """What a user gets by #history: texts, in their order."""
    await on.settle()
    await say(on, user, "#history 100", 200)
    received = (await on.settle())[user]
    pages = [one.text.split("\r\n")[1:] for one in received if one.event == "history"]
    return [line.partition("]: ")[2] for page in pages for line in page]


async def imc(on: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await trio.to_thread.run_sync(on.daemon.imc, *arguments)


async def export(on: Served, room: str) -> list[dict[str, Any]]:
    done = await imc(on, "export", room)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_what_was_answered_is_in_the_log_after_a_kill(tmp_path: Path, database: Database) -> None:
    async with served(tmp_path, config(database.url)) as on:
        await on.client("alice")
        await on.client("bob")
        await say(on, "alice", "#create", 200)
        await say(on, "bob", "#join", 200)
        for number in range(1, 4):
            await say(on, "alice", f"text {number}")
            on.daemon.kill()
            found = await export(on, "chat-x")  # without a daemon
            assert [(one["seq"], one["text"]) for one in found] == [(n, f"text {n}") for n in range(1, number + 1)]
            await on.start()
        await say(on, "bob", "text 4")
        assert await lines(on, "bob") == [f"text {number}" for number in range(1, 5)]
        # numbers are not used twice, though the room is new: its log is too
        await say(on, "alice", "#destroy", 200)
        await on.kill_and_start()
        await say(on, "alice", "#create", 200)
        await say(on, "alice", "anew")
        assert [(one["seq"], one["text"]) for one in await export(on, ROOM)] == [(1, "anew")]


async def test_many_at_once_are_all_there_in_one_order(tmp_path: Path, database: Database) -> None:
    async with served(tmp_path, config(database.url)) as on:
        names = [f"user{number}" for number in range(8)]
        for name in names:
            await on.client(name)
        await say(on, "user0", "#create", 200)
        for name in names[1:]:
            await say(on, name, "#join", 200)
        async with trio.open_nursery() as nursery:
            for name in names:

                async def speak(name: str = name) -> None:
                    for number in range(10):
                        await say(on, name, f"{name} {number}")

                nursery.start_soon(speak)
        found = await export(on, ROOM)
        assert [one["seq"] for one in found] == list(range(1, 81))
        for name in names:
            theirs = [one["text"] for one in found if one["from"] == f"sip:{name}@example.com"]
            assert theirs == [f"{name} {number}" for number in range(10)]
        assert await lines(on, "user3") == [one["text"] for one in found]


async def test_a_user_is_forgotten_by_the_running_daemon(tmp_path: Path, database: Database) -> None:
    # spec R-HISTORY-9
    socket = tmp_path / "sock"
    text = config(database.url).replace('[manage]\nlisten = ""', f'[manage]\nlisten = ""\nsocket = "{socket}"')
    async with served(tmp_path, text) as on:
        for name in ("alice", "bob", "carol"):
            await on.client(name)
        await say(on, "alice", "#create", 200)
        await say(on, "bob", "#join", 200)
        await say(on, "alice", "mine")
        await say(on, "bob", "not mine")
        await say(on, "alice", "#create private", 200, OTHER)
        await say(on, "alice", "#invite carol", 200, OTHER)
        await say(on, "alice", "#modify bob owner", 200)
        await on.settle()

        looked = await imc(on, "forget", "sip:alice@example.com")
        assert (looked.returncode, "would end, with its last owner" in looked.stdout) == (0, True), looked.stderr
        assert await on.settle() == {"alice": [], "bob": [], "carol": []}

        done = await imc(on, "forget", "sip:alice@example.com", "--yes", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "user": "sip:alice@example.com", "done": True, "left": [ROOM], "ended": [OTHER], "refused": [],
            "declined": [], "registrations": 1, "messages": 1, "waiting": 0, "addressed": 0, "account": "none",
            "audit": 6,
        }  # fmt: skip
        received = await on.settle(("bob", "carol"))  # alice is not registered any more
        events = {user: [one.event for one in messages] for user, messages in received.items()}
        assert events == {"bob": ["member-left"], "carol": ["room-destroyed"]}
        # the daemon's memory goes along: alice is out, and what bob sees is what is left
        await say(on, "alice", "still here?", 403)
        assert await lines_of_bob(on) == ["not mine"]
        await say(on, "bob", "next")
        assert [(one["seq"], one["text"]) for one in await export(on, ROOM)] == [(2, "not mine"), (3, "next")]


async def lines_of_bob(on: Served) -> list[str]:
    await say(on, "bob", "#history", 200)
    received = (await on.settle(("bob",)))["bob"]
    return [
        line.partition("]: ")[2] for one in received if one.event == "history" for line in one.text.split("\r\n")[1:]
    ]
