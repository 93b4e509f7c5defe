"""A trace of decisions (`imc serve --trace-spec`) held against the rules of the specification.

Invariants
    Nothing of imc decides here: what must come of a request is read from the rules (`conformance.model.rules`), and
    what the room is from the snapshots and changes in the trace itself.
    The first record that does not agree ends it, with its line. What a trace cannot tell (a gap, a commit whose
    outcome nobody knows, a process that was killed) is counted, and the rooms concerned are taken on trust anew.

Of each decision are checked: status, clause, event, the answer, exactly who is told of what, and how the room stands
afterwards; of a snapshot, that the room was read as it was left (spec R-DURABLE-3), and has an owner (R-INV-1). Not
checked are words, and what a list of rooms holds: they are not in the trace.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.model.rules import INVITED, MEMBER, OUTSIDER, OWNER, Entry, Request, Room, judge

FORMAT = "imc spec trace 1"
_COLUMN = 64  # spec R-ADDR-4
_Record = Mapping[str, Any]


class NotATrace(ValueError):
    """The text is no trace, or not of a format that is known."""


class Disagreement(Exception):
    """What was decided is not what the specification says. ``line`` counts from 1."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


@dataclass(slots=True)
class Figures:
    """What was looked at. ``missing`` records were dropped when the trace was written."""

    decisions: int = 0
    rooms: set[str] = field(default_factory=set)
    clauses: Counter[str] = field(default_factory=Counter)
    snapshots: int = 0
    compared: int = 0  # snapshots of rooms that were known
    starts: int = 0
    missing: int = 0
    unknown: int = 0  # commits whose outcome nobody knows
    torn: int = 0  # lines that were not written whole


@dataclass(slots=True)
class _Known:
    """A room as the trace so far has it.

    ``number`` is that of its last record. After a snapshot it may begin anew: whoever writes may have forgotten it.
    """

    room: Room | None
    number: int
    may_begin: bool


def validate(lines: Iterable[str]) -> Figures:
    """Check a trace, or several one after the other. Disagreement, NotATrace."""
    validator = _Validator()
    for line, record in _records(lines, validator.figures):
        validator.take(line, record)
    return validator.figures


def _records(lines: Iterable[str], figures: Figures) -> Iterator[tuple[int, _Record]]:
    """Each record with its line. A line may be torn where a process died: at the end, or before a header."""
    torn = 0
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except ValueError:
            record = None
        if line == 1 and not (isinstance(record, dict) and "trace" in record):
            raise NotATrace("not the header of a trace")
        if torn and not (isinstance(record, dict) and "trace" in record):
            raise NotATrace("the line before is no record")
        if isinstance(record, dict):
            torn = 0
            yield line, record
        else:
            torn = line
            figures.torn += 1


