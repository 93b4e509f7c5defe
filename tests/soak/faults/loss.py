"""A network between imc and everybody that loses 20 % of all datagrams, doubles 10 % and delays 20 % by up to 0.3 s.

Each user is behind a relay of its own, both ways: requests, answers and copies. What SIP's retransmissions are for: of
eleven tries none arrives once in 50 million times. That none is heard *and* answered happens once in 75,000; then imc
does not know, and where it keeps messages it sends again (spec S-LANE-8), which is excused as silence.
"""

from __future__ import annotations

from functools import partial

import trio

from tests.soak.crowd import Shape
from tests.soak.features import HAS_WAITING
from tests.soak.outcome import Outcome, Plan, Work
from tests.soak.person import Person
from tests.soak.stand import finish, stand


def _be_bad(loss: float, double: float, late: float, person: Person) -> None:
    assert person.relay is not None
    person.relay.loss, person.relay.double, person.relay.late = loss, double, late


async def _loss(plan: Plan) -> Outcome:
    outcome = Outcome(fault="loss", rounds=plan.rounds_or(3, 1))
    shape = Shape(users=6 if plan.is_small else 30, rites=0, seed=plan.seed, has_relays=True, has_streams=False)
    async with stand(shape) as on:
        began = trio.current_time()
        for _ in range(outcome.rounds):
            silence = on.ledger.excuse("silence") if HAS_WAITING else None
            on.crowd.each(partial(_be_bad, 0.2, 0.1, 0.2))
            async with on.crowd.load():
                await trio.sleep(plan.seconds_or(30.0, 0.5))
            await on.crowd.settle()
            on.crowd.each(partial(_be_bad, 0.0, 0.0, 0.0))
            on.ledger.fault_ends()
            async with on.crowd.load():
                await trio.sleep(0.5)
            await on.settle()
            if silence is not None:
                on.ledger.pardon(silence)
        counts = {
            name: sum(person.relay.counts[name] for person in on.crowd.persons if person.relay is not None)
            for name in ("passed", "lost", "doubled", "late")
        }
        again = sum(person.ear.retransmissions for person in on.crowd.persons)
        outcome.figures |= {"datagrams": counts, "retransmissions_heard": again}
        outcome.notes.append(f"datagrams: {counts}; copies that came again in the same transaction: {again}")
        finish(outcome, on, began)
    return outcome


WORKS: dict[str, Work] = {"loss": _loss}
