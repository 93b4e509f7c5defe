"""Stands between clients and a server, as their outbound proxy, and hands on every message that it passes.

A stateless proxy (RFC 3261 §16.11) that keeps itself in the way of both directions:

    Via        it puts its own on top of a request; ``x-flow`` in it says where the response goes back to
    Contact    of a client is changed to its own address, with ``x-flow=FLOW-HOST:PORT``, so that the server's requests
               come here; in the Request-URI of these, and in responses, it is changed back
    Route      the topmost one is taken off where it names the forwarder

So clients and server need not know of it, but for the clients' outbound proxy; what is handed on is what a client sent
and got, as if the forwarder were the server.

Invariants

- What cannot be read is dropped, and `dropped` counts it; no peer ends the forwarder.
- At most `_MAX_FLOWS` clients are known; the one that was silent for longest is forgotten.
"""

from __future__ import annotations

import errno
import hashlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import trio

from conformance.replay.recording import Address, canonical_ip
from imc.errors import BadMessage
from imc.sip.framing import PONG, Ping, StreamFramer
from imc.sip.headers import parse_name_addr, parse_via
from imc.sip.message import Message, Request, Response, parse_message
from imc.sip.params import raw_value
from imc.sip.uri import SipUri, parse_uri

_FLOW = "x-flow"
_MAX_FLOWS = 4096
_MAX_QUEUED = 1000
_MAX_MESSAGE = 262_144
_KEEP_ALIVE = 4

Tell = Callable[[str, Address, Address, bytes], None]
"""What is told of each message: transport, source, target, octets."""


@dataclass(slots=True, eq=False)
class _Flow:
    """A peer. ``upstream`` of a client over TCP is its connection to the server."""

    id: str
    transport: str
    peer: Address
    send: Callable[[bytes], None]
    is_server: bool = False
    upstream: _Flow | None = None
    close: Callable[[], None] = lambda: None


