"""The servers that are loaded: imc and Kamailio in processes of their own, or one that runs already.

A spawned server listens on a loopback port that was free, has its database and its log in a scratch folder, and is
ended with all its processes. It is ready when it answers OPTIONS; from its start until then is its start time.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from conformance.drivers.spawn import find_binary, free_port
from conformance.load import preload
from conformance.load.sender import Names, Sender
from conformance.load.works import Room

READY_WITHIN, ANSWERS_WITHIN = 120.0, 5.0
_ASKED_EVERY = 0.01
_ENDED_WITHIN = 2.0  # what it would still write down is thrown away
_LOG_SHOWN = 1_500
_TRIES = 3
_KAMAILIO_CFG = Path(__file__).with_name("kamailio.cfg")


class CannotStart(Exception):
    """The server is not installed, ended, or does not answer; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. ``pid`` None: its processes are not known; ``start_seconds`` None: it ran already."""

    address: tuple[str, int]
    pid: int | None
    start_seconds: float | None


class Server(Protocol):
    """What can be loaded. ``holds_rooms``: rooms can be put into its database before it starts."""

    name: str
    holds_rooms: bool

    def version(self) -> str: ...

    def running(
        self, folder: Path, rooms: Sequence[Room], names: Names, proxy: tuple[str, int] | None
    ) -> AbstractContextManager[Running]:
        """Until the end of the block, with these rooms. Copies go to ``proxy``, an (ip, port), or where users are."""
        ...


class Imc:
    """imc with its durable defaults (SQLite, each 2xx on disk), limits off, mode none on loopback.

    ``settings`` are KEY=VALUE for ``--set``; ``prepare`` is called with the path of its database before it starts.
    """

    name = "imc"
    holds_rooms = True

    def __init__(self, settings: Sequence[str] = (), prepare: Callable[[Path], None] | None = None) -> None:
        self.settings = settings
        self.prepare = prepare

    _CONFIG: ClassVar[str] = """
[imc]
domains = ["{domain}"]
db_url = "sqlite:///imc.db"
{proxy}
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
        config = folder / "imc.toml"
        to = f'outbound_proxy = "sip:{proxy[0]}:{proxy[1]}"' if proxy else ""
        config.write_text(self._CONFIG.format(domain=names.domain, proxy=to))
        command = [sys.executable, "-m", "imc"]
        if rooms or self.prepare is not None:
            upgraded = subprocess.run(  # noqa: S603 - our own command
                [*command, "db", "upgrade", "-c", str(config)], cwd=folder, capture_output=True, text=True, check=False
            )
            if upgraded.returncode:
                raise CannotStart(f"imc: {upgraded.stderr}")
            preload.fill(folder / "imc.db", rooms, names)
            if self.prepare is not None:
                self.prepare(folder / "imc.db")
        command += ["serve", "-c", str(config), *(word for each in self.settings for word in ("--set", each)), "--set"]
        with _spawned(lambda port: [*command, f"sip.listen=udp:127.0.0.1:{port}"], folder) as running:
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
        found = find_binary("kamailio")
        if found is None:
            raise CannotStart("kamailio is not installed")
        return found

    @contextmanager
    def running(
        self, folder: Path, rooms: Sequence[Room], names: Names, proxy: tuple[str, int] | None
    ) -> Iterator[Running]:
        """CannotStart."""
        database = folder / "kamailio.sqlite"
        preload.create_tables(database)
        preload.fill(database, rooms, names)

        def command(port: int) -> list[str]:
            to = proxy or ("127.0.0.1", port)
            defines = [
                f"LISTEN=udp:127.0.0.1:{port}",
                f'DBURL="sqlite:///{database}"',
                f'PROXY="sip:{to[0]}:{to[1]}"',
                *(["REGISTRAR"] if proxy is None else []),
            ]
            flags = [word for define in defines for word in ("-A", define)]
            memory = ["-m", "4096", "-M", "2048"]  # megabytes, at most: shared, and of each process
            return [self._binary(), "-f", str(_KAMAILIO_CFG), "-DD", "-E", *memory, "-Y", str(folder), *flags]

        with _spawned(command, folder) as running:
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
        """It is not asked."""
        return self.name

    @contextmanager
    def running(
        self, folder: Path, rooms: Sequence[Room], names: Names, proxy: tuple[str, int] | None
    ) -> Iterator[Running]:
        """CannotStart: it does not answer OPTIONS."""
        del folder, rooms, proxy
        sender = Sender(self.address, names, ip=local_ip(self.address))
        try:
            sent = sender.run([sender.options()], outstanding=1, seconds=ANSWERS_WITHIN)
        finally:
            sender.close()
        if not sent[0].status:
            raise CannotStart(f"{self.name} does not answer OPTIONS over UDP")
        yield Running(self.address, self.pid, None)


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
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, check=False, timeout=60
        )
    except OSError as error:
        raise CannotStart(f"{command[0]}: {error.strerror}") from error
    return next(iter(done.stdout.splitlines()), "")


@contextmanager
def _spawned(command_for: Callable[[int], list[str]], folder: Path) -> Iterator[Running]:
    """Start on a free port; on another one where somebody has taken it meanwhile."""
    log = folder / "log"
    for tries_left in reversed(range(_TRIES)):
        address = ("127.0.0.1", free_port("127.0.0.1"))
        began = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command_for(address[1]),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            if _wait_ready(process, address):
                yield Running(address, process.pid, time.monotonic() - began)
                return
            if tries_left and process.poll() is not None:
                continue
            why = "it does not answer OPTIONS" if process.poll() is None else "it ended"
            said = log.read_text(errors="replace")[-_LOG_SHOWN:]
            raise CannotStart(f"{Path(command_for(0)[0]).name}: {why}\n{said}")
        finally:
            _end(process)


def _wait_ready(process: subprocess.Popen[bytes], address: tuple[str, int]) -> bool:
    sender = Sender(address, Names())
    ends = time.monotonic() + READY_WITHIN
    try:
        while process.poll() is None and time.monotonic() < ends:
            if sender.run([sender.options()], outstanding=1, seconds=_ASKED_EVERY)[0].status:
                return True
    finally:
        sender.close()
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and those of its session, which is its own."""
    process.terminate()
    try:
        process.wait(_ENDED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
