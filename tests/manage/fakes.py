"""A manager with a few rooms, and the interfaces served for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio

from imc.aor import Aor
from imc.errors import AccountError, RpcError
from imc.manage.caller import ROLES
from imc.manage.options import ManageOptions
from imc.manage.ports import WaitingSummary
from imc.manage.server import Bound, run
from imc.measures import Measures, Snapshot
from imc.service.inbound import Act
from imc.service.traffic import Traffic

PASSWORD = "correct horse"


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


class FakeOperator(NamedTuple):
    name: str
    role: str
    secret: str
    created: float = 1.0


class FakeOperators:
    """One of each role, and each has the role for a name."""

    def __init__(self) -> None:
        self.all = {role: FakeOperator(role, role, PASSWORD) for role in ROLES}
        self.failure: Exception | None = None

    async def get(self, name: str) -> FakeOperator | None:
        if self.failure is not None:
            raise self.failure
        return self.all.get(name)

    async def check(self, name: str, password: str) -> FakeOperator | None:
        found = await self.get(name)
        return found if found is not None and found.secret == password else None

    async def list(self) -> Sequence[FakeOperator]:
        return list(self.all.values())

    async def add(self, name: str, role: str, password: str) -> None:
        if name in self.all:
            raise AccountError("there is one")
        self.all[name] = FakeOperator(name, role, password)

    async def set_password(self, name: str, password: str) -> None:
        self.all[name] = self.all[name]._replace(secret=password)

    async def set_role(self, name: str, role: str) -> None:
        self.all[name] = self.all[name]._replace(role=role)

    async def remove(self, name: str) -> None:
        del self.all[name]


class FakeOperations:
    """Whatever is asked of it says that it was; and it keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str, str, str]] = []

    async def note(self, act: Act, result: str) -> None:
        self.notes.append((act.actor, act.via, act.method, result))

    def __getattr__(self, name: str) -> Any:
        def reached(*_: object, **__: object) -> None:
            raise RpcError("reached")

        return reached


class FakeManager:
    """Two rooms. ``wrong``: what is complained of. ``failure``: raised by every call that reads. ``hold``: waited for
    by ``list_rooms``."""

    def __init__(self) -> None:
        self.measures = Measures()
        self.operators = FakeOperators()
        self.operations: Any = FakeOperations()
        self.traffic = Traffic(lambda: 1_000.0)
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

    async def find_rooms(self, text: str, after: str, limit: int) -> tuple[Sequence[Room], str]:
        return [one for one in await self.list_rooms() if text.lower() in str(one.room)], ""

    async def list_members(self, room: Aor) -> Sequence[Member] | None:
        return self.rooms.get(room)

    async def room_active(self, room: Aor) -> bool:
        return room in self.rooms

    async def room_member(self, room: Aor, user: Aor) -> bool:
        return any(m.user == user and m.role != "invited" for m in self.rooms.get(room, []))

    async def forget(self, user: Aor, *, is_done: bool, with_account: bool, act: Act | None = None) -> Forgotten:
        if self.failure is not None:
            raise self.failure
        return Forgotten(user, is_done, with_account)

    async def run_command(self, from_: str, to: str, body: str, content_type: str, act: Act | None = None) -> int:
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
