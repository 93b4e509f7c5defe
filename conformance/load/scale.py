"""What a server costs as it grows: each point of an axis on a server that was started for it, several times each.

Invariants: the works of a point are done in order, each measured alone; memory is read before the first one, after the
one that brings in what the point is about, and in the end. A point that a server is not ready for is a failure of that
point, and the rest is measured all the same.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance.drivers.spawn import free_port
from conformance.load import preload, proc
from conformance.load.axes import Axis, Point
from conformance.load.compare import Machine
from conformance.load.figures import Figures, quantile
from conformance.load.measure import AFTERWARDS, Options, SetupFailed, Stage, measure_on, refusals, staged
from conformance.load.servers import CannotStart, Imc, Server

FORMAT = "imc-conformance scale 1"
_WITHIN = 900.0
_MANY = 10_000_000  # more than any point has of anything
# Bounds beyond the largest point, but those on what is in memory, and on what a list names.
_BOUNDS = [
    "limits.enabled=true",
    *(
        f"{name}={_MANY}"
        for name in (
            "registrar.max_bindings", "limits.max_members", "limits.max_rooms", "limits.max_rooms_per_owner",
            "limits.sender_burst", "limits.sender_rate", "limits.room_burst", "limits.room_rate",
        )
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """One work at one point: microseconds of CPU, seconds until an answer. ``resent``: deliveries that the server
    repeated, though each was answered at once. ``is_complete``: all granted and heard."""

    cpu_per_request: float | None
    cpu_per_delivery: float | None
    answer_p50: float
    answer_p99: float
    resent: int
    is_complete: bool

    @classmethod
    def of(cls, figures: Figures) -> Cost:
        return cls(
            figures.cpu_per_request,
            figures.cpu_per_delivery,
            figures.answer_p50,
            figures.answer_p99,
            figures.resent_by_server,
            figures.is_complete,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A point on a server, once. ``start_cpu``: seconds of CPU time until it has answered. Megabytes; ``idle``: when it
    has answered for the first time, ``filled``: with what the point is about in memory, ``used``: after all works."""

    start_seconds: float
    start_cpu: float
    pss_idle: float
    rss_idle: float
    pss_filled: float
    pss_used: float
    rss_used: float
    costs: dict[str, Cost]
    foreign_cores: float


