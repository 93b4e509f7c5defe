#!/usr/bin/env python3
"""Check the models of the SIP transactions and of a delivery lane: `python spec/check_lanes.py`.

Needs spin and a C compiler (Debian: apt-get install spin gcc), and nothing beside Python's standard library.

- `transaction_rows.pml` must be what the tables in `imc.sip.transactions` make (``--write-rows`` writes it).
- Each run is an exhaustive search: no property is violated, no end is wrong, and every row of the tables is used.
- Each mutant is a model with one mistake in it: some property must refute it, the one that is named with it.
- So must one each model in which an action of a row is left out, but for those of `HARMLESS`, which says why.
- Each limit is a promise that nobody makes, and is refuted too: it shows where the clauses of spec/sip.md end.

Exit status: 0 all as expected, 1 not, 2 a program is missing. ``--show NAME`` prints how a mutant or limit is refuted.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lane_rows
from lane_mutants import (
    DEEP_RUNS,
    EXCHANGE,
    HARMLESS,
    LANE,
    LARGE,
    LIMITS,
    MUTANTS,
    PROPERTIES,
    RUNS,
    TRANSACTION,
    Change,
    Mutant,
    Run,
    row,
)
from lane_rows import SPEC

_VIOLATED = re.compile(r"assertion violated .*?\bp_([a-z0-9_]+)\)* \(at depth")
_NO_PROGRESS = re.compile(r"^pan:1: (acceptance cycle|invalid end state) ", re.MULTILINE)
_FIGURES = re.compile(r"^ *([0-9.e+]+) (states, stored|transitions)", re.MULTILINE)
_UNREACHED = re.compile(rf"{re.escape(lane_rows.FILE)}:(\d+), state \d+, \"(?!assert\(p_row\))")
PROGRAMS = {"spin": "spin", "cc": "gcc"}  # and Debian's packages that bring them
MEMORY = 3000  # MiB, at most, for one search


class Outcome(NamedTuple):
    """``refuted`` names the property, "" where the search is whole; ``unused`` are lines of rows never taken."""

    refuted: str
    states: int
    transitions: int
    unused: tuple[int, ...]
    seconds: float
    trace: str


def search(run: Run, changes: Iterable[Change] = (), *, has_trace: bool = False) -> Outcome:
    """One exhaustive search in a folder of its own. RuntimeError where spin, the compiler or the search fails."""
    files = {name: (SPEC / name).read_text() for name in (TRANSACTION, LANE, lane_rows.FILE)}
    for change in changes:
        change(files)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="imc-spec-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_text(content)
        # -o3: steps are not merged, so that each row is seen to be used. -O0: the compiler costs more than the search,
        # but for those that are whole and large.
        effort = "-O1" if run in LARGE and not changes else "-O0"
        _call(folder, "spin", "-a", *(["-o3"] if run == EXCHANGE else []), *run.flags, run.model)
        kind = ("-DNFAIR=4",) if run.is_live else ("-DSAFETY",)
        _call(folder, "cc", effort, "-w", *kind, f"-DMEMLIM={MEMORY}", "-o", "pan", "pan.c")
        report = _call(folder, "./pan", "-m200000", *(("-a", "-f") if run.is_live else ()))
        refuted = _refuted(report)
        trace = _call(folder, "spin", "-t", *run.flags, run.model, may_fail=True) if refuted and has_trace else ""
    figures = {what: int(float(number)) for number, what in _FIGURES.findall(report)}
    unused = tuple(sorted({int(line) for line in _UNREACHED.findall(report)}))
    return Outcome(
        refuted,
        figures.get("states, stored", 0),
        figures.get("transitions", 0),
        unused,
        time.monotonic() - begun,
        trace,
    )


def _call(folder: str, *command: str, may_fail: bool = False) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode and not may_fail:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _refuted(report: str) -> str:
    if "errors: 0" in report and "Search not completed" not in report:
        return ""
    violated = _VIOLATED.search(report)
    if violated is not None:
        return violated[1]
    if _NO_PROGRESS.search(report) is not None:
        return "progress"
    raise RuntimeError(f"the search did not end: {report[-2000:]}")


def without_an_action() -> list[Mutant]:
    """One mutant for each action of each row: the row without it."""
    return [
        Mutant(
            " ".join((*each.key, action)),
            HARMLESS.get((*each.key, action), ""),
            EXCHANGE,
            "",
            (row(*each.key, " ".join(other for other in each.actions if other != action), each.next),),
        )
        for each in lane_rows.read_rows()
        for action in each.actions
    ]


# -- the report -------------------------------------------------------------------------------------------------------


class Report:
    """Prints as it goes, and counts what is not as expected."""

    def __init__(self, jobs: int) -> None:
        self._pool = ThreadPoolExecutor(jobs)
        self.faults = 0

    def fault(self, words: str) -> None:
        self.faults += 1
        print(f"  NOT AS EXPECTED: {words}", flush=True)

    def rows(self) -> None:
        is_fresh = (SPEC / lane_rows.FILE).read_text() == lane_rows.generated()
        print(
            f"{lane_rows.FILE}: {len(lane_rows.read_rows())} rows, as the code has them: {'yes' if is_fresh else 'NO'}"
        )
        if not is_fresh:
            self.fault("write the rows anew (--write-rows), then look at what has changed")

    def runs(self, runs: Sequence[Run]) -> None:
        print("\nSearches: all states, all orders")
        for run, outcome in zip(runs, self._pool.map(search, runs), strict=True):
            options = " ".join(f"{name.lower()}={value}" for name, value in run.options)
            verdict = f"REFUTED by {outcome.refuted}" if outcome.refuted else "holds"
            states = f"{outcome.states:>9,} states {outcome.transitions:>11,} transitions {outcome.seconds:5.1f} s"
            print(f"  {run.name:14} {options:34} {states}  {verdict}", flush=True)
            if outcome.refuted:
                self.fault(f"{run.name}: {outcome.refuted}")
            if run == EXCHANGE:
                self._used(outcome)

    def _used(self, outcome: Outcome) -> None:
        lines = (SPEC / lane_rows.FILE).read_text().splitlines()
        for number in outcome.unused:
            self.fault(f"a row that is never used: {lines[number - 1].strip()}")

    def mutants(self, title: str, mutants: Sequence[Mutant]) -> None:
        print(f"\n{title}")
        refuted = 0
        for mutant, outcome in zip(mutants, self._pool.map(_search_mutant, mutants), strict=True):
            refuted += bool(outcome.refuted)
            print(f"  {mutant.name:32} {outcome.refuted or 'NOT REFUTED':12} {mutant.why}", flush=True)
            if outcome.refuted != mutant.by:
                self.fault(f"{mutant.name} should be refuted by {mutant.by}")
        print(f"  refuted {refuted} of {len(mutants)}")

    def actions(self) -> None:
        print("\nRows with one action left out")
        mutants = without_an_action()
        kept = harmless = 0
        for mutant, outcome in zip(mutants, self._pool.map(_search_mutant, mutants), strict=True):
            if not outcome.refuted:
                kept += 1
                harmless += bool(mutant.why)
                print(f"  {mutant.name:48} not refuted: {mutant.why or 'NOT EXPLAINED'}", flush=True)
            if bool(mutant.why) is bool(outcome.refuted):
                self.fault(f"{mutant.name}: {outcome.refuted or 'nothing'} refutes it")
        print(f"  refuted {len(mutants) - kept} of {len(mutants)}, {harmless} harmless")


def _search_mutant(mutant: Mutant) -> Outcome:
    return search(mutant.run, mutant.changes)


def show(name: str) -> int:
    """How one mutant or limit is refuted."""
    for mutant in (*MUTANTS, *LIMITS, *without_an_action()):
        if mutant.name == name:
            outcome = search(mutant.run, mutant.changes, has_trace=True)
            print(f"{mutant.name}: {mutant.why}\nrefuted by: {outcome.refuted or 'nothing'}")
            print(outcome.trace)
            return 0
    print(f"no mutant or limit {name!r}", file=sys.stderr)
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the models of the transactions and of a delivery lane.")
    parser.add_argument("--write-rows", action="store_true", help=f"write {lane_rows.FILE} from the code's tables")
    parser.add_argument("--quick", action="store_true", help="the searches only, no mutants")
    parser.add_argument("--deep", action="store_true", help="a larger search too: minutes, and 3 GB")
    parser.add_argument("--jobs", type=int, default=2, help="searches at a time (2)")
    parser.add_argument("--show", metavar="NAME", help="print how a mutant or limit is refuted")
    options = parser.parse_args(arguments)
    if options.write_rows:
        (SPEC / lane_rows.FILE).write_text(lane_rows.generated())
        return 0
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        packages = " ".join(PROGRAMS[program] for program in missing)
        print(f"missing: {', '.join(missing)} (Debian: apt-get install {packages})", file=sys.stderr)
        return 2
    if options.show:
        return show(options.show)
    begun = time.monotonic()
    report = Report(options.jobs)
    steps: list[Callable[[], None]] = [report.rows, lambda: report.runs(RUNS + (DEEP_RUNS if options.deep else ()))]
    if not options.quick:
        steps += [
            lambda: report.mutants("Mutants, and the property that refutes each", MUTANTS),
            report.actions,
            lambda: report.mutants("Limits: what is not promised", LIMITS),
        ]
    for step in steps:
        step()
    names = ", ".join(name.replace("_", "-") for name in PROPERTIES)
    print(f"\n{len(PROPERTIES)} properties: {names}\n{time.monotonic() - begun:.0f} s, {report.faults} not as expected")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
