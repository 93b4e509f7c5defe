"""Rooms as a use case, on a writer whose database is a dictionary that can be held and made to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing
from immutables import Map

from conformance.model.validate import validate
from imc.aor import Aor
from imc.delivery.engine import Engine
from imc.delivery.job import Dispatch, Job
from imc.errors import StoreConflict, StoreError, StoreUnavailable
from imc.rooms.commands import WithdrawInvitation
from imc.rooms.model import Role, Room
from imc.rooms.outcome import RoomRow
from imc.rooms.policy import Limits, Policy
from imc.rooms.settings import NEW_ROOM
from imc.service.access import RoomOptions
from imc.service.audit import Audit, AuditOptions
from imc.service.circumstances import Circumstances
from imc.service.copies import Copies
from imc.service.history import History
from imc.service.inbound import Inbound, Outcome
from imc.service.outbox import Outbox
from imc.service.reports import ReportOptions, Reports
from imc.service.rooms import Rooms
from imc.service.shards import Shards, Slot
from imc.service.spec_trace import SpecTrace, TraceOptions
from imc.service.traffic import Traffic
from imc.sip.ids import Ids
from imc.store.guard import Guard
from imc.store.messages import MessageRow
from imc.store.ops import Op
from imc.store.outbox import WaitingRow
from imc.store.reader import StoreReader
from imc.store.writer import Writer, WriterOptions
from tests.store.model import Tables, apply_op

DOMAIN = "example.com"
ROOM, OTHER = Aor("chat-x", DOMAIN), Aor("chat-y", DOMAIN)
POLICY = Policy(manager=Aor("chat-manager", DOMAIN), domains=(DOMAIN,), room_pattern="chat-*")
WALL = 1_700_000_000.0


def user(name: str) -> Aor:
    return Aor(name, DOMAIN)


@dataclass
class Base:
    """The database. ``errors`` are those of the next commits (None: it works); ``gate`` holds commits and reads."""

    tables: Tables = field(default_factory=Tables)
    errors: list[StoreError | None] = field(default_factory=list)
    is_written_all_the_same: bool = False
    read_error: Exception | None = None
    gate: trio.Event | None = None
    token: trio.lowlevel.TrioToken = field(default_factory=trio.lowlevel.current_trio_token)
    reads: list[Aor] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def stage_groups(self, groups: Sequence[Sequence[Op]]) -> None:
        """All of it is for the thread."""

    def commit_groups(
        self, groups: Sequence[Sequence[Op]], guards: Sequence[Guard | None] | None = None
    ) -> list[StoreError | None]:
        if self.gate is not None:
            trio.from_thread.run(self.gate.wait, trio_token=self.token)
        self.batches.append(len(groups))
        error = self.errors.pop(0) if self.errors else None
        if error is None or self.is_written_all_the_same:
            for group in groups:
                for op in group:
                    apply_op(self.tables, op)
        return [error] * len(groups)

    async def load(self, aor: Aor) -> tuple[Room | None, int]:
        self.reads.append(aor)
        await trio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.read_error is not None:
            raise self.read_error
        return self.room(aor), max((seq for room, seq in self.tables.log if room == aor), default=0)

    def room(self, aor: Aor) -> Room | None:
        if aor not in self.tables.rooms:
            return None
        members = {who: entry for (room, who), entry in self.tables.members.items() if room == aor}
        return Room(aor, self.tables.rooms[aor], Map(members), self.tables.settings.get(aor, NEW_ROOM))

    def newest_messages(
        self, room: Aor, limit: int, *, since: float, max_body: int, max_bytes: int
    ) -> tuple[list[MessageRow], bool]:
        if self.gate is not None:
            trio.from_thread.run(self.gate.wait)
        found = [one for (aor, _), one in sorted(self.tables.log.items()) if aor == room and one.created >= since]
        return [MessageRow(one.seq, one.sender, one.type, one.body, one.created, len(one.body)) for one in found][
            -limit:
        ], False


@dataclass
class FakeFacts:
    """Nobody else's facts; ``error`` is raised by whatever is read."""

    base: Base
    error: Exception | None = None
    gate: trio.Event | None = None
    total: int = 0
    reading: int = 0

    async def room_exists(self, aor: Aor) -> bool:
        await self._read()
        return aor in self.base.tables.rooms

    async def account_exists(self, aor: Aor) -> bool:
        await self._read()
        return False

    async def rooms_owned(self, user: Aor) -> int:
        await self._read()
        return sum(who == user and one.role is Role.OWNER for (_, who), one in self.base.tables.members.items())

    async def rooms_to_see(self, user: Aor) -> Sequence[RoomRow]:
        await self._read()
        return [RoomRow(room, is_private) for room, is_private in sorted(self.base.tables.rooms.items())]

    def rooms_total(self) -> int:
        return self.total

    def account_at_hand(self, aor: Aor) -> bool | None:
        del aor
        return None

    def rooms_owned_at_hand(self, user: Aor) -> int | None:
        del user
        return None

    async def _read(self) -> None:
        await trio.lowlevel.checkpoint()
        self.reading += 1
        if self.gate is not None:
            await self.gate.wait()
        self.reading -= 1
        if self.error is not None:
            raise self.error


