"""What an attacker is: tallies, and streams from addresses of loopback that do as they like."""

from __future__ import annotations

import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio

from tests.soak.edge.site import Site
from tests.transport.secure import handshake

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, OSError, ssl.SSLError)
_UPGRADE_WITHIN = 30.0
_KEPT = 12


@dataclass(slots=True)
class Tally:
    """``counts`` by what was done; ``held``: seconds until the daemon ended it; ``wrong``: what must not be."""

    counts: Counter[str] = field(default_factory=Counter)
    held: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def blame(self, text: str) -> None:
        """It must not be; the first are kept."""
        if len(self.wrong) < _KEPT:
            self.wrong.append(text)


Attack = Callable[[Site, random.Random, Tally], Awaitable[None]]
"""Goes on until it is cancelled."""


def address(chance: random.Random) -> str:
    """Any of loopback's, but those that somebody has."""
    return f"127.{chance.randrange(1, 255)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"


async def connect(on: Site, transport: str, ip: str, *, buffer: int | None = None) -> trio.SocketStream:
    """The bare connection, whatever ought to be spoken on it. ``buffer``: bytes that it takes unread."""
    sock = trio.socket.socket()
    try:
        if buffer is not None:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, buffer)
        await sock.bind((ip, 0))
        await sock.connect(on.addresses[transport])
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


@asynccontextmanager
async def opened(on: Site, transport: str, ip: str, *, buffer: int | None = None) -> AsyncIterator[Stream]:
    """With its handshakes done; closed without a goodbye. One of `BROKEN`, where the daemon does not want to."""
    raw = await connect(on, transport, ip, buffer=buffer)
    try:
        stream: Stream = raw
        if transport in ("tls", "wss"):
            stream = trio.SSLStream(raw, on.context, server_hostname="localhost")
            await stream.do_handshake()
        if transport in ("ws", "wss"):
            await upgrade(stream)
        yield stream
    finally:
        raw.socket.close()


async def upgrade(stream: Stream) -> None:
    """To WebSocket. BrokenResourceError where the daemon does not want to."""
    await stream.send_all(handshake())
    head = b""
    with trio.fail_after(_UPGRADE_WITHIN):
        while b"\r\n\r\n" not in head:
            data = await stream.receive_some(4_096)
            if not data:
                raise trio.BrokenResourceError
            head += data
    if not head.startswith(b"HTTP/1.1 101 "):
        raise trio.BrokenResourceError


def hello(on: Site) -> bytes:
    """The first octets of a client of TLS."""
    out = ssl.MemoryBIO()
    layer = on.context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        layer.do_handshake()
    return out.read()


async def drain(stream: Stream) -> int:
    """Read until the daemon has ended it; the bytes."""
    total = 0
    with suppress(*BROKEN):
        while data := await stream.receive_some(65_536):
            total += len(data)
    return total


def resetting(stream: trio.SocketStream) -> None:
    """Its close will be a reset."""
    stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
