"""TCP, TLS and WebSocket: listeners, connections accepted and opened, and which of them goes to whom.

Invariants

- One remote address is spoken to over one connection where one is open: who registered over TCP is answered, and
  called, on the connection that it opened (RFC 3261 §18.1.1, §18.2.2; RFC 5923). Concurrent attempts to open are one.
  Over TLS that holds for one remote address and one name that its certificate was held against; nobody is found by
  the address of a WebSocket, or of a TLS connection that they opened: only by their flow.
- Connections, of all transports, are at most ``max_connections``, and ``max_per_address`` from one IPv4 address or
  one IPv6 /64. When all are taken, a newcomer displaces the quietest connection of the address that holds most, if
  that holds more than the newcomer's address would; else it is closed at once. So no one address can keep others out.
- No exception of one connection reaches a listener, and a listener survives a process without file descriptors.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog
import trio

from imc.errors import Unreachable
from imc.page.site import Site
from imc.sip.flow import Flow
from imc.sip.hosts import block_of
from imc.transport.addresses import (
    OVER_TLS,
    WEB,
    ListenAddress,
    choose_listener,
    join_host_port,
    socket_address,
    socket_family,
    source_for,
)
from imc.transport.connection import Connection, End, TcpOptions
from imc.transport.guard import Guard, Receive
from imc.transport.sockets import connected, ip_and_port, listen_tcp, tune_stream
from imc.transport.tls import TlsContexts, TlsLayer, TlsOptions
from imc.transport.websocket import WebSocketFramer

_log = structlog.get_logger("imc.transport")
_ACCEPTS = 64  # per wake-up
_NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_BACK_OFF = 0.1, 2.0  # seconds: first, longest


class _Peer(NamedTuple):
    """Whom a connection goes to. ``name`` is what the certificate was held against, "" without TLS, or for who came."""

    transport: str
    ip: str
    port: int
    name: str = ""

    def __str__(self) -> str:
        place = f"{self.transport}:{join_host_port(self.ip, self.port)}"
        return f"{place} ({self.name})" if self.name not in ("", self.ip) else place


class _Attempt:
    """An opening that is under way: who wants the same remote waits for it."""

    __slots__ = ("done", "flow", "why")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.flow: Flow | None = None
        self.why = "timed out"


class Tcp:
    """All connections of a daemon. Callbacks are sync; ``flow_closed`` is called once for each, from its task."""

    def __init__(
        self,
        listen: Sequence[ListenAddress],
        options: TcpOptions,
        *,
        receive: Receive,
        batch_end: Callable[[], None],
        flow_closed: Callable[[Flow], None],
        guard: Guard,
        tls: TlsContexts | None = None,
        site: Site | None = None,
    ) -> None:
        """Binds. ``tls`` is loaded where there are listeners that need it, ``site`` is for those of WebSocket.
        ListenError."""
        self._site = site
        self._options = options
        self._tls = tls or TlsContexts(TlsOptions())
        self._receive = receive
        self._batch_end = batch_end
        self._flow_closed = flow_closed
        self._guard = guard
        self._listeners: list[tuple[socket.socket, ListenAddress]] = []
        self._connections: dict[int, Connection] = {}
        self._by_peer: dict[_Peer, Connection] = {}
        self._peers: dict[int, _Peer] = {}
        self._per_address: Counter[str] = Counter()
        self._attempts: dict[_Peer, _Attempt] = {}
        self._next_conn = 1
        self._nursery: trio.Nursery | None = None
        self._is_stopping = False
        self._emptied = trio.Event()
        self.accepted = 0
        self.opened = 0
        self.refused = 0
        self.received = 0
        self.sent = 0
        self.ends: Counter[End] = Counter()
        try:
            for address in listen:
                sock = listen_tcp(address)
                self._listeners.append((sock, address._replace(port=sock.getsockname()[1])))
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> list[ListenAddress]:
        return [address for _, address in self._listeners]

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept and serve until `aclose`, or until cancelled."""
        try:
            async with trio.open_nursery() as self._nursery:
                for sock, address in self._listeners:
                    self._nursery.start_soon(self._accept, sock, address)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self.close()

    # Accepting

    # spec S-NET-6
    async def _accept(self, listener: socket.socket, address: ListenAddress) -> None:
        back_off, longest = _BACK_OFF
        while not self._is_stopping:
            try:
                await trio.lowlevel.wait_readable(listener)
                for _ in range(_ACCEPTS):
                    sock, peer = listener.accept()
                    self._admit(sock, peer, address)
                    back_off = _BACK_OFF[0]
            except BlockingIOError:
                continue
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno not in _NO_RESOURCES:
                    continue  # this one connection was gone before it was accepted: accept(2), "Error handling"
                _log.warning("cannot accept", address=str(address), why=error.strerror, pause=back_off)
                await trio.sleep(back_off)
                back_off = min(2 * back_off, longest)

    def _admit(self, sock: socket.socket, peer: tuple[object, ...], address: ListenAddress) -> None:
        remote = ip_and_port(peer)
        if self._nursery is None or not self._has_room(remote[0]):
            self.refused += 1
            sock.close()
            return
        try:
            local_ip = ip_and_port(sock.getsockname())[0]
            tune_stream(sock)
            tls = self._tls.server_layer(address.transport) if address.transport in OVER_TLS else None
            self._start(sock, (local_ip, address.port), _Peer(address.transport, *remote), tls, accepted=True)
            self.accepted += 1
        except Exception:
            sock.close()
            self._guard.failed("accept", remote)

    # spec S-NET-3
    def _has_room(self, ip: str) -> bool:
        mine = self._per_address[block_of(ip)]
        if mine >= self._options.max_per_address:
            return False
        if len(self._connections) < self._options.max_connections:
            return True
        if not self._connections:
            return False
        holder, most = self._per_address.most_common(1)[0]
        if most <= mine + 1:
            return False
        candidates = [each for each in self._connections.values() if block_of(each.flow.remote[0]) == holder]
        quietest = min(candidates, key=lambda each: (each.is_open, each.last_heard))
        quietest.stop(End.EVICTED)
        self._forget(quietest)
        return True

    # Serving

    def _start(
        self, sock: socket.socket, local: tuple[str, int], peer: _Peer, tls: TlsLayer | None, *, accepted: bool
    ) -> Connection:
        assert self._nursery is not None
        options = self._options
        flow = Flow(peer.transport, local, (peer.ip, peer.port), self._next_conn)
        web = None
        if peer.transport in WEB:
            origins, is_secure = options.websocket.allowed_origins, peer.transport in OVER_TLS
            web = WebSocketFramer(options.max_message, origins, self._site, is_secure=is_secure)
        connection = Connection(sock, flow, options, self._nursery, self._guard, accepted=accepted, tls=tls, web=web)
        self._next_conn += 1
        self._connections[flow.conn] = connection
        self._by_peer[peer] = connection
        self._peers[flow.conn] = peer
        self._per_address[block_of(peer.ip)] += 1
        self._nursery.start_soon(self._serve, connection)
        return connection

    async def _serve(self, connection: Connection) -> None:
        flow = connection.flow
        is_told = False
        try:
            end = await connection.run(self._receive, self._batch_end)
            self.ends[end] += 1
            is_told = True
            self._tell_closed(connection)
            await connection.finish()
        except Exception:
            self._guard.failed("connection", flow)
        finally:
            connection.close()
            self._forget(connection)
            self.received += connection.received
            self.sent += connection.sent
            self._peers.pop(flow.conn, None)
            if not is_told:
                self._tell_closed(connection)

    def _tell_closed(self, connection: Connection) -> None:
        self._unlist(connection)
        try:
            self._flow_closed(connection.flow)
        except Exception:
            self._guard.failed("flow closed", connection.flow)

    def _forget(self, connection: Connection) -> None:
        """Give its place to others. May be called twice."""
        flow = connection.flow
        if self._connections.pop(flow.conn, None) is None:
            return
        self._unlist(connection)
        holder = block_of(flow.remote[0])
        self._per_address[holder] -= 1
        if not self._per_address[holder]:
            del self._per_address[holder]
        if not self._connections:
            self._emptied.set()

    def _unlist(self, connection: Connection) -> None:
        """No request goes there any more."""
        peer = self._peers.get(connection.flow.conn)
        if peer is not None and self._by_peer.get(peer) is connection:
            del self._by_peer[peer]

    # Sending

    def send(self, flow: Flow, data: bytes) -> bool:
        """As `Connection.send`; False where the connection of ``flow`` is gone."""
        connection = self._connections.get(flow.conn)
        return connection is not None and connection.send(data)

    def is_open(self, flow: Flow) -> bool:
        """Whether requests may still go out on the connection of ``flow``."""
        connection = self._connections.get(flow.conn)
        return connection is not None and connection.is_open

    def find(self, ip: str, port: int, transport: str = "tcp", name: str = "") -> Flow | None:
        """The flow of an open connection to this remote: by TCP accepted or opened, by TLS opened to this ``name``."""
        connection = self._by_peer.get(_Peer(transport, ip, port, name))
        return connection.flow if connection is not None and connection.is_open and connection.is_ready else None

    def peer_names(self, flow: Flow) -> frozenset[str]:
        """Who the peer of ``flow`` has shown to be by its certificate; empty without one, or where it is gone."""
        connection = self._connections.get(flow.conn)
        return connection.peer_names() if connection is not None else frozenset()

    # spec S-NET-5
    async def open(
        self,
        ip: str,
        port: int,
        within: float,
        fallback: Sequence[ListenAddress] = (),
        *,
        transport: str = "tcp",
        name: str = "",
    ) -> Flow:
        """`find`, or connect within ``within`` seconds, by ``transport`` (tcp, tls). Unreachable.

        ``name`` is whom the certificate of a TLS server must name, by default its address. ``fallback`` are the
        listeners whose address is used where there is none for connections.
        """
        peer = _Peer(transport, ip, port, (name or ip) if transport == "tls" else "")
        flow = self.find(ip, port, transport, peer.name)
        if flow is not None:
            return flow
        if self._nursery is None or self._is_stopping:
            raise Unreachable(f"{peer}: not running")
        attempt = self._attempts.get(peer)
        if attempt is None:
            if len(self._attempts) >= self._options.max_connecting or not self._has_room(ip):
                raise Unreachable(f"{peer}: too many connections")
            attempt = self._attempts[peer] = _Attempt()
            # those of the same transport first: their port is where a peer could connect to
            listeners = sorted(self.addresses, key=lambda each: each.transport != transport)
            self._nursery.start_soon(self._connect, attempt, peer, listeners or list(fallback))
        with trio.move_on_after(within):
            await attempt.done.wait()
        if attempt.flow is None:
            raise Unreachable(f"{peer}: {attempt.why}")
        return attempt.flow

    async def _connect(self, attempt: _Attempt, peer: _Peer, listeners: list[ListenAddress]) -> None:
        sock: socket.socket | None = None
        try:
            tls = self._tls.client_layer(peer.name) if peer.transport == "tls" else None
            listener = choose_listener(listeners, peer.ip, source_for(peer.ip, peer.port))
            if listener is None:
                attempt.why = "no listener could reach it"
                return
            sock = socket.socket(socket_family(peer.ip), socket.SOCK_STREAM)
            tune_stream(sock)
            if not listener.is_wildcard:  # who knows us by our address shall see it
                sock.bind(socket_address(listener.ip, 0))
            with trio.fail_after(self._options.connect_timeout):
                await connected(sock, peer.ip, peer.port)
            local_ip, own_port = ip_and_port(sock.getsockname())
            # The listener's port is where a peer could connect to: it goes into Via and Contact (RFC 3261 §18.1.1).
            local = local_ip, listener.port if listener.transport == peer.transport else own_port
            connection = self._start(sock, local, peer, tls, accepted=False)
            sock = None
            await connection.wait_ready()  # its own deadline ends it
            if connection.is_open:
                attempt.flow = connection.flow
                self.opened += 1
            else:
                attempt.why = connection.why or "the connection was closed"
        except (OSError, Unreachable) as error:
            attempt.why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        except trio.TooSlowError:
            attempt.why = "timed out"
        finally:
            if sock is not None:
                trio.lowlevel.notify_closing(sock)
                sock.close()
            del self._attempts[peer]
            attempt.done.set()

    # Ending

    async def aclose(self, grace: float) -> None:
        """Accept and open no more, send what is buffered within ``grace`` seconds, then end `run`."""
        self._is_stopping = True
        self.close()
        for connection in list(self._connections.values()):
            connection.stop()
        with trio.move_on_after(grace):
            while self._connections:
                self._emptied = trio.Event()
                await self._emptied.wait()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def close(self) -> None:
        """Close the listening sockets."""
        for sock, _ in self._listeners:
            trio.lowlevel.notify_closing(sock)
            sock.close()

    def statistics(self) -> dict[str, int]:
        """Counts since the start, and the connections that are open now."""
        live = self._connections.values()
        return {
            "tcp_connections": len(self._connections),
            "tcp_accepted": self.accepted,
            "tcp_opened": self.opened,
            "tcp_refused": self.refused,
            "tcp_received": self.received + sum(each.received for each in live),
            "tcp_sent": self.sent + sum(each.sent for each in live),
            **{f"tcp_ended_{end.value}": self.ends[end] for end in End},
        }