@dataclass
class FakeEngine:
    """Takes all jobs, and tells when each came: ``log`` is shared with the answers."""

    log: list[str]
    jobs: list[Job] = field(default_factory=list)
    room: int = 1_000

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        for one in job.dispatches:
            self.log += [f"{who.user} <- {one.kind}" for who in one.recipients]

    def has_room_for(self, copies: int) -> bool:
        return copies <= self.room


class Play:
    """The use case with all around it. ``log`` is what left, in order: answers to senders, and copies."""

    def __init__(
        self,
        nursery: trio.Nursery,
        options: RoomOptions,
        writer: WriterOptions | None,
        trace: SpecTrace | None,
        shards: Shards | None,
    ) -> None:
        self.nursery = nursery
        self.base = Base()
        self.facts = FakeFacts(self.base)
        self.log: list[str] = []
        self.outcomes: dict[str, Outcome] = {}
        self.engine = FakeEngine(self.log)
        self.writer = Writer(self.base, writer)
        self.counted = 0
        self.can_carry = True
        self.carry_gate: trio.Event | None = None
        ids = Ids()
        self.circumstances = Circumstances(self.facts, lambda: WALL)
        self.outbox = Outbox(
            self.writer, ids, lambda: WALL, load=self._load_waiting, spawn=self._spawn, wake=lambda: None
        )
        self.outbox.attach(cast(Engine, self.engine))
        self.shards = shards or Shards(2, 1_000)
        copies = Copies(hop="hop", extra=(), wall=lambda: WALL)
        reports = Reports(
            ReportOptions(), copies=copies, ids=ids, send=lambda _: None, can_carry=self._can_carry, spawn=self._spawn
        )
        self.rooms = Rooms(
            options,
            policy=POLICY,
            shards=self.shards,
            writer=self.writer,
            outbox=self.outbox,
            engine=cast(Engine, self.engine),
            copies=copies,
            history=History(self.base, StoreReader(), self.writer, lambda: WALL),
            circumstances=self.circumstances,
            load=self.base.load,
            spawn=self._spawn,
            can_carry=self._can_carry,
            on_count=self._count,
            rates=None,
            reports=reports,
            traffic=Traffic(lambda: WALL),
            audit=Audit(
                self.base,  # type: ignore[arg-type]
                StoreReader(),
                self.writer,
                options=lambda: AuditOptions(is_enabled=False),
                wall=lambda: WALL,
                tag=0,
            ),
            trace=trace,
        )
        self._answered: dict[str, trio.Event] = {}

    async def _load_waiting(self, _aor: Aor, _limit: int) -> list[WaitingRow]:
        return []

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        self.nursery.start_soon(work)

    async def _can_carry(self, _copy: Dispatch) -> bool:
        if self.carry_gate is not None:
            await self.carry_gate.wait()
        return self.can_carry

    def _count(self, change: int) -> None:
        self.counted += change

    def post(self, sender: str, text: str | bytes, to: Aor = ROOM, *, is_automatic: bool = False) -> str:
        """Hand a request in, and do not wait. What names it from now on."""
        body = text if isinstance(text, bytes) else text.encode()
        name = f"{len(self._answered)}: {sender} {body[:20].decode()}"
        event = self._answered[name] = trio.Event()

        def answer(outcome: Outcome) -> None:
            assert name not in self.outcomes, f"{name} is answered twice"
            self.outcomes[name] = outcome
            self.log.append(f"{sender} = {outcome.status}")
            event.set()

        self.rooms.handle(
            Inbound(
                sender=user(sender),
                to=to,
                content_type="text/plain",
                body=body,
                call_id=f"call-{name}",
                is_automatic=is_automatic,
                headers=(),
                answer=answer,
            )
        )
        return name

    async def wait(self, name: str) -> Outcome:
        with trio.fail_after(60):
            await self._answered[name].wait()
        return self.outcomes[name]

    async def send(self, sender: str, text: str | bytes, to: Aor = ROOM) -> Outcome:
        return await self.wait(self.post(sender, text, to))

    async def set_up(self, *names: str) -> None:
        for name in names:
            assert (await self.send(name, "#join")).status == 200
        self.log.clear()
        self.base.tables.outbox.clear()

    def roles(self, aor: Aor = ROOM) -> dict[str, str] | None:
        """What the database says."""
        room = self.base.room(aor)
        return None if room is None else {who.user: one.role.name.lower() for who, one in room.members.items()}


