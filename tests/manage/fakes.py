"""A manager with a few rooms, and the interfaces served for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio

from imc.aor import Aor
from imc.manage.options import ManageOptions
from imc.manage.ports import WaitingSummary
from imc.manage.server import Bound, run
from imc.measures import Measures, Snapshot


class Room(NamedTuple):
    room: Aor
    members: int
    owner: Aor | None
    is_private: bool


class Member(NamedTuple):
    user: Aor
    role: str


def aor(user: str) -> Aor:
    return Aor(user, "imc.test")


CHAT = aor("chat-w")
SECRET = aor("chat-s")


class Forgotten(NamedTuple):
    user: Aor
    is_done: bool
    with_account: bool

    def as_json(self) -> Mapping[str, object]:
        return {"user": str(self.user), "done": self.is_done, "account": "removed" if self.with_account else "kept"}


class FakeManager:
    """Two rooms. ``wrong``: what is complained of. ``failure``: raised by every call that reads. ``hold``: waited for
    by ``list_rooms``."""

    def __init__(self) -> None:
        self.measures = Measures()
        self.wrong: tuple[str, ...] = ()
        self.rooms: dict[Aor, list[Member]] = {
            CHAT: [
                Member(aor("mary"), "member"),
                Member(aor("adam"), "admin"),
                Member(aor("ivan"), "invited"),
                Member(aor("alice"), "owner"),
            ],
            SECRET: [Member(aor("olga"), "owner")],
        }
        self.private = {SECRET}
        self.commands: list[tuple[str, str, str, str]] = []
        self.code = 1
        self.failure: Exception | None = None
        self.hold: trio.Event | None = None
        self.waiting = 0

    async def list_rooms(self) -> Sequence[Room]:
        if self.failure is not None:
            raise self.failure
        if self.hold is not None:
            self.waiting += 1
            await self.hold.wait()
        return [self._summary(room, members) for room, members in self.rooms.items()]

    def _summary(self, room: Aor, members: list[Member]) -> Room:
        owner = next((m.user for m in members if m.role == "owner"), None)
        return Room(room, sum(m.role != "invited" for m in members), owner, room in self.private)

    async def list_members(self, room: Aor) -> Sequence[Member] | None:
        return self.rooms.get(room)

    async def room_active(self, room: Aor) -> bool:
        return room in self.rooms

    async def room_member(self, room: Aor, user: Aor) -> bool:
        return any(m.user == user and m.role != "invited" for m in self.rooms.get(room, []))

    async def forget(self, user: Aor, *, is_done: bool, with_account: bool) -> Forgotten:
        if self.failure is not None:
            raise self.failure
        return Forgotten(user, is_done, with_account)

    async def run_command(self, from_: str, to: str, body: str, content_type: str) -> int:
        self.commands.append((from_, to, body, content_type))
        return self.code

    async def outbox(self, recipient: str, state: str, after: str, limit: int) -> tuple[Sequence[WaitingSummary], str]:
        return [], ""

    async def outbox_retry(self, recipient: str, id_: str) -> int:
        return 0

    async def outbox_drop(self, recipient: str, state: str, id_: str) -> int:
        return 0

    def snapshot(self) -> Snapshot:
        measures = self.measures
        return Snapshot(figures=self.statistics(), tallies=measures.tallies(), histograms=measures.histograms())

    async def complaints(self) -> tuple[str, ...]:
        return self.wrong

    def statistics(self) -> Mapping[str, int]:
        return {"active_rooms": len(self.rooms), "sip:requests": 7}


def make_options(**changes: Any) -> ManageOptions:
    """Nothing listens unless the test says so."""
    return ManageOptions(**{"listen": "", "default_domain": "imc.test", **changes})


@asynccontextmanager
async def serving(manager: FakeManager, options: ManageOptions) -> AsyncIterator[Bound]:
    async with trio.open_nursery() as nursery:
        yield await nursery.start(run, manager, options)
        nursery.cancel_scope.cancel()


def request(method: str, *params: object, request_id: object = 1, **named: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": named or list(params), "id": request_id}
