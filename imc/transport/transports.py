"""All sockets of SIP behind one face.

Invariants

- Callbacks are sync and run on the loop: ``receive`` for each datagram or framed message, ``batch_end`` after those
  of one wake-up, ``flow_closed`` once for each stream that ended. Their exceptions are logged and end nothing.
- `Transports.send` never waits and never calls back.
- ``Flow.local`` is an address a peer can reach, with the listener's port: for a listener on one address that one,
  for a wildcard the address that the datagram or connection came to, or that the kernel would send from. What goes
  into Via and Contact is `Transports.sent_by`: ``advertise`` where it is set (a public address before a NAT, a name
  in the DNS), else ``Flow.local``. An ``advertise`` that is an IP address counts for flows of its family only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import structlog
import trio

from imc.errors import Unreachable
from imc.page.site import Site
from imc.sip.flow import Flow
from imc.transport.addresses import (
    OVER_TLS,
    ListenAddress,
    canonical_ip,
    choose_listener,
    ip_family,
    join_host_port,
    parse_advertise,
    source_for,
)
from imc.transport.connection import TcpOptions
from imc.transport.guard import Guard, Receive
from imc.transport.sockets import raise_file_limit
from imc.transport.tcp import Tcp
from imc.transport.tls import TlsContexts, TlsOptions
from imc.transport.udp import UdpListener, UdpOptions, always, never, none_taken

_log = structlog.get_logger("imc.transport")
_ROUTE_SECONDS = 30.0  # how long the kernel's choice of our address towards a peer is remembered
_MAX_ROUTES = 8192
_MAX_LOCALS = 1024
_OTHER_FILES = 256  # database, logs, management: files that are no SIP connections


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """``advertise`` is HOST or HOST:PORT (`parse_advertise`); the port counts for UDP and TCP.

    Without a port it is the listener's, and so it is for TLS and WebSocket always.
    """

    listen: tuple[ListenAddress, ...]
    advertise: str | None = None
    udp: UdpOptions = field(default_factory=UdpOptions)
    tcp: TcpOptions = field(default_factory=TcpOptions)
    tls: TlsOptions = field(default_factory=TlsOptions)


class _Route(NamedTuple):
    local: tuple[str, int] | None
    expires: float


class Transports:
    """`bind`, then `run` in a nursery (which binds where nobody has), `aclose` at the end."""

    def __init__(
        self,
        options: TransportOptions,
        receive: Receive,
        batch_end: Callable[[], None],
        flow_closed: Callable[[Flow], None],
        *,
        take_answers: Callable[[Sequence[bytes]], Iterable[int]] = none_taken,
        may_answer: Callable[[Flow, int, int], bool] = always,
        is_muted: Callable[[Flow], bool] = never,
        site: Site | None = None,
    ) -> None:
        """``take_answers``, ``may_answer``, ``is_muted``: see `UdpListener`; without them all goes to ``receive``.
        ``site`` is the page to serve.

        ValueError where ``advertise`` is not HOST or HOST:PORT.
        """
        self._options = options
        self._receive = receive
        self._batch_end = batch_end
        self._flow_closed = flow_closed
        self._take_answers = take_answers
        self._may_answer = may_answer
        self._is_muted = is_muted
        self._site = site
        self._guard = Guard()
        self._advertise = parse_advertise(options.advertise) if options.advertise else None
        self._udp: list[UdpListener] = []
        self._udp_by_local: dict[tuple[str, int], UdpListener] = {}
        self._tcp: Tcp | None = None
        self._tls = TlsContexts(options.tls)
        self._routes: dict[str, _Route] = {}
        self._sent_by: dict[tuple[str, tuple[str, int]], str] = {}

    # Life

    def bind(self) -> tuple[ListenAddress, ...]:
        """Bind all listeners, or none. Returns their addresses, ports as the kernel gave them. ListenError."""
        if self._tcp is None:
            if any(address.transport in OVER_TLS for address in self._options.listen):
                self.reload_tls(self._options.tls)
            try:
                for address in self._options.listen:
                    if address.transport == "udp":
                        self._udp.append(self._listen_udp(address))
                self._tcp = self._listen_tcp()
            except BaseException:
                self._close()
                raise
            for listener in self._udp:
                received, sent = listener.buffers
                _log.info("listening", address=str(listener.address), receive_buffer=received, send_buffer=sent)
            for address in self._tcp.addresses:
                _log.info("listening", address=str(address))
        return self.addresses

    def reload_tls(self, options: TlsOptions) -> None:
        """Read the files anew; what is connected stays. ListenError, and nothing changes, where one cannot be used."""
        self._tls.load(options)

    def _listen_udp(self, address: ListenAddress) -> UdpListener:
        return UdpListener(
            address,
            self._options.udp,
            receive=self._receive,
            batch_end=self._batch_end,
            guard=self._guard,
            take_answers=self._take_answers,
            may_answer=self._may_answer,
            is_muted=self._is_muted,
        )

    def _listen_tcp(self) -> Tcp:
        options = self._options.tcp
        wanted = options.max_connections + options.max_connecting + _OTHER_FILES
        spare = raise_file_limit(wanted) - options.max_connecting - _OTHER_FILES
        if spare < options.max_connections:
            _log.warning("fewer connections than set: limit of open files", set=options.max_connections, now=spare)
            options = replace(options, max_connections=max(spare, 0))
        return Tcp(
            [address for address in self._options.listen if address.transport != "udp"],
            options,
            receive=self._receive,
            batch_end=self._batch_end,
            flow_closed=self._flow_closed,
            guard=self._guard,
            tls=self._tls,
            site=self._site,
        )

    async def run(self, *, task_status: trio.TaskStatus[tuple[ListenAddress, ...]] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `aclose`, or until cancelled. Reports the bound addresses when it serves. ListenError."""
        addresses = self.bind()
        try:
            async with trio.open_nursery() as nursery:
                for listener in self._udp:
                    await nursery.start(listener.run)
                assert self._tcp is not None
                await nursery.start(self._tcp.run)
                task_status.started(addresses)
        finally:
            self._close()

    async def aclose(self, grace: float = 2.0) -> None:
        """Take nothing more in, send what is buffered within ``grace`` seconds, and let `run` return."""
        with trio.move_on_after(grace):
            for listener in self._udp:
                await listener.wait_flushed()
        if self._tcp is not None:
            await self._tcp.aclose(grace)
        for listener in self._udp:
            listener.close()

    def _close(self) -> None:
        for listener in self._udp:
            listener.close()
        self._udp.clear()
        self._udp_by_local.clear()
        if self._tcp is not None:
            self._tcp.close()
            self._tcp = None

    @property
    def addresses(self) -> tuple[ListenAddress, ...]:
        """What is bound: UDP listeners, then those of streams."""
        return (*(listener.address for listener in self._udp), *(self._tcp.addresses if self._tcp else ()))

    @property
    def families(self) -> tuple[int, ...]:
        """4, 6 or both: the IP families that can be spoken, IPv6 first, as RFC 6724 would mostly have it."""
        return tuple(sorted({address.family for address in self.addresses}, reverse=True))

    # Sending

    def send(self, flow: Flow, data: bytes) -> bool:
        """Give ``data``, one message, to the flow's socket.

        False: the flow is dead, its queue is full, or the kernel refuses (no route, too large for a datagram).
        """
        if flow.transport == "udp":
            listener = self._udp_by_local.get(flow.local) or self._find_udp(flow.local)
            return listener is not None and listener.send(flow, data)
        return self._tcp is not None and self._tcp.send(flow, data)

    def send_many(self, out: Iterable[tuple[Flow, bytes]]) -> list[tuple[Flow, bytes]]:
        """`send` for each, with fewer system calls. Returns those that a stream did not take."""
        refused: list[tuple[Flow, bytes]] = []
        run: list[tuple[Flow, bytes]] = []  # what one listener sends
        listener: UdpListener | None = None
        last: Flow | None = None
        for item in out:
            flow = item[0]
            if flow is not last:
                last = flow
                found = None
                if flow.transport == "udp":
                    found = self._udp_by_local.get(flow.local) or self._find_udp(flow.local)
                if found is not listener:
                    if listener is not None:
                        listener.send_many(run)
                        run = []
                    listener = found
            if listener is not None:
                run.append(item)
            elif flow.transport != "udp" and not self.send(flow, item[1]):
                refused.append(item)
        if listener is not None:
            listener.send_many(run)
        return refused

    def is_open(self, flow: Flow) -> bool:
        """Whether a request may go out on the flow: its listener is there, its stream has not begun to end.

        `send` is True for a second longer on a stream that the peer has ended: for answers that are under way.
        """
        if flow.transport == "udp":
            return flow.local in self._udp_by_local or self._find_udp(flow.local) is not None
        return self._tcp is not None and self._tcp.is_open(flow)

    def _find_udp(self, local: tuple[str, int]) -> UdpListener | None:
        ip, port = local
        for listener in self._udp:
            address = listener.address
            if address.port == port and (address.ip == ip or (address.is_wildcard and address.family == ip_family(ip))):
                if len(self._udp_by_local) >= _MAX_LOCALS:
                    self._udp_by_local.clear()
                self._udp_by_local[local] = listener
                return listener
        return None

    def udp_flow(self, ip: str, port: int) -> Flow | None:
        """The flow by which a request goes over UDP to ``ip``, canonical. None: no listener of ours gets there."""
        route = self._routes.get(ip)
        now = trio.current_time()
        if route is None or route.expires <= now:
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            route = self._routes[ip] = _Route(self._route(ip, port), now + _ROUTE_SECONDS)
        return Flow("udp", route.local, (ip, port)) if route.local is not None else None

    def _route(self, ip: str, port: int) -> tuple[str, int] | None:
        source = source_for(ip, port)
        address = choose_listener([listener.address for listener in self._udp], ip, source)
        if address is None or source is None:
            return None
        return (source if address.is_wildcard else address.ip), address.port

    def find_stream(self, ip: str, port: int, transport: str = "tcp") -> Flow | None:
        """The flow of an open connection to this remote, whoever opened it."""
        return self._tcp.find(ip, port) if self._tcp is not None and transport == "tcp" else None

    async def open_stream(self, transport: str, ip: str, port: int, within: float, name: str = "") -> Flow:
        """An open connection by tcp or tls, or a new one within ``within`` seconds. ``ip`` is canonical. Unreachable.

        ``name`` is the SIP domain, or host, that the certificate of a TLS server must name; "" is its address.
        """
        # spec S-WS-6
        if transport not in ("tcp", "tls") or self._tcp is None:
            raise Unreachable(f"{transport}:{join_host_port(ip, port)}: only clients open such connections")
        fallback = [listener.address for listener in self._udp]
        return await self._tcp.open(ip, port, within, fallback, transport=transport, name=name)

    def peer_names(self, flow: Flow) -> frozenset[str]:
        """Who the peer of ``flow`` has shown to be, by a certificate that was verified."""
        return self._tcp.peer_names(flow) if self._tcp is not None and flow.transport == "tls" else frozenset()

    # spec S-NET-7
    def sent_by(self, flow: Flow) -> str:
        """``host:port`` for Via (sent-by, RFC 3261 §18.1.1) and Contact of what goes out on ``flow``."""
        key = flow[:2]
        text = self._sent_by.get(key)
        if text is None:
            if len(self._sent_by) >= _MAX_LOCALS:
                self._sent_by.clear()
            text = self._sent_by[key] = join_host_port(*self._advertised(*key))
        return text

    def _advertised(self, transport: str, local: tuple[str, int]) -> tuple[str, int]:
        ip, port = local
        ip = ip.partition("%")[0]  # a scope means something on this machine only
        if self._advertise is None:
            return ip, port
        host, own_port = self._advertise
        if canonical_ip(host) is not None and ip_family(host) != ip_family(ip):
            return ip, port
        return host, own_port if own_port and transport in ("udp", "tcp") else port

    def statistics(self) -> dict[str, int]:
        """Counts since `bind`, and what is open or queued now."""
        udp = self._udp
        figures = {
            "udp_received": sum(each.received for each in udp),
            "udp_keep_alives": sum(each.keep_alives for each in udp),
            "udp_held": sum(each.held for each in udp),
            "udp_sent": sum(each.sent for each in udp),
            "udp_send_failures": sum(each.send_failures for each in udp),
            "udp_queue_drops": sum(each.queue_drops for each in udp),
            "udp_queued": sum(each.queued for each in udp),
            "callback_failures": self._guard.failures,
        }
        if self._tcp is not None:
            figures |= self._tcp.statistics()
        return figures
