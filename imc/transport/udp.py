"""UDP: one socket, one task. The hot path of the daemon.

Invariants

- A wake-up reads what is there, at most ``BATCHES`` times ``BATCH`` datagrams, before anything new is started: no
  request waits until what follows from the answers before it is done. ``take_answers`` takes those that are usual
  answers, all of a batch at once; of the others none is handed on after ``BATCH_TIME`` seconds of ``clock``: it says
  ``batch_end``, lets other tasks run, and goes on.
- Many are read and sent in one system call where that is possible (`imc.transport.mmsg`), else one by one, to the same
  effect.
- A source of which ``receive`` wants nothing more for a moment is held: what comes from it meanwhile is dropped by its
  address alone, and does not use up the wake-up.
- Nothing that a peer does, and no exception of a callback, ends the task.
- `send` never waits. A datagram that the kernel cannot take now is queued, in order, up to ``queue_bytes``; beyond
  that `send` is False, and so it is for what the kernel refuses (too large, no route): the caller's retransmission,
  or its next target, is the answer to both.
- ``Flow.local`` is always an address that a peer could send to. On a wildcard socket it is each datagram's own
  destination (IP_PKTINFO), and what is sent on the flow leaves from there: an answer comes from where it is awaited,
  also on a machine with several addresses.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import trio

from imc.sip.flow import Flow
from imc.transport import stun
from imc.transport.addresses import ListenAddress, ip_family, socket_address
from imc.transport.guard import Guard, Receive
from imc.transport.mmsg import BATCH, Batches, Target
from imc.transport.sockets import IP_PKTINFO, buffer_sizes, listen_udp

HELD = 0.1  # seconds
_MAX_HELD = 1024
_MAX_DRAINED = 16  # batches of nothing but held datagrams that are read in one wake-up
_FEW = 3  # fewer are sent at less cost one by one
BATCHES = 8
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
    is_batched: bool = True  # where the system can


def none_taken(datagrams: Sequence[bytes]) -> Iterable[int]:
    """All are left for ``receive``."""
    return range(len(datagrams))


def always(_flow: Flow, _came: int, _goes: int) -> bool:
    """Nothing is counted."""
    return True


def never(_flow: Flow) -> bool:
    """Nobody is muted."""
    return False


class UdpListener:
    """One UDP socket. ``receive`` gets each datagram, ``batch_end`` follows each batch; both are sync."""

    def __init__(
        self,
        address: ListenAddress,
        options: UdpOptions,
        *,
        receive: Receive,
        batch_end: Callable[[], None],
        guard: Guard,
        take_answers: Callable[[Sequence[bytes]], Iterable[int]] = none_taken,
        may_answer: Callable[[Flow, int, int], bool] = always,
        is_muted: Callable[[Flow], bool] = never,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Binds. ``take_answers`` returns the indices of what it leaves for ``receive``. ListenError.

        ``may_answer`` says whether the second number of bytes may go out for the first, to whoever is no user yet;
        ``is_muted`` whether what comes on a flow, and is no usual answer, is dropped unread.
        """
        self._sock = listen_udp(address, options.receive_buffer, options.send_buffer)
        self.address = address._replace(port=self._sock.getsockname()[1])
        self.buffers = buffer_sizes(self._sock)
        self._options = options
        self._receive = receive
        self._take_answers = take_answers
        self._may_answer = may_answer
        self._is_muted = is_muted
        self._batch_end = batch_end
        self._guard = guard
        self._clock = clock
        self._is_wildcard = address.is_wildcard
        self._is_plain = address.family == 4 and not address.is_wildcard
        self._batches = Batches.of(self._sock) if options.is_batched else None
        self._sources: list[tuple[tuple[object, ...], bytes]] = []  # of what was read one by one
        self._left: deque[tuple[bytes, Flow, bytes]] = deque()  # what was read and not handed on yet, and from whom
        self._held: dict[bytes, float] = {}  # until when
        self._flows: dict[tuple[object, ...], Flow] = {}
        self._targets: dict[Flow, Target] = {}
        self._queue: deque[tuple[Flow, bytes]] = deque()
        self._queued_bytes = 0
        self._flushed: trio.Event | None = None
        self._nursery: trio.Nursery | None = None
        self._is_closed = False
        self.received = 0
        self.keep_alives = 0
        self.sent = 0
        self.send_failures = 0
        self.queue_drops = 0
        self.held = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read until `close`, or until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            # Whoever was woken before `close` goes on after it: to wait on a closed socket ends trio, not the task.
            while not self._is_closed:
                if self._left:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(self._sock)
                    if self._is_closed:
                        return
                    self._read()
                self._hand_on()
                try:
                    self._batch_end()
                except Exception:
                    self._guard.failed("end of batch", self.address)

    def close(self) -> None:
        """Stop `run` and close the socket; what is still queued is lost (see `wait_flushed`)."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        self._batches = None  # its file descriptor may soon be another file's
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    # Receiving

    def _read(self) -> None:
        """Read what is there."""
        for _ in range(BATCHES):
            if self._read_batch() < BATCH:
                return

    def _read_batch(self) -> int:
        """How many there were; what is no usual answer is left to be handed on."""
        batches = self._batches
        places: Sequence[int] = range(BATCH)  # of the data in what was read
        if batches is None:
            data = self._read_one_by_one()
        elif self._held:
            data, places = self._read_not_held(batches)
        else:
            data = self._read_many(batches)
        if not data:
            return 0
        self.received += len(data)
        try:
            others = self._take_answers(data)
        except Exception:
            self._guard.failed("answers", self.address)
            return len(data)
        for index in others:
            if len(data[index]) <= _KEEP_ALIVE:
                self.keep_alives += 1
                continue
            is_stun = stun.is_stun(data[index])
            key = address, info = self._sources[index] if batches is None else batches.source(places[index])
            flow = self._flows.get(key) or self._flow(address, _local_ip(info) or self.address.ip)
            # spec S-SRC-3
            if self._is_muted(flow):
                self.held += 1
                continue
            self._remember(key, flow)
            if is_stun:
                self._answer_stun(data[index], flow)
            else:
                self._left.append((data[index], flow, b"" if batches is None else batches.name(places[index])))
        return len(data)

    def _answer_stun(self, data: bytes, flow: Flow) -> None:
        """A keep-alive of another kind. Its source may be forged as any other."""
        self.keep_alives += 1
        # spec S-SRC-1
        if (answer := stun.answer(data, flow.remote)) and self._may_answer(flow, len(data), len(answer)):
            self.send(flow, answer)

    def _read_many(self, batches: Batches) -> list[bytes]:
        for _ in range(BATCH):
            try:
                return batches.receive()
            except BlockingIOError:
                break
            except OSError:  # what an ICMP error left behind (ECONNREFUSED): of no use without its datagram
                continue
        return []

    # spec S-SRC-2
    def _read_not_held(self, batches: Batches) -> tuple[list[bytes], Sequence[int]]:
        """A batch without what comes from sources that are held, and where in the batch each datagram was."""
        now = self._clock()
        held = self._held = {name: until for name, until in self._held.items() if now < until}
        for _ in range(_MAX_DRAINED):
            data = self._read_many(batches)
            places = [index for index in range(len(data)) if batches.name(index) not in held]
            self.held += len(data) - len(places)
            if places or len(data) < BATCH:
                return [data[index] for index in places], places
        return [], ()

    def _hold(self, name: bytes) -> None:
        if len(self._held) < _MAX_HELD and name:
            self._held[name] = self._clock() + HELD

    def _read_one_by_one(self) -> list[bytes]:
        data: list[bytes] = []
        self._sources.clear()
        for _ in range(BATCH):
            try:
                if self._is_wildcard:  # with the address each datagram was sent to
                    datagram, ancillary, _flags, address = self._sock.recvmsg(_MAX_DATAGRAM, _ANCILLARY)
                    self._sources.append((address, ancillary[0][2] if ancillary else b""))
                else:
                    datagram, address = self._sock.recvfrom(_MAX_DATAGRAM)
                    self._sources.append((address, b""))
            except BlockingIOError:
                break
            except OSError:
                continue
            data.append(datagram)
        return data

    def _hand_on(self) -> None:
        left, receive, clock = self._left, self._receive, self._clock
        end = clock() + BATCH_TIME
        while left:
            data, flow, name = left.popleft()
            if name in self._held and clock() < self._held[name]:
                self.held += 1
                continue
            try:
                if receive(data, flow):
                    self._hold(name)
            except Exception:
                self._guard.failed("receive", flow)
            if clock() >= end:
                return

    def _flow(self, address: tuple[object, ...], local_ip: str) -> Flow:
        ip, port = str(address[0]), int(str(address[1]))
        if len(address) == 4 and address[3]:  # an IPv6 address that means nothing without its interface
            ip = f"{ip}%{address[3]}"
        return Flow("udp", (local_ip, self.address.port), (ip, port))

    def _remember(self, key: tuple[object, ...], flow: Flow) -> None:
        if len(self._flows) >= _MAX_FLOWS and key not in self._flows:
            self._flows.clear()
        self._flows[key] = flow

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

    def send_many(self, items: Sequence[tuple[Flow, bytes]]) -> None:
        """`send` for each of these, with fewer system calls; in order, or all that go to one target in any order."""
        if self._batches is None or self._queue or len(items) < _FEW:
            for flow, data in items:
                self.send(flow, data)
            return
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            if self._queue:
                self._enqueue_all(batch)
            else:
                self._send_batch(self._batches, batch)

    def _send_batch(self, batches: Batches, items: Sequence[tuple[Flow, bytes]]) -> None:
        targets: list[Target] = []
        last = None
        try:
            for flow, _ in items:
                if flow is not last:
                    target = self._targets.get(flow) or self._aim(batches, flow)
                    last = flow
                targets.append(target)
        except OSError:  # one of them is no address: `send` says so of that one
            for flow, data in items:
                self.send(flow, data)
            return
        if batches.can_segment and all(target is targets[0] for target in targets):
            self._send_alike(batches, items, targets[0])
        else:
            self._send_each(batches, items, targets)

    def _send_each(self, batches: Batches, items: Sequence[tuple[Flow, bytes]], targets: Sequence[Target]) -> None:
        datagrams = [data for _, data in items]
        start = 0
        while start < len(items):
            try:
                taken = batches.send(datagrams[start:], targets[start:])
                self.sent += taken
                start += taken
            except BlockingIOError:
                self._enqueue_all(items[start:])
                return
            except OSError:
                self.send_failures += 1
                start += 1

    def _send_alike(self, batches: Batches, items: Sequence[tuple[Flow, bytes]], target: Target) -> None:
        """All to one target."""
        flow = items[0][0]
        left = [data for _, data in items]
        while left:
            try:
                rest = batches.send_alike(left, target)
            except BlockingIOError:
                self._enqueue_all([(flow, data) for data in left])
                return
            except OSError as error:
                if error.errno == errno.EIO:  # what is in the way there cannot cut datagrams: a device, IPsec
                    batches.can_segment = False
                self._send_each(batches, [(flow, data) for data in left], [target] * len(left))
                return
            self.sent += len(left) - len(rest)
            left = rest

    def _aim(self, batches: Batches, flow: Flow) -> Target:
        if len(self._targets) >= _MAX_FLOWS:
            self._targets.clear()
        ancillary = _source(flow.local[0]) if self._is_wildcard else ()
        target = self._targets[flow] = batches.target(socket_address(*flow.remote), ancillary)
        return target

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

    def _enqueue_all(self, items: Sequence[tuple[Flow, bytes]]) -> None:
        for flow, data in items:
            self._enqueue(flow, data)

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
