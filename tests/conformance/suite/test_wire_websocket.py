"""The client's side of WebSocket, against a server that speaks it frame by frame."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from conformance.suite.features import FEATURES
from conformance.suite.wire_case import WireCase, load_wire
from conformance.suite.wire_player import WirePlace, play_wire
from conformance.suite.wire_websocket import NotAccepted, Opcode, Reader, WebSocket, accept_key, frame, masked
from tests.conformance.suite.test_wire_player import reply

HELLO = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {key}\r\n{protocol}\r\n"


async def shake_hands(stream: trio.SocketStream, protocol: str, key: str = "") -> Reader:
    reader = Reader(stream.socket)
    asked = (await reader.until(b"\r\n\r\n")).decode()
    assert "\r\nSec-WebSocket-Protocol: sip\r\n" in asked
    given = asked.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    await stream.send_all(HELLO.format(key=key or accept_key(given), protocol=protocol).encode())
    return reader


async def answer_all(stream: trio.SocketStream) -> None:
    """SIP over WebSocket: each message is answered, in fragments, behind a ping."""
    reader = await shake_hands(stream, "Sec-WebSocket-Protocol: sip\r\n")
    while True:
        try:
            first, second = await reader.exactly(2)
        except EOFError:
            return
        assert second & 0x80, "a client masks"
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await reader.exactly(2 if size == 126 else 8), "big")
        mask = await reader.exactly(4)
        data = masked(await reader.exactly(size), mask)
        if first & 0x0F in (Opcode.TEXT, Opcode.BINARY):
            answer = reply(data)
            parts = bytes([Opcode.BINARY, 100]) + answer[:100], frame(Opcode.CONTINUATION, answer[100:])
            await stream.send_all(frame(Opcode.PING, b"p") + parts[0] + parts[1])


@asynccontextmanager
async def listening(serve: object = answer_all, protocol: str = "", key: str = "") -> AsyncIterator[tuple[str, int]]:
    async def accept(stream: trio.SocketStream) -> None:
        async with stream:
            if serve is answer_all:
                await answer_all(stream)
            elif serve is not None:
                await shake_hands(stream, protocol, key)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, accept, [listener])
        yield listener.socket.getsockname()[:2]
        nursery.cancel_scope.cancel()


def cases() -> list[WireCase]:
    """Those that ask for nothing but an answer."""
    return [case for case in load_wire() if case.rfc == 7118 and set(case.requires) == {"ws"} and not case.needs_mate]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
async def test_the_cases_of_websocket(case: WireCase) -> None:
    async with listening() as address:
        place = WirePlace(domain="example.com", addresses={"ws": address}, features=frozenset(FEATURES))
        verdict = await play_wire(case, place, patience=2)
    assert (verdict.outcome, verdict.why) == ("passed", "")
    assert [step.words.partition(":")[0] for step in verdict.steps] == ["ws"]


async def refused(address: tuple[str, int]) -> str:
    with trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        await sock.connect(address)
        with pytest.raises(NotAccepted) as info:
            await WebSocket.shake_hands(sock, address)
    return str(info.value)


async def test_handshakes_that_fail() -> None:
    async with listening(None) as address:
        assert "closed" in await refused(address)
    async with listening("other") as address:
        assert "not the subprotocol" in await refused(address)
    async with listening("other", "Sec-WebSocket-Protocol: sip\r\n", "wrong") as address:
        assert "no WebSocket: HTTP/1.1 101" in await refused(address)


def test_frames() -> None:
    # RFC 6455 §5.7
    assert frame(Opcode.TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert frame(Opcode.TEXT, b"Hello", bytes.fromhex("37fa213d")) == bytes.fromhex("818537fa213d7f9f4d5158")
    assert frame(Opcode.BINARY, bytes(256)) == bytes.fromhex("827e0100") + bytes(256)
    assert frame(Opcode.BINARY, bytes(65536))[:10] == bytes.fromhex("827f0000000000010000")
    # RFC 6455 §1.3
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
