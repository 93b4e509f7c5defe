"""The figures of a run, the middle of several, and their ratio."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed (nearest rank); NaN where there is none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One work on one server, once. Seconds are those of the clock from the first request on; CPU is of the server's
    whole process tree; megabytes. None: not known, as CPU without a process id."""

    requests: int
    answered: int
    statuses: dict[str, int] = field(default_factory=dict)
    deliveries: int
    seconds: float
    answer_seconds: float
    cpu_seconds: float | None
    answer_p50: float
    answer_p99: float
    last_p50: float
    last_p99: float
    resent_by_us: int
    resent_by_server: int
    lost: int
    unexpected: int
    duplicates: int
    refused: int
    rss_peak: float | None
    pss_idle: float | None
    pss: float | None
    start_seconds: float | None
    sink_shares: list[float]
    sender_share: float
    sink_drops: int
    foreign_cores: float

    @property
    def deliveries_per_second(self) -> float:
        return self.deliveries / self.seconds if self.deliveries else math.nan

    @property
    def requests_per_second(self) -> float:
        return self.answered / self.answer_seconds

    @property
    def cpu_per_delivery(self) -> float | None:
        """Microseconds."""
        return self.cpu_seconds / self.deliveries * 1e6 if self.cpu_seconds is not None and self.deliveries else None

    @property
    def cpu_per_request(self) -> float | None:
        """Microseconds."""
        return self.cpu_seconds / self.answered * 1e6 if self.cpu_seconds is not None and self.answered else None

    @property
    def unanswered(self) -> int:
        return self.requests - self.answered

    @property
    def is_complete(self) -> bool:
        """Everything was answered with a 2xx, and everybody heard what they had to, and nothing else."""
        return not (self.lost or self.unanswered or self.refused or self.unexpected or self.duplicates)

    @property
    def busiest(self) -> float:
        """How much of a core the busiest of our own processes needed."""
        return max([*self.sink_shares, self.sender_share])

    def to_json(self) -> dict[str, Any]:
        derived = {name: getattr(self, name) for name in _DERIVED}
        return {name: _plain(value) for name, value in {**asdict(self), **derived}.items()}


_DERIVED = ("deliveries_per_second", "requests_per_second", "cpu_per_delivery", "cpu_per_request", "unanswered")
NUMBERS = (*(each.name for each in fields(Figures) if each.name not in ("statuses", "sink_shares")), *_DERIVED)


def values(runs: Sequence[Figures], name: str) -> list[float]:
    """A figure of each run in which it is known."""
    found = [getattr(run, name) for run in runs]
    return [float(value) for value in found if value is not None and not math.isnan(value)]


def middle(runs: Sequence[Figures], name: str) -> float | None:
    """The median of a figure."""
    found = values(runs, name)
    return statistics.median(found) if found else None


def ratio(ours: Sequence[Figures], theirs: Sequence[Figures], name: str) -> float | None:
    """The median of ours by the median of theirs. None: one is not known, or theirs is nothing."""
    mine, other = middle(ours, name), middle(theirs, name)
    return None if mine is None or not other else mine / other


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
