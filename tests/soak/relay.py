"""What stands between imc and somebody, and does what networks do.

`UdpRelay` loses, doubles and delays datagrams, by a seeded chance; a delay is shorter than T1, since RFC 3261's timers
promise nothing beyond (spec S-LANE-2). `StreamRelay` passes streams on, TCP or Unix, and delays, swallows or cuts them.
"""

from __future__ import annotations

import random
import socket
import struct
from contextlib import suppress
from pathlib import Path

import trio

from conformance.load.sinks import bind

_LATEST = 0.3
_MOST_LATE = 2_000
_CHUNK = 65_536
Address = tuple[str, int]


class UdpRelay:
    """``near`` is what stands for the server before a user agent, ``far`` what stands for the user agent before it.

    ``loss``, ``double``, ``late``: the share of datagrams, each way. ``is_stuck``: what comes from the server is not
    read, so that the socket's buffer fills and overflows.
    """

    def __init__(self, server: Address, chance: random.Random, *, buffer: int | None = None) -> None:
        self.server = server
        self.chance = chance
        self.loss = self.double = self.late = 0.0
        self.counts = {"passed": 0, "lost": 0, "doubled": 0, "late": 0}
        self._near, self._far = bind("127.0.0.1"), bind("127.0.0.1")
        if buffer is not None:
            self._far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.near: Address = self._near.getsockname()[:2]
        self.far: Address = self._far.getsockname()[:2]
        self._client: Address | None = None
        self._unstuck = trio.Event()
        self._unstuck.set()
        self._waiting = 0
        self._nursery: trio.Nursery

    @property
    def is_stuck(self) -> bool:
        return not self._unstuck.is_set()

    @is_stuck.setter
    def is_stuck(self, value: bool) -> None:
        if not value:
            self._unstuck.set()
        elif self._unstuck.is_set():
            self._unstuck = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self._near, self._far:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._pump, self._near, True)
                self._nursery.start_soon(self._pump, self._far, False)
                task_status.started()

    async def _pump(self, sock: socket.socket, is_out: bool) -> None:
        while True:
            await trio.lowlevel.wait_readable(sock)
            if not is_out:
                await self._unstuck.wait()
            with suppress(BlockingIOError):
                data, source = sock.recvfrom(65_535)
                if is_out:
                    self._client = source[:2]
                self._take(data, is_out)

    def _take(self, data: bytes, is_out: bool) -> None:
        if self.chance.random() < self.loss:
            self.counts["lost"] += 1
            return
        copies = 1 + (self.chance.random() < self.double)
        self.counts["doubled"] += copies - 1
        for _ in range(copies):
            if self.chance.random() < self.late and self._waiting < _MOST_LATE:
                self.counts["late"] += 1
                self._waiting += 1
                self._nursery.start_soon(self._pass_later, data, is_out, self.chance.uniform(0.0, _LATEST))
            else:
                self._pass(data, is_out)

    async def _pass_later(self, data: bytes, is_out: bool, seconds: float) -> None:
        await trio.sleep(seconds)
        self._waiting -= 1
        self._pass(data, is_out)

    def _pass(self, data: bytes, is_out: bool) -> None:
        sock, to = (self._far, self.server) if is_out else (self._near, self._client)
        if to is not None:
            self.counts["passed"] += 1
            with suppress(OSError):
                sock.sendto(data, to)


Place = Address | Path
"""An (ip, port), or the path of a Unix socket."""


class StreamRelay:
    """Accepts at `listen`'s place and passes on to ``target``.

    ``delay``: seconds for each piece, each way. ``is_mute``: what comes is swallowed, so that each end believes that
    the other one lives. ``cut_after``: after so many bytes more towards the target, or with ``is_cut_back`` away from
    it, their connection is reset, both ways; those after it are whole.
    """

    def __init__(self, target: Place) -> None:
        self.target = target
        self.delay = 0.0
        self.is_mute = False
        self.cut_after: int | None = None
        self.is_cut_back = False
        self.cuts = 0
        self._listener: socket.socket

    def listen(self, at: Place = ("127.0.0.1", 0)) -> Place:
        """Open the listener; where it is."""
        self._listener = _socket(at)
        self._listener.bind(str(at) if isinstance(at, Path) else at)
        self._listener.setblocking(False)
        self._listener.listen(64)
        if isinstance(at, Path):
            return at
        address: Address = self._listener.getsockname()[:2]
        return address

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self._listener:
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    await trio.lowlevel.wait_readable(self._listener)
                    with suppress(BlockingIOError, ConnectionAbortedError):
                        accepted, _ = self._listener.accept()
                        nursery.start_soon(self._serve, accepted)

    async def _serve(self, accepted: socket.socket) -> None:
        near = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
        out = trio.socket.from_stdlib_socket(_socket(self.target))
        async with near:
            try:
                await out.connect(str(self.target) if isinstance(self.target, Path) else self.target)
            except OSError:
                out.close()
                return
            far = trio.SocketStream(out)
            async with far, trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, near, far, True, nursery.cancel_scope)
                nursery.start_soon(self._pump, far, near, False, nursery.cancel_scope)

    async def _pump(
        self, source: trio.SocketStream, to: trio.SocketStream, is_out: bool, scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                if self.delay:
                    await trio.sleep(self.delay)
                if self.is_mute:
                    continue
                if is_out != self.is_cut_back and self.cut_after is not None:
                    if len(data) > self.cut_after:
                        rest, self.cut_after, self.cuts = data[: self.cut_after], None, self.cuts + 1
                        await to.send_all(rest)
                        _reset(source)
                        _reset(to)
                        break
                    self.cut_after -= len(data)
                await to.send_all(data)
        scope.cancel()


def _socket(place: Place) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(place, Path) else socket.AF_INET, socket.SOCK_STREAM)


def _reset(stream: trio.SocketStream) -> None:
    """What is closed now ends with RST, not with FIN."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
