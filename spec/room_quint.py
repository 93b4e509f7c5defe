"""Runs of the Quint model, and what they found: `spec/check_rooms.py` uses this. Needs `npm ci` in spec/."""

from __future__ import annotations

import json
import queue
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

SPEC = Path(__file__).resolve().parent
QUINT = SPEC / "node_modules" / "@informalsystems" / "quint"
MODELS = ("room.qnt", "room_laws.qnt", "room_all.qnt", "room_server.qnt", "room_server_all.qnt")

INVARIANTS = ("isLawful", "isWhole", "isAsRecorded")


class Run(NamedTuple):
    """One exploration: its module, and which of the runs in it."""

    main: str
    init: str = "init"

    @property
    def file(self) -> str:
        return "room_all.qnt" if self.main == "room_all" else "room_server_all.qnt"

    @property
    def name(self) -> str:
        return self.init.removeprefix('explore("').removesuffix('")') if self.main == "room_all" else self.main


class Found(NamedTuple):
    """``search`` is what an exploration found, ``error`` what Quint said where it failed."""

    run: Run
    search: dict[str, Any]
    error: str


def graph_runs() -> list[Run]:
    """Those of one room, by the names in room_all.qnt."""
    text = (SPEC / "room_all.qnt").read_text()
    names = re.findall(r'^    "([a-z ]+)" +-> asRun', text, re.MULTILINE)
    return [Run("room_all", f'explore("{name}")') for name in names]


SERVER_RUNS = [Run("world_all"), Run("sky_all"), Run("house_all")]


def run_of(name: str) -> Run:
    """KeyError for a name that is no run's."""
    return {run.name: run for run in (*graph_runs(), *SERVER_RUNS)}[name]


class Workers:
    """Processes of Quint, each of which takes one run after the other. For use by several threads; close it."""

    def __init__(self, count: int) -> None:
        self._idle: queue.Queue[subprocess.Popen[str]] = queue.Queue()
        self._all = [self._started() for _ in range(count)]
        for process in self._all:
            self._idle.put(process)

    def _started(self) -> subprocess.Popen[str]:
        command = ["node", "--max-semi-space-size=64", str(SPEC / "room_quint.cjs")]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603

    def run(self, job: dict[str, object]) -> str:
        """What Quint said where it failed, else nothing."""
        process = self._idle.get()
        try:
            if process.stdin is None or process.stdout is None:
                raise ValueError("a worker has pipes")
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        finally:
            self._idle.put(process)
        return str(json.loads(line)["error"]) if line else "Quint ended"

    def close(self) -> None:
        for process in self._all:
            process.terminate()
            process.communicate()


def explore(
    workers: Workers,
    run: Run,
    scratch: Path,
    models: Path = SPEC,
    *,
    invariants: tuple[str, ...] = INVARIANTS,
    is_typed: bool = True,
) -> Found:
    """Run Quint once. ``models`` is the folder of the .qnt files, ``scratch`` one for its trace."""
    trace = scratch / f"{run.name.replace(' ', '-')}.itf.json"
    error = workers.run(
        {
            "input": str(models / run.file),
            "main": run.main,
            "init": run.init,
            "invariants": invariants,
            "outItf": str(trace),
            "isTyped": is_typed,
        }
    )
    search = read_trace(trace)[-1]["search"] if trace.exists() else {}
    return Found(run, search, error)


def read_trace(path: Path) -> list[dict[str, Any]]:
    """The states of a trace in the Informal Trace Format. Sets become lists, maps lists of pairs."""
    states: list[dict[str, Any]] = json.loads(path.read_text(), object_hook=_plain)["states"]
    return states


def _plain(value: dict[str, Any]) -> Any:
    if "#bigint" in value:
        return int(value["#bigint"])
    for mark in ("#set", "#map", "#tup"):
        if mark in value:
            return value[mark]
    return value
