"""Sockets for byte-exact cases: octets out as they are, cut as asked, and all that comes back, in order.

Nothing here retransmits, and nothing answers: that is the point. What shows that a server has taken what came before
is the barrier, an OPTIONS on the same socket, and its answer.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import trio

from conformance.suite.conversation import Arrow
from conformance.suite.wire_websocket import WebSocket, send_all

Address = tuple[str, int]
_CONTENT_LENGTH = re.compile(rb"\r\n(?:Content-Length|l)[ \t]*:[ \t]*([0-9]+)", re.IGNORECASE)
_REPEAT = 0.5  # seconds: T1, after which a barrier is sent again over UDP


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came to a socket: a message, a single CRLF between messages ("pong"), or the end of the connection."""

    socket: str
    kind: Literal["message", "pong", "end"]
    data: bytes = b""
    is_from_server: bool = True

    @property
    def is_response(self) -> bool:
        return self.kind == "message" and self.data[:4].upper() == b"SIP/"

    @property
    def is_final(self) -> bool:
        return self.is_response and self.data.split(b" ", 2)[1:2] != [] and self.data.split(b" ", 2)[1][:1] != b"1"


@dataclass(frozen=True, slots=True)
class Barrier:
    """An OPTIONS whose answer is known by its Call-ID."""

    mark: bytes
    data: bytes


class Channel:
    """One socket, or one connection, to the server."""

    def __init__(self, bench: Bench, name: str, sock: trio.socket.SocketType, web: WebSocket | None) -> None:
        self.name = name
        self.is_open = True
        self.local: Address = sock.getsockname()[:2]
        self._bench = bench
        self._sock = sock
        self._web = web
        self._is_stream = sock.type == socket.SOCK_STREAM

    async def send(self, pieces: Sequence[bytes]) -> None:
        """Write them one after the other. A connection that the server has closed takes them silently."""
        with suppress(OSError, trio.ClosedResourceError):
            for piece in pieces:
                if self._web is not None:
                    await self._web.send(piece)
                elif self._is_stream:
                    await send_all(self._sock, piece)
                else:
                    await self._sock.sendto(piece, self._bench.server)

    async def read(self) -> None:
        """Take what comes, until the server ends the connection, or for ever."""
        with self._sock:
            while not self._is_stream:
                data, source = await self._sock.recvfrom(65535)
                self._bench.take(Arrived(self.name, "message", data, source[:2] == self._bench.server))
            with suppress(OSError):  # a reset is an end as well
                await (self._read_stream() if self._web is None else self._read_web(self._web))
            self.is_open = False
            self._bench.take(Arrived(self.name, "end"))

    async def _read_web(self, web: WebSocket) -> None:
        while (data := await web.receive()) is not None:
            is_pong = data == b"\r\n"
            self._bench.take(Arrived(self.name, "pong") if is_pong else Arrived(self.name, "message", data))

    async def _read_stream(self) -> None:
        buffer = bytearray()
        while data := await self._sock.recv(65535):
            buffer += data
            self._cut(buffer)

    def _cut(self, buffer: bytearray) -> None:
        while buffer:
            if buffer[:2] == b"\r\n":
                self._bench.take(Arrived(self.name, "pong"))
                del buffer[:2]
                continue
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _CONTENT_LENGTH.search(bytes(buffer[:end]))
            end += 4 + (int(length[1]) if length is not None else 0)
            if len(buffer) < end:
                return
            self._bench.take(Arrived(self.name, "message", bytes(buffer[:end])))
            del buffer[:end]