class Forwarder:
    """Between whoever sends to ``listen`` and ``target``; ``transport`` None: to the server as the client came."""

    def __init__(self, listen: Address, target: Address, transport: str | None, tell: Tell) -> None:
        self.listen = listen
        self.dropped = 0
        self._target = target
        self._transport = transport
        self._tell = tell
        self._flows: OrderedDict[str, _Flow] = OrderedDict()
        self._by_peer: dict[tuple[str, Address], _Flow] = {}
        self._serial = 0
        self._udp: socket.socket
        self._nursery: trio.Nursery

    async def run(self, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
        """Until it is cancelled. Tells where it listens; OSError where it cannot."""
        self._udp, listener = _bind(self.listen)
        self.listen = Address(self.listen.ip, self._udp.getsockname()[1])
        with self._udp, listener:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._read_datagrams)
                self._nursery.start_soon(self._accept, listener)
                task_status.started(self.listen)

    # -- sockets ------------------------------------------------------------------------------------------------------

    async def _read_datagrams(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._udp)
            try:
                data, source = self._udp.recvfrom(65535)
            except OSError:  # an ICMP error of an earlier datagram
                continue
            peer = Address(*source[:2])
            if len(data) > _KEEP_ALIVE:
                await self._take(self._flow_of("udp", peer, self._datagram_to(peer)), data)

    def _datagram_to(self, peer: Address) -> Callable[[bytes], None]:
        def send(data: bytes) -> None:
            with suppress(OSError):
                self._udp.sendto(data, peer)

        return send

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                accepted, source = listener.accept()
            except OSError:
                continue
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
            self._start_stream(stream, Address(*source[:2]), is_server=False)

    def _start_stream(self, stream: trio.SocketStream, peer: Address, *, is_server: bool) -> _Flow:
        to_write, outgoing = trio.open_memory_channel[bytes](_MAX_QUEUED)

        def send(data: bytes) -> None:
            try:
                to_write.send_nowait(data)
            except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                self.dropped += 1

        scope = trio.CancelScope()
        flow = self._add_flow(_Flow(self._next_id(), "tcp", peer, send, is_server, close=scope.cancel))
        self._nursery.start_soon(self._read_stream, stream, flow, to_write, scope)
        self._nursery.start_soon(_write_stream, stream, outgoing)
        return flow

    async def _read_stream(
        self, stream: trio.SocketStream, flow: _Flow, to_write: trio.MemorySendChannel[bytes], scope: trio.CancelScope
    ) -> None:
        framer = StreamFramer(_MAX_MESSAGE)
        with scope:
            async with stream, to_write:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError, BadMessage):
                    async for data in stream:
                        for item in framer.feed(bytes(data)):
                            if isinstance(item, Ping):
                                flow.send(PONG)
                            else:
                                await self._take(flow, item)
        self._flows.pop(flow.id, None)
        if flow.upstream is not None:
            flow.upstream.close()

    # -- flows --------------------------------------------------------------------------------------------------------

    def _next_id(self) -> str:
        self._serial += 1
        return str(self._serial)

    def _add_flow(self, flow: _Flow) -> _Flow:
        self._flows[flow.id] = flow
        while len(self._flows) > _MAX_FLOWS:
            _, old = self._flows.popitem(last=False)
            self._by_peer.pop((old.transport, old.peer), None)
            old.close()
        return flow

    def _flow_of(self, transport: str, peer: Address, send: Callable[[bytes], None]) -> _Flow:
        """The flow of a peer over UDP."""
        flow = self._by_peer.get((transport, peer))
        if flow is None:
            flow = _Flow(self._next_id(), transport, peer, send, is_server=peer == self._target)
            self._by_peer[transport, peer] = self._add_flow(flow)
        self._flows.move_to_end(flow.id)
        return flow

    async def _upstream(self, client: _Flow) -> _Flow | None:
        """The way to the server for a client's requests."""
        if (self._transport or client.transport) == "udp":
            return self._flow_of("udp", self._target, self._datagram_to(self._target))
        if client.upstream is None or client.upstream.id not in self._flows:
            try:
                stream = await trio.open_tcp_stream(self._target.ip, self._target.port)
            except OSError:
                return None
            client.upstream = self._start_stream(stream, self._target, is_server=True)
        return client.upstream

    # -- messages -----------------------------------------------------------------------------------------------------

    async def _take(self, flow: _Flow, data: bytes) -> None:
        try:
            message = parse_message(data, is_datagram=flow.transport == "udp")
            if isinstance(message, Response):
                self._response(flow, message, data)
            else:
                place = _flow_in(message.uri)
                if place is not None:
                    self._request_to_client(flow, message, place)
                elif not flow.is_server:
                    await self._request_to_server(flow, message, data)
                else:
                    self.dropped += 1
        except (BadMessage, ValueError):
            self.dropped += 1

    async def _request_to_server(self, flow: _Flow, request: Request, data: bytes) -> None:
        self._tell(flow.transport, flow.peer, self.listen, data)
        upstream = await self._upstream(flow)
        if upstream is None:
            self.dropped += 1
            return
        routes = request.routes
        if routes and _is_at(routes[0].uri, self.listen):
            request.headers.set("Route", *(str(route) for route in routes[1:]))
        _map_contacts(request, lambda uri: self._own(uri, flow))
        _mark_received(request, flow.peer)
        self._push_via(request, upstream.transport, flow)
        upstream.send(request.render())

    def _request_to_client(self, flow: _Flow, request: Request, place: tuple[str, str]) -> None:
        client = self._flows.get(place[0])
        if client is None:
            self.dropped += 1
            return
        request.uri = _restored(request.uri)
        _mark_received(request, flow.peer)
        self._push_via(request, client.transport, flow)
        self._deliver(client, request)

    def _response(self, flow: _Flow, response: Response, data: bytes) -> None:
        via = response.via
        back = self._flows.get(raw_value(via.params, _FLOW) or "")
        if back is None or Address(canonical_ip(via.host), via.port or 5060) != self.listen:
            self.dropped += 1
            return
        lines = [str(each) for each in response.vias[1:]]
        response.headers.set("Via", *lines)
        if back.is_server or not flow.is_server:
            self._tell(flow.transport, flow.peer, self.listen, data)
            back.send(response.render())
        else:
            _map_contacts(response, lambda uri: _parsed(_restored(str(uri))))
            self._deliver(back, response)

    def _deliver(self, client: _Flow, message: Request | Response) -> None:
        data = message.render()
        self._tell(client.transport, self.listen, client.peer, data)
        client.send(data)

    def _push_via(self, request: Request, transport: str, back: _Flow) -> None:
        # RFC 3261 §16.11: the branch is made from that of the request, so that a retransmission has the same.
        seed = f"{request.headers.get('Via')} {request.call_id} {request.cseq.number}"
        branch = "z9hG4bK" + hashlib.sha256(seed.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        via = f"SIP/2.0/{transport.upper()} {self.listen};branch={branch};rport;{_FLOW}={back.id}"
        request.headers.set("Via", via, *request.headers.all("Via"))

    def _own(self, uri: SipUri, flow: _Flow) -> SipUri:
        """A client's Contact as one of the forwarder's."""
        there = f"{flow.id}-{uri.host}" + (f":{uri.port}" if uri.port else "")
        params = (*(each for each in uri.params if each[0].lower() != _FLOW), (_FLOW, there))
        return replace(uri, host=self.listen.host, port=self.listen.port, params=params)


def _bind(listen: Address) -> tuple[socket.socket, socket.socket]:
    """UDP, and a listening TCP on the same port."""
    family = socket.AF_INET6 if ":" in listen.ip else socket.AF_INET
    for _ in range(50):
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            datagrams.bind(listen)
            listener.bind((listen.ip, datagrams.getsockname()[1]))
            listener.listen()
        except OSError as error:
            datagrams.close()
            listener.close()
            if listen.port or error.errno != errno.EADDRINUSE:
                raise
            continue
        datagrams.setblocking(False)
        listener.setblocking(False)
        return datagrams, listener
    raise OSError(errno.EADDRINUSE, "no port is free for both UDP and TCP")


async def _write_stream(stream: trio.SocketStream, outgoing: trio.MemoryReceiveChannel[bytes]) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async with outgoing:
            async for data in outgoing:
                await stream.send_all(data)


def _mark_received(request: Request, peer: Address) -> None:
    """RFC 3581 §4: the source's address and port in the topmost Via, where it asks for them."""
    first, *rest = request.vias
    if first.rport is not None:
        first = first.with_param("rport", str(peer.port)).with_param("received", peer.ip)
    elif canonical_ip(first.host) != peer.ip:
        first = first.with_param("received", peer.ip)
    request.headers.set("Via", str(first), *map(str, rest))
    parse_via(str(first))


def _map_contacts(message: Message, change: Callable[[SipUri], SipUri]) -> None:
    if message.is_contact_star or "Contact" not in message.headers:
        return
    values = []
    for contact in message.contacts:
        uri = change(contact.uri) if isinstance(contact.uri, SipUri) else contact.uri
        values.append(str(contact._replace(uri=uri)))
        parse_name_addr(values[-1])
    message.headers.set("Contact", *values)


def _flow_in(uri: str) -> tuple[str, str] | None:
    """Flow and original place that a URI of ours has, None for any other."""
    parsed = parse_uri(uri)
    value = parsed.param(_FLOW) if isinstance(parsed, SipUri) else None
    if not value:
        return None
    flow, _, place = value.partition("-")
    return flow, place


def _restored(uri: str) -> str:
    """A URI of ours as the client gave it."""
    found = _flow_in(uri)
    if found is None:
        return uri
    parsed = _parsed(uri)
    there = _parsed(f"sip:{found[1]}")
    params = tuple(each for each in parsed.params if each[0].lower() != _FLOW)
    return str(replace(parsed, host=there.host, port=there.port, params=params))


def _parsed(uri: str) -> SipUri:
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri):
        raise BadMessage("Not a SIP URI")
    return parsed


def _is_at(uri: object, address: Address) -> bool:
    return isinstance(uri, SipUri) and Address(canonical_ip(uri.host), uri.port or 5060) == address