@asynccontextmanager
async def play(
    options: RoomOptions | None = None,
    writer: WriterOptions | None = None,
    trace: SpecTrace | None = None,
    shards: Shards | None = None,
) -> AsyncIterator[Play]:
    async with trio.open_nursery() as nursery:
        on = Play(nursery, options or RoomOptions(), writer, trace, shards)
        nursery.start_soon(on.writer.run)
        yield on
        nursery.cancel_scope.cancel()


# --- order, and commit before speaking --------------------------------------------------------------------------------


async def test_nothing_leaves_before_it_is_committed() -> None:
    # spec S-LANE-6
    async with play() as on:
        await on.set_up("alice", "bob")
        on.base.gate = trio.Event()
        name = on.post("alice", "hello")
        await trio.testing.wait_all_tasks_blocked()
        assert on.log == []
        assert on.base.tables.outbox == {}
        on.base.gate.set()
        assert (await on.wait(name)).status == 202
        assert on.log == ["alice = 202", "bob <- message"]
        assert [put.recipients for put in on.base.tables.outbox.values()] == [b"bob@example.com"]


async def test_each_sees_what_the_one_before_it_did() -> None:
    """R-ORDER-1: many at once, none committed yet, and the room of the first had to be read."""
    async with play() as on:
        await on.set_up("alice", "bob")
        on.base.gate = trio.Event()
        on.shards.slot(ROOM).void()
        names = [
            on.post("alice", "#modify bob owner"),
            on.post("bob", "#remove alice"),
            on.post("bob", "#modify alice member"),
            on.post("alice", "hello"),
            on.post("bob", "#destroy"),
            on.post("bob", "hello"),
        ]
        await trio.testing.wait_all_tasks_blocked()
        on.base.gate.set()
        statuses = [(await on.wait(name)).status for name in names]
        # alice is an owner still: she must be demoted before she can be removed
        assert statuses == [200, 403, 200, 202, 200, 404]
        assert on.roles() is None
        answers = [line for line in on.log if "=" in line]
        assert answers == [f"{name.split()[1]} = {status}" for name, status in zip(names, statuses, strict=True)]


