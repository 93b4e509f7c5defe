"""The figures as a table: for each work both servers and their ratio."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from conformance.load import figures
from conformance.load.compare import Comparison, Result
from conformance.load.figures import Figures

NOTHING = "–"
_WIDTH = 72
_BUSY = 0.85
_DISTURBED = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """A figure: its name, what the table calls it, and by what it is multiplied. ``is_fault``: shown where not 0."""

    name: str
    title: str
    scale: float = 1.0
    digits: int = 0
    is_fault: bool = False


ROWS = (
    Row("deliveries_per_second", "deliveries/s"),
    Row("requests_per_second", "answers/s"),
    Row("cpu_per_delivery", "CPU per delivery, µs", digits=1),
    Row("cpu_per_request", "CPU per message in, µs"),
    Row("answer_p50", "answer p50, ms", 1e3, 1),
    Row("answer_p99", "answer p99, ms", 1e3, 1),
    Row("last_p50", "last delivery p50, ms", 1e3, 1),
    Row("last_p99", "last delivery p99, ms", 1e3, 1),
    Row("seconds", "all of it, s", digits=2),
    Row("resent_by_us", "requests sent again"),
    Row("resent_by_server", "deliveries sent again"),
    Row("lost", "deliveries lost"),
    Row("duplicates", "delivered twice", is_fault=True),
    Row("unexpected", "delivered to others", is_fault=True),
    Row("refused", "requests refused", is_fault=True),
    Row("unanswered", "requests unanswered", is_fault=True),
    Row("pss_idle", "PSS before, MB"),
    Row("pss", "PSS after, MB"),
    Row("rss_peak", "RSS at most, MB"),
    Row("start_seconds", "start, s", digits=2),
    Row("busiest", "busiest of ours, % of a core", 100),
    Row("sink_drops", "lost by the sinks", is_fault=True),
    Row("foreign_cores", "other programs, cores", digits=2),
)


def render(comparison: Comparison) -> Group:
    """A table for each work: a column for each server, and the ratio of the first to the second."""
    machine = comparison.machine
    where = f"{machine.cores} cores, {machine.system}, load {machine.load}; recipients by {comparison.reach}"
    return Group(Text(where), *(_table(comparison, result) for result in comparison.results))


def _table(comparison: Comparison, result: Result) -> Table:
    servers = list(comparison.versions)
    failures = [
        f"{server} failed: {why}" for server, failed in result.failures.items() for why in dict.fromkeys(failed)
    ]
    table = Table(
        title=Text(f"{result.name}: {result.work.about}", "bold"),
        title_justify="left",
        caption=Text("\n".join(failures)) if failures else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        min_width=_WIDTH,
    )
    table.add_column("", no_wrap=True)
    for server in servers:
        table.add_column(Text(comparison.versions[server]), justify="right")
    if len(servers) > 1:
        table.add_column("ratio", justify="right", min_width=6)
    for row in ROWS:
        if cells := _cells(row, result, servers):
            table.add_row(row.title, *cells)
    return table


def _cells(row: Row, result: Result, servers: list[str]) -> list[str]:
    runs = [result.runs.get(server, []) for server in servers]
    if row.is_fault and not any(figures.middle(each, row.name) or max_of(each, row.name) for each in runs):
        return []
    if all(figures.middle(each, row.name) is None for each in runs):
        return []
    cells = [cell(row, each) for each in runs]
    if len(runs) > 1:
        found = figures.ratio(runs[0], runs[1], row.name)
        cells.append(NOTHING if found is None else f"{found:.2f}")
    return cells


def max_of(runs: list[Figures], name: str) -> float:
    """The largest of a figure; 0 where it is not known."""
    return max(figures.values(runs, name), default=0.0)


def cell(row: Row, runs: list[Figures]) -> str:
    """The median; with the smallest and the largest where there are several that differ."""
    middle, found = figures.middle(runs, row.name), figures.values(runs, row.name)
    if middle is None:
        return NOTHING

    def text(value: float) -> str:
        return f"{value * row.scale:,.{row.digits}f}"

    low, high = text(min(found)), text(max(found))
    return text(middle) if low == high else f"{text(middle)} ({low}–{high})"


def doubts(comparison: Comparison) -> list[str]:
    """Why figures may say less of the server than they seem to: sentences."""
    said, foreign = [], 0.0
    for result in comparison.results:
        for server, runs in result.runs.items():
            where = f"{result.name} on {server}"
            if max_of(runs, "busiest") > _BUSY:
                said.append(f"{where}: a sink or the sender was busy all the time; use more sinks, or another machine.")
            if drops := max_of(runs, "sink_drops"):
                said.append(f"{where}: the sinks lost {drops:.0f} datagrams, which the server had to send again.")
            foreign = max(foreign, max_of(runs, "foreign_cores"))
    if foreign > _DISTURBED:
        said.append(f"Other programs used up to {foreign:.1f} cores meanwhile: trust ratios only.")
    return said
