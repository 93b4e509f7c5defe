"""What was decided, written down so that it can be held against the specification: ``imc serve --trace-spec FILE``.

Invariants
- A record is written after its decision was committed, in the order of commits; what was not committed has none.
- It never waits for the disk, and never makes anyone wait. What is written later waits in a bounded queue; beyond the
  bound records are dropped, and a record ``gap`` says how many. So is what could not be written.
- The file is opened by its name for each batch: moved away, or cut to nothing, it begins anew with a header, and can be
  read from any header on. Of each room the first record is preceded by a snapshot of it; so is one before
  which the room was read from the database again.
- No text that anyone wrote is in it: addresses, commands in their parsed form, sizes.

The format is docs/reference/spec-trace.md; `imc-conformance validate` reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import trio

from imc.aor import Aor
from imc.errors import ConfigError
from imc.rooms.commands import BadCommand, Command, Create, Modify, Set, Targeted, WithdrawInvitation
from imc.rooms.model import Change, Member, MemberGone, MemberSet, Role, Room, RoomCreated, SettingsSet
from imc.rooms.outcome import Context, Decision
from imc.rooms.policy import Policy

_log = structlog.get_logger("imc.service")
FORMAT = "imc spec trace 1"
MAX_NAMED = 64  # recipients of one event; beyond, their number and a digest stand for them


class Judged(NamedTuple):
    """One decision and what it rests on. ``command`` is None for a room message, of ``size`` bytes."""

    before: Room | None
    sender: Aor
    command: Command | None
    size: int
    context: Context
    policy: Policy
    decision: Decision


class _Unknown(NamedTuple):
    """A commit failed: what the room is, only the database knows."""

    room: Aor


class _Gap(NamedTuple):
    """So many records are missing here."""

    records: int


_Record = Judged | _Unknown | _Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """``max_waiting`` records are kept for the disk; ``max_rooms`` rooms are remembered, to know which were told of."""

    path: Path
    version: str
    max_waiting: int = 20_000
    max_rooms: int = 100_000


class SpecTrace:
    """`run` it as a task. ``wall`` gives unix seconds."""

    def __init__(self, options: TraceOptions, wall: Callable[[], float]) -> None:
        self._options = options
        self._wall = wall
        self._waiting: deque[tuple[float, _Record]] = deque()
        self._dropped = 0  # since the last record that was kept
        self._lost = 0  # by the disk, since the last that was written
        self._wanted = trio.Event()
        self._needs_header = True
        self._renderer = _Renderer(options)

    def probe(self) -> None:
        """ConfigError where the file cannot be written."""
        try:
            self._options.path.open("a").close()
        except OSError as error:
            raise ConfigError(f"--trace-spec: {error}") from None

    def note(self, judged: Judged) -> None:
        """A decision was committed."""
        self._put(judged)

    def note_unknown(self, room: Aor) -> None:
        """A commit about the room failed, or its outcome is not known."""
        self._put(_Unknown(room))

    def statistics(self) -> dict[str, int]:
        return {"trace_waiting": len(self._waiting), "trace_dropped": self._dropped + self._lost}

    def _put(self, record: _Record) -> None:
        if len(self._waiting) >= self._options.max_waiting:
            self._dropped += 1
            return
        now = self._wall()
        if self._dropped:
            self._waiting.append((now, _Gap(self._dropped)))
            self._dropped = 0
        self._waiting.append((now, record))
        self._wanted.set()

    async def run(self) -> None:
        """Write until cancelled, and then what waits still."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted = trio.Event()
                await trio.to_thread.run_sync(self._write)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._write, True)

    def _write(self, is_end: bool = False) -> None:
        """In a thread, one at a time: what waits, to the end of the file."""
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with self._options.path.open("a", encoding="ascii") as file:
                needs_header = self._needs_header or file.tell() == 0
                file.writelines(f"{line}\n" for line in self._lines(batch, needs_header, is_end))
            self._needs_header = False
            self._lost = 0
        except OSError as error:
            _log.warning("trace-not-written", path=str(self._options.path), records=len(batch), error=str(error))
            self._needs_header = True  # whatever was written of it, a header starts anew
            self._lost += len(batch)

    def _lines(self, batch: Iterable[tuple[float, _Record]], needs_header: bool, is_end: bool) -> Iterator[str]:
        if needs_header:
            yield from self._renderer.header(self._wall(), self._lost)
        for time, record in batch:
            yield from self._renderer.lines(time, record)
        if is_end:
            yield from self._renderer.end(self._wall(), self._dropped)


