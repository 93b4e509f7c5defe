"""The client's side of WebSocket (RFC 6455), as much as SIP needs of it (RFC 7118): one message, one frame."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from enum import IntEnum

import trio

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_MAX_HEAD = 16_384


class NotAccepted(OSError):
    """The server does not speak SIP over WebSocket; the text says what it answered."""


class Opcode(IntEnum):
    """RFC 6455 §5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


def frame(opcode: Opcode, data: bytes, mask: bytes | None = None) -> bytes:
    """A whole message, or a control frame. A client's is masked, with 4 octets."""
    size = len(data)
    bit = 0x80 if mask is not None else 0
    head = bytes([0x80 | opcode])
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    return head + (data if mask is None else mask + masked(data, mask))


def masked(data: bytes, mask: bytes) -> bytes:
    """RFC 6455 §5.3; twice is the data again."""
    whole = mask * (len(data) // 4 + 1)
    return bytes(one ^ other for one, other in zip(data, whole, strict=False))


def accept_key(key: str) -> str:
    """What the server shows that it has read ``key``."""
    digest = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


class Reader:
    """Octets of a stream, as many at a time as are asked for."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock
        self._buffer = bytearray()

    async def exactly(self, size: int) -> bytes:
        """EOFError where the stream ends before."""
        while len(self._buffer) < size:
            await self._more()
        return self._take(size)

    async def until(self, end: bytes) -> bytes:
        """Up to ``end``, which is included. EOFError."""
        while end not in self._buffer:
            if len(self._buffer) > _MAX_HEAD:
                raise EOFError
            await self._more()
        return self._take(self._buffer.index(end) + len(end))

    async def _more(self) -> None:
        data = await self._sock.recv(65536)
        if not data:
            raise EOFError
        self._buffer += data

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


class WebSocket:
    """A connection whose handshake is over."""

    def __init__(self, sock: trio.socket.SocketType, reader: Reader) -> None:
        self._sock = sock
        self._reader = reader

    @classmethod
    async def shake_hands(cls, sock: trio.socket.SocketType, server: tuple[str, int]) -> WebSocket:
        """Ask for the subprotocol sip (RFC 7118 §4.1) on an open connection. NotAccepted."""
        key = base64.b64encode(os.urandom(16)).decode()
        host = f"[{server[0]}]" if ":" in server[0] else server[0]
        lines = (
            "GET / HTTP/1.1", f"Host: {host}:{server[1]}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: sip", "Sec-WebSocket-Version: 13",
        )  # fmt: skip
        await send_all(sock, ("\r\n".join(lines) + "\r\n\r\n").encode())
        reader = Reader(sock)
        try:
            status, *rest = (await reader.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (EOFError, ConnectionError):
            raise NotAccepted("the connection was closed in place of a handshake") from None
        pairs = (line.partition(":") for line in rest)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if " 101" not in status or headers.get("sec-websocket-accept") != accept_key(key):
            raise NotAccepted(f"no WebSocket: {status}")
        if headers.get("sec-websocket-protocol") != "sip":
            raise NotAccepted("WebSocket, but not the subprotocol sip")
        return cls(sock, reader)

    async def send(self, data: bytes) -> None:
        """One message: of text where it is UTF-8, else binary (RFC 7118 §4.2)."""
        try:
            data.decode()
            opcode = Opcode.TEXT
        except UnicodeDecodeError:
            opcode = Opcode.BINARY
        await send_all(self._sock, frame(opcode, data, secrets.token_bytes(4)))

    async def receive(self) -> bytes | None:
        """The next message, None where there is none any more. A ping is answered."""
        message = b""
        while True:
            try:
                is_last, opcode, data = await self._frame()
            except EOFError:
                return None
            if opcode == Opcode.CLOSE:
                return None
            if opcode == Opcode.PING:
                await send_all(self._sock, frame(Opcode.PONG, data, secrets.token_bytes(4)))
            elif opcode != Opcode.PONG:
                message += data
                if is_last:
                    return message

    async def _frame(self) -> tuple[bool, int, bytes]:
        first, second = await self._reader.exactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.exactly(2 if size == 126 else 8), "big")
        mask = await self._reader.exactly(4) if second & 0x80 else None
        data = await self._reader.exactly(size)
        return bool(first & 0x80), first & 0x0F, data if mask is None else masked(data, mask)


async def send_all(sock: trio.socket.SocketType, data: bytes) -> None:
    """All of it, unlike `send` of a socket."""
    rest = memoryview(data)
    while rest:
        rest = rest[await sock.send(rest) :]
