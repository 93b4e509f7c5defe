"""The wall clock jumps, forward and back, while the daemon serves.

Retransmissions and timeouts go by the monotonic clock, which does not jump; what goes by the wall clock is how long a
registration holds. So no jump may stop or repeat a message. One of an hour and more, forward, ends the registrations;
whoever registers, as they usually do, is back.

The daemon runs in this process, since it takes a clock there; its sockets and its database are real.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from imc.app import Daemon
from tests.e2e.stage import open_store, settings
from tests.soak.crowd import Crowd, Shape
from tests.soak.features import HAS_WAITING
from tests.soak.ledger import Ledger
from tests.soak.outcome import Outcome, Plan, Work
from tests.soak.person import Person

_MINUTE, _DAY = 60.0, 86_400.0
# A registration holds for an hour: where nothing is kept for who has none, no jump forward may end it under load.
_JUMPS = (50 * _MINUTE, -50 * _MINUTE, -_DAY, 45 * _MINUTE, -400 * _DAY, 1.0, -1.0, 50 * _MINUTE)
_FAR = (_DAY, -_DAY, 401 * _DAY) if HAS_WAITING else ()


class Wall:
    """Seconds since 1970, and how far they are off."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


@asynccontextmanager
async def _in_process(folder: Path, wall: Wall, shape: Shape) -> AsyncIterator[tuple[Ledger, Crowd]]:
    config = settings(folder, "limits.enabled=false")
    store = await trio.to_thread.run_sync(open_store, config)
    try:
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(Daemon(config, store, wall=wall).run)
            udp = next(address for address in bound if address.transport == "udp")
            ledger = Ledger(trio.current_time)
            crowd = await Crowd.open(nursery, (udp.ip, udp.port), ledger, shape)
            yield ledger, crowd
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(store.close)


async def _clock(plan: Plan) -> Outcome:
    chance = random.Random(f"{plan.seed}.clock")
    outcome = Outcome(fault="clock", rounds=plan.rounds_or(3, 1))
    shape = Shape(users=6 if plan.is_small else 20, rites=2, seed=plan.seed, has_streams=False)
    wall, seconds = Wall(), plan.seconds_or(1.0, 0.05)
    with tempfile.TemporaryDirectory(prefix="imc-soak-") as folder:
        async with _in_process(Path(folder), wall, shape) as (ledger, crowd):
            began = trio.current_time()
            for _ in range(outcome.rounds):
                async with crowd.load():
                    for jump in (*_JUMPS, *_FAR):
                        await trio.sleep(chance.uniform(0.0, seconds))
                        wall.offset += jump
                        ledger.fault_ends()
                        await _stay(crowd)
                    await trio.sleep(seconds)
                await crowd.settle()
                ledger.close()
                await _expire(ledger, crowd, wall)
            outcome.take(ledger, trio.current_time() - began)
    return outcome


async def _stay(crowd: Crowd) -> None:
    """Everybody registers anew, for an hour from now."""

    async def stay(person: Person) -> None:
        assert await person.register() == 200, person.number

    async with trio.open_nursery() as nursery:
        for person in crowd.persons:
            nursery.start_soon(stay, person)


async def _expire(ledger: Ledger, crowd: Crowd, wall: Wall) -> None:
    """All registrations end by one jump; after a REGISTER all is as before.

    Where imc keeps messages, what was said in between is there then. It is said by one who is away like all others.
    """
    wall.offset = max(0.0, wall.offset) + 3 * 60 * _MINUTE
    if HAS_WAITING:
        for room in crowd.rooms:
            await crowd.say(crowd.persons[crowd.rooms[room][0]], room)
    ledger.fault_ends()
    await _stay(crowd)
    for room in crowd.rooms:
        await crowd.say(crowd.persons[crowd.rooms[room][0]], room)
    await crowd.settle()
    ledger.close()


WORKS: dict[str, Work] = {"clock": _clock}
