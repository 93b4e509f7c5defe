"""A server that a driver starts: on a port of its own, in a process group of its own, ended by its process id.

The port is one that was free a moment before. Should somebody else have taken it by then, the server ends at once, and
is started on another one. Ready is what answers OPTIONS; nothing sleeps.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import trio

READY_WITHIN = 20.0
ENDS_WITHIN = 10.0
_TRIES = 5
_LOWEST = 10_000
_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ASK_AGAIN = 0.1  # seconds; a server under way to be ready answers the next OPTIONS
_LOG_SHOWN = 4000

Address = tuple[str, int]


class NotStarted(Exception):
    """The server ended, or did not answer in time; the text has the end of what it printed."""


def find_binary(name: str) -> str | None:
    """The path of a program; those of the system's administrators are looked through as well."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def free_port(ip: str) -> int:
    """A port that is free for UDP and for TCP at this moment, and none that the system gives to whoever asks for any.

    So no user agent of ours takes it before the server does, or while the server is started again.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    while True:
        port = _LOWEST + secrets.randbelow(_first_given() - _LOWEST)
        with (
            socket.socket(family, socket.SOCK_DGRAM) as udp,
            socket.socket(family, socket.SOCK_STREAM) as tcp,
            suppress(OSError),
        ):
            udp.bind((ip, port))
            tcp.bind((ip, port))
            return port


def _first_given() -> int:
    """The lowest port that the system gives to whoever asks for any (Linux; elsewhere what IANA names, RFC 6335 §6)."""
    try:
        return max(int(_GIVEN.read_text().split()[0]), 2 * _LOWEST)
    except (OSError, ValueError, IndexError):
        return 49152


class Spawned:
    """A server in a process of its own. ``command_for`` gives its command line, for the port it is to listen on.

    ``log`` is the file of what it prints. ``address`` is where it listens, the same again after `restart`.
    """

    def __init__(
        self,
        command_for: Callable[[int], Sequence[str]],
        folder: Path,
        *,
        ip: str = "127.0.0.1",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.log = folder / "server.log"
        self.address: Address = (ip, 0)
        self._command_for = command_for
        self._folder = folder
        self._env = {**os.environ, **(env or {})}
        self._process: trio.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that was started; its children are in its group."""
        return None if self._process is None else self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    async def start(self) -> None:
        """Start and wait until it answers. NotStarted."""
        for tries_left in reversed(range(_TRIES)):
            self.address = (self.address[0], free_port(self.address[0]))
            try:
                await self._start()
            except NotStarted:
                if not tries_left or not _is_taken(self.address):
                    raise
            else:
                return

    async def restart(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal, and start it again where it was; the exit status. NotStarted."""
        status = await self.stop(number)
        await self._start()
        return status

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal, or by SIGKILL where that takes too long; the exit status, a negative one of a signal."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with trio.CancelScope(shield=True):
            process.send_signal(number)
            if number != signal.SIGKILL:
                with trio.move_on_after(ENDS_WITHIN):
                    await process.wait()
            await _kill_group(process.pid)
            await process.wait()
        assert process.returncode is not None
        return process.returncode

    def printed(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-_LOG_SHOWN:] if self.log.exists() else ""

    async def _start(self) -> None:
        command = list(self._command_for(self.address[1]))
        with self.log.open("ab") as log:
            try:
                self._process = await trio.lowlevel.open_process(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env=self._env,
                    start_new_session=True,
                )
            except OSError as error:
                raise NotStarted(f"{command[0]}: {error.strerror}") from None
        try:
            await self._wait_ready(self._process)
        except BaseException:
            await self.stop(signal.SIGKILL)
            raise

    async def _wait_ready(self, process: trio.Process) -> None:
        with trio.move_on_after(READY_WITHIN):
            while process.poll() is None:
                if await _answers(self.address):
                    return
        said = "it does not answer OPTIONS" if process.returncode is None else f"it ended with {process.returncode}"
        raise NotStarted(f"{said}:\n{self.printed()}")


async def _answers(address: Address) -> bool:
    """Whether a 2xx comes for an OPTIONS, over UDP, within `_ASK_AGAIN`."""
    family = trio.socket.AF_INET6 if ":" in address[0] else trio.socket.AF_INET
    with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock, trio.move_on_after(_ASK_AGAIN):
        with suppress(OSError):  # nobody listens yet
            await sock.connect(address)
            await sock.send(request("OPTIONS", address, sock.getsockname()))
            while not (await sock.recv(4096)).startswith(b"SIP/2.0 2"):
                pass
            return True
        await trio.sleep_forever()
    return False


def request(method: str, server: Address, local: Address, transport: str = "UDP") -> bytes:
    """A request without a body to the server itself, in the name of nobody."""
    host = f"[{server[0]}]" if ":" in server[0] else server[0]
    sent_by = f"[{local[0]}]:{local[1]}" if ":" in local[0] else f"{local[0]}:{local[1]}"
    token = secrets.token_hex(8)
    lines = [
        f"{method} sip:{host}:{server[1]} SIP/2.0",
        f"Via: SIP/2.0/{transport} {sent_by};branch=z9hG4bK{token};rport",
        "Max-Forwards: 70",
        f"From: <sip:ready@{host}>;tag={token}",
        f"To: <sip:{'ready@' if method == 'REGISTER' else ''}{host}:{server[1]}>",
        f"Call-ID: {token}",
        f"CSeq: 1 {method}",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _is_taken(address: Address) -> bool:
    """Whether somebody listens there, so that we could not."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind) as sock:
            if kind is socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(address)
            except OSError:
                return True
    return False


async def _kill_group(group: int) -> None:
    """kill -9 to what is left of a process group, and wait until all of it has let go of its sockets."""
    handles = []
    for pid in _members(group):
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))
    try:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        with trio.move_on_after(ENDS_WITHIN):
            for handle in handles:
                await trio.lowlevel.wait_readable(handle)
    finally:
        for handle in handles:
            os.close(handle)


def _members(group: int) -> list[int]:
    """The processes of a group, as /proc has them (proc(5)); none where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                found.append(int(path.parent.name))
    return found