@pytest.mark.parametrize("is_loaded", [False, True])
async def test_nobody_passes_who_came_later(*, is_loaded: bool) -> None:
    """R-ORDER-1: whatever has to be read for one of them, the room, its founder or a sender nobody knows yet."""
    async with play() as on:
        await on.set_up("alice")
        if is_loaded:
            assert (await on.send("alice", "#members", OTHER)).status == 404
        names = [
            on.post("bob", "#create private", OTHER),
            on.post("bob", "hello", OTHER),
            on.post("carol", "#join", OTHER),
            on.post("bob", "#invite carol", OTHER),
            on.post("carol", "#join", OTHER),
            on.post("carol", "hello", OTHER),
            on.post("bob", "#destroy", OTHER),
            on.post("dave", "#join", OTHER),
        ]
        elsewhere = on.post("alice", "#members")
        assert on.outcomes[elsewhere].status == 200  # another room waits for none of this
        assert [(await on.wait(name)).status for name in names] == [200, 202, 403, 200, 200, 202, 200, 200]
        assert on.roles(OTHER) == {"dave": "owner"}


async def test_list_of_rooms_keeps_nobody_waiting() -> None:
    async with play() as on:
        await on.set_up("alice")
        listing = on.post("alice", "#rooms")
        assert on.outcomes[on.post("alice", "#members")].status == 200
        assert (await on.wait(listing)).status == 200


async def test_failed_read_for_one_lets_the_next_go_on() -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        on.facts.error = StoreUnavailable("gone")
        names = [on.post("zoe", "hello"), on.post("alice", "hello"), on.post("zoe", "#join"), on.post("bob", "hello")]
        assert [(await on.wait(name)).status for name in names] == [503, 202, 503, 202]


async def test_those_who_wait_are_looked_up_side_by_side() -> None:
    async with play() as on:
        await on.set_up("alice")
        on.facts.gate = trio.Event()
        names = [on.post(name, "#join") for name in ("bob", "carol", "dave")]
        await trio.testing.wait_all_tasks_blocked()
        assert on.facts.reading == 3
        on.facts.gate.set()
        assert [(await on.wait(name)).status for name in names] == [200] * 3


async def test_room_that_fails_while_something_is_read_for_it() -> None:
    """The commit under way fails while zoe is looked up: she is judged by what the database has."""
    async with play() as on:
        await on.set_up("alice", "bob")
        on.base.gate, on.base.errors = trio.Event(), [StoreUnavailable("gone")]
        failing = on.post("alice", "#destroy")
        await trio.testing.wait_all_tasks_blocked()
        on.facts.gate = trio.Event()
        joining = on.post("zoe", "#join")
        on.base.gate.set()
        on.base.gate = None
        assert (await on.wait(failing)).status == 503
        on.facts.gate.set()
        assert (await on.wait(joining)).status == 200
        assert on.roles() == {"alice": "owner", "bob": "member", "zoe": "member"}


async def test_what_rests_on_an_uncommitted_room_is_answered_behind_it() -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        on.base.gate = trio.Event()
        first = on.post("alice", "#remove bob")
        listing = on.post("alice", "#members")  # nothing to write, but it tells of what is not on disk yet
        await trio.testing.wait_all_tasks_blocked()
        assert on.log == []
        on.base.gate.set()
        await on.wait(first)
        await on.wait(listing)
        assert [line for line in on.log if "=" in line] == ["alice = 200", "alice = 200"]


async def test_what_rests_on_nothing_new_is_answered_at_once() -> None:
    async with play() as on:
        await on.set_up("alice")
        commits = len(on.base.batches)
        name = on.post("alice", "#members")
        assert on.outcomes[name].status == 200
        assert len(on.base.batches) == commits


async def test_one_commit_for_many_rooms() -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        assert (await on.send("alice", "#create", OTHER)).status == 200
        on.base.gate = trio.Event()
        on.post("alice", "one")
        await trio.testing.wait_all_tasks_blocked()
        names = [on.post("alice", "two"), on.post("alice", "#invite bob", OTHER), on.post("bob", "three")]
        on.base.gate.set()
        for name in names:
            await on.wait(name)
        assert on.base.batches[-2:] == [1, 3]