class Bench:
    """The sockets of one run of a case, open until the nursery ends.

    ``arrived`` is all that came, ``ladder`` what went both ways.
    """

    def __init__(self, nursery: trio.Nursery, server: Address, transport: str, domain: str, token: str) -> None:
        self.server = server
        self.transport = transport
        self.arrived: list[Arrived] = []
        self.ladder: list[Arrow] = []
        self._nursery = nursery
        self._domain = domain
        self._token = token
        self._channels: dict[str, Channel] = {}
        self._heard = trio.lowlevel.ParkingLot()
        self._barriers: list[Barrier] = []
        self._began = trio.current_time()

    async def open(self, name: str) -> Channel:
        """The channel of this name; a new one where there is none, or where the server closed it. OSError."""
        known = self._channels.get(name)
        if known is None or not known.is_open:
            sock = await _socket(self.server, self.transport)
            web = await WebSocket.shake_hands(sock, self.server) if self.transport == "ws" else None
            known = self._channels[name] = Channel(self, name, sock, web)
            self._nursery.start_soon(known.read)
        return known

    def local(self, name: str) -> Address:
        return self._channels[name].local

    def take(self, arrived: Arrived) -> None:
        """Note what came."""
        self.arrived.append(arrived)
        if arrived.kind == "end":
            self.note("server", arrived.socket, "the connection is closed", b"")
        elif not self.is_barrier(arrived):
            self.note("server", arrived.socket, summary(arrived.data) if arrived.data else "CRLF", arrived.data)
        self._heard.unpark_all()

    def note(self, source: str, target: str, words: str, data: bytes) -> None:
        self.ladder.append(
            Arrow(at=trio.current_time() - self._began, source=source, target=target, summary=words, data=data)
        )

    async def wait(self, is_there: Callable[[], bool], within: float) -> bool:
        """Until it is so, or the time is over."""
        with trio.move_on_after(within):
            while not is_there():
                await self._heard.park()
        return is_there()

    # The barrier

    def barrier(self, channel: Channel) -> Barrier:
        """A new OPTIONS for this channel."""
        mark = f"barrier-{len(self._barriers)}-{self._token}"
        host = f"[{channel.local[0]}]" if ":" in channel.local[0] else channel.local[0]
        lines = (
            f"OPTIONS sip:{self._domain} SIP/2.0",
            f"Via: SIP/2.0/{self.transport.upper()} {host}:{channel.local[1]};branch=z9hG4bK{mark};rport",
            "Max-Forwards: 70",
            f"From: <sip:barrier@{self._domain}>;tag={mark}",
            f"To: <sip:{self._domain}>",
            f"Call-ID: {mark}",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
        )
        barrier = Barrier(mark.encode(), ("\r\n".join(lines) + "\r\n\r\n").encode())
        self._barriers.append(barrier)
        return barrier

    def is_barrier(self, arrived: Arrived) -> bool:
        """Whether it answers one of ours."""
        return any(barrier.mark in arrived.data for barrier in self._barriers)

    async def pass_barrier(self, channel: Channel, barrier: Barrier, within: float, *, is_sent: bool = False) -> bool:
        """Whether the barrier was answered on its channel, in time and before the connection ended."""

        def is_there() -> bool:
            return not channel.is_open or self._is_answered(barrier)

        if not is_sent:
            await channel.send([barrier.data])
        with trio.move_on_after(within):
            while not await self.wait(is_there, _REPEAT if self.transport == "udp" else within):
                if self.transport == "udp":
                    await channel.send([barrier.data])
        return self._is_answered(barrier)

    def _is_answered(self, barrier: Barrier) -> bool:
        return any(each.is_response and barrier.mark in each.data for each in self.arrived)


def summary(data: bytes) -> str:
    """The first line, short, as printable text."""
    line = data.lstrip(b"\r\n").partition(b"\r\n")[0].decode("utf-8", "replace")
    shown = "".join(char if char.isprintable() else "�" for char in line)
    return shown if len(shown) <= 100 else f"{shown[:99]}…"


async def _socket(server: Address, transport: str) -> trio.socket.SocketType:
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    if transport in ("tcp", "ws"):
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            await sock.connect(server)
        except BaseException:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    # An unconnected socket, since an answer may come from another port; the address is that of the way to the server.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(server)
        ip = probe.getsockname()[0]
    sock = trio.socket.socket(family, socket.SOCK_DGRAM)
    await sock.bind((ip, 0))
    return sock
