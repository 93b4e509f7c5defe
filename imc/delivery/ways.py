"""Which way a lane's copy goes: the flow on which the contact registered, else one of its next hop, if it carries the
size.

A copy over `DATAGRAM_LIMIT` needs a stream (spec S-NET-9); a short text goes by datagram where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable

from imc.delivery.hops import DATAGRAM_LIMIT, SHORT_BODY, Carrier, Hop
from imc.delivery.job import Dispatch
from imc.delivery.lanes import Lane
from imc.sip.flow import Flow


def size_of(lane: Lane, dispatch: Dispatch, now: float) -> int:
    """The bytes of a copy, as far as they matter: a short text goes by datagram where it cannot go by stream."""
    size = lane.size_of(dispatch)
    is_short = len(dispatch.body) <= SHORT_BODY
    return DATAGRAM_LIMIT if size > DATAGRAM_LIMIT and is_short and lane.hop.has_refused(size, now) else size


def is_way(carrier: Carrier, lane: Lane, flow: Flow, now: float) -> bool:
    """Whether what fits a datagram goes again by this flow."""
    hop = lane.hop
    if lane.flow is None:
        return flow is hop.flow and now < hop.resolved_until
    return flow is lane.flow and carrier.is_open(flow)


def registered_flow(carrier: Carrier, lane: Lane, size: int) -> Flow | None:
    """The flow on which the contact registered, where it lives and carries so many bytes."""
    flow = lane.flow
    if flow is None or (size > DATAGRAM_LIMIT and not flow.is_reliable) or not carrier.is_open(flow):
        return None
    return flow


def why_not(lane: Lane, size: int) -> int:
    """513 where smaller copies could go, 503 where nothing can (RFC 3261 §21.5.7, §21.5.4)."""
    takes_datagrams = lane.hop.flow is not None or (lane.flow is not None and not lane.flow.is_reliable)
    return 513 if size > DATAGRAM_LIMIT and takes_datagrams else 503


def ways_of(carrier: Carrier, dispatch: Dispatch, recipients: Iterable[list[Lane]]) -> list[list[tuple[Hop, int]]]:
    """The hops to a recipient's contacts, with the size of a copy: a list for each recipient, equal ones once.

    Recipients who have a stream open already are left out.
    """
    ways: dict[tuple[str, ...], list[tuple[Hop, int]]] = {}
    for lanes in recipients:
        sized = [(lane, lane.size_of(dispatch)) for lane in lanes]
        if all(registered_flow(carrier, lane, size) is None for lane, size in sized):
            ways.setdefault(tuple(lane.hop.uri for lane, _ in sized), [(lane.hop, size) for lane, size in sized])
    return list(ways.values())
