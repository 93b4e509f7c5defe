"""Lanes: order per recipient, and no more than one MESSAGE in flight (RFC 3428 §8, spec R-ORDER-2).

A recipient has one lane for each contact. A recipient with several contacts gets a copy at each contact of the highest
q (RFC 3261 §16.6 item 1, parallel), and at those of a lower q where all of the higher ones failed; the `Fork` gathers
the results. One contact that is silent delays neither another recipient nor the same person's other device.
"""

from __future__ import annotations

from typing import NamedTuple

from imc.aor import Aor
from imc.delivery.hops import Contact, Hop
from imc.delivery.job import Dispatch, lane_tag
from imc.sip.flow import Flow

# Of request line and Via without URI and sent-by; a branch has 32 bytes at most, the first part of a Call-ID 24.
_OVERHEAD = len("MESSAGE  SIP/2.0\r\nVia: SIP/2.0/UDP ;rport;branch=") + 32 + 24


_NONE_YET = 599  # no status of SIP has a worse rank


def _rank(status: int) -> tuple[bool, int]:
    """Which final response speaks for a fork (RFC 3261 §16.7 item 6): a 6xx before all, else the lowest."""
    return status < 600, status


class Fork:
    """One message to several contacts: settled by the first 2xx, or when every contact of every q has failed.

    ``kept`` is the recipient's copy as one that has a row of its own, where it has one. ``is_answered``: a contact gave
    a final answer. ``retry_after``: the fewest seconds that one asked for.
    """

    __slots__ = ("best", "group", "groups", "is_answered", "is_settled", "kept", "remaining", "retry_after")

    def __init__(self, groups: list[list[Lane]], best: int = _NONE_YET) -> None:
        self.groups = groups
        self.group = 0
        self.remaining = len(groups[0])
        self.best = best
        self.is_settled = False
        self.is_answered = False
        self.kept: Dispatch | None = None
        self.retry_after: float | None = None

    def note_retry_after(self, seconds: float | None) -> None:
        """What a contact's answer said (RFC 3261 §20.33): the first of them to be there again is enough."""
        if seconds is not None:
            self.retry_after = seconds if self.retry_after is None else min(seconds, self.retry_after)

    @property
    def is_refused(self) -> bool:
        """Whether any contact has failed."""
        return self.best != _NONE_YET

    def unasked(self, groups: list[list[Lane]]) -> list[list[Lane]]:
        """What is left of the recipient's groups of now without the contacts that have failed; none after a 6xx."""
        if self.best >= 600:
            return []
        asked = {lane for group in self.groups[: self.group + 1] for lane in group}
        rest = [[lane for lane in group if lane not in asked] for group in groups]
        return [group for group in rest if group]

    # spec S-HOP-7
    def leg_done(self, status: int) -> int | None:
        """A contact's final status. Returns the recipient's status where this settles it (RFC 3261 §16.7 item 6)."""
        self.remaining -= 1
        if self.is_settled:
            return None
        if status < 300:
            self.is_settled = True
            return status
        self.best = min(self.best, status, key=_rank)
        if self.remaining or self.next_group():
            return None
        self.is_settled = True
        return self.best

    def next_group(self) -> bool:
        """Whether there is a group of lower q to go on with; ``remaining`` is set for it. 6xx ends the search."""
        if self.best >= 600 or self.group + 1 >= len(self.groups):
            return False
        self.group += 1
        self.remaining = len(self.groups[self.group])
        return True


class Copy(NamedTuple):
    """One recipient's copy, waiting or in flight."""

    dispatch: Dispatch
    fork: Fork | None


class Lane:
    """The way to one contact of one recipient. ``current`` is in flight; ``is_busy``: in flight, ready or parked.

    ``size``: bytes of a copy without what the dispatch has; ``sent_on`` is the flow that ``head`` is for.
    """

    __slots__ = (
        "aor", "branch", "call_end", "contact", "current", "flow", "head", "hop", "is_busy", "is_gone", "overhead",
        "queue", "sent_on", "size", "to_line", "tries",
    )  # fmt: skip

    def __init__(self, aor: Aor, contact: Contact, hop: Hop, host: str, longest_sent_by: int = 47) -> None:
        self.aor = aor
        self.overhead = _OVERHEAD + longest_sent_by
        self.call_end = lane_tag(aor) + f"@{host}\r\n".encode("ascii")
        self.queue: list[Copy] = []  # a deque is 760 bytes, and there may be a lane for each of 200,000 recipients
        self.current: Copy | None = None
        self.branch: bytes = b""
        self.head: bytes = b""
        self.tries = 0
        self.is_busy = False
        self.point_to(contact, hop)

    def point_to(self, contact: Contact, hop: Hop) -> None:
        """The contact as it is registered now: perhaps by another flow or path than before."""
        self.contact = contact
        self.hop = hop
        self.flow = contact.flow
        self.sent_on: Flow | None = None
        self.is_gone = False
        routes = "".join(f"Route: {route}\r\n" for route in contact.routes)
        self.to_line = f"\r\n{routes}To: <{self.aor}>\r\nCall-ID: ".encode("utf-8", "surrogateescape")
        self.size = len(self.to_line) + len(self.call_end) + len(contact.uri) + self.overhead

    def head_for(self, flow: Flow, sent_by: str) -> bytes:
        """Request line and Via as far as the branch; kept while the flow stays the same."""
        if flow != self.sent_on:
            self.head = (
                f"MESSAGE {self.contact.uri} SIP/2.0\r\nVia: SIP/2.0/{flow.transport.upper()} {sent_by};rport;branch="
            ).encode("utf-8", "surrogateescape")
        self.sent_on = flow
        return self.head

    def tail_for(self, dispatch: Dispatch) -> bytes:
        """All that follows the branch."""
        return b"".join((self.to_line, dispatch.call_base, self.call_end, dispatch.shared))

    def size_of(self, dispatch: Dispatch) -> int:
        """Bytes of a copy at most: what depends on the flow, which depends on the size, is counted by its longest."""
        return self.size + dispatch.size
