"""Several sink processes, and what they have seen.

All read from one socket (a server with an outbound proxy knows one address), or each from its own (users that are
registered are spread over them). Processes, since one interpreter could be slower than the server under test: how busy
each was is told, and what its socket lost.
"""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType

from conformance.load import proc
from conformance.load.sink import COUNTERS, WORD, Seen

_WANTED_BUFFER = 256 << 20
_WITHIN = 30.0
# Hashes of Via lines are compared between processes.
_ENV = {"PYTHONHASHSEED": "0"}


class SinkDied(Exception):
    """A sink process ended, or said nothing for half a minute: nothing measured with it means anything."""


def bind(ip: str, port: int = 0) -> socket.socket:
    """A non-blocking UDP socket with as large a buffer as the kernel gives. OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((ip, port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    try:
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), _WANTED_BUFFER)
    except OSError:  # that is for root; others get what net.core.rmem_max allows
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WANTED_BUFFER)
    return sock


class Sinks:
    """``count`` processes on ``ip``; ``is_shared``: all behind one address. ``prefix``: see `message.take`."""

    def __init__(self, count: int, *, ip: str = "127.0.0.1", port: int = 0, is_shared: bool, prefix: int) -> None:
        self.ip = ip
        self.sockets = [bind(ip, port) for _ in range(1 if is_shared else count)]
        self._inodes = [os.fstat(sock.fileno()).st_ino for sock in self.sockets]
        memory = os.memfd_create("sinks")
        os.ftruncate(memory, count * COUNTERS * WORD)
        self._map = mmap.mmap(memory, 0)
        self._counters = memoryview(self._map).cast("Q")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._controls: list[Connection] = []
        for number in range(count):
            self._start(number, self.sockets[number % len(self.sockets)].fileno(), memory, prefix)
        os.close(memory)

    def _start(self, number: int, udp: int, memory: int, prefix: int) -> None:
        ours, theirs = socket.socketpair()
        fds = (theirs.fileno(), udp, memory)
        command = [sys.executable, "-m", "conformance.load.sink", *map(str, (*fds, number, prefix))]
        process = subprocess.Popen(command, pass_fds=fds, env={**os.environ, **_ENV})  # noqa: S603 - our own command
        self._processes.append(process)
        theirs.close()
        self._controls.append(Connection(ours.detach()))

    def __enter__(self) -> Sinks:
        """Wait until all are ready. SinkDied."""
        try:
            for control in self._controls:
                self._receive(control)
        except SinkDied:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        for control in self._controls:
            control.close()
        for process in self._processes:
            try:
                process.wait(_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._counters.release()
        self._map.close()
        for sock in self.sockets:
            sock.close()

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [process.pid for process in self._processes]

    def port(self, user: int) -> int:
        """Where this user is reached."""
        found: int = self.sockets[user % len(self.sockets)].getsockname()[1]
        return found

    @property
    def deliveries(self) -> int:
        """How many were answered so far, the repeated ones too."""
        return sum(self._counters[0::COUNTERS])

    @property
    def others(self) -> int:
        """Datagrams that were no MESSAGE."""
        return sum(self._counters[1::COUNTERS])

    def collect(self) -> list[Seen]:
        """What each saw since the last call. SinkDied."""
        for control in self._controls:
            with suppress(OSError):
                control.send("collect")
        return [self._receive(control) for control in self._controls]

    def _receive(self, control: Connection) -> Seen:
        try:
            if not control.poll(_WITHIN):
                raise SinkDied("a sink process does not answer")
            found = Seen(*control.recv())
        except (EOFError, OSError) as error:
            raise SinkDied("a sink process ended") from error
        return found

    def cpu_seconds(self) -> list[float]:
        """Of each process, so far."""
        return [proc.cpu_seconds([pid]) for pid in self.pids]

    def dropped(self) -> int:
        """Datagrams that came faster than they were read."""
        return sum(proc.datagrams_dropped(inode) for inode in self._inodes)