class _Validator:
    def __init__(self) -> None:
        self.figures = Figures()
        self._rooms: dict[str, _Known] = {}
        self._policies: dict[int, _Record] = {}
        self._is_ended = True  # the process before this one ended in order

    def take(self, line: int, record: _Record) -> None:
        try:
            self._take(record)
        except _Wrong as wrong:
            raise Disagreement(line, str(wrong)) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotATrace(f"not a record: {type(error).__name__}: {error}") from None

    def _take(self, record: _Record) -> None:
        figures = self.figures
        if "trace" in record:
            self._begin(record)
        elif "end" in record:
            self._is_ended = True
        elif "gap" in record:
            figures.missing += record["gap"]
            self._rooms.clear()
        elif "unknown" in record:
            figures.unknown += 1
            self._rooms.pop(record["room"], None)
        elif "snapshot" in record:
            self._see(record["room"], record["snapshot"])
        elif "create_on_join" in record:
            self._policies[record["policy"]] = record
        else:
            self._check(record)

    def _begin(self, record: _Record) -> None:
        if record["trace"] != FORMAT:
            raise ValueError(f"format {record['trace']!r} is not known")
        if not self._is_ended:  # killed, or moved away: what was written last may be lost
            self._rooms.clear()
        self._is_ended = False
        self._policies.clear()
        self.figures.starts += 1

    def _see(self, address: str, snapshot: _Record | None) -> None:
        """The room was read from the database, or is heard of for the first time."""
        figures = self.figures
        figures.snapshots += 1
        room = _room(snapshot)
        known = self._rooms.get(address)
        if known is not None:
            figures.compared += 1
            if room != known.room:
                raise _Wrong(f"R-DURABLE-3: {address} was left as {_shown(known.room)}, and read as {_shown(room)}")
        if room is not None and not any(room.having(OWNER)):
            raise _Wrong(f"R-INV-1: {address} has no owner")
        self._rooms[address] = _Known(room, 0 if known is None else known.number, may_begin=True)

    def _check(self, record: _Record) -> None:
        address, number = record["room"], record["n"]
        known = self._rooms.get(address)
        if known is None or not (number == known.number + 1 or (known.may_begin and number == 1)):
            raise _Wrong(f"records of {address} are missing before n = {number}")
        request = _request(record, known.room, self._policies[record["policy"]])
        try:
            verdict = judge(known.room, request)
        except LookupError as error:
            raise _Wrong(str(error)) from None
        where = f"{record['actor']} asked {record['command']} of {address}"
        _agree(where, "status", record["status"], verdict.status)
        _agree(where, "clause", record["clause"], verdict.clause)
        _agree(where, "event", record["event"], verdict.event if verdict.status >= 300 else "")
        _agree(where, "answer", record["answers"], [verdict.event] if verdict.is_answered else [])
        _agree(where, "told", record["told"], _told(verdict.told, record["told"]))
        after = _apply(known.room, record["changes"])
        is_set = any(change[0] == "settings" for change in record["changes"])
        if is_set is not (verdict.clause == "R-SET-1"):
            raise _Wrong(f"{where}: its settings became {'others' if is_set else 'no others'} ({verdict.clause})")
        if after != verdict.after:
            raise _Wrong(
                f"{where}: the room became {_shown(after)}, must be {_shown(verdict.after)} ({verdict.clause})"
            )
        _check_serial(where, known.room, after, request.subject)
        _check_replay(where, record.get("replay", []), known.room, after, request.subject or request.sender)
        self._rooms[address] = _Known(after, number, may_begin=False)
        self.figures.decisions += 1
        self.figures.rooms.add(address)
        self.figures.clauses[verdict.clause] += 1


class _Wrong(Exception):
    """Why a record does not agree."""


