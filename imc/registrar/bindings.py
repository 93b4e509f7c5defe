"""Bindings: at which contact addresses the users are (RFC 3261 §10), in memory.

Invariants

- No two bindings of one address-of-record match each other: by RFC 3261 §19.1.4, or, where they were registered with
  RFC 5626, by instance and reg-id. So no two have the same `Binding.key`.
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
from imc.sip.hosts import block_of
from imc.sip.uri import SipUri, parse_uri

_MIN_HEAP = 64
NO_HOP = "flow:"  # before what can be reached by its flow only
WEB_TRANSPORTS = frozenset({"ws", "wss"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One contact address of a user.

    ``contact`` is the URI as the client wrote it; ``q`` is in thousandths. ``received`` is the URI of the address the
    REGISTER came from, where that must be used in place of the contact's own (NAT), else "". ``flow`` is where the
    REGISTER came from, if requests for this contact may take the same way back; it does not outlive the process.
    ``path`` are the Path values as they stood, nearest proxy first (RFC 3327 §5.3). ``reg_id`` is that of RFC 5626, 0
    where that was not used: then one ``instance`` may have several bindings, one for each of its flows.
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
    reg_id: int = 0
    user_agent: str = ""
    registered_wall: float

    @property
    def uri(self) -> SipUri:
        uri = parse_uri(self.contact)
        if not isinstance(uri, SipUri):
            raise TypeError(f"a binding to {self.contact!r}")
        return uri

    @property
    def key(self) -> str:
        """What tells it from the others of its user: the contact, for RFC 5626 with reg-id and instance (`split_key`).

        Two phones may have the same contact, an address of their private networks.
        """
        return f"{self.contact} {self.reg_id} {self.instance}" if self.reg_id else self.contact

    @property
    def host(self) -> str:
        """Where the REGISTER came from as far as it is known: of a contact behind a proxy it is the proxy's."""
        if self.flow is not None:
            return self.flow.remote[0]
        first = parse_name_addr(self.path[0]).uri if self.path else parse_uri(self.received or self.contact)
        return first.host if isinstance(first, SipUri) else ""

    # spec S-OUT-3
    @property
    def needs_flow(self) -> bool:
        """Whether nothing but the connection that it was registered on leads to it. A datagram's flow never ends."""
        if self.path or (self.flow is not None and not self.flow.is_reliable):
            return False
        uri = self.uri
        return self.reg_id > 0 or uri.host.endswith(".invalid") or uri.transport in WEB_TRANSPORTS


def split_key(key: str) -> tuple[str, int]:
    """Contact and reg-id of a `Binding.key`. ValueError where it is none."""
    contact, _, rest = key.partition(" ")
    return contact, int(rest.partition(" ")[0]) if rest else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NextHop:
    """What delivery to a binding needs.

    ``uri`` is the contact, without what RFC 3261 §19.1.1 bans from a Request-URI. ``routes`` are the values of the
    Route header, top first. ``flow`` is to be used while it is alive (a UDP flow always is: it names the socket that a
    NAT lets in again); without it, ``next_hop`` is the URI to resolve (RFC 3263), or, where nothing but the flow leads
    there, one of the scheme ``flow:``, which nobody resolves. ``q`` is in thousandths.
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
    where = f"{NO_HOP}{first}" if binding.needs_flow else str(first)
    return NextHop(uri=str(uri), next_hop=where, q=binding.q, routes=binding.path, flow=binding.flow)


def best_first(bindings: Iterable[Binding]) -> tuple[Binding, ...]:
    """In the order in which they are to be tried: highest q, then the newest, then by name, so that it is one order."""
    return tuple(sorted(bindings, key=lambda binding: (-binding.q, -binding.registered_wall, binding.key)))


class Bindings:
    """The table of all bindings; bounded by who asks before it adds (`imc.registrar.registrar`)."""

    __slots__ = ("_by_aor", "_by_conn", "_count", "_heap")

    def __init__(self) -> None:
        self._by_aor: dict[Aor, tuple[Binding, ...]] = {}
        self._by_conn: dict[int, set[Aor]] = {}  # who is reached by a connection
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

    def on_flow(self, flow: Flow) -> list[Aor]:
        """Who has a binding that is reached by this connection."""
        return sorted(self._by_conn.get(flow.conn, ()))

    def load(self, bindings: Iterable[Binding], wall: float) -> list[Binding]:
        """Fill the empty table from the store. What has expired meanwhile, or has lost its only way with the process
        that had the connection, is left out and returned."""
        expired: list[Binding] = []
        by_aor: dict[Aor, list[Binding]] = {}
        for binding in bindings:
            if binding.expires_wall <= wall or (binding.flow is None and binding.needs_flow):
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
        self._index(aor, before, after)
        known = {(binding.key, binding.expires_wall) for binding in before}
        for binding in after:
            if (binding.key, binding.expires_wall) not in known:
                heapq.heappush(self._heap, (binding.expires_wall, aor, binding.key))
        if len(self._heap) > _MIN_HEAP + 2 * self._count:
            self._rebuild_heap()

    def _index(self, aor: Aor, before: Iterable[Binding], after: Iterable[Binding]) -> None:
        now = _connections(after)
        for conn in _connections(before) - now:
            users = self._by_conn.get(conn, set())
            users.discard(aor)
            if not users:
                self._by_conn.pop(conn, None)
        for conn in now:
            self._by_conn.setdefault(conn, set()).add(aor)

    def is_at(self, aor: Aor, block: str, wall: float) -> bool:
        """Whether a user is registered from an address (`block_of`): that of the flow, or the one behind the NAT, or
        the contact's own."""
        return any(block_of(binding.host) == block for binding in self.lookup(aor, wall))

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
            _, aor, key = heapq.heappop(self._heap)
            bindings = self._by_aor.get(aor, ())
            gone = [binding for binding in bindings if binding.key == key and binding.expires_wall <= wall]
            if not gone:
                continue
            kept = tuple(binding for binding in bindings if binding not in gone)
            self._count -= len(gone)
            self._index(aor, bindings, kept)
            if kept:
                self._by_aor[aor] = kept
            else:
                del self._by_aor[aor]
            expired.extend(gone)
        return expired

    def _rebuild_heap(self) -> None:
        self._heap = [
            (binding.expires_wall, aor, binding.key) for aor, bindings in self._by_aor.items() for binding in bindings
        ]
        heapq.heapify(self._heap)


def _connections(bindings: Iterable[Binding]) -> set[int]:
    return {binding.flow.conn for binding in bindings if binding.flow is not None and binding.flow.is_reliable}
