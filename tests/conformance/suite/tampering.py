"""A target that plays with the rules of rooms, and then lies about what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from conformance.drivers.core import CoreDriver
from conformance.suite.case import Case, Room
from conformance.suite.conversation import Answer, Conversation, Delivery, Driver, Options, Sent, Target
from conformance.suite.profile import Profile
from conformance.suite.wire_case import WireCase
from conformance.suite.wire_player import WirePlace

OPTIONS = Options(profile=Profile(target="core"))
Got = dict[str, list[Delivery]]


class Lies:
    """What is told in place of the truth; nothing is changed here."""

    def answer(self, answer: Answer) -> Answer:
        return answer

    def got(self, got: Got) -> Got:
        return got


class Tampered(Conversation):
    """``inner``, but for the lies that begin when the room stands."""

    def __init__(self, inner: Conversation, lies: Lies) -> None:
        self.inner, self.lies = inner, lies
        self.domain, self.features, self.ladder = inner.domain, inner.features, inner.ladder

    def address(self, actor: str) -> str:
        return self.inner.address(actor)

    def room(self, name: str = "room") -> str:
        return self.inner.room(name)

    @property
    def manager(self) -> str | None:
        return self.inner.manager

    async def furnish(self, room: Room) -> None:
        await self.inner.furnish(room)

    async def send(self, sent: Sent) -> Answer:
        return self.lies.answer(await self.inner.send(sent))

    async def retransmit(self, actor: str) -> Answer:
        return await self.inner.retransmit(actor)

    async def merge(self, actor: str) -> Answer:
        return await self.inner.merge(actor)

    async def register(self, actor: str) -> Answer:
        return await self.inner.register(actor)

    async def unregister(self, actor: str) -> Answer:
        return await self.inner.unregister(actor)

    def answer_with(self, actor: str, status: int | None) -> None:
        self.inner.answer_with(actor, status)

    async def wait_arrived(self, awaited: Mapping[str, int]) -> None:
        await self.inner.wait_arrived(awaited)

    async def settle(self, awaited: Mapping[str, int]) -> Got:
        return self.lies.got(await self.inner.settle(awaited))

    async def restart(self, *, kill: bool) -> None:
        await self.inner.restart(kill=kill)


class TamperedTarget(Target):
    name = "tampered"
    version = "1"
    concurrency = 2

    def __init__(self, inner: Target, lies: Lies) -> None:
        self.inner, self.lies = inner, lies

    @asynccontextmanager
    async def conversation(self, case: Case) -> AsyncIterator[Conversation]:
        async with self.inner.conversation(case) as inner:
            yield Tampered(inner, self.lies)

    @asynccontextmanager
    async def wire_place(self, case: WireCase) -> AsyncIterator[WirePlace]:
        async with self.inner.wire_place(case) as place:
            yield place


class TamperedDriver(Driver):
    name = "tampered"

    def __init__(self, make: Callable[[], Lies] = Lies) -> None:
        self.make = make

    def describe(self) -> str:
        return "lies"

    @asynccontextmanager
    async def open(self, options: Options, cases: Sequence[Case]) -> AsyncIterator[Target]:
        async with CoreDriver().open(options, cases) as target:
            yield TamperedTarget(target, self.make())
