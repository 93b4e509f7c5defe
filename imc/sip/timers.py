"""One coarse timer wheel for everything that waits.

Invariants

- An entry is the waiting object itself: it has an attribute ``due``, the number of the tick it waits for, 0 when it
  waits for none. No timer object exists beside it.
- An entry waits for one tick at most. To schedule it again moves it; to cancel it is to set ``due`` to 0. What is left
  behind in the older bucket is recognised by its ``due`` when the bucket comes up, and skipped.
- An entry never fires early, and less than one granularity late when `advance` is called at `next_deadline`.
- Scheduling costs one dict lookup and one append. A bucket that nobody waits for does not exist.

The wheel has no ring: its buckets are keyed by tick, and a heap of the ticks in use (at most 20 a second come new at
the default granularity) says which one is next. So there is no horizon and no overflow list.
"""

from __future__ import annotations

import heapq
import math
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """What can be scheduled. ``due`` belongs to the wheel; others may only set it to 0, which cancels."""

    due: int


Entry = TypeVar("Entry", bound=Timed)

_ROUNDING = 1e-6  # of a tick: keeps 3 * 0.05 s, which is 0.15000000000000002, on tick 3


class TimerWheel(Generic[Entry]):
    """Deadlines in seconds of whatever monotonic clock the caller lives by, which must not be negative."""

    __slots__ = ("_buckets", "_granularity", "_rate", "_tick", "_ticks")

    def __init__(self, granularity: float = 0.05) -> None:
        if granularity <= 0:
            raise ValueError("granularity must be positive")
        self._granularity = granularity
        self._rate = 1 / granularity
        self._buckets: dict[int, list[Entry]] = {}
        self._ticks: list[int] = []  # heap of the keys of _buckets
        self._tick = 0  # all ticks up to this one have fired

    def schedule(self, entry: Entry, deadline: float) -> None:
        """Let ``entry`` fire at ``deadline`` and at no other time. One in the past fires at the next tick."""
        tick = self.tick_of(deadline)
        if tick <= self._tick:
            tick = self._tick + 1
        if tick == entry.due:
            return
        entry.due = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [entry]
            heapq.heappush(self._ticks, tick)
        else:
            bucket.append(entry)

    def next_deadline(self) -> float | None:
        """When to call `advance`; None when nothing waits. May be too early after a cancel, never too late."""
        return self._ticks[0] * self._granularity if self._ticks else None

    def tick_of(self, deadline: float) -> int:
        """The tick at which an entry with this deadline fires, if it is scheduled before."""
        return math.ceil(deadline * self._rate - _ROUNDING)

    def time_of(self, tick: int) -> float:
        """When a tick fires."""
        return tick * self._granularity

    def advance(self, now: float) -> list[Entry]:
        """The entries whose deadline has come, in order of their ticks. Each then waits for nothing."""
        current = math.floor(now * self._rate + _ROUNDING)
        fired: list[Entry] = []
        while self._ticks and self._ticks[0] <= current:
            tick = heapq.heappop(self._ticks)
            for entry in self._buckets.pop(tick):
                if entry.due == tick:
                    entry.due = 0
                    fired.append(entry)
        self._tick = max(self._tick, current)
        return fired

    def __len__(self) -> int:
        """Entries held, those left behind included: what the wheel costs in memory."""
        return sum(map(len, self._buckets.values()))
