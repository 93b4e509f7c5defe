"""`imc serve --trace-spec`: a run that is moved away from, stopped, killed and started again agrees with the rules."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from conformance.model.validate import Disagreement, Figures, validate
from tests.e2e.process import Served, config, served

ROOM = "sip:chat-x@example.com"
FLAGS = ("--trace-spec", "trace")


async def say(on: Served, *lines: str) -> None:
    """`alice: #create`, one after the other; each is accepted."""
    for line in lines:
        name, _, text = line.partition(": ")
        assert (await on.clients[name].message(ROOM, text)).status in (200, 202), line


def check(*paths: Path) -> Figures:
    return validate(line for path in paths for line in path.read_text().splitlines())


async def test_a_run_agrees(tmp_path: Path) -> None:
    trace, moved = tmp_path / "trace", tmp_path / "trace.1"
    async with served(tmp_path, config(), is_started=False) as on:
        await on.start(*FLAGS)
        for name in ("alice", "bob"):
            await on.client(name)
        await say(on, "alice: #create private", "alice: #invite bob", "bob: #accept", "bob: hello")
        trace.rename(moved)
        await say(on, "alice: #modify bob admin")
        assert (await on.clients["bob"].message(ROOM, "#destroy")).status == 403
        assert await on.stop() == 0
        await on.start(*FLAGS)
        await say(on, "bob: #members", "bob: still here")
        on.daemon.kill()
        await on.start(*FLAGS)
        await say(on, "alice: #remove bob", "alice: #leave")
        assert await on.stop() == 0
    assert check(moved).decisions <= 4  # what was not written yet is in the next file
    figures = check(moved, trace)
    assert figures.decisions >= 8  # a kill may have taken some that were not written yet
    assert figures.starts == 4
    assert figures.compared >= 1  # after the stop; the kill makes what follows it unknown
    assert (figures.missing, figures.unknown) == (0, 0)


async def test_a_room_that_is_not_read_as_it_was_left_is_found(tmp_path: Path) -> None:
    """Spec R-DURABLE-3: here somebody changes the database between two runs."""
    async with served(tmp_path, config(), is_started=False) as on:
        await on.start(*FLAGS)
        await on.client("alice")
        await say(on, "alice: #create private")
        assert await on.stop() == 0
        with sqlite3.connect(tmp_path / "imc.db") as database:
            database.execute("UPDATE imc_rooms SET flag = 0")
        database.close()
        await on.start(*FLAGS)
        await say(on, "alice: #members")
        assert await on.stop() == 0
    with pytest.raises(Disagreement, match=r"R-DURABLE-3: .* was left as a private room .* and read as a public room"):
        check(tmp_path / "trace")


async def test_a_file_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    async with served(tmp_path, config(), is_started=False) as on:
        on.daemon.spawn("--trace-spec", "nowhere/trace")
        assert on.daemon.wait() == 1
        assert "--trace-spec: " in on.daemon.log.read_text()
