#!/usr/bin/env python3
"""Check the model of rooms, and the code against it: `make spec`, or `.venv/bin/python spec/check_rooms.py`.

- Each exploration of the Quint model is whole (its last frontier is empty), breaks no law, and has the recorded size.
- Every clause that the model knows is reached; every clause of the core is in the model, or below with a reason.
- The graphs in graph/ are the model's, and room.m is made from them; ``--write`` writes both anew.
- Rumur finds as many rooms and judgements for 3 users as Quint did, and no law broken for 6.
- Each mutant is refuted, by the law that it names; and each law has a mutant that it refutes, so that none is idle.
- The tours in traces/ are those that the rules give (conformance/model/).
- `imc.rooms` decides as the graphs say, edge by edge (tests/spec/test_graph.py).

Needs Quint (`npm ci` in spec/), rumur and a C compiler. Exit status: 0 all as expected, 1 not, 2 a program is missing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import murphi_mutants
import room_graph
import room_murphi
import room_mutants
import room_quint

SPEC = Path(__file__).resolve().parent
GRAPHS = SPEC / "graph"
USUAL = "usual"
TYPED = (USUAL, "world_all")  # the runs that check the types of their file, for all runs of it
# Users and serials for Rumur. With one serial, an invitation is told from another of its user by the inviter alone.
MANY = ((6, 1),)
DEEP = ((6, 2), (7, 1))

# Clauses of the core that are not about who may do what, who is told, and what becomes of the room.
NOT_MODELLED = {
    "R-ADDR-1": "addresses are numbers here",
    "R-ROLE-1": "it says what the numbers of `Standing` are ordered by",
    "R-JUDGE-2": "`apply` is a pure function, and each exploration puts every request to it in every room",
    "R-CMD-1": "commands are read already",
    "R-CMD-2": "commands are read already",
    "R-INVITE-7": "it changes nothing, and delivery is no part of the model",
    "R-MSG-3": "by R-INV-2: recipients are a function of the room as the message finds it",
    "R-MSG-5": "words",
    "R-MSG-6": "words",
    "R-MSG-7": "words",
    "R-ANSWER-3": "there is one room",
    "R-NOTICE-3": "words",
    "R-HISTORY-5": "words",
    "R-HISTORY-7": "what was said is no part of the model, nor are the settings of a room",
    "R-LIMIT-2": "R-CREATE-4 under another name",
    "R-LIMIT-3": "R-CMD-5, R-MSG-8, R-LIST-4 under another name",
    **dict.fromkeys(
        ("R-ADMIN-1", "R-ADMIN-2", "R-ADMIN-3", "R-ADMIN-4", "R-ADMIN-5", "R-ADMIN-6"),
        "operators are no users of the model: tests/rooms/test_operators.py holds the invariants through their acts",
    ),
}

SIZES = (("worlds", "skies", "houses"), ("steps", "judgements"))  # states and transitions of room_server_all.qnt

Json = Any


class Report:
    """Prints what was found, and remembers whether anything was wrong."""

    def __init__(self) -> None:
        self.is_good = True

    def line(self, words: str) -> None:
        print(words, flush=True)

    def wrong(self, words: str) -> None:
        self.is_good = False
        print(f"WRONG: {words}", flush=True)


def named_clauses(text: str) -> set[str]:
    """The clauses that a text cites; `R-ADDR-4, -7` is two."""
    found = set(re.findall(r"R-[A-Z]+-\d+", text))
    for family, rest in re.findall(r"R-([A-Z]+)-\d+((?:, -\d+)+)", text):
        found |= {f"R-{family}-{number}" for number in re.findall(r"\d+", rest)}
    return found


def _without_comments(text: str) -> str:
    return re.sub(r"//.*", "", text)


def check_clauses(report: Report, graphs: dict[str, Json]) -> None:
    text = "".join(_without_comments((SPEC / model).read_text()) for model in room_quint.MODELS)
    known = set(re.findall(r'"(R-[A-Z]+-\d+)"', (SPEC / "room.qnt").read_text()))
    known |= set(re.findall(r'clause: "(R-[A-Z]+-\d+)"', text))
    reached = {outcome["clause"] for graph in graphs.values() for outcome in graph["outcomes"]}
    report.line(f"clauses reached: {len(known & reached)} of {len(known)}")
    if known - reached:
        report.wrong(f"never reached: {', '.join(sorted(known - reached))}")
    prose = (SPEC / "room.md").read_text()
    if unknown := known - named_clauses(prose):
        report.wrong(f"in the model, and not in room.md: {', '.join(sorted(unknown))}")
    core = set(re.findall(r"^\*\*(R-[A-Z]+-\d+)\*\* (?:MUST, |SHOULD, )?core\.", prose, re.MULTILINE))
    cited = named_clauses(text)
    report.line(f"clauses of the core in the model: {len(core & cited)} of {len(core)}, {len(NOT_MODELLED)} left out")
    missing = core - cited - set(NOT_MODELLED)
    if missing:
        report.wrong(f"in room.md, and neither in the model nor left out: {', '.join(sorted(missing))}")
    if stale := set(NOT_MODELLED) - (core - cited):
        report.wrong(f"left out, and there all the same or not of the core: {', '.join(sorted(stale))}")


def check_explorations(report: Report, found: list[room_quint.Found], is_writing: bool) -> dict[str, Json]:
    """Report on each, compare or write their graphs, and give these by name."""
    graphs: dict[str, Json] = {}
    states = transitions = 0
    broken: set[str] = set()
    for one in found:
        search, name = one.search, one.run.name
        if failures := search.get("failures"):
            laws = {failure["law"] for failure in failures}
            report.wrong(f"{name}: {', '.join(sorted(laws))} broken; by {failures[0]['edge']}")
            broken |= laws
        if one.error:
            report.wrong(f"{name}: {one.error}")
            broken |= set(room_mutants.laws()[one.run.main])  # for all that this run shows
        if not search:
            continue
        if one.run.main != "room_all":
            size, steps = (next(search[key] for key in keys if key in search) for keys in SIZES)
        else:
            size, steps = len(search["rooms"]), search["judgements"]
            graphs[name] = room_graph.graph_of(name, search)
            check_file(report, GRAPHS / f"{name.replace(' ', '-')}.json", room_graph.render(graphs[name]), is_writing)
        report.line(f"{name}: {size} states, {steps} transitions, last frontier {search['frontier'] or 'empty'}")
        states, transitions = states + size, transitions + steps
    report.line(f"states: {states}, transitions: {transitions}")
    check_invariants(report, broken)
    stale = {path.name for path in GRAPHS.glob("*.json")} - {f"{name.replace(' ', '-')}.json" for name in graphs}
    if stale:
        report.wrong(f"graphs that are no run's: {', '.join(sorted(stale))}")
    return graphs


def check_invariants(report: Report, broken: set[str]) -> None:
    """Those of room.md are laws of the model, and hold."""
    laws = [law for found in room_mutants.laws().values() for law in found]
    invariants: dict[str, set[str]] = {}
    for law in laws:
        if law.startswith("R-INV-"):
            invariants.setdefault(law.split()[0], set()).add(law)
    held = sum(not (found & broken) for found in invariants.values())
    report.line(f"invariants: {held} of {len(invariants)} hold, among {len(laws)} laws")
    stated = set(re.findall(r"^\*\*(R-INV-\d+)\*\*", (SPEC / "room.md").read_text(), re.MULTILINE))
    if stated != set(invariants):
        report.wrong(f"invariants of room.md or of the model alone: {', '.join(sorted(stated ^ set(invariants)))}")


def check_file(report: Report, path: Path, text: str, is_writing: bool) -> None:
    if is_writing:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        report.wrong(f"{path.relative_to(SPEC.parent)} is stale: python spec/check_rooms.py --write")


def rumur_runs(options: argparse.Namespace) -> list[tuple[int, int, str]]:
    """(users, serials, symmetry), the longest first."""
    many = (*MANY, *DEEP) if options.deep else MANY
    return [*((users, serials, "heuristic") for users, serials in many), (3, 2, "off"), (3, 2, "exhaustive")]


def check_murphi(
    report: Report, graph: Json, model: str, found: dict[tuple[int, int, str], room_murphi.Checked]
) -> None:
    """``found`` is what Rumur said of ``model``, which must be the one that the graph gives."""
    rooms, classes = room_murphi.orbits(graph)
    requests = len(graph["edges"][0]) // 3
    wanted = {(3, 2, "off"): (rooms, rooms * requests), (3, 2, "exhaustive"): (classes, classes * requests)}
    for (users, serials, symmetry), checked in found.items():
        figures = f"{checked.states} states, {checked.rules_fired} transitions"
        report.line(f"rumur, {users} users, {serials} serials, symmetry {symmetry}: {figures}, {checked.seconds:.0f} s")
        size = wanted.get((users, serials, symmetry))
        if checked.error:
            report.wrong(checked.error)
        elif size and size != (checked.states, checked.rules_fired):
            report.wrong(f"Quint found {size[0]} states and {size[1]} transitions")
    if {mutant.law for mutant in murphi_mutants.MUTANTS} != murphi_mutants.asserted(model):
        report.wrong("what room.m asserts is not what the mutants of murphi_mutants.py break")


def check_murphi_mutants(report: Report, broken: dict[murphi_mutants.Mutant, str]) -> None:
    for mutant, law in broken.items():
        report.line(f"  {mutant.name}: {law or 'not refuted'}  [{mutant.what}]")
        if law != mutant.law:
            report.wrong(f"{mutant.name} should be refuted by {mutant.law}")
    refuted = sum(law == mutant.law for mutant, law in broken.items())
    report.line(f"rumur mutants refuted: {refuted} of {len(broken)}")


def check_mutants(report: Report, verdicts: list[room_mutants.Verdict]) -> None:
    for verdict in verdicts:
        report.line(f"  {verdict.mutant.name}: {', '.join(verdict.laws) or 'not refuted'}  [{verdict.way}]")
        if verdict.error:
            report.wrong(f"{verdict.mutant.name}: {verdict.error}")
    refuted = sum(not verdict.error for verdict in verdicts)
    report.line(f"mutants refuted: {refuted} of {len(verdicts)}")
    laws = room_mutants.laws()
    idle = room_mutants.unwatched([verdict.mutant for verdict in verdicts])
    total = sum(map(len, laws.values()))
    report.line(f"laws that refute a mutant by name: {total - sum(map(len, idle.values()))} of {total}")
    for module, names in idle.items():
        report.wrong(f"{module}: laws without a mutant, or mutants without a law: {', '.join(sorted(names))}")


def test_code() -> subprocess.CompletedProcess[str]:
    tests = SPEC.parent / "tests" / "spec" / "test_graph.py"
    command = [sys.executable, "-m", "pytest", "-q", str(tests)]
    return subprocess.run(command, cwd=SPEC.parent, capture_output=True, text=True, check=False)  # noqa: S603


def check_code(report: Report, done: subprocess.CompletedProcess[str]) -> None:
    report.line(f"code graph equal: {'yes' if done.returncode == 0 else 'no'}")
    if done.returncode != 0:
        report.wrong(done.stdout[-3000:] + done.stderr[-3000:])


def make_tour(scratch: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "conformance", "traces", str(scratch)]
    return subprocess.run(command, cwd=SPEC.parent, capture_output=True, text=True, check=False)  # noqa: S603


def check_tour(report: Report, scratch: Path, done: subprocess.CompletedProcess[str]) -> None:
    """The committed walks are those that the rules give."""
    if done.returncode != 0:
        report.wrong(done.stderr[-3000:])
    for line in done.stdout.splitlines():
        report.line(line)
        name = line.partition(":")[0]
        if (SPEC / "traces" / name).read_bytes() != (scratch / name).read_bytes():
            report.wrong(f"spec/traces/{name} is stale: make traces")


# What is looked for, and who brings it: the packages are Debian's.
PROGRAMS = {"node": "nodejs", "rumur": "rumur", "cc": "gcc"}


def missing_programs() -> list[str]:
    """What is missing, and what brings it."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    packages = " ".join(PROGRAMS[program] for program in absent)
    missing = [f"{', '.join(absent)} (Debian: apt-get install {packages})"] if absent else []
    return missing if room_quint.QUINT.exists() else [*missing, "quint (npm ci in spec/; Debian: apt-get install npm)"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the model of rooms, and the code against it.")
    parser.add_argument("--write", action="store_true", help="write graph/ and room.m anew, without looking further")
    parser.add_argument("--deep", action="store_true", help="more users too: some minutes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many runs at a time")
    options = parser.parse_args()
    if missing := missing_programs():
        print(f"missing: {', '.join(missing)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    report = Report()
    workers = room_quint.Workers(options.jobs)
    with (
        closing(workers),
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        check(report, options, workers, pool, Path(folder))
    report.line(f"{'all as expected' if report.is_good else 'NOT as expected'}, {time.monotonic() - began:.0f} s")
    return 0 if report.is_good else 1


def check(
    report: Report,
    options: argparse.Namespace,
    workers: room_quint.Workers,
    pool: ThreadPoolExecutor,
    scratch: Path,
) -> None:
    """Everything is begun at once, the longest first, and looked at in the order of the report."""
    runs = (*room_quint.SERVER_RUNS, *room_quint.graph_runs())
    explorations = [pool.submit(room_quint.explore, workers, run, scratch, is_typed=run.name in TYPED) for run in runs]
    if options.write:
        GRAPHS.mkdir(exist_ok=True)
        graphs = check_explorations(report, [one.result() for one in explorations], is_writing=True)
        check_file(report, room_murphi.MODEL, room_murphi.render(graphs[USUAL]), is_writing=True)
        return
    model = room_murphi.MODEL.read_text()
    rumur = {
        run: pool.submit(room_murphi.check, model, run[0], run[1], scratch, symmetry=run[2])
        for run in rumur_runs(options)
    }
    code, tour = pool.submit(test_code), pool.submit(make_tour, scratch)
    refutations = [pool.submit(room_mutants.refute, workers, mutant, scratch) for mutant in room_mutants.mutants()]
    of_rumur = {one: pool.submit(murphi_mutants.broken, one, model, scratch) for one in murphi_mutants.MUTANTS}
    graphs = check_explorations(report, [one.result() for one in explorations], is_writing=False)
    check_clauses(report, graphs)
    check_mutants(report, [one.result() for one in refutations])
    if USUAL in graphs:
        try:
            check_file(report, room_murphi.MODEL, room_murphi.render(graphs[USUAL]), is_writing=False)
        except ValueError as error:
            report.wrong(f"no model for more users: {error}")
        check_murphi(report, graphs[USUAL], model, {run: one.result() for run, one in rumur.items()})
    check_murphi_mutants(report, {mutant: one.result() for mutant, one in of_rumur.items()})
    check_tour(report, scratch, tour.result())
    check_code(report, code.result())


if __name__ == "__main__":
    sys.exit(main())
