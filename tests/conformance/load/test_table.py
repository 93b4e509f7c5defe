"""`conformance.load.table` and what `compare` writes: the same figures on a terminal and as JSON."""

from __future__ import annotations

import io
import json

from rich.console import Console

from conformance.load import table
from conformance.load.compare import FORMAT, Comparison, Machine, Result
from conformance.load.works import build
from tests.conformance.load.test_figures import run


def comparison(*servers: str) -> Comparison:
    versions = {server: f"{server} 1.0" for server in servers}
    return Comparison(versions, Machine(2, "Linux", "3.11", 0.5), "proxy", "2026-01-01T00:00:00+00:00")


def rendered(found: Comparison) -> list[list[str]]:
    """The cells of each line."""
    console = Console(file=io.StringIO(), width=120)
    console.print(table.render(found))
    assert isinstance(console.file, io.StringIO)
    return [[cell for cell in line.strip().split("  ") if cell] for line in console.file.getvalue().splitlines()]


def test_one_server() -> None:
    found = comparison("imc")
    found.results.append(Result(build("commands", 20), "commands", {"imc": [run()]}))
    lines = rendered(found)
    assert ["commands: 100 commands on 20 rooms"] in lines
    assert ["deliveries/s", " 50"] in [[cell.rstrip() for cell in line] for line in lines] or any(
        line[:1] == ["deliveries/s"] and line[-1].strip() == "50" for line in lines
    )
    assert not any(line[:1] == ["delivered twice"] for line in lines)


def test_two_servers_and_their_ratio() -> None:
    found = comparison("imc", "kamailio")
    runs = {"imc": [run(cpu_seconds=0.01), run(cpu_seconds=0.03)], "kamailio": [run(cpu_seconds=0.04, lost=3)]}
    found.results.append(Result(build("fan-out-100", 20), "fan-out-100", runs))
    lines = {line[0]: [cell.strip() for cell in line[1:]] for line in rendered(found) if line}
    assert lines["CPU per delivery, µs"] == ["200.0 (100.0–300.0)", "400.0", "0.50"]
    assert lines["deliveries lost"] == ["0", "3", "0.00"]
    assert lines["requests sent again"] == ["0", "0", table.NOTHING]


def test_what_is_not_known_and_what_failed() -> None:
    found = comparison("imc", "other")
    runs = {"imc": [run()], "other": [run(cpu_seconds=None, rss_peak=None, pss=None, pss_idle=None)]}
    found.results.append(Result(build("commands", 20), "commands", runs, {"other": ["warm-up: 403 ×2\nmore", "x"]}))
    lines = rendered(found)
    flat = {line[0]: [cell.strip() for cell in line[1:]] for line in lines if line}
    assert flat["CPU per delivery, µs"] == ["100.0", table.NOTHING, table.NOTHING]
    assert "other failed: warm-up: 403 ×2" in flat
    assert not found.results[0].is_complete("other")
    assert found.results[0].is_complete("imc")


def test_doubts() -> None:
    found = comparison("imc")
    bad = run(sender_share=0.95, sink_drops=7, foreign_cores=1.5)
    found.results.append(Result(build("commands", 20), "commands", {"imc": [run(), bad]}))
    busy, lost, others = table.doubts(found)
    assert "busy all the time" in busy
    assert "lost 7 datagrams" in lost
    assert "1.5 cores" in others


def test_json() -> None:
    found = comparison("imc", "kamailio")
    runs = {"imc": [run(seconds=1.0)], "kamailio": [run(seconds=4.0), run(seconds=2.0)]}
    found.results.append(Result(build("commands", 20), "commands", runs, {"imc": ["no"]}))
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (data["format"], data["servers"]["imc"], data["reach"]) == (FORMAT, "imc 1.0", "proxy")
    (work,) = data["works"]
    assert work["median"]["kamailio"]["seconds"] == 3.0
    assert work["ratio"]["seconds"] == 1 / 3
    assert len(work["runs"]["kamailio"]) == 2
    assert work["failures"] == {"imc": ["no"]}
