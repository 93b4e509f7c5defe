"""A real client talks to imc: captured by tshark, and written by `imc-replay record`; then replayed."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.daemon import running
from tests.e2e.baresip import Baresip
from tests.e2e.program import NotSeen, Program, need
from tests.e2e.user_agent import Account, meet, registered

DOMAIN = "example.com"
USERS = {"alice": "first", "bob": "second"}
CONFIG = """
[imc]
domains = ["example.com"]
db_url = "sqlite:///imc.db"
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
[auth]
mode = "digest"
[manage]
listen = ""
"""
SURE = ["--quiet", "--patience", 5]  # seconds, on a busy machine
REPLAY = [sys.executable, "-m", "conformance.replay"]


async def imc_replay(*arguments: object) -> tuple[int, str, str]:
    """Exit status, what it printed, and what it said of errors."""
    command = [*REPLAY, *map(str, arguments)]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def talk(folder: Path, server: tuple[str, int], transport: str) -> None:
    """Two baresips meet in a room, talk, and are ended by their users."""
    accounts = [
        Account(user=user, domain=DOMAIN, password=password, server=server, transport=transport)
        for user, password in USERS.items()
    ]
    room = f"sip:chat-a@{DOMAIN}"
    async with registered(*(Baresip.running(folder, account, room) for account in accounts)) as agents:
        await meet(*agents)
        for agent in agents:
            await agent.quit()


class _Mark:
    """Datagrams to nobody that tshark prints: when one is printed, all that came before it was captured."""

    def __init__(self) -> None:
        self._target = socket.socket(type=socket.SOCK_DGRAM)
        self._target.bind(("127.0.0.1", 0))
        self.port = self._target.getsockname()[1]
        self._size = 10

    async def wait_passed(self, tshark: Program) -> None:
        self._size += 1
        with trio.fail_after(15):
            while True:
                self._target.sendto(bytes(self._size), ("127.0.0.1", self.port))
                try:
                    await tshark.wait_output(rf"{self.port} Len={self._size}\b", within=0.2)
                except NotSeen:
                    if tshark.has_ended:
                        pytest.skip(f"tshark may not capture here: {tshark.output}")
                else:
                    return

    def close(self) -> None:
        self._target.close()


@asynccontextmanager
async def captured(file: Path, port: int) -> AsyncIterator[None]:
    """What passes over loopback to and from a port, as a pcapng file."""
    mark = _Mark()
    command = [need("tshark"), "-i", "lo", "-f", f"port {port} or port {mark.port}", "-w", str(file), "-P", "-l", "-n"]
    env = {"PATH": os.environ["PATH"], "HOME": str(file.parent), "LANG": "C.UTF-8"}
    try:
        async with Program.running(command, env=env, cwd=file.parent) as tshark:
            await mark.wait_passed(tshark)
            yield
            await mark.wait_passed(tshark)
            tshark.process.send_signal(signal.SIGINT)
            await tshark.wait_end()
    finally:
        mark.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_capture_of_baresip_is_replayed(tmp_path: Path, transport: str) -> None:
    """Against a fresh imc it is the same, with passwords and without, by any name; against Kamailio it is not."""
    file, folder = tmp_path / "talk.pcapng", tmp_path / "imc"
    await trio.Path(folder).mkdir()
    with running(folder, CONFIG, {f"sip:{user}@{DOMAIN}": password for user, password in USERS.items()}) as daemon:
        server = daemon.address(transport)
        async with captured(file, server[1]):
            await talk(tmp_path, server, transport)
        users = tmp_path / "users"
        await trio.Path(users).write_text("".join(f"{user} {password}\n" for user, password in USERS.items()))
        target = f"sip:{server[0]}:{server[1]};transport={transport}"
        options = ["--target", target, "--users", users, "--room-suffix", "-2", *SURE]
        status, printed, said = await imc_replay("run", file, *options)
        assert (status, said) == (0, ""), printed
        assert re.fullmatch(r"\d+ requests, 9 responses, 7 MESSAGEs: the same as recorded\n", printed)
    status, printed, said = await imc_replay("show", file)
    assert (status, said) == (0, "")
    assert "MESSAGE and what the guest says" in printed
    status, printed, said = await imc_replay("run", file, "--target", "imc", *SURE)
    assert (status, printed, said) == (0, "9 requests, 9 responses, 7 MESSAGEs: the same as recorded\n", "")
    clean = tmp_path / "clean.trace"
    assert (await imc_replay("anonymize", file, clean))[0] == 0
    text = await trio.Path(clean).read_text()
    for name in ("alice", "bob", DOMAIN, "owner says", "chat-a", "127.0.0.1"):
        assert name not in text
    status, printed, said = await imc_replay("run", clean, "--target", "imc", *SURE)
    assert (status, printed, said) == (0, "9 requests, 9 responses, 7 MESSAGEs: the same as recorded\n", "")


async def test_a_capture_of_baresip_against_kamailio(tmp_path: Path) -> None:
    """Its statuses are the same, its words are not, and it tells the inviter nothing."""
    need("kamailio")
    file, folder = tmp_path / "talk.pcapng", tmp_path / "imc"
    await trio.Path(folder).mkdir()
    with running(folder, CONFIG, {f"sip:{user}@{DOMAIN}": password for user, password in USERS.items()}) as daemon:
        async with captured(file, daemon.address()[1]):
            await talk(tmp_path, daemon.address(), "udp")
    status, printed, said = await imc_replay("run", file, "--target", "kamailio", *SURE)
    assert (status, said) == (1, "")
    assert "missing: MESSAGE [invitation-sent]" in printed
    assert "body '*** Room was created'; recorded: 'The private room" in printed
    assert not re.search(r"\(MESSAGE\)|\(REGISTER\)", printed)
    options = ["--ignore", "body", "--ignore", "IMC-Event", "--ignore", "In-Reply-To", "--ignore", "display-name"]
    status, printed, _ = await imc_replay("run", file, "--target", "kamailio", *SURE, *options)
    assert (status, printed.count("\n")) == (1, 2), printed
    assert "missing: MESSAGE [invitation-sent]" in printed


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_baresip_through_the_recorder(tmp_path: Path, transport: str) -> None:
    """It talks through it as to imc itself, and what was written is replayed."""
    file, folder = tmp_path / "talk.trace", tmp_path / "imc"
    await trio.Path(folder).mkdir()
    with running(folder, CONFIG, {f"sip:{user}@{DOMAIN}": password for user, password in USERS.items()}) as daemon:
        target = "sip:{}:{}".format(*daemon.address(transport))
        command = [*REPLAY, "record", str(file), "--listen", "127.0.0.1:0", "--target", target]
        async with Program.running(command, env=dict(os.environ), cwd=tmp_path) as recorder:
            port = int((await recorder.wait_output(r"listening on 127\.0\.0\.1:(\d+),"))[1])
            await talk(tmp_path, ("127.0.0.1", port), transport)
            recorder.process.send_signal(signal.SIGINT)
            assert await recorder.wait_end() == 0
            assert re.search(r"\d+ messages written\n", recorder.output)
    status, printed, said = await imc_replay("run", file, "--target", "imc", *SURE)
    assert (status, printed, said) == (0, "9 requests, 9 responses, 7 MESSAGEs: the same as recorded\n", "")
