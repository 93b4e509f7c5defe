"""Bindings: at which contact addresses the users are (RFC 3261 §10), in memory.

Invariants

- No two bindings of one address-of-record match each other by RFC 3261 §19.1.4.
- What `Bindings` holds is what was committed: it changes by `load`, by `apply` after the commit, and by `expire`.
- `lookup` never gives a binding past its time, whether `expire` came by or not.
- A user's bindings are kept best first (q, then the newest), so that a lookup costs no sorting.
- The heap of expiry times is lazy: an entry that no binding has any more is dropped when it comes up. It is rebuilt
  once it is twice as long as the table, so that refreshes do not let it grow.

Times are unix seconds: a binding outlives the process.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from imc.aor import Aor
from imc.sip.flow import Flow
from imc.sip.headers import parse_name_addr
from imc.sip.uri import SipUri, parse_uri

_MIN_HEAP = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One contact address of a user.

    ``contact`` is the URI as the client wrote it; ``q`` is in thousandths. ``received`` is the URI of the address the
    REGISTER came from, where that must be used in place of the contact's own (NAT), else "". ``flow`` is where the
    REGISTER came from, if requests for this contact may take the same way back; it does not outlive the process.
    ``path`` are the Path values as they stood, nearest proxy first (RFC 3327 §5.3).
    """

    aor: Aor
    contact: str
    q: int = 1000
    expires_wall: float
    call_id: str
    cseq: int
    path: tuple[str, ...] = ()
    received: str = ""
    flow: Flow | None = None
    instance: str = ""
    user_agent: str = ""
    registered_wall: float

    @property
    def uri(self) -> SipUri:
        uri = parse_uri(self.contact)
        if not isinstance(uri, SipUri):
            raise TypeError(f"a binding to {self.contact!r}")
        return uri


@dataclass(frozen=True, slots=True, kw_only=True)
class NextHop:
    """What delivery to a binding needs.

    ``uri`` is the contact, without what RFC 3261 §19.1.1 bans from a Request-URI. ``routes`` are the values of the
    Route header, top first. ``flow`` is to be used while it is alive (a UDP flow always is: it names the socket that a
    NAT lets in again); without it, ``next_hop`` is the URI to resolve (RFC 3263). ``q`` is in thousandths.
    """

    uri: str
    next_hop: str
    q: int
    routes: tuple[str, ...]
    flow: Flow | None


def next_hop(binding: Binding) -> NextHop:
    """The way to a binding: its Path, else the live flow, else the address behind the NAT, else the contact itself."""
    uri = binding.uri
    # spec S-HOP-3
    # RFC 3261 §19.1.1, table 1: neither "method" nor headers may stand in a Request-URI.
    if uri.headers or uri.param("method") is not None:
        params = tuple((name, value) for name, value in uri.params if name.lower() != "method")
        uri = SipUri(uri.scheme, uri.user, uri.password, uri.host, uri.port, params)
    # spec S-HOP-4
    # RFC 3327 §5.4
    first = parse_name_addr(binding.path[0]).uri if binding.path else binding.received or uri
    return NextHop(uri=str(uri), next_hop=str(first), q=binding.q, routes=binding.path, flow=binding.flow)


def best_first(bindings: Iterable[Binding]) -> tuple[Binding, ...]:
    """In the order in which they are to be tried: highest q, then the newest, then by name, so that it is one order."""
    return tuple(sorted(bindings, key=lambda binding: (-binding.q, -binding.registered_wall, binding.contact)))


class Bindings:
    """The table of all bindings; bounded by who asks before it adds (`imc.registrar.registrar`)."""

    __slots__ = ("_by_aor", "_count", "_heap")

    def __init__(self) -> None:
        self._by_aor: dict[Aor, tuple[Binding, ...]] = {}
        self._count = 0
        self._heap: list[tuple[float, Aor, str]] = []

    def __len__(self) -> int:
        return self._count

    # spec S-REG-11
    def lookup(self, aor: Aor, wall: float) -> tuple[Binding, ...]:
        """The bindings of a user, best first: highest q, then the newest. Empty for whom nobody registered."""
        bindings = self._by_aor.get(aor)
        if bindings is None:
            return ()
        for binding in bindings:
            if binding.expires_wall <= wall:
                return tuple(binding for binding in bindings if binding.expires_wall > wall)
        return bindings

    def users(self) -> int:
        """How many addresses-of-record have a binding."""
        return len(self._by_aor)

    def aors(self) -> list[Aor]:
        """Who has a binding."""
        return list(self._by_aor)

    def load(self, bindings: Iterable[Binding], wall: float) -> list[Binding]:
        """Fill the empty table from the store. What has expired meanwhile is left out and returned."""
        expired: list[Binding] = []
        by_aor: dict[Aor, list[Binding]] = {}
        for binding in bindings:
            if binding.expires_wall <= wall:
                expired.append(binding)
            else:
                by_aor.setdefault(binding.aor, []).append(binding)
        self._by_aor = {aor: best_first(group) if len(group) > 1 else (group[0],) for aor, group in by_aor.items()}
        self._count = sum(map(len, self._by_aor.values()))
        self._rebuild_heap()
        return expired

    def apply(self, aor: Aor, bindings: Iterable[Binding]) -> None:
        """From now on these are the bindings of a user."""
        after = best_first(bindings)
        before = self._by_aor.pop(aor, ())
        self._count += len(after) - len(before)
        if after:
            self._by_aor[aor] = after
        known = {(binding.contact, binding.expires_wall) for binding in before}
        for binding in after:
            if (binding.contact, binding.expires_wall) not in known:
                heapq.heappush(self._heap, (binding.expires_wall, aor, binding.contact))
        if len(self._heap) > _MIN_HEAP + 2 * self._count:
            self._rebuild_heap()

    def next_expiry(self) -> float | None:
        """When `expire` has something to do at the earliest (unix seconds)."""
        return self._heap[0][0] if self._heap else None

    def expire(self, wall: float, limit: int = 1000) -> list[Binding]:
        """Take out what is past its time, at most ``limit`` heap entries a call, and return it.

        Rows of it may go from the store by their expiry time only, never by name: a refresh of the same contact may be
        on its way to the store.
        """
        expired: list[Binding] = []
        while self._heap and self._heap[0][0] <= wall and limit > 0:
            limit -= 1
            _, aor, contact = heapq.heappop(self._heap)
            bindings = self._by_aor.get(aor, ())
            gone = [binding for binding in bindings if binding.contact == contact and binding.expires_wall <= wall]
            if not gone:
                continue
            kept = tuple(binding for binding in bindings if binding not in gone)
            self._count -= len(gone)
            if kept:
                self._by_aor[aor] = kept
            else:
                del self._by_aor[aor]
            expired.extend(gone)
        return expired

    def _rebuild_heap(self) -> None:
        self._heap = [
            (binding.expires_wall, aor, binding.contact)
            for aor, bindings in self._by_aor.items()
            for binding in bindings
        ]
        heapq.heapify(self._heap)
