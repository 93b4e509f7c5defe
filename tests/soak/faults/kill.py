"""kill -9 at random moments under load, and a new start; also while it starts, and while it sends what was left.

After each kill the database must have each rite's room as it was answered (spec R-DURABLE-3); once the load has been
settled, every text that had its 202 and every notice of a command that had its 200 must have come (R-DURABLE-1).
``end`` does the same with SIGTERM, which is no excuse for anything that comes twice.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from tests.soak.crowd import Shape
from tests.soak.outcome import Outcome, Plan, Work
from tests.soak.stand import SQLITE, Stand, finish, stand

_RUNS_AT_MOST = 0.3
_STARTS_AT_MOST = 0.3
_SERVES_FIRST, _NORMAL_WITHIN = 0.7, 5.0  # else it may be killed before it has answered anything
_KILLED_WHILE_STARTING = 0.3
_BETWEEN_SETTLING = 40
_SMALL = Shape(users=6, rites=2)


async def _kill_round(on: Stand, chance: random.Random) -> None:
    excuse = on.ledger.excuse("crash")
    on.daemon.kill()
    await on.check_rites()
    while chance.random() < _KILLED_WHILE_STARTING:
        on.daemon.spawn()
        await trio.sleep(chance.uniform(0.0, _STARTS_AT_MOST))
        on.crowd.nudge()
        on.daemon.kill()
    on.ledger.fault_ends()
    await on.start()
    on.ledger.pardon(excuse)


async def _end_round(on: Stand, _chance: random.Random) -> None:
    status = await trio.to_thread.run_sync(partial(on.daemon.stop, signal.SIGTERM))
    if status:
        last = on.daemon.log.read_text().splitlines()[-1:]
        on.ledger.verdict.blame(f"SIGTERM ended the daemon with {status}: {last}")
    await on.check_rites()
    on.ledger.fault_ends()
    await on.start()


async def _rounds(
    plan: Plan, outcome: Outcome, db_url: str, one: Callable[[Stand, random.Random], Awaitable[None]]
) -> Outcome:
    chance = random.Random(f"{plan.seed}.{outcome.fault}")
    shape = _SMALL if plan.is_small else Shape(seed=plan.seed)
    async with stand(shape, db_url) as on:
        began = trio.current_time()
        left = outcome.rounds
        while left:
            async with on.crowd.load():
                for _ in range(min(left, _BETWEEN_SETTLING)):
                    if chance.random() < _SERVES_FIRST:
                        await on.wait_normal(_NORMAL_WITHIN)
                    await trio.sleep(chance.uniform(0.0, _RUNS_AT_MOST))
                    await one(on, chance)
                    left -= 1
            await on.settle()
            plan.say(
                f"{outcome.fault}: {outcome.rounds - left} of {outcome.rounds}, {on.ledger.verdict.delivered} delivered"
            )
        finish(outcome, on, began)
    outcome.figures["rounds_per_minute"] = 60 * outcome.rounds / outcome.seconds
    outcome.notes.append(f"{outcome.figures['rounds_per_minute']:.0f} rounds a minute")
    return outcome


async def _on_sqlite(plan: Plan) -> Outcome:
    return await _rounds(plan, Outcome(fault="kill-sqlite", rounds=plan.rounds_or(1_000, 3)), SQLITE, _kill_round)


async def _on_server(kind: str, plan: Plan) -> Outcome:
    outcome = Outcome(fault=f"kill-{kind}", rounds=plan.rounds_or(100, 2))
    with plan.server(kind) as found:
        return await _rounds(plan, outcome, found.create_database(), _kill_round)


async def _end(plan: Plan) -> Outcome:
    return await _rounds(plan, Outcome(fault="end", rounds=plan.rounds_or(50, 2)), SQLITE, _end_round)


WORKS: dict[str, Work] = {
    "kill-sqlite": _on_sqlite,
    "kill-mariadb": partial(_on_server, "mariadb"),
    "kill-postgresql": partial(_on_server, "postgresql"),
    "end": _end,
}
