"""The last hour in figures: samples of the statistics in a ring, so that a page opened now has something to show.

Counters are kept as they are: whoever draws them takes differences. A sample of now is added to each answer, and not
kept. Latencies are those of what was answered since the sample before, None where nothing was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import trio

from imc.measures import Histogram

INTERVAL = 5.0  # seconds
KEPT = 720  # an hour

COUNTERS = (
    "room_messages", "room_copies", "room_commands", "refusals", "limits_hit", "delivered", "failed", "timed_out",
    "put_off", "dead_letters", "requests_accepted", "messages_muted", "udp_received", "udp_sent",
)  # fmt: skip
GAUGES = (
    "active_rooms", "rooms_in_memory", "members_in_memory", "bindings", "queued", "waiting", "jobs",
    "server_transactions", "client_transactions", "writes_waiting", "subscriptions",
)  # fmt: skip
_SHARES = {"latency_p50": 0.5, "latency_p95": 0.95, "latency_p99": 0.99}  # ms
NAMES = (*COUNTERS, *GAUGES, *_SHARES)

Sample = tuple[float | None, ...]
"""Unix seconds, then a value for each of `NAMES`."""


class Samples:
    """``latency`` is a histogram in seconds; ``wall`` gives unix seconds. `run` it as a task."""

    def __init__(
        self, statistics: Callable[[], Mapping[str, float]], latency: Histogram, wall: Callable[[], float]
    ) -> None:
        self._statistics = statistics
        self._latency = latency
        self._wall = wall
        self._seen: Sequence[int] = latency.counts[:]
        self._kept: deque[tuple[float, Sample]] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._kept.append((self._wall(), self.now()))
            self._seen = self._latency.counts[:]
            await trio.sleep(INTERVAL)

    def now(self) -> Sample:
        figures = self._statistics()
        fresh = [now - before for now, before in zip(self._latency.counts, self._seen, strict=True)]
        shares = (percentile(self._latency.bounds, fresh, share) for share in _SHARES.values())
        return (self._wall(), *(figures.get(name, 0) for name in COUNTERS + GAUGES), *shares)

    def since(self, when: float) -> list[Sample]:
        """Those after ``when``, the oldest first, and last one of now."""
        return [*(sample for taken, sample in self._kept if taken > when), self.now()]


def percentile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The milliseconds that this share of the values stays below, as if they lay evenly between two bounds; None of
    none."""
    sums = list(accumulate(counts))
    if not sums[-1]:
        return None
    wanted = share * sums[-1]
    index = bisect_left(sums, wanted)
    if index >= len(bounds):
        return bounds[-1] * 1_000
    below, beneath = (bounds[index - 1], sums[index - 1]) if index else (0.0, 0)
    return round((below + (bounds[index] - below) * (wanted - beneath) / counts[index]) * 1_000, 2)
