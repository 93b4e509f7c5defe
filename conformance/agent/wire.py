"""The sockets of the SIP user agent in `conformance.agent.client`: messages in and out over all transports."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import ClientConnection
from websockets.trio.client import connect as connect_web
from websockets.typing import Origin, Subprotocol

from imc.errors import BadMessage
from imc.sip.framing import PONG, Ping, StreamFramer

_MAX_MESSAGE = 262_144
_MAX_QUEUED = 1000
_KEEP_ALIVE = 4

Send = Callable[[bytes], None]
Take = Callable[[bytes, Send, str], None]
"""What takes a message: its bytes, how to answer it, and the transport: "tcp" for all of one octet after the other."""


class Wire:
    """The way to ``server`` (ip, port). ``lost`` is called when a connection to it has ended.

    ``tls`` is for tls and wss, ``origin`` for ws and wss; ``name`` is the server's in its certificate.
    """

    def __init__(
        self,
        server: tuple[str, int],
        transport: str,
        take: Take,
        lost: Callable[[], None],
        *,
        tls: ssl.SSLContext | None = None,
        name: str = "localhost",
        origin: str | None = None,
    ) -> None:
        self._tls = tls
        self._name = name
        self._origin = origin
        self.server = server
        self.transport = transport
        self.local: tuple[str, int] = ("", 0)
        self.is_connected = False
        self.send: Send
        self._take = take
        self._lost = lost
        self._nursery: trio.Nursery
        self._datagrams: socket.socket | None = None

    def turn_to(self, server: tuple[str, int]) -> None:
        """Over UDP: speak to this server from now on, from the same socket."""
        assert self._datagrams is not None
        self.server = server
        self.send = _send_to(self._datagrams, server)

    async def serve(self, ip: str, takes_tcp: bool, port: int = 0, *, task_status: trio.TaskStatus[None]) -> None:
        """Open on ``ip`` and read until `close`; over UDP with ``takes_tcp`` accept on the same port of TCP too.

        ``port`` is for UDP; 0 is any. OSError where it is taken.
        """
        listener = None
        if self.transport == "udp":
            if takes_tcp:
                self._datagrams, listener = _bind_both(ip, port)
            else:
                self._datagrams = _bind(ip, socket.SOCK_DGRAM, port)
        try:
            async with trio.open_nursery() as self._nursery:
                if self._datagrams is None:
                    stream = await _connect(ip, self.server)
                    self.local = stream.socket.getsockname()[:2]
                    self.send = await self._start_connection(stream)
                else:
                    self.local = self._datagrams.getsockname()[:2]
                    self.send = _send_to(self._datagrams, self.server)
                    self._nursery.start_soon(self._read_datagrams, self._datagrams)
                    if listener is not None:
                        self._nursery.start_soon(self._accept, listener)
                self.is_connected = True
                task_status.started()
        finally:
            self.is_connected = False
            self._lost()

    def close(self) -> None:
        self._nursery.cancel_scope.cancel()

    async def _read_datagrams(self, sock: socket.socket) -> None:
        with sock:
            while True:
                await trio.lowlevel.wait_readable(sock)
                data, source = sock.recvfrom(65535)
                if len(data) > _KEEP_ALIVE:
                    self._take(data, _send_to(sock, source), "udp")

    async def _accept(self, sock: socket.socket) -> None:
        with sock:
            while True:
                await trio.lowlevel.wait_readable(sock)
                accepted, _ = sock.accept()
                self._start_stream(trio.SocketStream(trio.socket.from_stdlib_socket(accepted)), is_main=False)

    async def _start_connection(self, stream: trio.SocketStream) -> Send:
        """With what is spoken over TCP. OSError, ssl.SSLError, websockets.exceptions.InvalidHandshake."""
        if self.transport in ("ws", "wss"):
            return await self._start_web(stream)
        if self.transport == "tls":
            assert self._tls is not None
            over_tls = trio.SSLStream(stream, self._tls, server_hostname=self._name, https_compatible=True)
            try:
                await over_tls.do_handshake()
            except trio.BrokenResourceError as error:
                await trio.aclose_forcefully(stream)
                raise error.__cause__ or error from None
            return self._start_stream(over_tls, is_main=True)
        return self._start_stream(stream, is_main=True)

    async def _start_web(self, stream: trio.SocketStream) -> Send:
        to_write, outgoing = trio.open_memory_channel[bytes](_MAX_QUEUED)
        web = await self._nursery.start(self._read_web, stream, to_write)
        self._nursery.start_soon(_write_web, web, outgoing)
        return to_write.send_nowait

    async def _read_web(
        self,
        stream: trio.SocketStream,
        to_write: trio.MemorySendChannel[bytes],
        *,
        task_status: trio.TaskStatus[ClientConnection],
    ) -> None:
        connecting = connect_web(
            f"{self.transport}://{self._name}/",
            stream=stream,
            ssl=self._tls,
            server_hostname=self._name if self._tls is not None else None,
            origin=None if self._origin is None else Origin(self._origin),
            subprotocols=[Subprotocol("sip")],
            ping_interval=None,
            proxy=None,
        )
        async with to_write, connecting as web:
            task_status.started(web)
            with suppress(ConnectionClosed):
                while True:
                    self._take(await web.recv(decode=False), to_write.send_nowait, self.transport)
        self.is_connected = False
        self._lost()

    def _start_stream(self, stream: trio.abc.Stream, *, is_main: bool) -> Send:
        to_write, outgoing = trio.open_memory_channel[bytes](_MAX_QUEUED)

        def send(data: bytes) -> None:
            # The connection may have ended a moment ago: what is sent then is lost, as it would be a moment before.
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                to_write.send_nowait(data)

        self._nursery.start_soon(self._read_stream, stream, to_write, send, is_main)
        self._nursery.start_soon(_write_stream, stream, outgoing)
        return send

    async def _read_stream(
        self, stream: trio.abc.Stream, to_write: trio.MemorySendChannel[bytes], send: Send, is_main: bool
    ) -> None:
        framer = StreamFramer(_MAX_MESSAGE)
        async with stream, to_write:
            # What is no SIP ends the connection, as its loss does: where the next message begins is not known.
            with suppress(trio.BrokenResourceError, BadMessage):
                while data := await stream.receive_some():
                    for item in framer.feed(bytes(data)):
                        if isinstance(item, Ping):
                            send(PONG)
                        else:
                            self._take(item, send, "tcp")
        if is_main:
            self.is_connected = False
            self._lost()


async def _write_web(web: ClientConnection, outgoing: trio.MemoryReceiveChannel[bytes]) -> None:
    with suppress(ConnectionClosed):
        async with outgoing:
            async for data in outgoing:
                await web.send(data, text=True)


async def _write_stream(stream: trio.abc.Stream, outgoing: trio.MemoryReceiveChannel[bytes]) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async with outgoing:
            async for data in outgoing:
                await stream.send_all(data)


async def _connect(ip: str, server: tuple[str, int]) -> trio.SocketStream:
    sock = trio.socket.socket(_family(ip), socket.SOCK_STREAM)
    try:
        await sock.bind((ip, 0))
        await sock.connect(server)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def _bind(ip: str, kind: socket.SocketKind, port: int = 0) -> socket.socket:
    sock = socket.socket(_family(ip), kind)
    try:
        sock.bind((ip, port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _bind_both(ip: str, port: int = 0) -> tuple[socket.socket, socket.socket]:
    """UDP and a listening TCP on one port: where any will do, another one is tried where TCP's is taken."""
    while True:
        datagrams = _bind(ip, socket.SOCK_DGRAM, port)
        try:
            listener = _bind(ip, socket.SOCK_STREAM, datagrams.getsockname()[1])
        except OSError:
            datagrams.close()
            if port:
                raise
            continue
        listener.listen()
        return datagrams, listener


def _send_to(sock: socket.socket, address: tuple[str, int]) -> Send:
    def send(data: bytes) -> None:
        sock.sendto(data, address)

    return send
