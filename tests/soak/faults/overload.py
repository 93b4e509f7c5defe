"""Receivers that cannot keep up: they stop reading for some seconds, so that their buffers overflow, and go on.

imc must not repeat faster than RFC 3261 says, and whoever reads must not wait for those who do not (spec S-LANE-3): the
others have all that is for them while the silent ones are still silent.
"""

from __future__ import annotations

import random

import trio

from tests.soak.crowd import Shape
from tests.soak.outcome import Outcome, Plan, Work
from tests.soak.person import Person
from tests.soak.stand import Stand, finish, stand


def _stick(persons: list[Person], is_stuck: bool) -> None:
    for person in persons:
        assert person.relay is not None
        person.relay.is_stuck = is_stuck


async def _overload(plan: Plan) -> Outcome:
    """Less than 32 s: then imc gives up today. Who is stuck does not speak: it would not hear the answers."""
    outcome = Outcome(fault="overload", rounds=plan.rounds_or(6, 1))
    chance = random.Random(f"{plan.seed}.overload")
    shape = Shape(users=6 if plan.is_small else 20, rites=0, seed=plan.seed, has_relays=True, has_streams=False)
    async with stand(shape) as on:
        began = trio.current_time()
        for _ in range(outcome.rounds):
            stuck = chance.sample(on.crowd.persons, len(on.crowd.persons) // 3)
            async with on.crowd.load():
                await trio.sleep(chance.uniform(0.0, 0.3))
                _stick(stuck, True)
                await trio.sleep(plan.seconds_or(chance.uniform(1.0, 8.0), 0.3))
                await _others_have_all(on, {person.number for person in stuck})
                _stick(stuck, False)
                on.ledger.fault_ends()
                await trio.sleep(0.2)
            await on.settle()
        again = sum(person.ear.retransmissions for person in on.crowd.persons)
        outcome.notes.append(f"copies that came again in the same transaction: {again}")
        finish(outcome, on, began)
    return outcome


async def _others_have_all(on: Stand, stuck: set[int]) -> None:
    """What was acknowledged so far has reached everybody who reads, while the others are stuck."""
    so_far = on.ledger.clock()
    with trio.move_on_after(10) as scope:
        while True:
            late = [
                (record, user)
                for record, user in on.ledger.missing()
                if user not in stuck and record.answered_at <= so_far
            ]
            if not late:
                break
            await trio.sleep(0.02)
    if scope.cancelled_caught:
        on.ledger.verdict.blame("those who read wait for those who do not")


WORKS: dict[str, Work] = {"overload": _overload}