class _Renderer:
    """Records to lines. It remembers what the file says of each room and policy."""

    def __init__(self, options: TraceOptions) -> None:
        self._options = options
        self._rooms: OrderedDict[Aor, tuple[Room | None, int]] = OrderedDict()
        self._policies: dict[Policy, int] = {}

    def header(self, time: float, lost: int) -> Iterator[str]:
        self._rooms.clear()
        self._policies.clear()
        if lost:
            yield ""  # the last line may not have been written whole
        yield _dump({"time": time, "trace": FORMAT, "version": self._options.version})
        if lost:
            yield from self._gap(time, lost)

    def end(self, time: float, dropped: int) -> Iterator[str]:
        if dropped:
            yield from self._gap(time, dropped)
        yield _dump({"time": time, "end": True})

    def lines(self, time: float, record: _Record) -> Iterator[str]:
        match record:
            case _Gap(records):
                yield from self._gap(time, records)
            case _Unknown(room):
                self._rooms.pop(room, None)
                yield _dump({"time": time, "room": str(room), "unknown": "commit failed"})
            case Judged():
                yield from self._judged(time, record)

    def _gap(self, time: float, count: int) -> Iterator[str]:
        self._rooms.clear()
        yield _dump({"time": time, "gap": count})

    def _judged(self, time: float, record: Judged) -> Iterator[str]:
        if record.policy not in self._policies:
            self._policies[record.policy] = len(self._policies) + 1
            yield _dump({"time": time, "policy": self._policies[record.policy], **_policy(record.policy)})
        decision = record.decision
        before, number = self._rooms.get(decision.address, (record.before, -1))
        if number < 0 or before is not record.before:  # first heard of, or read again
            number = max(number, 0)
            yield _dump({"time": time, "room": str(decision.address), "snapshot": _snapshot(record.before)})
        self._remember(decision.address, decision.room, number + 1)
        yield _dump({"time": time, "n": number + 1, "policy": self._policies[record.policy], **_judged(record)})

    def _remember(self, aor: Aor, room: Room | None, number: int) -> None:
        self._rooms[aor] = (room, number)
        self._rooms.move_to_end(aor)
        if len(self._rooms) > self._options.max_rooms:
            self._rooms.popitem(last=False)


def _policy(policy: Policy) -> dict[str, Any]:
    limits = policy.limits
    return {
        "create_on_join": policy.create_on_join,
        "check_on_create": policy.check_on_create,
        "owner_leave": policy.owner_leave,
        "add_requires_consent": policy.add_requires_consent,
        "room_pattern": policy.room_pattern,
        "domains": policy.domains,
        "manager": None if policy.manager is None else str(policy.manager),
        "max_members": limits.max_members,
        "max_rooms_per_owner": limits.max_rooms_per_owner,
        "max_rooms": limits.max_rooms,
        "max_text": limits.max_text,
    }


def _snapshot(room: Room | None) -> dict[str, Any] | None:
    if room is None:
        return None
    return {"is_private": room.is_private, "members": {str(user): _entry(one) for user, one in room.members.items()}}


def _entry(entry: Member) -> list[Any]:
    """[standing], for the invited [standing, inviter, serial]."""
    if entry.role is not Role.INVITED:
        return [entry.role.name.lower()]
    return ["invited", None if entry.invited_by is None else str(entry.invited_by), entry.serial]


def _judged(record: Judged) -> dict[str, Any]:
    decision = record.decision
    notices = [notice for notice in decision.notices if not notice.is_replay]
    replay = [str(user) for notice in decision.notices if notice.is_replay for user in notice.recipients]
    answers = [notice.event for notice in notices if notice.is_answer]
    told = {notice.event: _people(notice.recipients) for notice in notices if not notice.is_answer}
    if decision.recipients:
        told["message"] = _people(decision.recipients)
    return {
        "room": str(decision.address),
        "actor": str(record.sender),
        **_asked(record),
        "given": _context(record.context),
        "status": decision.status,
        "clause": decision.clause,
        "event": "" if decision.refusal is None else decision.refusal.event,
        "changes": [_change(change) for change in decision.changes],
        "answers": answers,
        "told": told,
        **({"replay": replay} if replay else {}),
    }


def _asked(record: Judged) -> dict[str, Any]:
    command = record.command
    if command is None:
        return {"command": "message", "size": record.size}
    asked: dict[str, Any] = {"command": command.name}
    if isinstance(command, BadCommand):
        return {"command": "malformed", "why": command.event, "by": command.clause}
    if isinstance(command, Create):
        asked["is_private"] = command.is_private
    if isinstance(command, Targeted):
        asked["subject"] = str(command.user)
    if isinstance(command, Modify):
        asked["role"] = command.role.name.lower()
    if isinstance(command, Set) and record.before is not None:
        asked["is_same"] = getattr(record.before.settings, command.option) == command.value
    if isinstance(command, WithdrawInvitation):
        asked["serial"] = command.serial
    return asked


def _context(context: Context) -> dict[str, Any]:
    """What is not as it is by default; the rooms of a list are left away."""
    fields = {
        "serial": context.serial,
        "rooms_owned": context.rooms_owned,
        "rooms_total": context.rooms_total,
        "is_target_room": context.is_target_room,
        "is_sender_room": context.is_sender_room,
        "is_account": context.is_account,
        "is_automatic": context.is_automatic,
    }
    return {name: value for name, value in fields.items() if value}


def _change(change: Change) -> list[Any]:
    match change:
        case RoomCreated(is_private):
            return ["created", is_private]
        case MemberSet(user, entry):
            return ["set", str(user), *_entry(entry)]
        case MemberGone(user):
            return ["gone", str(user)]
        case SettingsSet(settings):
            return ["settings", *settings]
    return ["destroyed"]


def _people(users: Iterable[Aor]) -> list[str] | dict[str, Any]:
    names = sorted(map(str, users))
    return names if len(names) <= MAX_NAMED else {"count": len(names), "sha256": digest(names)}


def digest(names: Iterable[str]) -> str:
    """Of addresses in order: what stands for many of them."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _dump(record: dict[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":"))
