"""Programs of others, in processes of their own, driven as their users drive them: lines in, text out.

Nothing sleeps: whoever waits for a text is woken by the output that holds it, or fails at a deadline with all the
output so far. A program ends with its block, by its own process id.
"""

from __future__ import annotations

import codecs
import os
import random
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

WITHIN = 15.0  # seconds for what takes a program well under one, on a busy machine
_ENDS_WITHIN = 10.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotSeen(AssertionError):
    """A text did not come in time; the message holds the whole output."""


def need(binary: str) -> str:
    """The path of a program of the system; the test is skipped where it is not installed."""
    path = shutil.which(binary) or shutil.which(binary, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{binary} is not installed")
    return path


def free_port(ip: str = "127.0.0.1") -> int:
    """A port that is free for UDP and TCP, from below the range that the kernel gives out by itself."""
    for port in random.Random().sample(range(15000, 30000), 100):
        with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket(type=socket.SOCK_STREAM) as tcp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                udp.bind((ip, port))
                tcp.bind((ip, port))
            except OSError:
                continue
        return port
    raise AssertionError("no free port")


def home_of(folder: Path, name: str) -> tuple[Path, dict[str, str]]:
    """A home folder for a program, and the environment in which nothing of the user's own home is found."""
    home = folder / name
    home.mkdir()
    return home, {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb", "LANG": "C.UTF-8"}


class Program:
    """A running program. ``output`` is what it shows, stdout and stderr together, without colours."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self.process = process
        self.has_ended = False
        self._lines = ""
        self._line = ""  # the last one, not ended yet
        self._read = 0
        self._heard = trio.lowlevel.ParkingLot()

    @classmethod
    @asynccontextmanager
    async def running(cls, command: list[str], *, env: dict[str, str], cwd: Path) -> AsyncIterator[Program]:
        """Start it; it is killed at the end of the block, and all that it started: they are a process group."""
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        program = cls(Path(command[0]).name, process)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(program._listen)
            try:
                yield program
            finally:
                with trio.CancelScope(shield=True):
                    await program.kill()
                nursery.cancel_scope.cancel()

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async for chunk in self.process.stdout:
            self._take(decoder.decode(chunk))
            self._heard.unpark_all()
        self.has_ended = True
        self._heard.unpark_all()

    @property
    def output(self) -> str:
        return self._lines + self._line

    def _take(self, text: str) -> None:
        """As a terminal shows it: what is written after a carriage return stands where the line stood before."""
        *ended, self._line = _COLOURS.sub("", self._line + text).split("\n")
        if ended:
            self._lines += "".join(line.rstrip("\r").rpartition("\r")[2] + "\n" for line in ended)
        _, is_again, after = self._line.rpartition("\r")
        if is_again and after:
            self._line = after
            self._read = min(self._read, len(self._lines))

    async def type(self, text: str) -> None:
        """What its user types, line ends included."""
        assert self.process.stdin is not None
        await self.process.stdin.send_all(text.encode())

    async def wait_output(self, pattern: str, *, within: float = WITHIN) -> re.Match[str]:
        """The next match of a regular expression after that of the call before. NotSeen."""
        expression = re.compile(pattern, re.DOTALL | re.MULTILINE)
        with trio.move_on_after(within):
            while True:
                found = expression.search(self.output, self._read)
                if found is not None:
                    self._read = found.end()
                    return found
                if self.has_ended:
                    break
                await self._heard.park()
        raise NotSeen(f"{self.name} did not print {pattern!r}, but:\n{self.output}")

    async def wait_end(self, within: float = _ENDS_WITHIN) -> int:
        """Its exit status."""
        with trio.fail_after(within):
            return await self.process.wait()

    async def kill(self) -> None:
        """kill -9."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
