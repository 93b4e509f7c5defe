"""docs/tutorial/first-room.md, done as it stands: `make run`, baresip and linphonec with what the page has typed."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.docs.sandbox import Sandbox, need
from tests.e2e.program import Program, free_port

PAGE = "docs/tutorial/first-room.md"
LISTED = [one.text for one in blocks(PAGE)]
INLINE: list[str] = re.findall(r"`((?:/message|chat) [^`]*)`", (ROOT / PAGE).read_text(encoding="utf-8"))
WITHIN = 60.0  # seconds for what takes one, on a busy machine


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A clone of the project, as far as `make run` looks at it, set up already."""
    folder = tmp_path / "clone"
    folder.mkdir()
    made = Sandbox(folder, {}, {})
    for name in ("requirements.lock", "pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, folder)
    made.env["PYTHON"] = sys.executable
    (folder / ".venv" / "run.stamp").touch()
    return made


def typed(beginning: str) -> str:
    """What the page has typed: a block, or a text within a line."""
    (found,) = {one.strip() for one in (*LISTED, *INLINE) if one.startswith(beginning)}
    return found + "\n"


@asynccontextmanager
async def terminal(sandbox: Sandbox, command: str) -> AsyncIterator[Program]:
    async with Program.running(["bash", "-ec", command], env=sandbox.env, cwd=sandbox.folder) as program:
        yield program


@pytest.mark.skipif(bool(need("make", "baresip", "linphonec")), reason=need("make", "baresip", "linphonec"))
async def test_two_people_meet_as_the_page_has_them(sandbox: Sandbox) -> None:
    port = free_port()
    bob_at = f"127.0.0.1:{port}"

    def to_room(text: str) -> str:
        """With another port, says the page, write it behind the room's address."""
        return text.replace("sip:chat-lobby@127.0.0.1 ", f"sip:chat-lobby@{bob_at} ")

    async with terminal(sandbox, typed("make run").strip() + f" PORT={port}") as daemon:
        await daemon.wait_output(r"ready", within=WITHIN)
        async with (
            terminal(sandbox, typed("baresip")) as alice,
            terminal(sandbox, typed("mkdir")) as bob,
        ):
            await alice.wait_output(r"200 OK \(1 binding\)|registered successfully", within=WITHIN)
            await bob.wait_output(r"linphonec> ", within=WITHIN)
            await alice.type(typed("/message #create private"))
            await alice.wait_output(r"private room chat-lobby@127\.0\.0\.1 is open", within=WITHIN)
            await alice.type(typed("/message #invite"))
            await bob.wait_output(r"invites you", within=WITHIN)
            await bob.type(to_room(typed("chat sip:chat-lobby@127.0.0.1 #accept")))
            await alice.wait_output(r"joined", within=WITHIN)
            await bob.type(to_room(typed("chat sip:chat-lobby@127.0.0.1 hello alice")))
            await alice.wait_output(r"\[bob\]: hello alice", within=WITHIN)
            await alice.type(typed("/message hello bob"))
            await bob.wait_output(r"hello bob", within=WITHIN)
            for command in (".venv/bin/imc rooms -c run/imc.toml", ".venv/bin/imc members chat-lobby -c run/imc.toml"):
                assert command in (ROOT / PAGE).read_text(encoding="utf-8")
                async with terminal(sandbox, command) as shown:
                    await shown.wait_output(r"alice", within=WITHIN)
            await alice.type(typed("/message #destroy"))
            await bob.wait_output(r"closed", within=WITHIN)
    assert (sandbox.folder / "run" / "imc.db").is_file()