@dataclass(slots=True)
class Series:
    """A point on each server: what was found, in the order of the repetitions, and why it was not."""

    axis: str
    size: int
    kept: int
    members: int
    registered: int
    found: dict[str, list[Found]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def is_complete(self, server: str) -> bool:
        runs = self.found.get(server, [])
        is_whole = all(cost.is_complete for run in runs for cost in run.costs.values())
        return bool(runs) and is_whole and not self.failures.get(server)

    def median(self, server: str, value: Callable[[Found], float | None]) -> float | None:
        values = [each for run in self.found.get(server, ()) if (each := value(run)) is not None]
        return statistics.median(values) if values else None

    def cost(self, server: str, work: str, name: str) -> float | None:
        """The median of a figure of a work."""
        return self.median(server, lambda run: getattr(run.costs[work], name) if work in run.costs else None)

    def bytes_each(self, server: str) -> float | None:
        """What each of the rooms that were brought in added to the memory, or each member where it is one room."""
        count = self.kept if self.kept > 1 else self.members
        grown = self.median(server, lambda run: run.pss_filled - run.pss_idle)
        return None if grown is None else grown * 2**20 / count


@dataclass(slots=True)
class Growth:
    """All that was measured. ``versions`` by the servers' names."""

    versions: dict[str, str]
    machine: Machine
    began: str
    series: list[Series] = field(default_factory=list)

    def of(self, axis: str) -> list[Series]:
        return [each for each in self.series if each.axis == axis]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "began": self.began,
            "machine": asdict(self.machine),
            "servers": self.versions,
            "points": [asdict(each) for each in self.series],
        }

    @classmethod
    def from_json(cls, data: Any) -> Growth:
        """ValueError: it is something else."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"not {FORMAT}")
        try:
            growth = cls(data["servers"], Machine(**data["machine"]), data["began"])
            growth.series = [_series(point) for point in data["points"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not {FORMAT}: {error}") from None
        return growth

    def add(self, other: Growth) -> None:
        """Points of another time; what was measured again on a server takes the place of what was."""
        self.versions |= other.versions
        points = {(each.axis, each.size): each for each in self.series}
        for each in other.series:
            before = points.get((each.axis, each.size))
            if before is None:
                self.series.append(each)
            else:
                before.found |= each.found
                again = each.found.keys() | each.failures.keys()
                before.failures = {server: why for server, why in before.failures.items() if server not in again}
                before.failures |= each.failures


def _series(point: dict[str, Any]) -> Series:
    found = {
        server: [Found(**{**run, "costs": {work: Cost(**cost) for work, cost in run["costs"].items()}}) for run in runs]
        for server, runs in point["found"].items()
    }
    return Series(**{**point, "found": found})


Progress = Callable[[str, int, str, int], None]
"""Told before each run: the axis, the size, the server, the repetition from 1 on."""


def grow(
    axes: Sequence[tuple[Axis, Sequence[int]]],
    servers: Sequence[Server],
    options: Options,
    *,
    repeat: int,
    progress: Progress,
) -> Growth:
    """Measure each size of each axis. SinkDied, OSError; CannotStart: a server cannot be started at all."""
    growth = Growth(
        {server.name: server.version() for server in servers},
        Machine.here(),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    for axis, sizes in axes:
        for size in sizes:
            point = axis.point(size)
            series = Series(axis.name, size, point.kept, point.members, point.registered)
            growth.series.append(series)
            for repetition in range(1, repeat + 1):
                for server in servers if axis.is_common else servers[:1]:
                    progress(axis.name, size, server.name, repetition)
                    try:
                        series.found.setdefault(server.name, []).append(measure_point(point, server, options))
                    except (CannotStart, SetupFailed) as error:
                        series.failures.setdefault(server.name, []).append(str(error))
    return growth


def measure_point(point: Point, server: Server, options: Options) -> Found:
    """Start the server for it, do the works, end the server. CannotStart, SetupFailed, SinkDied."""
    options = replace(options, limit=_WITHIN)
    if isinstance(server, Imc):
        server, options = _furnished(point, options)
    with staged(server, point.rooms, options) as stage:
        start_cpu, begin = proc.cpu_seconds(stage.pids), proc.memory(stage.pids)
        filled, foreign, costs = begin, [], {}
        for work in point.works:
            if work.name == "rooms" and not isinstance(server, Imc):
                continue  # Kamailio's answer has a buffer of 32 KB
            figures = measure_on(stage, work)
            stage.tally.forget()
            foreign.append(figures.foreign_cores)
            costs[work.name] = Cost.of(figures)
            if work.name == point.filled:
                filled = proc.memory(stage.pids)
        if point.refreshes:
            costs["refresh"] = _refresh(stage, point.refreshes)
        end = proc.memory(stage.pids)
        assert stage.server.start_seconds is not None
        return Found(
            start_seconds=stage.server.start_seconds,
            start_cpu=start_cpu,
            pss_idle=begin.pss,
            rss_idle=begin.rss,
            pss_filled=filled.pss,
            pss_used=end.pss,
            rss_used=end.rss,
            costs=costs,
            foreign_cores=max(foreign),
        )


def _furnished(point: Point, options: Options) -> tuple[Imc, Options]:
    """imc with its bounds for this, and bindings where the point has them."""
    if not point.registered:
        return Imc(_BOUNDS), options
    port = free_port("127.0.0.1")

    def prepare(database: Path) -> None:
        preload.register(database, point.registered, options.names, lambda _user: f"127.0.0.1:{port}")

    return Imc(_BOUNDS, prepare), replace(options, is_registered=True, sink_port=port)


def _refresh(stage: Stage, count: int) -> Cost:
    """Users register again, where they were registered before."""
    contact = f"127.0.0.1:{stage.options.sink_port}"
    before = proc.cpu_seconds(stage.pids)
    sent = stage.sender.run(
        (stage.sender.register(user, contact) for user in range(count)), outstanding=16, seconds=stage.options.limit
    )
    stage.sender.run((), outstanding=1, seconds=AFTERWARDS, is_done=lambda: False)
    spent = proc.cpu_seconds(stage.pids) - before
    answers = [each.answered - each.at for each in sent if each.status]
    return Cost(
        spent / max(1, len(answers)) * 1e6,
        None,
        quantile(answers, 0.5),
        quantile(answers, 0.99),
        0,
        not refusals(sent),
    )
