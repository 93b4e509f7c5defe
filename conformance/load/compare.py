"""Works on one server, or on two in turn (A B A B …): all figures, in one run of one machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from conformance.load import figures
from conformance.load.figures import Figures
from conformance.load.measure import Options, SetupFailed, measure
from conformance.load.servers import CannotStart, Server
from conformance.load.works import Work

FORMAT = "imc-conformance load 1"


@dataclass(slots=True)
class Result:
    """A work on each server: ``runs`` by the server's name, in the order of the repetitions; ``failures`` likewise."""

    work: Work
    name: str
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def is_complete(self, server: str) -> bool:
        """Whether the server did all of it, each time."""
        return not self.failures.get(server) and all(run.is_complete for run in self.runs.get(server, ()))


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured, and how much else was going on there when it began."""

    cores: int
    system: str
    python: str
    load: float

    @classmethod
    def here(cls) -> Machine:
        system = f"{platform.system()} {platform.release()}"
        return cls(os.cpu_count() or 1, system, platform.python_version(), round(os.getloadavg()[0], 1))


@dataclass(slots=True)
class Comparison:
    """All that was measured. ``versions`` by the servers' names, the target first."""

    versions: dict[str, str]
    machine: Machine
    reach: str
    began: str
    results: list[Result] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Format ``FORMAT``: docs/reference/load.md says what each name means."""
        return {
            "format": FORMAT,
            "began": self.began,
            "machine": {name: getattr(self.machine, name) for name in ("cores", "system", "python", "load")},
            "servers": self.versions,
            "reach": self.reach,
            "works": [self._work(result) for result in self.results],
        }

    def _work(self, result: Result) -> dict[str, Any]:
        target, *others = self.versions
        found: dict[str, Any] = {
            "name": result.name,
            "about": result.work.about,
            "runs": {server: [run.to_json() for run in runs] for server, runs in result.runs.items()},
            "failures": result.failures,
            "median": {
                server: {name: figures.middle(runs, name) for name in figures.NUMBERS}
                for server, runs in result.runs.items()
            },
        }
        for other in others:
            ours, theirs = result.runs.get(target, []), result.runs.get(other, [])
            found["ratio"] = {name: figures.ratio(ours, theirs, name) for name in figures.NUMBERS}
        return found


Progress = Callable[[str, str, int], None]
"""Told before each run: the work, the server, the repetition from 1 on."""


def compare(
    works: Sequence[tuple[str, Work]],
    servers: Sequence[Server],
    options: Options,
    *,
    repeat: int,
    progress: Progress,
) -> Comparison:
    """Do each work on each server in turn, ``repeat`` times.

    What a server does not start or is not ready for is a failure of that work. CannotStart: it never started at all;
    SinkDied, OSError.
    """
    comparison = Comparison(
        {server.name: server.version() for server in servers},
        Machine.here(),
        "registrar" if options.is_registered else "proxy",
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    has_run = dict.fromkeys(comparison.versions, False)
    for name, work in works:
        result = Result(work, name)
        comparison.results.append(result)
        for repetition in range(1, repeat + 1):
            for server in servers:
                progress(name, server.name, repetition)
                try:
                    run = measure(work, server, options)
                    result.runs.setdefault(server.name, []).append(run)
                    has_run[server.name] = True
                except (SetupFailed, CannotStart) as error:
                    if isinstance(error, CannotStart) and not has_run[server.name]:
                        raise
                    result.failures.setdefault(server.name, []).append(str(error))
    return comparison
