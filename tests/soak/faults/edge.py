"""The edge attacked for a long time, while users talk in rooms over all transports: `tests.soak.edge`.

Each work is some attacks at once: ``edge-flood``, ``edge-slow``, ``edge-churn``, ``edge-fuzz``, and all of them in
``edge-all``. What the users said arrives, whatever happens beside; memory is flat in the second half; descriptors and
tables are back at the end; nothing in the log is unforeseen.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from functools import partial

import trio

from tests.soak.edge.attack import Attack, Tally
from tests.soak.edge.churn import churn
from tests.soak.edge.flood import flood
from tests.soak.edge.garbage import garbage
from tests.soak.edge.site import Site, Times, site
from tests.soak.edge.slow import slow
from tests.soak.edge.watch import SLOW_TABLES, TABLES, Watch, faults_in, read
from tests.soak.outcome import Outcome, Plan, Work

_USUAL, _SMALL = 120.0, 3.0
_WINDOW = 30.0
_SOON = 10.0
_FORGET_AFTER = 33.0  # more than 64*T1
_QUIET_SHARE, _QUIET = 0.1, 10.0  # of the time, at most so many seconds: nobody attacks
_EVERY = 200  # readings
_SHOWN = 5


async def _edge(name: str, attacks: Sequence[Attack], plan: Plan) -> Outcome:
    seconds = plan.seconds_or(_USUAL, _SMALL)
    outcome = Outcome(fault=name)
    tally = Tally()
    async with site(5 if plan.is_small else 20, plan.seed, 0.05 if plan.is_small else 0.25) as on:
        began = trio.current_time()
        quiet = on.times = Times()
        await _talk(on, min(_QUIET, _QUIET_SHARE * seconds))
        watch = await Watch.begin(on)
        on.times = Times()
        # The answers to copies over UDP may get lost with the flood, for 64*T1: that is a silence (spec S-LANE-8).
        excuse = on.crowd.ledger.excuse("answers lost in the flood") if flood in attacks else None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run, on, max(0.5, seconds / _EVERY))
            for number, attack in enumerate(attacks):
                nursery.start_soon(attack, on, random.Random(f"{plan.seed}.{name}.{number}"), tally)
            await _windows(on, seconds, outcome, plan)
            nursery.cancel_scope.cancel()
        await on.crowd.settle()
        on.crowd.ledger.close()
        if excuse is not None:
            on.crowd.ledger.pardon(excuse)
        tables = TABLES if plan.is_small else (*TABLES, *SLOW_TABLES)
        for wrong in await watch.settle(on, tables):
            outcome.blame(wrong)
        after = read(on, 0.0)
        on.crowd.ledger.close()
        outcome.take(on.crowd.ledger, trio.current_time() - began)
        _judge(on, outcome, tally, quiet)
        watch.judge_memory(outcome, after)
        outcome.figures |= {"most": watch.most, "load_average": os.getloadavg()}
    return outcome


async def _talk(on: Site, seconds: float) -> None:
    """What has not arrived soon is looked for again after the next time, and is lost only when all is quiet."""
    async with on.crowd.load():
        await trio.sleep(seconds)
    with trio.move_on_after(_SOON):
        await on.crowd.settle()
    if not on.crowd.ledger.missing():
        on.crowd.ledger.close()
    else:
        on.late += 1


async def _windows(on: Site, seconds: float, outcome: Outcome, plan: Plan) -> None:
    """The attack goes on while what was said in one is settled."""
    end = trio.current_time() + seconds
    forgotten = trio.current_time()
    while (rest := end - trio.current_time()) > 0.1:
        await _talk(on, min(_WINDOW, rest))
        outcome.rounds += 1
        if trio.current_time() - forgotten > _FORGET_AFTER:
            forgotten = trio.current_time()
            on.crowd.each(lambda person: person.forget())
        verdict = on.crowd.ledger.verdict
        reading = read(on, 0.0)
        plan.say(
            f"{outcome.fault}: {verdict.delivered} delivered, {verdict.lost} lost, {on.times}; "
            f"{reading.megabytes:.1f} MB, {reading.descriptors} descriptors"
        )


def _judge(on: Site, outcome: Outcome, tally: Tally, quiet: Times) -> None:
    for wrong in tally.wrong:
        outcome.blame(wrong)
    faults = faults_in(on.daemon.log)
    for line in faults[:_SHOWN]:
        outcome.blame(f"in the log: {line}")
    refused = {status: count for status, count in outcome.statuses.items() if status != "202"}
    if refused:
        outcome.blame(f"users were answered otherwise than 202: {refused}")
    outcome.notes.append(f"users, before: {quiet}")
    outcome.notes.append(
        f"users, attacked: {on.times}; after {on.late} of {outcome.rounds} times copies were still to come"
    )
    outcome.notes += tally.notes
    held = {name: f"{len(found)} × at most {max(found):.1f} s" for name, found in sorted(tally.held.items())}
    for counts in (tally.counts, held):
        if counts:
            outcome.notes.append("; ".join(f"{key}: {value}" for key, value in sorted(counts.items())))
    outcome.figures |= {
        "counts": dict(tally.counts),
        "held": {name: [len(found), max(found)] for name, found in tally.held.items()},
        "seconds_before": [quiet.percentile(share) for share in (0.5, 0.99)],
        "seconds_attacked": [on.times.percentile(share) for share in (0.5, 0.9, 0.99)],
        "log_bytes": on.daemon.log.stat().st_size,
    }


ATTACKS: dict[str, Sequence[Attack]] = {
    "edge-flood": (flood,),
    "edge-slow": (slow,),
    "edge-churn": (churn,),
    "edge-fuzz": (garbage,),
    "edge-all": (flood, slow, churn, garbage),
}
WORKS: dict[str, Work] = {name: partial(_edge, name, attacks) for name, attacks in ATTACKS.items()}
