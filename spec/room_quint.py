"""Runs of the Quint model, and what they found: `spec/check_rooms.py` uses this. Needs `npm ci` in spec/."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

SPEC = Path(__file__).resolve().parent
QUINT = SPEC / "node_modules" / ".bin" / "quint"
MODELS = ("room.qnt", "room_laws.qnt", "room_all.qnt", "room_server.qnt", "room_server_all.qnt")

_INVARIANTS = ("isLawful", "isWhole", "isAsRecorded")


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


def explore(run: Run, scratch: Path, models: Path = SPEC, *, invariants: tuple[str, ...] = _INVARIANTS) -> Found:
    """Run Quint once, offline. ``models`` is the folder of the .qnt files, ``scratch`` one for its trace."""
    trace = scratch / f"{run.name.replace(' ', '-')}.itf.json"
    done = subprocess.run(  # noqa: S603
        [
            str(QUINT), "run", str(models / run.file), "--backend", "typescript", "--verbosity", "1",
            "--max-samples", "1", "--max-steps", "0", "--main", run.main, "--init", run.init,
            "--out-itf", str(trace), "--invariants", *invariants,
        ],
        env=os.environ | {"NODE_OPTIONS": "--max-semi-space-size=64"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    error = "" if done.returncode == 0 else (done.stdout + done.stderr).strip()
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
