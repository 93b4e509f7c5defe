"""UDP: one socket, one task. The hot path of the daemon.

Invariants

- A wake-up reads at most ``BATCH`` datagrams, and none after ``BATCH_TIME`` seconds of ``clock``; then it says
  ``batch_end``, then lets other tasks run.
- Nothing that a peer does, and no exception of a callback, ends the task.
- `send` never waits. A datagram that the kernel cannot take now is queued, in order, up to ``queue_bytes``; beyond
  that `send` is False, and so it is for what the kernel refuses (too large, no route): the caller's retransmission,
  or its next target, is the answer to both.
- ``Flow.local`` is always an address that a peer could send to. On a wildcard socket it is each datagram's own
  destination (IP_PKTINFO), and what is sent on the flow leaves from there: an answer comes from where it is awaited,
  also on a machine with several addresses.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import trio

from imc.sip.flow import Flow
from imc.transport.addresses import ListenAddress, ip_family, socket_address
from imc.transport.guard import Guard
from imc.transport.sockets import IP_PKTINFO, buffer_sizes, listen_udp

BATCH = 64
BATCH_TIME = 0.01  # what timers and signals may have to wait for the work that datagrams make
_MAX_DATAGRAM = 65535
_MAX_FLOWS = 8192
_KEEP_ALIVE = 4  # no SIP message is this short: CRLF CRLF, or four NULs, that hold a NAT binding open
_OVERHEAD = 256  # what a queued datagram costs beside its bytes

_ANCILLARY = socket.CMSG_SPACE(20)  # struct in6_pktinfo, the larger one
_INTERFACE = struct.Struct("@I")


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpOptions:
    """Sizes in bytes. The kernel may give smaller socket buffers: `UdpListener.buffers` tells."""

    receive_buffer: int = 4 * 1024 * 1024
    send_buffer: int = 4 * 1024 * 1024
    queue_bytes: int = 4 * 1024 * 1024


class UdpListener:
    """One UDP socket. ``receive`` gets each datagram, ``batch_end`` follows each batch; both are sync."""

    def __init__(
        self,
        address: ListenAddress,
        options: UdpOptions,
        *,
        receive: Callable[[bytes, Flow], None],
        batch_end: Callable[[], None],
        guard: Guard,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Binds. ListenError."""
        self._sock = listen_udp(address, options.receive_buffer, options.send_buffer)
        self.address = address._replace(port=self._sock.getsockname()[1])
        self.buffers = buffer_sizes(self._sock)
        self._options = options
        self._receive = receive
        self._batch_end = batch_end
        self._guard = guard
        self._clock = clock
        self._is_wildcard = address.is_wildcard
        self._is_plain = address.family == 4 and not address.is_wildcard
        self._flows: dict[tuple[object, ...], Flow] = {}
        self._queue: deque[tuple[Flow, bytes]] = deque()
        self._queued_bytes = 0
        self._flushed: trio.Event | None = None
        self._nursery: trio.Nursery | None = None
        self.received = 0
        self.keep_alives = 0
        self.sent = 0
        self.send_failures = 0
        self.queue_drops = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read until `close`, or until cancelled."""
        read = self._read_any if self._is_wildcard else self._read
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            while True:
                await trio.lowlevel.wait_readable(self._sock)
                read()
                try:
                    self._batch_end()
                except Exception:
                    self._guard.failed("end of batch", self.address)

    def close(self) -> None:
        """Stop `run` and close the socket; what is still queued is lost (see `wait_flushed`)."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    # Receiving

    def _read(self) -> None:
        recvfrom, receive, flows, clock = self._sock.recvfrom, self._receive, self._flows, self._clock
        end = clock() + BATCH_TIME
        for _ in range(BATCH):
            try:
                data, address = recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # what an ICMP error left behind (ECONNREFUSED): of no use without its datagram
                continue
            self.received += 1
            if len(data) <= _KEEP_ALIVE:
                self.keep_alives += 1
                continue
            flow = flows.get(address) or self._remember(address, address, self.address.ip)
            try:
                receive(data, flow)
            except Exception:
                self._guard.failed("receive", flow)
            if clock() >= end:
                return

    def _read_any(self) -> None:
        """As `_read`, for a wildcard: with the address each datagram was sent to."""
        recvmsg, receive, flows, clock = self._sock.recvmsg, self._receive, self._flows, self._clock
        end = clock() + BATCH_TIME
        for _ in range(BATCH):
            try:
                data, ancillary, _flags, address = recvmsg(_MAX_DATAGRAM, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                continue
            self.received += 1
            if len(data) <= _KEEP_ALIVE:
                self.keep_alives += 1
                continue
            info = ancillary[0][2] if ancillary else b""
            key = (address, info)
            flow = flows.get(key) or self._remember(key, address, _local_ip(info) or self.address.ip)
            try:
                receive(data, flow)
            except Exception:
                self._guard.failed("receive", flow)
            if clock() >= end:
                return

    def _remember(self, key: tuple[object, ...], address: tuple[object, ...], local_ip: str) -> Flow:
        if len(self._flows) >= _MAX_FLOWS:
            self._flows.clear()
        ip, port = str(address[0]), int(str(address[1]))
        if len(address) == 4 and address[3]:  # an IPv6 address that means nothing without its interface
            ip = f"{ip}%{address[3]}"
        flow = self._flows[key] = Flow("udp", (local_ip, self.address.port), (ip, port))
        return flow

    # Sending

    def send(self, flow: Flow, data: bytes) -> bool:
        """True: sent, or queued. False: refused by the kernel, or the queue is full."""
        if self._queue:
            return self._enqueue(flow, data)
        try:
            if self._is_plain:
                self._sock.sendto(data, flow.remote)
            else:
                self._send_from(flow, data)
        except BlockingIOError:
            return self._enqueue(flow, data)
        except OSError:  # EMSGSIZE, ENETUNREACH, EPERM of a firewall, EINVAL from loopback to the outside …
            self.send_failures += 1
            return False
        self.sent += 1
        return True

    # spec S-VIA-5
    def _send_from(self, flow: Flow, data: bytes) -> None:
        remote = socket_address(*flow.remote)
        if self._is_wildcard:
            self._sock.sendmsg((data,), _source(flow.local[0]), 0, remote)
        else:
            self._sock.sendto(data, remote)

    def _enqueue(self, flow: Flow, data: bytes) -> bool:
        size = len(data) + _OVERHEAD
        if self._nursery is None or self._queued_bytes + size > self._options.queue_bytes:
            self.queue_drops += 1
            return False
        self._queue.append((flow, data))
        self._queued_bytes += size
        if self._flushed is None:
            self._flushed = trio.Event()
            self._nursery.start_soon(self._flush)
        return True

    async def _flush(self) -> None:
        while self._queue:
            await trio.lowlevel.wait_writable(self._sock)
            for _ in range(BATCH):
                if not self._queue:
                    break
                flow, data = self._queue[0]
                try:
                    self._send_from(flow, data)
                    self.sent += 1
                except BlockingIOError:
                    break
                except OSError:
                    self.send_failures += 1
                self._queue.popleft()
                self._queued_bytes -= len(data) + _OVERHEAD
        if self._flushed is not None:
            self._flushed.set()
            self._flushed = None

    async def wait_flushed(self) -> None:
        """Until nothing is queued."""
        while self._flushed is not None:
            await self._flushed.wait()

    @property
    def queued(self) -> int:
        """Datagrams in the queue."""
        return len(self._queue)


def _local_ip(info: bytes) -> str | None:
    # struct in_pktinfo { int ipi_ifindex; struct in_addr ipi_spec_dst; struct in_addr ipi_addr; }, ip(7)
    # struct in6_pktinfo { struct in6_addr ipi6_addr; unsigned int ipi6_ifindex; }, ipv6(7)
    if len(info) == 12:
        return socket.inet_ntop(socket.AF_INET, info[4:8])
    if len(info) == 20:
        ip = socket.inet_ntop(socket.AF_INET6, info[:16])
        return f"{ip}%{_INTERFACE.unpack_from(info, 16)[0]}" if ip.startswith("fe80:") else ip
    return None


@lru_cache(maxsize=256)
def _source(local_ip: str) -> list[tuple[int, int, bytes]]:
    """The ancillary data that makes a datagram leave from ``local_ip``."""
    address, _, scope = local_ip.partition("%")
    if ip_family(address) == 6:
        interface = _INTERFACE.pack(int(scope)) if scope.isdigit() else bytes(4)
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, socket.inet_pton(socket.AF_INET6, address) + interface)]
    return [(socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + socket.inet_aton(address) + bytes(4))]