# --- commits that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [(StoreUnavailable("gone"), 503, 5), (StoreConflict("no"), 500, None), (StoreError("?"), 500, None)],
)
async def test_failed_commit_leaves_the_room(error: StoreError, status: int, retry_after: int | None) -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        before = on.roles()
        for text in ("#modify bob owner", "#remove bob", "#invite carol", "#destroy", "hello"):
            on.base.errors = [error]
            outcome = await on.send("alice", text)
            assert (outcome.status, outcome.retry_after) == (status, retry_after)
            assert outcome.warning
        assert on.log == [f"alice = {status}"] * 5
        assert on.roles() == before
        assert on.counted == 1
        assert (await on.send("bob", "#destroy")).status == 403
        assert (await on.send("alice", "#destroy")).status == 200
        assert on.counted == 0


async def test_what_was_built_on_a_failure_fails_with_it() -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        assert (await on.send("bob", "#create", OTHER)).status == 200
        on.log.clear()
        on.base.gate, on.base.errors = trio.Event(), [StoreUnavailable("gone")]
        names = [on.post("alice", "#modify bob owner")]
        await trio.testing.wait_all_tasks_blocked()  # it is on its way to the disk, the others wait behind it
        names += [
            on.post("bob", "#remove alice"),
            on.post("bob", "hello"),
            on.post("bob", "#members"),
        ]  # the first a refusal, the last writes nothing
        elsewhere = on.post("bob", "#invite alice", OTHER)
        on.base.gate.set()
        assert [(await on.wait(name)).status for name in names] == [503] * 4
        assert (await on.wait(elsewhere)).status == 200
        assert [line for line in on.log if "<-" in line] == ["bob <- invitation-sent", "alice <- invitation"]
        assert on.roles() == {"alice": "owner", "bob": "member"}
        assert (await on.send("bob", "#modify alice member")).status == 403


async def test_room_is_read_again_after_a_failure() -> None:
    """Somebody else's doing, or a commit whose answer was lost: what counts is the database."""
    async with play() as on:
        await on.set_up("alice", "bob")
        on.base.errors = [StoreUnavailable("gone")]
        assert (await on.send("alice", "hello")).status == 503
        del on.base.tables.members[ROOM, user("bob")]
        assert (await on.send("bob", "#leave")).status == 403


@pytest.mark.parametrize(("max_rooms", "max_members"), [(4, 1_000), (1_000, 8)])
async def test_more_rooms_in_use_than_fit_in_memory(max_rooms: int, max_members: int) -> None:
    """Those that leave come back as they were, whatever was asked of them last."""
    async with play(shards=Shards(0, max_rooms, max_members)) as on:
        rooms = [Aor(f"chat-{number}", DOMAIN) for number in range(20)]
        for room in rooms:
            assert (await on.send("alice", "#create", room)).status == 200
            assert (await on.send("bob", "#join", room)).status == 200
        for turn in range(3):
            for number, room in enumerate(rooms):
                name = "bob" if (turn + number) % 2 else "carol"
                expected = 202 if name == "bob" else 403
                assert (await on.send(name, "hello", room)).status == expected
                assert on.shards.rooms_in_memory <= 4
                assert on.shards.members_in_memory <= 8
        assert len(on.base.reads) > 3 * len(rooms)
        assert on.counted == len(rooms)
        assert all(on.roles(room) == {"alice": "owner", "bob": "member"} for room in rooms)


async def test_room_that_was_made_all_the_same_is_counted() -> None:
    async with play() as on:
        on.base.is_written_all_the_same = True
        on.base.errors = [StoreUnavailable("its answer was lost")]
        assert (await on.send("alice", "#create")).status == 503
        assert on.counted == 0
        assert (await on.send("alice", "#members")).status == 200
        assert on.counted == 1
        on.base.errors = [StoreUnavailable("its answer was lost")]
        assert (await on.send("alice", "#destroy")).status == 503
        assert on.counted == 1
        assert (await on.send("alice", "#members")).status == 404
        assert on.counted == 0


