"""A second daemon on the same database, by mistake: it is refused in plain words, and the first one notices nothing."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path

import trio

from conformance.drivers.spawn import free_port
from tests.daemon import Daemon
from tests.soak.crowd import Shape
from tests.soak.outcome import Outcome, Plan, Work
from tests.soak.stand import CONFIG, Stand, finish, stand

_WORDS = "another imc daemon uses the database"


def _try_second(on: Stand, db_url: str, outcome: Outcome) -> None:
    with tempfile.TemporaryDirectory(prefix="imc-second-") as folder:
        second = Daemon(Path(folder), CONFIG.format(db_url=db_url, port=free_port("127.0.0.1")))
        done = second.imc("serve")
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    said = [line.get("error", "") for line in lines if line.get("event") == "not-started"]
    if done.returncode != 1 or len(said) != 1 or _WORDS not in said[0]:
        outcome.blame(f"a second daemon ended with {done.returncode}: {done.stderr[-300:]}")
    elif f"it says: {said[0]}" not in outcome.notes:
        outcome.notes.append(f"it says: {said[0]}")


async def _rounds(plan: Plan, outcome: Outcome, db_url: str, folder: Path) -> Outcome:
    shape = Shape(users=6, rites=2) if plan.is_small else Shape(seed=plan.seed)
    async with stand(shape, db_url, folder) as on:
        began, said = trio.current_time(), on.daemon.log.read_text()
        async with on.crowd.load():
            for _ in range(outcome.rounds):
                await trio.to_thread.run_sync(_try_second, on, db_url, outcome)
        await on.settle()
        if on.daemon.log.read_text() != said:
            outcome.blame(f"the first one says: {on.daemon.log.read_text().removeprefix(said)[:300]}")
        finish(outcome, on, began)
    return outcome


async def _on_sqlite(plan: Plan) -> Outcome:
    outcome = Outcome(fault="second-sqlite", rounds=plan.rounds_or(5, 1))
    with tempfile.TemporaryDirectory(prefix="imc-soak-") as folder:
        return await _rounds(plan, outcome, f"sqlite:///{folder}/imc.db", Path(folder))


async def _on_server(kind: str, plan: Plan) -> Outcome:
    outcome = Outcome(fault=f"second-{kind}", rounds=plan.rounds_or(5, 1))
    with tempfile.TemporaryDirectory(prefix="imc-soak-") as folder, plan.server(kind) as found:
        return await _rounds(plan, outcome, found.create_database(), Path(folder))


WORKS: dict[str, Work] = {
    "second-sqlite": _on_sqlite,
    "second-mariadb": partial(_on_server, "mariadb"),
    "second-postgresql": partial(_on_server, "postgresql"),
}
