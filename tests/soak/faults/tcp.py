"""TCP connections that are cut in the middle of a delivery, and such that are half-open: the peer is gone unseen.

``tcp-cut``: copies go to each user's listener by a relay that resets a connection after some bytes, of a copy or of
its answer. imc sends the copy again by a new connection (spec S-DNS-5): nothing is lost, and a copy comes twice at most
once for each cut.
``tcp-mute``: users hear on the connection on which they registered. It falls silent without a word, both ways; the user
notices, connects and registers anew in place of the old contact; what waited comes to the new one (S-HOP-8).
"""

from __future__ import annotations

import random

import trio

from tests.soak.crowd import Shape
from tests.soak.ledger import Ledger
from tests.soak.outcome import Outcome, Plan, Work
from tests.soak.person import Person
from tests.soak.relay import Address, StreamRelay
from tests.soak.stand import finish, stand

_COPY, _ANSWER = 4_000, 600  # bytes: two or three of them
_APART = 0.5  # between two cuts: the copy that was cut is sent again by a whole connection


async def _relay(nursery: trio.Nursery, target: Address) -> tuple[StreamRelay, Address]:
    relay = StreamRelay(target)
    at = relay.listen()
    assert isinstance(at, tuple)
    await nursery.start(relay.run)
    return relay, at


async def _cut(plan: Plan) -> Outcome:
    outcome = Outcome(fault="tcp-cut", rounds=plan.rounds_or(60, 2))
    chance = random.Random(f"{plan.seed}.tcp-cut")
    relays: list[StreamRelay] = []

    async def make(nursery: trio.Nursery, number: int, server: Address, ledger: Ledger) -> Person:
        person = await Person.open(nursery, number, server, ledger)
        if number % 2:
            relay, at = await _relay(nursery, person.ear.local)
            relays.append(relay)
            gone, person.reached_at = person.contact, at
            assert await person.register(gone=gone) == 200
        return person

    shape = Shape(users=6 if plan.is_small else 20, rites=0, seed=plan.seed, large=0.2, has_streams=False)
    async with stand(shape, make=make) as on:
        began = trio.current_time()
        excuse = on.ledger.excuse("broken stream")
        async with on.crowd.load():
            for _ in range(outcome.rounds):
                for relay in relays:
                    relay.is_cut_back = chance.random() < 0.5
                    relay.cut_after = chance.randrange(_ANSWER if relay.is_cut_back else _COPY)
                await trio.sleep(plan.seconds_or(2 * _APART, _APART))
        for relay in relays:
            relay.cut_after = None
        await on.settle()
        on.ledger.pardon(excuse)
        cuts = sum(relay.cuts for relay in relays)
        if on.ledger.verdict.excused["broken stream"] > cuts:
            outcome.blame(f"more copies came twice than connections were cut ({cuts})")
        outcome.notes.append(f"{cuts} connections were cut in the middle of what they carried")
        outcome.figures["cuts"] = cuts
        finish(outcome, on, began)
    return outcome


async def _mute(plan: Plan) -> Outcome:
    outcome = Outcome(fault="tcp-mute", rounds=plan.rounds_or(20, 1))
    chance = random.Random(f"{plan.seed}.tcp-mute")
    relays: dict[int, StreamRelay] = {}

    async def make(nursery: trio.Nursery, number: int, server: Address, ledger: Ledger) -> Person:
        if number % 2 == 0:
            return await Person.open(nursery, number, server, ledger)
        relays[number], at = await _relay(nursery, server)
        return await Person.open(nursery, number, server, ledger, ear="tcp", voice="udp", via=at)

    shape = Shape(users=6 if plan.is_small else 20, rites=2, seed=plan.seed, has_streams=False)
    async with stand(shape, make=make) as on, trio.open_nursery() as nursery:
        began = trio.current_time()
        for _ in range(outcome.rounds):
            async with on.crowd.load():
                await trio.sleep(chance.uniform(0.0, 0.3))
                excuses = []
                for number, relay in relays.items():
                    excuses.append(on.ledger.excuse("half-open", number))
                    relay.is_mute = True
                await trio.sleep(plan.seconds_or(chance.uniform(0.5, 5.0), 0.3))
                on.ledger.fault_ends()
                for number in list(relays):
                    relays[number], at = await _relay(nursery, on.address)
                    status = await on.crowd.persons[number].reconnect(at)
                    if status != 200:
                        on.ledger.verdict.blame(f"user{number} cannot register anew: {status}")
                await trio.sleep(0.1)
            await on.settle()
            for excuse in excuses:
                on.ledger.pardon(excuse)
        finish(outcome, on, began)
        nursery.cancel_scope.cancel()
    return outcome


WORKS: dict[str, Work] = {"tcp-cut": _cut, "tcp-mute": _mute}
