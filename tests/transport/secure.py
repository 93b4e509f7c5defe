"""Certificates of an authority of the tests' own, and peers that speak TLS and WebSocket over raw sockets."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import cache
from pathlib import Path

import trustme

from conformance.suite.wire_websocket import Opcode, accept_key, frame
from imc.transport.connection import Connection
from imc.transport.transports import Transports
from tests.transport.harness import TcpPeer, until

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x01\x02\x03\x04"


class Authority:
    """A certificate authority; `issue` writes certificate and key into one PEM file."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.path = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.path)

    def issue(self, *names: str, file: str = "server.pem", common_name: str | None = None) -> Path:
        path = self._folder / file
        self._ca.issue_cert(*names, common_name=common_name).private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def client_context(self, certificate: Path | None = None) -> ssl.SSLContext:
        """A client that believes this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.path)
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context


class TlsPeer:
    """The client's side of TLS, on a raw socket; it never waits."""

    def __init__(self, tcp: TcpPeer, context: ssl.SSLContext, name: str | None = "localhost") -> None:
        self.tcp = tcp
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side=name is None, server_hostname=name)
        self._seen = 0
        self._data = b""
        self.is_ready = False
        self.error: ssl.SSLError | None = None

    def poll(self) -> bytes:
        """Take what has come, and send what TLS itself has to say; all of the data so far."""
        raw = self.tcp.poll()
        self._in.write(raw[self._seen :])
        self._seen = len(raw)
        try:
            if not self.is_ready:
                self.tls.do_handshake()
                self.is_ready = True
            while data := self.tls.read(65536):
                self._data += data
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error
        self._flush()
        return self._data

    def _flush(self) -> None:
        if self._out.pending and not self.tcp.is_closed:
            self.tcp.send(self._out.read())

    async def ready(self) -> TlsPeer:
        await until(lambda: self.poll() is not None and (self.is_ready or self.error))
        if self.error is not None:
            raise self.error
        return self

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self._flush()

    def has_ended(self) -> bool:
        self.poll()
        return self.tcp.is_closed

    def close(self) -> None:
        self.tcp.close()


Peer = TcpPeer | TlsPeer


def only(transports: Transports) -> Connection:
    assert transports._tcp is not None
    (connection,) = transports._tcp._connections.values()
    return connection


async def settled_after(transports: Transports, act: Callable[[], object]) -> None:
    """``act`` sends on the only connection; return when that has been read."""
    connection = only(transports)
    heard, connection.last_heard = connection.last_heard, -1.0
    act()
    await until(lambda: connection.last_heard != -1.0)
    assert connection.last_heard >= heard


def ends(transports: Transports) -> dict[str, int]:
    """How connections have ended, and how often."""
    return {
        key.removeprefix("tcp_ended_"): count
        for key, count in transports.statistics().items()
        if key.startswith("tcp_ended_") and count
    }


def handshake(*lines: str, protocol: str | None = "sip") -> bytes:
    """The request that opens a WebSocket, with further header lines."""
    usual = [
        *("GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"),
        *(f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"),
        *([] if protocol is None else [f"Sec-WebSocket-Protocol: {protocol}"]),
    ]
    return "\r\n".join([*usual, *lines, "", ""]).encode()


def masked(data: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    return frame(opcode, data, MASK)


def fragment(data: bytes, opcode: Opcode = Opcode.CONTINUATION, *, is_last: bool = False) -> bytes:
    whole = masked(data, opcode)
    return whole if is_last else bytes([whole[0] & 0x7F]) + whole[1:]


class WebPeer:
    """The client's side of WebSocket on a peer: what was sent to it, frame by frame."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def open(self, *lines: str) -> WebPeer:
        self.peer.send(handshake(*lines))
        await until(lambda: b"\r\n\r\n" in self.peer.poll())
        head = self.peer.poll().partition(b"\r\n\r\n")[0]
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert f"Sec-WebSocket-Accept: {accept_key(KEY)}".encode() in head
        assert b"Sec-WebSocket-Protocol: sip" in head
        assert b"Extensions" not in head
        return self

    def send(self, data: bytes, opcode: Opcode = Opcode.TEXT) -> None:
        self.peer.send(masked(data, opcode))

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """(opcode, data) of the whole frames so far; none is masked, none a fragment."""
        data = self.peer.poll().partition(b"\r\n\r\n")[2]
        found = []
        while len(data) >= 2:
            assert data[0] & 0x80
            assert not data[1] & 0x80
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            if len(data) < start + size:
                break
            found.append((data[0] & 0x0F, data[start : start + size]))
            data = data[start + size :]
        return found

    async def wait(self, count: int) -> list[tuple[int, bytes]]:
        await until(lambda: len(self.frames) >= count)
        return self.frames

    def has_ended(self) -> bool:
        return self.peer.has_ended()

    def close(self) -> None:
        self.peer.close()


@cache
def old_tls(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks nothing but this version, and believes anyone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    return context
