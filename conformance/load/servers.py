"""The servers that are loaded: imc and Kamailio in processes of their own, or one that runs already.

A spawned server listens on a loopback port that the system chose, has its database and its log in a scratch folder, and
is ended with all its processes. It is ready when it answers OPTIONS: the time of that, from its start, is its start time.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from conformance.load import preload
from conformance.load.sender import Names, Sender
from conformance.load.works import Room

READY_WITHIN = 120.0
_ASKED_EVERY = 0.01
_ENDED_WITHIN = 2.0  # what it would still write down is thrown away
_LAST_LINES = 1_500
_KAMAILIO_CONFIG = Path(__file__).with_name("kamailio.cfg")


class CannotStart(Exception):
    """The server is not installed, ended, or does not answer; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. ``pid`` None: nothing is known of its processes; ``start_seconds`` None: it ran already."""

    address: tuple[str, int]
    pid: int | None
    start_seconds: float | None


class Server(Protocol):
    """What can be loaded. ``holds_rooms``: rooms can be put into its database before it starts."""

    name: str
    holds_rooms: bool

    def version(self) -> str: ...

    def running(self, folder: Path, rooms: Sequence[Room], names: Names, proxy: tuple[str, int] | None) -> _Context: ...


class _Context(Protocol):
    def __enter__(self) -> Running: ...

    def __exit__(self, *error: object) -> bool | None: ...


class Imc:
    """imc with its durable defaults (SQLite, each 2xx on disk), limits off, mode none on loopback."""

    name = "imc"
    holds_rooms = True
    _CONFIG: ClassVar[str] = """
[imc]
domains = ["{domain}"]
db_url = "sqlite:///imc.db"
{proxy}
[sip]
listen = ["udp:127.0.0.1:{port}"]
[auth]
mode = "none"
[limits]
enabled = false
[manage]
listen = ""
"""

    def version(self) -> str:
        return _first_line([sys.executable, "-m", "imc", "--version"])

    @contextmanager
    def running(
        self, folder: Path, rooms: Sequence[Room], names: Names, proxy: tuple[str, int] | None
    ) -> Iterator[Running]:
        """CannotStart."""
        port = free_port()
        config = folder / "imc.toml"
        to = f'outbound_proxy = "sip:{proxy[0]}:{proxy[1]}"' if proxy else ""
        config.write_text(self._CONFIG.format(domain=names.domain, port=port, proxy=to))
        command = [sys.executable, "-m", "imc"]
        if rooms:
            upgraded = subprocess.run(
                [*command, "db", "upgrade", "-c", str(config)], cwd=folder, capture_output=True, text=True, check=False
            )
            if upgraded.returncode:
                raise CannotStart(f"imc: {upgraded.stderr}")
            preload.fill(folder / "imc.db", rooms, names)
        with _spawned([*command, "serve", "-c", str(config)], folder, port) as running:
            yield running


class Kamailio:
    """Kamailio's imc module: two workers, rooms in memory only."""

    name = "kamailio"
    holds_rooms = True

    def version(self) -> str:
        found = re.search(r"kamailio [\w.-]+", _first_line([self._binary(), "-v"]))
        return found[0] if found else "kamailio"

    @staticmethod
    def _binary() -> str:
        found = shutil.which("kamailio", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if found is None:
            raise CannotStart("kamailio is not installed")
        return found

    @contextmanager
    def running(
        self, folder: Path, rooms: Sequence[Room], names: Names, proxy: tuple[str, int] | None
    ) -> Iterator[Running]:
        """CannotStart."""
        port, database = free_port(), folder / "kamailio.sqlite"
        preload.create_tables(database)
        preload.fill(database, rooms, names)
        to = proxy or ("127.0.0.1", port)
        defines = {
            "LISTEN": f"udp:127.0.0.1:{port}",
            "DBURL": f'"sqlite:///{database}"',
            "PROXY": f'"sip:{to[0]}:{to[1]}"',
        }
        command = [self._binary(), "-f", str(_KAMAILIO_CONFIG), "-DD", "-E", "-m", "4096", "-M", "2048"]
        command += ["-Y", str(folder)]
        for name, value in defines.items():
            command += ["-A", f"{name}={value}"]
        if proxy is None:
            command += ["-A", "REGISTRAR"]
        with _spawned(command, folder, port) as running:
            yield running


class External:
    """A server that runs already; CPU and memory where its process id is known."""

    holds_rooms = False

    def __init__(self, address: tuple[str, int], pid: int | None) -> None:
        host, port = address
        self.name = f"sip:{host}:{port}"
        self.address = address
        self.pid = pid

    def version(self) -> str:
        return self.name

    @contextmanager
    def running(
        self, folder: Path, rooms: Sequence[Room], names: Names, proxy: tuple[str, int] | None
    ) -> Iterator[Running]:
        """CannotStart: it does not answer OPTIONS."""
        del folder, rooms, proxy
        sender = Sender(self.address, names, ip=local_ip(self.address))
        try:
            sent = sender.run([sender.options()], outstanding=1, seconds=5.0)
        finally:
            sender.close()
        if not sent[0].status:
            raise CannotStart(f"{self.name} does not answer OPTIONS over UDP")
        yield Running(self.address, self.pid, None)


def free_port() -> int:
    """A UDP port of loopback that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        found: int = sock.getsockname()[1]
        return found


def local_ip(address: tuple[str, int]) -> str:
    """Our address on the way there. CannotStart: there is no way."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(address)
            found: str = sock.getsockname()[0]
            return found
    except OSError as error:
        raise CannotStart(f"no way to {address[0]}: {error.strerror}") from error


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError as error:
        raise CannotStart(f"{command[0]}: {error.strerror}") from error
    return next(iter(done.stdout.splitlines()), "")


@contextmanager
def _spawned(command: list[str], folder: Path, port: int) -> Iterator[Running]:
    log = folder / "log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_ready(process, ("127.0.0.1", port), log)
        yield Running(("127.0.0.1", port), process.pid, time.monotonic() - began)
    finally:
        _end(process)


def _wait_ready(process: subprocess.Popen[bytes], address: tuple[str, int], log: Path) -> None:
    sender = Sender(address, Names())
    ends = time.monotonic() + READY_WITHIN
    try:
        while process.poll() is None and time.monotonic() < ends:
            if sender.run([sender.options()], outstanding=1, seconds=_ASKED_EVERY)[0].status:
                return
    finally:
        sender.close()
    said = log.read_text(errors="replace")[-_LAST_LINES:]
    why = "it ended" if process.poll() is not None else f"no answer within {READY_WITHIN:.0f} s"
    raise CannotStart(f"{Path(command_of(process)).name}: {why}\n{said}")


def command_of(process: subprocess.Popen[bytes]) -> str:
    """The program that was started."""
    args = process.args
    return str(args[0]) if isinstance(args, list) else str(args)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and those of its session, which is its own."""
    process.terminate()
    try:
        process.wait(_ENDED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
