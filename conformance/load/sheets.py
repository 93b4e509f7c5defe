"""The figures of growth as sheets: a row for each size, for a terminal, a page, or a drawing.

A sheet has one unit. Of two servers each column stands twice, the second one's beside the first's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from conformance.load.axes import AXES, Axis
from conformance.load.scale import Growth, Series

NOTHING = "–"
_DISTURBED = 0.5
Value = Callable[[Series, str], float | None]


@dataclass(frozen=True, slots=True)
class Sheet:
    """``name`` is that of a file; ``columns`` are a name and a value for each of ``sizes``."""

    name: str
    title: str
    size_title: str
    unit: str
    sizes: Sequence[int]
    columns: Sequence[tuple[str, Sequence[float | None]]]


def sheets(growth: Growth) -> list[Sheet]:
    """For each axis that was measured: CPU, answers, memory, start; what nothing is known of is left out."""
    found = []
    for axis in AXES.values():
        series = sorted(growth.of(axis.name), key=lambda each: each.size)
        columns: dict[str, list[tuple[str, Value]]] = {
            "cpu": _cpu(axis, series),
            "answer": _costs(series, "answer_p50", 1e3),
            "slow": _costs(series, "answer_p99", 1e3),
            "memory": _memory(axis),
            "start": [("time", _of(lambda run: run.start_seconds)), ("CPU time", _of(lambda run: run.start_cpu))],
            "bytes": [(f"each {_EACH[axis.name]}", Series.bytes_each)] if axis.name in _EACH else [],
        }
        found += [_sheet(growth, axis, what, values) for what, values in columns.items() if series]
    return [sheet for sheet in found if sheet.columns]


def _sheet(growth: Growth, axis: Axis, what: str, values: list[tuple[str, Value]]) -> Sheet:
    series = sorted(growth.of(axis.name), key=lambda each: each.size)
    servers = [server for server in growth.versions if any(server in each.found for each in series)]
    columns = [
        (name if len(servers) == 1 else f"{server}: {name}", [value(each, server) for each in series])
        for server in servers
        for name, value in values
    ]
    known = [(name, column) for name, column in columns if any(value is not None for value in column)]
    title, unit = _TITLES[what]
    return Sheet(
        f"{axis.name}-{what}", f"{axis.title}: {title}", axis.unit, unit, [each.size for each in series], known
    )


_EACH = {"memory": "room of ten", "members": "member"}
_TITLES = {
    "cpu": ("CPU time of each request", "µs"),
    "answer": ("time to an answer, median", "ms"),
    "slow": ("time to an answer, 99th percentile", "ms"),
    "memory": ("memory, PSS", "MB"),
    "start": ("start until OPTIONS is answered", "s"),
    "bytes": ("memory, PSS", "bytes"),
}


def _works(series: list[Series]) -> list[str]:
    return list(
        dict.fromkeys(work for each in series for runs in each.found.values() for run in runs for work in run.costs)
    )


def _costs(series: list[Series], name: str, scale: float) -> list[tuple[str, Value]]:
    def value(work: str) -> Value:
        def of(each: Series, server: str) -> float | None:
            cost = each.cost(server, work, name)
            return None if cost is None else cost * scale

        return of

    return [(work, value(work)) for work in _works(series)]


def _cpu(axis: Axis, series: list[Series]) -> list[tuple[str, Value]]:
    """For each request; where all of a large room are told, for each delivery."""
    if axis.name != "members":
        return _costs(series, "cpu_per_request", 1.0)
    told = ("reach", "texts", "joins")
    delivered = [
        (f"{name}, a delivery", value) for name, value in _costs(series, "cpu_per_delivery", 1.0) if name in told
    ]
    return delivered + [one for one in _costs(series, "cpu_per_request", 1.0) if one[0] not in told]


def _memory(axis: Axis) -> list[tuple[str, Value]]:
    return [
        ("at first", _of(lambda run: run.pss_idle)),
        (f"after {'all' if axis.name == 'memory' else 'first'}", _of(lambda run: run.pss_filled)),
        ("in the end", _of(lambda run: run.pss_used)),
    ]


def _of(value: Callable[..., float]) -> Value:
    return lambda each, server: each.median(server, value)


def text(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return NOTHING
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def terminal(growth: Growth) -> Group:
    """All sheets as tables."""
    machine = growth.machine
    where = f"{machine.cores} cores, {machine.system}, load {machine.load}; " + ", ".join(growth.versions.values())
    return Group(Text(where), *map(_table, sheets(growth)))


def _table(sheet: Sheet) -> Table:
    table = Table(title=Text(f"{sheet.title}, {sheet.unit}", "bold"), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(sheet.size_title, justify="right")
    for name, _ in sheet.columns:
        table.add_column(Text(name), justify="right")
    for row in _rows(sheet):
        table.add_row(*row)
    return table


def page(growth: Growth) -> str:
    """All sheets as Markdown."""
    machine = growth.machine
    parts = [
        "# Figures of growth",
        f"Written by `imc-conformance scale` on {growth.began[:10]}: {', '.join(growth.versions.values())}; "
        f"{machine.cores} cores, {machine.system}, Python {machine.python}, load {machine.load} at the start.",
    ]
    for sheet in sheets(growth):
        head = [sheet.size_title, *(name for name, _ in sheet.columns)]
        lines = [head, ["---:"] * len(head), *_rows(sheet)]
        parts.append(f"## {sheet.title}, {sheet.unit}")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts) + "\n"


def _rows(sheet: Sheet) -> list[list[str]]:
    return [
        [f"{size:,}", *(text(column[index]) for _, column in sheet.columns)] for index, size in enumerate(sheet.sizes)
    ]


def doubts(growth: Growth) -> list[str]:
    """Why figures may say less than they seem to, and what is missing: sentences."""
    said = [
        f"{each.axis} {each.size:,} on {server}: {why}"
        for each in growth.series
        for server, failed in each.failures.items()
        for why in dict.fromkeys(failed)
    ]
    said += [
        f"{each.axis} {each.size:,} on {server}: not all was granted and heard ({', '.join(incomplete)})."
        for each in growth.series
        for server, runs in each.found.items()
        if (incomplete := sorted({work for run in runs for work, cost in run.costs.items() if not cost.is_complete}))
    ]
    said += [
        f"{each.axis} {each.size:,} on {server}: {again:,} deliveries were sent again, though each was answered at "
        "once; the CPU time has that in it."
        for each in growth.series
        for server, runs in each.found.items()
        if (again := sum(cost.resent for run in runs for cost in run.costs.values()))
    ]
    foreign = max(
        (run.foreign_cores for each in growth.series for runs in each.found.values() for run in runs), default=0
    )
    if foreign > _DISTURBED:
        said.append(f"Other programs used up to {foreign:.1f} cores meanwhile: times until an answer mean little.")
    return said