async def test_copies_of_what_failed_are_withdrawn() -> None:
    """They are in the database all the same, and promised to nobody: they do not wait there for the next start."""
    async with play() as on:
        await on.set_up("alice", "bob")
        on.base.errors, on.base.is_written_all_the_same = [StoreUnavailable("its answer was lost")], True
        assert (await on.send("alice", "hello")).status == 503
        assert len(on.base.tables.outbox) == 1
        on.outbox.flush()
        await on.writer.drain()
        assert on.base.tables.outbox == {}


async def test_a_trace_holds_what_is_committed_and_nothing_else(tmp_path: Path) -> None:
    """Spec R-DURABLE-2: a decision whose commit failed did not happen, and what the room is then is not known."""
    path = tmp_path / "trace"
    trace = SpecTrace(TraceOptions(path=path, version="1"), lambda: WALL)
    async with play(trace=trace) as on:
        on.nursery.start_soon(trace.run)
        await on.set_up("alice", "bob")
        on.base.gate, on.base.errors = trio.Event(), [StoreUnavailable("gone")]
        name = on.post("alice", "#modify bob owner")
        await trio.testing.wait_all_tasks_blocked()
        assert "modify" not in path.read_text()
        on.base.gate.set()
        assert (await on.wait(name)).status == 503
        assert (await on.send("alice", "#destroy")).status == 200
    text = path.read_text()
    assert "modify" not in text
    figures = validate(text.splitlines())
    assert (figures.decisions, figures.unknown) == (3, 1)


async def test_full_writer_refuses_and_leaves_the_room() -> None:
    async with play(writer=WriterOptions(max_waiting=1)) as on:
        await on.set_up("alice", "bob")
        on.base.gate = trio.Event()
        first = on.post("alice", "one")
        await trio.testing.wait_all_tasks_blocked()
        second = on.post("alice", "two")
        refused = on.post("alice", "#remove bob")
        assert (on.outcomes[refused].status, on.outcomes[refused].retry_after) == (503, 5)
        on.base.gate.set()
        assert [(await on.wait(first)).status, (await on.wait(second)).status] == [202, 202]
        assert on.roles() == {"alice": "owner", "bob": "member"}
        assert (await on.send("bob", "#members")).status == 200


async def test_ended_writer_is_answered() -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        on.writer._is_closed = True
        assert (await on.send("alice", "hello")).status == 503


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_room_is_read_once_for_all_who_wait() -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        on.shards.slot(ROOM).void()
        on.base.reads.clear()
        names = [on.post("alice", text) for text in ("one", "two", "#members")]
        statuses = [(await on.wait(name)).status for name in names]
        assert statuses == [202, 202, 200]
        assert on.base.reads == [ROOM]


async def test_who_waits_for_a_room_is_bounded() -> None:
    async with play(RoomOptions(max_waiting_per_room=2)) as on:
        await on.set_up("alice", "bob")
        on.base.gate = trio.Event()
        on.shards.slot(ROOM).void()
        names = [on.post("alice", f"text {number}") for number in range(4)]
        assert [on.outcomes[name].status for name in names[2:]] == [503, 503]
        on.base.gate.set()
        assert [(await on.wait(name)).status for name in names[:2]] == [202, 202]


@pytest.mark.parametrize(
    ("error", "status"), [(StoreUnavailable("gone"), 503), (StoreError("?"), 500), (ValueError("a bug"), 500)]
)
async def test_room_that_cannot_be_read(error: Exception, status: int) -> None:
    """Everybody who waited is told, and the next one reads again: also after a fault of ours."""
    async with play() as on:
        await on.set_up("alice", "bob")
        on.shards.slot(ROOM).void()
        on.base.read_error = error
        names = [on.post("alice", "one"), on.post("bob", "#leave")]
        assert [(await on.wait(name)).status for name in names] == [status, status]
        on.base.read_error = None
        assert (await on.send("alice", "two")).status == 202


