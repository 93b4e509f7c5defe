"""Who reads or writes a byte at a time, half of everything, or nothing: over TCP, TLS and WebSocket."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import repeat

import trio

from conformance.agent.client import NoAnswer
from conformance.suite.wire_websocket import Opcode
from tests.attacks.attacker import request
from tests.soak.edge.attack import BROKEN, Stream, Tally, address, connect, drain, hello, opened
from tests.soak.edge.site import MALLORIES, PASSWORD, Site
from tests.transport.secure import fragment, handshake, masked

_OPEN = 3  # of each kind at a time
_PAUSE = 0.3
_SMALL_BUFFER = 4_096
_LIVES = 20.0  # seconds until whoever may stay goes by themselves
_ENDED_BY = 60.0  # the deadlines are 3 and 5 s; a machine that is taken by a flood is late
Kind = Callable[[Site, str], Awaitable[None]]


async def _outlast(stream: Stream, pieces: Iterable[bytes], pause: float = _PAUSE) -> None:
    """Write piece by piece, then nothing, and read, until the daemon ends it."""

    async def write() -> None:
        try:
            for piece in pieces:
                await stream.send_all(piece)
                await trio.sleep(pause)
        except BROKEN:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await drain(stream)
        nursery.cancel_scope.cancel()


def _options(transport: str) -> bytes:
    data = request("OPTIONS", "sip:example.com").replace(b"/UDP", f"/{transport.upper()}".encode())
    return masked(data) if transport in ("ws", "wss") else data


async def _raw(transport: str, make: Callable[[Site], Iterable[bytes]], on: Site, ip: str) -> None:
    """On the bare connection."""
    stream = await connect(on, transport, ip)
    try:
        await _outlast(stream, make(on))
    finally:
        stream.socket.close()


async def _spoken(transport: str, make: Callable[[], Iterable[bytes]], on: Site, ip: str) -> None:
    """After all handshakes."""
    async with opened(on, transport, ip) as stream:
        await _outlast(stream, make())


async def _never_reads(transport: str, data: Callable[[str], bytes], on: Site, ip: str) -> None:
    async with opened(on, transport, ip, buffer=_SMALL_BUFFER) as stream:
        while True:
            await stream.send_all(data(transport) * 20)


async def _reads_a_byte(transport: str, on: Site, ip: str) -> None:
    """It may stay: what waits for it is bounded."""
    with trio.move_on_after(_LIVES):
        async with opened(on, transport, ip, buffer=_SMALL_BUFFER) as stream:
            while True:
                await stream.send_all(_options(transport))
                await stream.receive_some(1)
                await trio.sleep(1.0)


def _half(data: bytes) -> list[bytes]:
    return [data[: len(data) // 2]]


def _ping(_transport: str) -> bytes:
    return masked(b"x" * 100, Opcode.PING)


_MESSAGE = request("MESSAGE", "sip:chat-0@example.com", body=b"x" * 200)
_LONG = [_MESSAGE[at : at + 1] for at in range(len(_MESSAGE))]
MUST_END: dict[str, Kind] = {
    "connects and is silent": partial(_raw, "tcp", lambda _on: ()),
    "half a head": partial(_raw, "tcp", lambda _on: _half(_MESSAGE)),
    "a head, byte by byte": partial(_raw, "tcp", lambda _on: _LONG),
    "keep-alives only": partial(_raw, "tcp", lambda _on: repeat(b"\r\n\r\n")),
    "TLS, silent": partial(_raw, "tls", lambda _on: ()),
    "half a TLS handshake": partial(_raw, "tls", lambda on: _half(hello(on))),
    "a TLS handshake, byte by byte": partial(_raw, "wss", lambda on: [bytes([each]) for each in hello(on)]),
    "half a head within TLS": partial(_spoken, "tls", lambda: _half(_MESSAGE)),
    "half an upgrade": partial(_raw, "ws", lambda _on: _half(handshake())),
    "an upgrade, byte by byte": partial(_raw, "ws", lambda _on: [bytes([each]) for each in handshake()]),
    "half a frame": partial(_spoken, "ws", lambda: _half(masked(_MESSAGE))),
    "half a frame within TLS": partial(_spoken, "wss", lambda: _half(masked(_MESSAGE))),
    "fragments without end": partial(
        _spoken,
        "ws",
        lambda: (fragment(b"x", Opcode.CONTINUATION if number else Opcode.TEXT) for number in range(10**9)),
    ),
    "pings only": partial(_spoken, "ws", lambda: repeat(_ping("ws"))),
    "pings without reading": partial(_never_reads, "ws", _ping),
}
MAY_STAY: dict[str, Kind] = {
    **{f"never reads, {each}": partial(_never_reads, each, _options) for each in ("tcp", "tls", "ws")},
    **{f"reads a byte a second, {each}": partial(_reads_a_byte, each) for each in ("tcp", "tls", "wss")},
}
"""Who is answered no faster than they may ask fills their buffer late, or never."""


async def _keep_on(name: str, kind: Kind, on: Site, chance: random.Random, tally: Tally) -> None:
    while True:
        began = trio.current_time()
        with trio.move_on_after(_ENDED_BY) as scope:
            with suppress(*BROKEN):
                await kind(on, address(chance))
        if scope.cancelled_caught and name in MUST_END:
            tally.blame(f"{name}: still open after {_ENDED_BY:.0f} s")
        tally.held.setdefault(name, []).append(trio.current_time() - began)
        await trio.sleep(chance.uniform(0.0, _PAUSE))


async def _is_deaf(on: Site, tally: Tally) -> None:
    """A member of the users' room whose contact takes connections and never reads."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def ignore(stream: trio.SocketStream) -> None:
        tally.counts["connections to who is deaf"] += 1
        with trio.move_on_after(_LIVES):
            await trio.sleep_forever()
        await stream.aclose()

    port = listeners[0].socket.getsockname()[1]
    contact = f"<sip:{MALLORIES[0]}@127.0.0.1:{port};transport=tcp>"
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, ignore, listeners)
            client = await on.client(nursery, MALLORIES[0], "tcp", PASSWORD)
            with suppress(NoAnswer):
                status = (await client.register(contact=contact)).status
                tally.counts[f"who is deaf registers: {status}"] += 1
                status = (await client.message("sip:chat-0@example.com", "#join")).status
                tally.counts[f"who is deaf joins: {status}"] += 1
            await trio.sleep_forever()
    finally:
        with trio.move_on_after(_LIVES) as last:
            last.shield = True
            async with trio.open_nursery() as nursery:
                client = await on.client(nursery, MALLORIES[0], "tcp", PASSWORD)
                with suppress(NoAnswer):
                    await client.message("sip:chat-0@example.com", "#leave")
                    await client.register(contact=contact, expires=0)
                nursery.cancel_scope.cancel()


async def slow(on: Site, chance: random.Random, tally: Tally) -> None:
    """See `tests.soak.edge.attack.Attack`."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_is_deaf, on, tally)
        for name, kind in {**MUST_END, **MAY_STAY}.items():
            for number in range(_OPEN):
                nursery.start_soon(_keep_on, name, kind, on, random.Random(f"{chance.random()} {number}"), tally)
