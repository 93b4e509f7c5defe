"""Users who are away: what is acknowledged meanwhile is there, in order, once they are back (store and forward).

``away-unregistered``: they took their contacts out. ``away-refusing``: they answer 480 or 503 with Retry-After.
``away-vanished``: their connection is gone without a word. ``away-silent``: nothing of theirs is read for longer than
64*T1. ``away-killed`` and ``away-refusing-killed``: imc is killed with -9 before they are back. Where imc does not keep
messages these are skipped.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from tests.soak.crowd import Shape
from tests.soak.features import HAS_WAITING
from tests.soak.ledger import Ledger
from tests.soak.outcome import Outcome, Plan, Work
from tests.soak.person import Person
from tests.soak.relay import Address
from tests.soak.servers import Skipped
from tests.soak.stand import Stand, finish, stand

Step = Callable[[Stand, Person], Awaitable[None]]


async def _unregister(on: Stand, person: Person) -> None:
    """What is in flight to a contact that is taken out may have arrived or not (spec S-LANE-8)."""
    excuse = on.ledger.excuse("contact gone", person.number)
    assert await person.register(expires=0) == 200
    on.ledger.pardon(excuse)


async def _register(_on: Stand, person: Person) -> None:
    assert await person.register() == 200


async def _refuse(on: Stand, person: Person) -> None:
    person.refusal = 480 if person.number % 4 else 503
    person.ear.answer_headers = (("Retry-After", "1"),)
    del on


async def _take_again(_on: Stand, person: Person) -> None:
    """It is not told to anybody: Retry-After has to be over."""
    person.refusal = None
    person.ear.answer_headers = ()


async def _vanish(on: Stand, person: Person) -> None:
    on.ledger.excuse("broken stream", person.number)
    person.ear.close()


async def _reconnect(on: Stand, person: Person) -> None:
    assert await person.reconnect() == 200
    on.ledger.pardon_all(person.number)


async def _fall_silent(on: Stand, person: Person) -> None:
    assert person.relay is not None
    on.ledger.excuse("silence", person.number)
    person.relay.is_stuck = True


async def _read_again(on: Stand, person: Person) -> None:
    assert person.relay is not None
    person.relay.is_stuck = False
    assert await person.register() == 200
    on.ledger.pardon_all(person.number)


async def _away(
    name: str,
    go: Step,
    back: Step,
    plan: Plan,
    *,
    ear: str = "udp",
    is_killed: bool = False,
    has_relays: bool = False,
    usual: tuple[float, float] = (0.5, 3.0),
) -> Outcome:
    """``usual``: between how many seconds they are away."""
    if not HAS_WAITING:
        raise Skipped("imc does not keep messages yet")
    outcome = Outcome(fault=name, rounds=plan.rounds_or(2 if has_relays else 20, 1))
    chance = random.Random(f"{plan.seed}.{name}")

    async def make(nursery: trio.Nursery, number: int, server: Address, ledger: Ledger) -> Person:
        return await Person.open(nursery, number, server, ledger, ear=ear, voice="udp")

    shape = Shape(users=6 if plan.is_small else 20, rites=0, seed=plan.seed, has_relays=has_relays)
    async with stand(shape, make=None if has_relays else make) as on:
        began = trio.current_time()
        for _ in range(outcome.rounds):
            gone = chance.sample(on.crowd.persons, len(on.crowd.persons) // 3)
            async with on.crowd.load():
                for person in gone:
                    await trio.sleep(chance.uniform(0.0, 0.05))
                    await go(on, person)
                await trio.sleep(plan.seconds_or(chance.uniform(*usual), 0.3))
                if is_killed:
                    excuse = on.ledger.excuse("crash")
                    on.daemon.kill()
                    await on.start()
                    on.ledger.pardon(excuse)
                on.ledger.fault_ends()
                for person in gone:
                    await trio.sleep(chance.uniform(0.0, 0.05))
                    await back(on, person)
            await on.settle()
            plan.say(f"{name}: {on.ledger.verdict.delivered} delivered, {on.ledger.verdict.lost} lost")
        finish(outcome, on, began)
    return outcome


WORKS: dict[str, Work] = {
    "away-unregistered": partial(_away, "away-unregistered", _unregister, _register),
    "away-refusing": partial(_away, "away-refusing", _refuse, _take_again),
    "away-vanished": partial(_away, "away-vanished", _vanish, _reconnect, ear="tcp"),
    "away-silent": partial(_away, "away-silent", _fall_silent, _read_again, has_relays=True, usual=(34.0, 45.0)),
    "away-refusing-killed": partial(_away, "away-refusing-killed", _refuse, _take_again, is_killed=True),
    "away-killed": partial(_away, "away-killed", _unregister, _register, is_killed=True),
}
