"""Deliveries by request and recipient, put together from what the sinks saw.

A datagram with a Via that was seen before is a retransmission. The same request for the same recipient with another Via
was told twice. What names no request counts for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from conformance.load.message import UNKNOWN
from conformance.load.sink import Seen
from conformance.load.works import Ask


@dataclass(slots=True)
class Tally:
    """``first``: number of a request → recipient → when it came for the first time, in monotonic seconds."""

    first: dict[int, dict[int, float]] = field(default_factory=dict)
    repeated: int = 0
    again: dict[int, dict[int, int]] = field(default_factory=dict)
    unattributed: int = 0
    last: float = 0.0
    _vias: set[int] = field(default_factory=set)

    def forget(self) -> None:
        """Begin anew, with what is a retransmission still known."""
        self.first.clear()
        self.again.clear()
        self.unattributed, self.last = 0, 0.0

    def add(self, batches: Iterable[Seen]) -> None:
        """What one or more sinks saw, in any order between them."""
        vias = self._vias
        for seen in batches:
            for time, user, number, via in zip(*seen, strict=True):
                if via in vias:
                    self.repeated += 1
                    continue
                vias.add(via)
                self.last = max(self.last, time)
                if UNKNOWN in (number, user):
                    self.unattributed += 1
                    continue
                users = self.first.setdefault(number, {})
                if user in users:
                    told = self.again.setdefault(number, {})
                    told[user] = told.get(user, 0) + 1
                    users[user] = min(users[user], time)
                else:
                    users[user] = time


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of the asks: each delivery that had to be is counted once.

    ``lost`` had to be and were not, ``unexpected`` came to others than the audience and the sender of a command,
    ``duplicates`` came once more. ``last`` has for each ask all of whose audience heard of it the time of the last one.
    """

    deliveries: int
    lost: int
    unexpected: int
    duplicates: int
    last: Mapping[int, float]


def heard(tally: Tally, asked: Mapping[int, Ask], told: int) -> Heard:
    """Hold deliveries against what had to be; ``asked`` by the numbers of the requests, ``told`` as in `Work`.

    Notices that do not name their command make up for those that commands lack.
    """
    deliveries, lost, unexpected, duplicates = 0, 0, 0, 0
    rest, last = told, {}
    for number, ask in asked.items():
        users = tally.first.get(number, {})
        duplicates += sum(count for user, count in tally.again.get(number, {}).items() if _counts(ask, user))
        deliveries += len(users)
        if ask.audience is None:
            others = users.keys() - {ask.sender}
            rest -= len(others)
            if users:
                last[number] = max(users.values())
            continue
        times = [users[user] for user in ask.audience if user in users]
        if ask.command is None:
            lost += len(ask.audience) - len(times)
            unexpected += len(users) - len(times)
        else:
            rest += len(ask.audience) - len(times)
        if times and len(times) == len(ask.audience):
            last[number] = max(times)
    lost += max(0, rest - tally.unattributed)
    return Heard(deliveries + tally.unattributed, lost, unexpected, duplicates, last)


def _counts(ask: Ask, user: int) -> bool:
    """A command's sender may be told in several messages: a long list has pages."""
    return ask.command is None or user != ask.sender
