"""What the parts count while they work, in a form that costs next to nothing: histograms and tallies of plain numbers.

They are written and read on the event loop alone. A label comes from a fixed set: never a user, a room or an address.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0)


class Histogram:
    """How often values up to each bound were seen; ``counts`` has one more, for what is beyond the last bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> Histogram:
        found = Histogram(self.bounds)
        found.counts = self.counts[:]
        found.total = self.total
        return found

    def quantile(self, share: float) -> float:
        """A bound that this share (0 … 1) of the values does not exceed; the last one where they do; 0 of none."""
        wanted, seen = share * sum(self.counts), 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound if seen else 0.0
        return self.bounds[-1]


Labels = tuple[str, ...]


class Tally(dict[Labels, int]):
    """How often, by labels."""

    __slots__ = ()

    def add(self, *labels: str) -> None:
        self[labels] = self.get(labels, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The ones of this daemon. Seconds are of the event loop's clock.

    ``requests``: method, status of the final answer. ``judged``: what was asked of a room, status. ``refusals``:
    clause, event. ``limits``: the limit of [limits] that refused something. ``calls``: RPC method, ``ok`` or ``error``.
    ``answer_seconds``: from a request that was accepted to its final answer. ``delivery_seconds``: from a decision to
    the moment at which each of its copies was confirmed, had failed, or had to wait in the database.
    """

    requests: Tally = field(default_factory=Tally)
    judged: Tally = field(default_factory=Tally)
    refusals: Tally = field(default_factory=Tally)
    limits: Tally = field(default_factory=Tally)
    calls: Tally = field(default_factory=Tally)
    answer_seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    delivery_seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    commit_seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    commit_size: Histogram = field(default_factory=lambda: Histogram(SIZES))

    def tallies(self) -> dict[str, Mapping[Labels, int]]:
        """A copy of each, by its name here."""
        names = ("requests", "judged", "refusals", "limits", "calls")
        return {name: dict(getattr(self, name)) for name in names}

    def histograms(self) -> dict[str, Histogram]:
        names = ("answer_seconds", "delivery_seconds", "commit_seconds", "commit_size")
        return {name: getattr(self, name).copy() for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All figures of one moment: those of `imc.app.Daemon.statistics` by name, and the measures by theirs."""

    figures: Mapping[str, int]
    tallies: Mapping[str, Mapping[Labels, int]]
    histograms: Mapping[str, Histogram]