def _agree(where: str, what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise _Wrong(f"{where}: {what} is {json.dumps(found)}, must be {json.dumps(wanted)}")


def _check_serial(where: str, before: Room | None, after: Room | None, user: str) -> None:
    """An invitation's serial is greater than the one before it: else a late failure could meet it (R-INVITE-5)."""
    if before is None or after is None or user not in before.members or user not in after.members:
        return
    old, new = before.members[user], after.members[user]
    if old != new and new.standing == INVITED and new.serial <= old.serial:
        raise _Wrong(f"{where}: serial {new.serial} is not greater than {old.serial} (R-INVITE-5)")


def _check_replay(where: str, heard: list[str], before: Room | None, after: Room | None, user: str) -> None:
    """What was said is repeated to nobody but who has just become a member of a room that there was (R-HISTORY-7)."""
    if not heard:
        return
    is_new = before is not None and before.standing(user) in (OUTSIDER, INVITED)
    if heard != [user] or not is_new or after is None or after.standing(user) != MEMBER:
        raise _Wrong(
            f"{where}: what was said is repeated to {', '.join(heard)}, who did not become a member (R-HISTORY-7)"
        )


# --- what the trace says, in the words of the rules -------------------------------------------------------------------


def _request(record: _Record, room: Room | None, policy: _Record) -> Request:
    command = record["command"]
    if command == "modify":
        command = f"modify {record['role']}"
    elif command == "message" and record["room"] == policy["manager"]:
        command = "message to the manager"
    serial = record.get("serial", record["given"].get("serial", 0))
    return Request(
        command=command,
        sender=record["actor"],
        subject=record.get("subject", ""),
        is_private=record.get("is_private", False),
        circumstances=frozenset(_circumstances(record, room, policy)),
        serial=serial,
    )


def _circumstances(record: _Record, room: Room | None, policy: _Record) -> Iterator[str]:
    given = record["given"]
    subject = record.get("subject")
    facts = {
        "check-on-create": policy["check_on_create"],
        "no-create-on-join": not policy["create_on_join"],
        "keep-last-owner": policy["owner_leave"] == "refuse",
        "no-consent": not policy["add_requires_consent"],
        "name-outside": not _may_be_room(record["room"], policy),
        "account": given.get("is_account"),
        "quota": _is_reached(given.get("rooms_owned", 0), policy["max_rooms_per_owner"]),
        "server-full": _is_reached(given.get("rooms_total", 0), policy["max_rooms"]),
        "full": room is not None and _is_reached(len(room.members), policy["max_members"]),
        "text-too-long": policy["max_text"] is not None and record.get("size", 0) > policy["max_text"],
        "sender-is-room": given.get("is_sender_room") or _is_reserved(record["actor"], policy),
        "subject-is-room": given.get("is_target_room") or (subject and _is_reserved(subject, policy)),
        "automatic": given.get("is_automatic"),
        "long-name": max(map(len, _split(record["actor"]))) > _COLUMN,
        "unfit-character": record.get("by") == "R-ADDR-9",
        "of-history": record.get("by") == "R-HISTORY-3",
        "of-set": record.get("by") == "R-SET-2",
        "same-value": record.get("is_same"),
        # of rates the trace knows no more than that they were exceeded
        "too-many-invitations": record["event"] == "too-many-invitations",
    }
    yield from (name for name, holds in facts.items() if holds)
    if "why" in record:
        yield record["why"]


def _is_reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit


def _split(address: str) -> tuple[str, str]:
    user, _, host = address.removeprefix("sip:").rpartition("@")
    return user, host


def _may_be_room(address: str, policy: _Record) -> bool:
    """Spec R-ADDR-7."""
    user, host = _split(address)
    is_served = not policy["domains"] or host in policy["domains"]
    return is_served and fnmatch.fnmatchcase(user, policy["room_pattern"]) and address != policy["manager"]


def _is_reserved(address: str, policy: _Record) -> bool:
    """Spec R-ADDR-8."""
    is_any = not policy["room_pattern"].strip("*")
    return bool(address == policy["manager"] or (not is_any and _may_be_room(address, policy)))


def _room(snapshot: _Record | None) -> Room | None:
    if snapshot is None:
        return None
    return Room(snapshot["is_private"], {user: _entry(*entry) for user, entry in snapshot["members"].items()})


def _entry(standing: str, inviter: str | None = None, serial: int = 0) -> Entry:
    return Entry(standing, inviter or "", serial)


def _apply(room: Room | None, changes: list[list[Any]]) -> Room | None:
    """The room after its changes. _Wrong where one cannot follow on what was."""
    for kind, *rest in changes:
        if (kind == "created") is not (room is None):
            raise _Wrong(f"{kind} cannot follow on {_shown(room)}")
        members = {} if room is None else dict(room.members)
        if kind == "destroyed":
            room = None
            continue
        if kind == "settings":  # they are not of the rules
            continue
        if kind == "set":
            members[rest[0]] = _entry(*rest[1:])
        elif kind == "gone" and members.pop(rest[0], None) is None:
            raise _Wrong(f"{rest[0]} cannot go: they are not in the room")
        room = Room(rest[0] if room is None else room.is_private, members)
    return room


def _told(told: Mapping[str, str], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """By event; in the form in which the trace has it."""
    events: dict[str, list[str]] = {}
    for user, event in sorted(told.items()):
        events.setdefault(event, []).append(user)
    return {event: _people(users, recorded.get(event)) for event, users in events.items()}


def _people(users: list[str], recorded: object) -> object:
    if not isinstance(recorded, dict):
        return users
    return {"count": len(users), "sha256": hashlib.sha256("\n".join(users).encode()).hexdigest()}


def _shown(room: Room | None) -> str:
    if room is None:
        return "no room"
    people = (f"{user} {' '.join(str(part) for part in entry if part)}" for user, entry in sorted(room.members.items()))
    return f"a {'private' if room.is_private else 'public'} room of {'; '.join(people) or 'nobody'}"
