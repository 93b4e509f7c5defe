"""Many users, their rooms, and the load: texts to rooms of five, and rites beside them.

Each user speaks all the time, one request at a time, into the rooms that they are in. The load is over when each has
the answer to its last request; it has settled when all that was acknowledged has arrived, or nothing comes any more.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from conformance.load import message
from tests.soak.ledger import Ledger
from tests.soak.person import Person
from tests.soak.relay import Address, UdpRelay
from tests.soak.rites import Rite

_IN_A_ROOM = 5
_LOOK = 0.02
# Timer F: what has not come by then does not come, or not before somebody registers.
QUIET = 36.0
_SMALL, _LARGE = 50, 2_000
_REFUSED_PAUSE = 0.1
_RELAY_BUFFER = 16_384  # a dozen datagrams: what comes beyond is lost while nobody reads
Make = Callable[[trio.Nursery, int, Address, Ledger], Awaitable[Person]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many ``users`` and ``rites``, the seconds that each waits between two requests, and chance's ``seed``.

    ``large``: the share of texts that are too large for a datagram. ``has_relays``: each user is behind a `UdpRelay`.
    ``has_streams``: every third user speaks over TCP.
    """

    users: int = 20
    rites: int = 6
    pause: float = 0.02
    seed: int = 1
    large: float = 0.0
    has_relays: bool = False
    has_streams: bool = True


class Crowd:
    """Made by `open`. ``rooms`` are the members of each, as numbers of persons."""

    def __init__(self, server: Address, ledger: Ledger, shape: Shape) -> None:
        self.server = server
        self.ledger = ledger
        self.shape = shape
        self.persons: list[Person] = []
        self.rooms: dict[str, list[int]] = {}
        self.rites: list[Rite] = []
        self._is_over = False

    @classmethod
    async def open(
        cls, nursery: trio.Nursery, server: Address, ledger: Ledger, shape: Shape, make: Make | None = None
    ) -> Crowd:
        """All are registered, and in their rooms. ``make`` makes the users of a fault that wants other ones."""
        crowd = cls(server, ledger, shape)
        for number in range(shape.users):
            person = await (make or crowd._person)(nursery, number, server, ledger)
            crowd.persons.append(person)
        for number in range(0, shape.users, 2 if shape.users > 3 else shape.users):
            members = [(number + index) % shape.users for index in range(min(_IN_A_ROOM, shape.users))]
            crowd.rooms[f"chat-{number}"] = members
        async with trio.open_nursery() as makers:
            for room, members in crowd.rooms.items():
                makers.start_soon(crowd._make, room, members)
        for number in range(shape.rites):
            owner, guest = (crowd.persons[(2 * number + index) % shape.users] for index in range(2))
            crowd.rites.append(Rite(f"chat-rite{number}", owner, guest, ledger))
        return crowd

    async def _person(self, nursery: trio.Nursery, number: int, server: Address, ledger: Ledger) -> Person:
        shape = self.shape
        if shape.has_relays:
            relay = UdpRelay(server, random.Random(f"{shape.seed}.relay.{number}"), buffer=_RELAY_BUFFER)
            return await Person.open(nursery, number, server, ledger, relay=relay)
        is_third = shape.has_streams and number % 3 == 2
        return await Person.open(nursery, number, server, ledger, voice="tcp" if is_third else None)

    async def _make(self, room: str, members: list[int]) -> None:
        for index, number in enumerate(members):
            person = self.persons[number]
            response = await person.voice.message(f"sip:{room}@example.com", "#join" if index else "#create")
            assert response.status == 200, (room, number, response.status)

    # The load

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """While the block runs. At its end the last answers are waited for."""
        self._is_over = False
        async with trio.open_nursery() as nursery:
            for person in self.persons:
                nursery.start_soon(self._speak, person)
            for rite in self.rites:
                nursery.start_soon(rite.run, lambda: self._is_over, 4 * self.shape.pause)
            try:
                yield
            finally:
                self._is_over = True

    async def _speak(self, person: Person) -> None:
        chance = random.Random(f"{self.shape.seed}.{person.number}")
        rooms = [room for room, members in self.rooms.items() if person.number in members]
        while not self._is_over:
            room = chance.choice(rooms)
            size = _LARGE if chance.random() < self.shape.large else _SMALL
            status = await self.say(person, room, size)
            pause = self.shape.pause if status == 202 else max(self.shape.pause, _REFUSED_PAUSE)
            await trio.sleep(chance.uniform(0.0, 2 * pause))

    async def say(self, person: Person, room: str, size: int = _SMALL) -> int:
        """One text; its status."""
        audience = [number for number in self.rooms[room] if number != person.number]
        record = self.ledger.send(f"text in {room}", audience)
        status = await person.say(record, room, message.text(record.number, size))
        if status not in (0, 202) and not 500 <= status < 600:
            self.ledger.verdict.blame(f"{record.number} ({record.what}) of a member got {status}")
        return status

    async def settle(self, quiet: float = QUIET) -> None:
        """Until all that was acknowledged has arrived, or nothing came for ``quiet`` seconds."""
        began = self.ledger.clock()
        while self.ledger.missing():
            if self.ledger.clock() - max(began, self.ledger.last_arrival) > quiet:
                return
            await trio.sleep(_LOOK)

    def nudge(self) -> None:
        """Whoever waits for an answer sends again."""
        for person in self.persons:
            person.nudge()

    def each(self, work: Callable[[Person], None]) -> None:
        for person in self.persons:
            work(person)