async def test_fault_of_ours_stops_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        message = on.rooms._message

        def break_at_poison(inbound: Inbound, slot: Slot) -> None:
            if inbound.body == b"poison":
                raise RuntimeError("a bug")
            message(inbound, slot)

        monkeypatch.setattr(on.rooms, "_message", break_at_poison)
        assert (await on.send("alice", "poison")).status == 500  # the room was in memory
        on.shards.slot(ROOM).void()
        names = [on.post("alice", text) for text in ("one", "poison", "two")]  # it has to be read
        assert [(await on.wait(name)).status for name in names] == [202, 500, 202]


async def test_facts_that_cannot_be_read() -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        for error, status in ((StoreUnavailable("gone"), 503), (ValueError("a bug"), 500)):
            on.facts.error = error
            assert (await on.send("alice", "#rooms")).status == status
            assert (await on.send("carol", "#create", OTHER)).status == status
            assert (await on.send("zoe", "hello")).status == status  # is zoe a room?
        on.facts.error = None
        assert (await on.send("carol", "#create", OTHER)).status == 200
        assert on.roles() == {"alice": "owner", "bob": "member"}


async def test_a_room_that_is_made_while_its_address_is_looked_up_stays_known() -> None:
    """Spec R-ADDR-8: the answer of the database is older than what was noted meanwhile."""
    async with play() as on:
        on.facts.gate = trio.Event()
        found: list[bool] = []

        async def learn() -> None:
            found.append(await on.circumstances.learn(OTHER))

        on.nursery.start_soon(learn)
        await trio.testing.wait_all_tasks_blocked()
        on.circumstances.note_room(OTHER, is_there=True)
        on.facts.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (found, on.circumstances.known(OTHER)) == ([True], True)


async def test_gathering_is_bounded() -> None:
    """Founding a room, `rooms`, large texts and unknown senders: each goes on in a task, and tasks are counted."""
    async with play(RoomOptions(max_gathering=2)) as on:
        await on.set_up("alice", "bob")
        on.carry_gate = trio.Event()
        large = "x" * 2_000
        waiting = [on.post("alice", large), on.post("bob", large)]
        await trio.testing.wait_all_tasks_blocked()
        for name in (on.post("alice", "#rooms"), on.post("alice", large), on.post("zoe", "hello")):
            assert on.outcomes[name].status == 503
        on.carry_gate.set()
        assert [(await on.wait(name)).status for name in waiting] == [202, 202]
        assert (await on.send("alice", "#rooms")).status == 200


async def test_founders_at_once_make_one_room() -> None:
    """Both have read that there is none; the second sees the first one's when it is judged."""
    async with play() as on:
        names = [on.post("alice", "#create private"), on.post("bob", "#create"), on.post("carol", "#join")]
        assert [(await on.wait(name)).status for name in names] == [200, 403, 403]
        assert on.roles() == {"alice": "owner"}
        assert on.counted == 1


# --- large messages ---------------------------------------------------------------------------------------------------


async def test_large_message_needs_a_stream_for_everyone() -> None:
    # spec S-NET-9
    async with play() as on:
        await on.set_up("alice", "bob", "carol")
        on.can_carry = False
        outcome = await on.send("alice", "x" * 2_000)
        assert (outcome.status, outcome.event) == (413, "text-too-long")
        assert on.log == ["alice = 413"]
        assert (await on.send("alice", "x" * 300)).status == 202  # surely fits a datagram: nobody is asked


async def test_large_message_is_judged_again() -> None:
    """While the ways were looked for, carol left and alice was removed: what counts is the room as it is then."""
    async with play() as on:
        await on.set_up("alice", "bob", "carol")
        on.carry_gate = trio.Event()
        good, late = on.post("alice", "x" * 2_000), on.post("bob", "y" * 2_000)
        await trio.testing.wait_all_tasks_blocked()
        assert (await on.send("carol", "#leave")).status == 200
        assert (await on.send("alice", "#remove bob")).status == 200
        on.log.clear()
        on.carry_gate.set()
        assert [(await on.wait(good)).status, (await on.wait(late)).status] == [202, 403]
        assert on.log.count("carol <- message") == 0
        assert [line for line in on.log if "<-" in line] == []  # nobody is left to hear it


