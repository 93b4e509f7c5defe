"""Next hops: where the bytes of a delivery go, found once and shared by every lane that goes there.

A hop begins as a URI and becomes a flow: RFC 3263 turns the URI into targets in their order of preference, the first
that can be had is kept until it fails or its answer grows old. A copy over 1,300 bytes wants a congestion-controlled
transport (RFC 3261 §18.1.1): for a UDP target that is TCP to the same address and port, tried when first needed, and a
refusal is remembered for a while.

Nothing here waits: a lane that needs a hop that is not open yet is parked with it and woken when the attempt ends.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from imc.errors import Unreachable
from imc.sip.flow import Flow

if TYPE_CHECKING:
    from imc.delivery.lanes import Lane

# RFC 3261 §18.1.1: within 200 bytes of the path MTU, or larger than 1300 bytes where that is unknown
# spec S-NET-9
DATAGRAM_LIMIT = 1300
# A body of so many bytes, 600 of a text and what stands before it, is sent in a datagram where a stream is refused,
# even if long names make the copy larger than the limit (RFC 3261 §18.1.1, "SHOULD retry the request, using UDP").
SHORT_BODY = 768
RESOLVED_FOR = 60.0
# how long a failed attempt counts: for what fits a datagram, or where a stream was had before and may come back (a
# proxy that is started again); and for what needs a stream that the target seems not to have
REFUSED_FOR = (2.0, 30.0)

# spec S-LANE-11
WINDOW, LEAST_WINDOW, MOST_WINDOW = 128, 64, 1024
REFILL = 0.05  # seconds
SHRINK_ONCE_IN = 0.5  # seconds: T1, after which a request is repeated


@dataclass(frozen=True, slots=True)
class Contact:
    """One way to reach a recipient.

    ``uri`` becomes the Request-URI, ``routes`` the Route header fields (RFC 3327 §5.2), ``next_hop`` is the URI that is
    resolved for sending where there is no ``flow``: the one on which the contact registered. ``q`` is 0 … 1000.

    ``key`` tells it from the recipient's other contacts, "" where its URI does. ``others`` are further ways to the same
    instance of a user agent, to be tried one after the other where this one fails (RFC 5626 §5.3).
    """

    uri: str
    next_hop: str
    q: int = 1000
    routes: tuple[str, ...] = ()
    flow: Flow | None = None
    key: str = ""
    others: tuple[Contact, ...] = ()

    @property
    def name(self) -> str:
        return self.key or self.uri


class Target(Protocol):
    """One result of RFC 3263: transport, numeric address, port."""

    @property
    def transport(self) -> str: ...
    @property
    def ip(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def name(self) -> str:
        """Whom a TLS server's certificate must name."""
        ...


class Carrier(Protocol):
    """What delivery needs of the transports and the resolver."""

    def is_open(self, flow: Flow) -> bool: ...

    def sent_by(self, flow: Flow) -> str:
        """host[:port] for the Via of what goes out on this flow."""
        ...

    def datagram_flow(self, ip: str, port: int) -> Flow | None: ...

    async def open_stream(self, transport: str, ip: str, port: int, name: str) -> Flow:
        """Raises Unreachable."""
        ...

    async def resolve(self, uri: str) -> Sequence[Target]:
        """Targets in order of preference. Raises Unreachable."""
        ...


