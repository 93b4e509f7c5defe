"""The last hour in figures: samples of the statistics in a ring, so that a page that is opened now has something to show.

Counters are kept as they are: whoever draws them takes differences. A sample of now is added to each answer, and not
kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import trio

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
NAMES = COUNTERS + GAUGES

Sample = tuple[float, ...]
"""Unix seconds, then a value for each of `NAMES`."""


class Samples:
    """``wall`` gives unix seconds. `run` it as a task."""

    def __init__(self, statistics: Callable[[], Mapping[str, float]], wall: Callable[[], float]) -> None:
        self._statistics = statistics
        self._wall = wall
        self._kept: deque[Sample] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._kept.append(self.now())
            await trio.sleep(INTERVAL)

    def now(self) -> Sample:
        figures = self._statistics()
        return (self._wall(), *(figures.get(name, 0) for name in NAMES))

    def since(self, when: float) -> list[Sample]:
        """Those after ``when``, the oldest first, and last one of now."""
        return [*(sample for sample in self._kept if sample[0] > when), self.now()]
