"""Windows: how much goes out to one next hop at once (spec S-LANE-11).

Lanes whose hop has no credit wait with it; what is heard of the hop, or `REFILL` of silence, lets them go on.
"""

from __future__ import annotations

from collections import deque

from imc.delivery.hops import REFILL, Hop
from imc.delivery.lanes import Lane


class Windows:
    """Lanes that may go on are put at the head of ``ready``: they have waited. ``refill_at`` is when to call `tick`."""

    __slots__ = ("_full", "_ready", "refill_at")

    def __init__(self, ready: deque[Lane]) -> None:
        self._ready = ready
        self._full: set[Hop] = set()
        self.refill_at: float | None = None

    def block(self, hop: Hop, lane: Lane, now: float) -> bool:
        """Until the hop has been heard of, or `REFILL` has passed. True where `tick` has to be called sooner than was
        known."""
        hop.blocked.append(lane)
        self._full.add(hop)
        if self.refill_at is not None:
            return False
        self.refill_at = now + REFILL
        return True

    def tick(self, now: float) -> None:
        """Let those go on that waited for a hop that is silent."""
        if self.refill_at is None or now < self.refill_at:
            return
        for hop in list(self._full):
            self._ready.extendleft(hop.refill())
            if not hop.blocked:
                self._full.discard(hop)
        self.refill_at = now + REFILL if self._full else None

    def heard(self, hop: Hop) -> None:
        """Of a next hop, by a final answer."""
        if hop.blocked:
            self._ready.extendleft(hop.answered())
        elif hop.credit < hop.window:
            hop.credit += 1
