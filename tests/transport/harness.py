"""What the tests of sockets share: a recorder of callbacks, transports on port 0, raw peers, waiting without clock."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from imc.page.site import Site
from imc.sip.flow import Flow
from imc.transport.addresses import join_host_port, parse_listen, socket_family
from imc.transport.transports import TransportOptions, Transports


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
LOOPBACKS = ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)]


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until ``condition`` holds: no time of trio's clock, and of the real one 10 s at most."""
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up, "what was awaited did not happen"
        await trio.lowlevel.checkpoint()


def sip(body: bytes = b"hello") -> bytes:
    """Enough of a message for a framer."""
    return b"MESSAGE sip:bob@example.com SIP/2.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Recorder:
    """Takes the callbacks of `Transports`. ``on_receive`` may answer, or fail."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Flow]] = []
        self.batches: list[int] = []
        self.closed: list[Flow] = []
        self.on_receive: Callable[[bytes, Flow], object] = lambda _data, _flow: None
        self._in_batch = 0

    def receive(self, data: bytes, flow: Flow) -> None:
        self.received.append((data, flow))
        self._in_batch += 1
        self.on_receive(data, flow)

    def batch_end(self) -> None:
        self.batches.append(self._in_batch)
        self._in_batch = 0

    def flow_closed(self, flow: Flow) -> None:
        self.closed.append(flow)

    async def wait(self, count: int) -> None:
        """Until so many messages have been received."""
        await until(lambda: len(self.received) >= count)

    @property
    def data(self) -> list[bytes]:
        return [data for data, _ in self.received]


@asynccontextmanager
async def open_transports(
    *listen: str, recorder: Recorder | None = None, site: Site | None = None, **options: Any
) -> AsyncIterator[tuple[Transports, Recorder]]:
    """Transports that serve on ``listen`` (``udp:127.0.0.1:0``), ended by cancellation."""
    recorder = recorder or Recorder()
    transports = Transports(
        TransportOptions(listen=tuple(parse_listen(text) for text in listen), **options),
        recorder.receive,
        recorder.batch_end,
        recorder.flow_closed,
        site=site,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(transports.run)
        yield transports, recorder
        nursery.cancel_scope.cancel()


def listen_text(transport: str, ip: str, port: int = 0) -> str:
    return f"{transport}:{join_host_port(ip, port)}"


class UdpPeer:
    """A raw UDP socket on its own port."""

    def __init__(self, ip: str = "127.0.0.1") -> None:
        self.sock = socket.socket(socket_family(ip), socket.SOCK_DGRAM)
        self.sock.bind((ip, 0))
        self.sock.setblocking(False)
        self.received: list[tuple[bytes, tuple[str, int]]] = []

    @property
    def address(self) -> tuple[str, int]:
        ip, port = self.sock.getsockname()[:2]
        return ip, port

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.sock.sendto(data, to)

    def poll(self) -> int:
        """Take what has come; the number of datagrams so far."""
        while True:
            try:
                data, address = self.sock.recvfrom(65535)
            except BlockingIOError:
                return len(self.received)
            self.received.append((data, address[:2]))

    async def wait(self, count: int) -> None:
        """Until so many datagrams have come."""
        await until(lambda: self.poll() >= count)

    def close(self) -> None:
        self.sock.close()


class TcpPeer:
    """A raw TCP connection."""

    def __init__(self, to: tuple[str, int] | socket.socket, *, source: str | None = None, buffer: int = 0) -> None:
        if isinstance(to, socket.socket):
            self.sock = to
        else:
            self.sock = socket.socket(socket_family(to[0]), socket.SOCK_STREAM)
            if buffer:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            if source is not None:
                self.sock.bind((source, 0))
            try:
                self.sock.connect(to)  # at once: the kernel of the other side answers, not its program
            except OSError:
                self.sock.close()
                raise
        ip, port = self.sock.getsockname()[:2]
        self.address: tuple[str, int] = (ip, port)
        self.sock.setblocking(False)
        self.data = b""
        self.is_closed = False
        self.is_reset = False

    def send(self, data: bytes) -> None:
        assert self.sock.send(data) == len(data)

    def poll(self) -> bytes:
        """Take what has come; all of it so far."""
        while not self.is_closed:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.is_reset = self.is_closed = True
                break
            self.data += data
            self.is_closed = not data
        return self.data

    def has_ended(self) -> bool:
        self.poll()
        return self.is_closed

    def close(self) -> None:
        self.sock.close()