async def test_message_that_fits_no_queue() -> None:
    async with play() as on:
        await on.set_up("alice", "bob", "carol")
        on.engine.room = 1
        outcome = await on.send("alice", "hello")
        assert (outcome.status, outcome.retry_after) == (503, 5)
        on.engine.room = 2
        assert (await on.send("alice", "hello")).status == 202


# --- invitations that could not be delivered --------------------------------------------------------------------------


async def pending_invitation(on: Play) -> WithdrawInvitation:
    assert (await on.send("alice", "#invite carol")).status == 200
    (dispatch,) = (one for job in on.engine.jobs for one in job.dispatches if one.kind == "invitation" and one.context)
    on.log.clear()
    on.engine.jobs.clear()
    return WithdrawInvitation(
        room=ROOM,
        user=user("carol"),
        inviter=Aor.parse(dispatch.context["inviter"]),
        serial=int(dispatch.context["serial"]),
    )


async def test_undelivered_invitation_is_withdrawn() -> None:
    async with play() as on:
        await on.set_up("alice")
        failed = await pending_invitation(on)
        on.base.tables.outbox.clear()
        on.rooms.invitation_failed(ROOM, failed, "call-1")
        await on.writer.drain()
        assert on.roles() == {"alice": "owner"}
        (told,) = (one for job in on.engine.jobs for one in job.dispatches)
        assert dict(told.headers)["In-Reply-To"] == "call-1"  # spec R-ANSWER-6
        assert on.log == ["alice <- invitation-failed"]
        assert [put.recipients for put in on.base.tables.outbox.values()] == [b"alice@example.com"]  # spec S-LANE-6


async def test_late_failure_changes_nothing() -> None:
    """R-INVITE-5: accepted meanwhile; and a newer invitation is another one."""
    async with play() as on:
        await on.set_up("alice")
        failed = await pending_invitation(on)
        newer = await pending_invitation(on)
        assert newer.serial > failed.serial
        on.rooms.invitation_failed(ROOM, failed)
        await on.writer.drain()
        assert on.roles() == {"alice": "owner", "carol": "invited"}
        assert (await on.send("carol", "#accept")).status == 200
        on.log.clear()
        on.rooms.invitation_failed(ROOM, newer)
        on.rooms.invitation_failed(ROOM, replace(newer, room=OTHER))
        await on.writer.drain()
        await trio.testing.wait_all_tasks_blocked()
        assert on.roles() == {"alice": "owner", "carol": "member"}
        assert on.log == []


async def test_failure_that_cannot_be_written() -> None:
    async with play() as on:
        await on.set_up("alice")
        failed = await pending_invitation(on)
        on.base.errors = [StoreUnavailable("gone")]
        on.rooms.invitation_failed(ROOM, failed)
        await on.writer.drain()
        assert on.log == []
        assert on.roles() == {"alice": "owner", "carol": "invited"}


async def test_rooms_on_their_way_to_the_disk_count_for_the_quota() -> None:
    """Twenty rooms founded at once by one who may own five: the database knows of none while they are judged."""
    async with play() as on:
        on.rooms.policy = replace(POLICY, limits=Limits(max_rooms_per_owner=5))
        on.base.gate = trio.Event()
        names = [on.post("alice", "#create", Aor(f"chat-{number}", "example.com")) for number in range(20)]
        others = on.post("bob", "#create", Aor("chat-bob", "example.com"))
        await trio.testing.wait_all_tasks_blocked()
        on.base.gate.set()
        statuses = [(await on.wait(name)).status for name in names]
        assert (statuses.count(200), statuses.count(403)) == (5, 15)
        assert (await on.wait(others)).status == 200
        # one that fails is counted no more
        on.base.errors = [None, StoreUnavailable("gone")]
        assert (await on.send("alice", "#destroy", Aor(f"chat-{statuses.index(200)}", "example.com"))).status == 200
        late = Aor("chat-late", "example.com")
        assert (await on.send("alice", "#create", late)).status == 503
        assert (await on.send("alice", "#create", late)).status == 200
        assert (await on.send("alice", "#create", Aor("chat-later", "example.com"))).status == 403