class Hop:
    """One next hop. ``flow`` carries what fits a datagram, ``large`` what does not; ``why`` is the last failure.

    ``credit`` datagrams may go out now, ``window`` at most; ``blocked`` lanes wait for one.
    """

    __slots__ = (
        "blocked", "credit", "flow", "had_stream", "index", "is_opening", "large", "refused", "resolved_until",
        "shrunk_at", "targets", "uri", "waiting", "why", "window",
    )  # fmt: skip

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.credit = self.window = WINDOW
        self.shrunk_at = 0.0
        self.blocked: deque[Lane] = deque()
        self.flow: Flow | None = None
        self.had_stream = False
        self.large: Flow | None = None
        self.targets: Sequence[Target] = ()
        self.index = 0
        self.resolved_until = 0.0
        self.refused = [0.0, 0.0]  # until when: for what fits a datagram, for what does not
        self.is_opening = False
        self.why = ""
        self.waiting: list[Callable[[], None]] = []

    def answered(self) -> list[Lane]:
        """One of those that wait may go, or two: it was not the receiver who could not take more."""
        count = 1 + (self.window < MOST_WINDOW)
        self.window += count - 1
        self.credit += count
        return [self.blocked.popleft() for _ in range(min(count, len(self.blocked)))]

    def refill(self) -> list[Lane]:
        """Who is silent takes no place for long. The lanes that may go now."""
        self.credit = self.window
        return [self.blocked.popleft() for _ in range(min(self.window, len(self.blocked)))]

    def shrink(self, now: float) -> None:
        """A request had to be repeated."""
        if now >= self.shrunk_at + SHRINK_ONCE_IN:
            self.shrunk_at = now
            self.window = max(LEAST_WINDOW, self.window // 2)
            self.credit = min(self.credit, self.window)

    @property
    def takes_datagrams(self) -> bool:
        """Whether a short copy could go there over UDP, by what the name was resolved to last."""
        return any(target.transport == "udp" for target in self.targets)

    def flow_for(self, size: int, now: float) -> Flow | None:
        """The open flow for a message of this many bytes, or None: `Hops.open` it."""
        if now >= self.resolved_until:
            return None
        return self.flow if size <= DATAGRAM_LIMIT else self.large

    def has_refused(self, size: int, now: float) -> bool:
        """Whether a message of this size need not be tried now: the last attempt failed a moment ago."""
        return now < self.refused[size > DATAGRAM_LIMIT] and self.flow_for(size, now) is None

    def fail(self, flow: Flow, tries: int) -> bool:
        """The flow did not serve a copy, for the ``tries``-th time. Whether there is a next target (RFC 3263 §4.3)."""
        if flow not in (self.flow, self.large):  # another copy has gone on already
            return tries < len(self.targets) and (self.flow is not None or self.large is not None)
        self.flow = self.large = None
        if self.index + 1 < len(self.targets):
            self.index += 1
            return True
        self.resolved_until = 0.0
        return False


class Hops:
    """The table of next hops, bounded: the one unused for longest goes first."""

    def __init__(
        self,
        carrier: Carrier,
        *,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        clock: Callable[[], float],
        bound: int,
    ) -> None:
        self._carrier = carrier
        self._spawn = spawn
        self._clock = clock
        self._bound = bound
        self._hops: OrderedDict[str, Hop] = OrderedDict()

    def get(self, uri: str) -> Hop:
        hop = self._hops.get(uri)
        if hop is None:
            hop = self._hops[uri] = Hop(uri)
            if len(self._hops) > self._bound:
                self._hops.popitem(last=False)
        else:
            self._hops.move_to_end(uri)
        return hop

    def open(self, hop: Hop, size: int, then: Callable[[], None]) -> None:
        """Try to have a flow for a message of this size; ``then`` is called when the attempt has ended, either way."""
        hop.waiting.append(then)
        if not hop.is_opening:
            hop.is_opening = True

            async def attempt() -> None:
                await self._attempt(hop, is_large=size > DATAGRAM_LIMIT)

            self._spawn(attempt)

    def flow_closed(self, flow: Flow) -> None:
        """A stream is gone: no hop keeps it."""
        for hop in self._hops.values():
            if hop.flow == flow:
                hop.flow = None
            if hop.large == flow:
                hop.large = None

    async def can_open(self, hop: Hop, size: int) -> bool:
        """Whether the hop has, or can be given, a flow for a message of this size."""
        now = self._clock()
        if hop.flow_for(size, now) is None and (hop.had_stream or not hop.has_refused(size, now)):
            await self._try(hop, is_large=size > DATAGRAM_LIMIT)
        return hop.flow_for(size, self._clock()) is not None

    async def can_carry(self, ways: Sequence[tuple[Hop, int]]) -> bool:
        """False where a recipient with these hops would miss a copy of this size and get a short one.

        One contact that takes it is enough. Who cannot be reached at all now, a phone that is off, is no hindrance.
        """
        for hop, size in ways:
            if await self.can_open(hop, size):
                return True
        return not any(hop.takes_datagrams for hop, _ in ways)

    async def _attempt(self, hop: Hop, *, is_large: bool) -> None:
        try:
            await self._try(hop, is_large=is_large)
        finally:
            hop.is_opening = False
            waiting, hop.waiting = hop.waiting, []
            for then in waiting:
                then()

    async def _try(self, hop: Hop, *, is_large: bool) -> None:
        try:
            if self._clock() >= hop.resolved_until:
                hop.flow = hop.large = None
                hop.targets = await self._carrier.resolve(hop.uri)
                hop.index = 0
                hop.resolved_until = self._clock() + RESOLVED_FOR
            await self._connect(hop, is_large=is_large)
        except Unreachable as error:
            hop.why = str(error)
            hop.refused[is_large] = self._clock() + REFUSED_FOR[is_large and not hop.had_stream]

    async def _connect(self, hop: Hop, *, is_large: bool) -> None:
        why = f"{hop.uri}: no address that can be used"
        for index in range(hop.index, len(hop.targets)):
            target = hop.targets[index]
            if target.transport == "udp" and not is_large:
                flow = self._carrier.datagram_flow(target.ip, target.port)
                if flow is not None:
                    hop.flow, hop.index = flow, index
                    return
                continue
            transport = "tcp" if target.transport == "udp" else target.transport
            try:
                flow = await self._carrier.open_stream(transport, target.ip, target.port, target.name)
            except Unreachable as error:
                why = str(error)
                continue
            hop.large, hop.index, hop.had_stream = flow, index, True
            if target.transport != "udp":
                hop.flow = flow
            return
        raise Unreachable(why)
