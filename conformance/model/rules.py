"""The rules of rooms as a table (rules.toml) and its interpreter: for any number of users, and not by a server's code.

Invariants
    `judge` is a function of its arguments. It knows no rule: all of them stand in the table.
    Whatever is asked, exactly one line answers; LookupError where none does, which would be a hole in the table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from conformance.model import graph

OWNER, ADMIN, MEMBER, INVITED, OUTSIDER = "owner", "admin", "member", "invited", "outsider"
STANDINGS = (OWNER, ADMIN, MEMBER, INVITED, OUTSIDER)
NO_ROOM = "no room"
_STAFF = (OWNER, ADMIN)
_AUDIENCE = (OWNER, ADMIN, MEMBER)


class Entry(NamedTuple):
    """One part in a room; inviter ("" if not known) and serial are of an invitation only."""

    standing: str
    inviter: str = ""
    serial: int = 0


class Room(NamedTuple):
    """A live room."""

    is_private: bool
    members: Mapping[str, Entry]

    def standing(self, user: str) -> str:
        entry = self.members.get(user)
        return OUTSIDER if entry is None else entry.standing

    def having(self, *standings: str) -> Iterator[str]:
        return (user for user, entry in self.members.items() if entry.standing in standings)


class Request(NamedTuple):
    """What is asked. ``command`` is a key of the table; ``subject`` whom it is about, by default its sender.

    ``circumstances`` are what else matters, by the names that the table uses. ``serial`` is that of the invitation that
    the request makes, or, for ``undelivered``, of the one that failed, made by ``sender``.
    """

    command: str
    sender: str
    subject: str = ""
    is_private: bool = False
    circumstances: frozenset[str] = frozenset()
    serial: int = 0


class Verdict(NamedTuple):
    """What must come of it. ``told`` has the event that each of the others gets.

    ``event`` is the one that the clause has for the sender, ``is_answered`` whether they get a MESSAGE with it.
    """

    status: int
    clause: str
    event: str
    is_answered: bool
    told: dict[str, str]
    after: Room | None


class Rule(NamedTuple):
    """One line of the table."""

    when: tuple[str, ...]
    status: int
    clause: str
    event: str
    is_answered: bool
    tells: tuple[tuple[str, str], ...]
    becomes: str


class _Case(NamedTuple):
    """A request about a room, as the conditions and groups of the table see it."""

    room: Room | None
    request: Request

    @property
    def subject(self) -> str:
        return self.request.subject or self.request.sender

    def holds(self, condition: str) -> bool:
        if condition.startswith("not "):
            return not self.holds(condition[4:])
        test = _TESTS.get(condition)
        if test is not None:
            return test(self)
        words = condition.removeprefix("subject ").split("|")
        if all(word in STANDINGS for word in words):
            user = self.subject if condition.startswith("subject ") else self.request.sender
            return self.room is not None and self.room.standing(user) in words
        return condition in self.request.circumstances

    def is_last_owner(self) -> bool:
        return self.room is not None and list(self.room.having(OWNER)) == [self.subject]

    def is_pending(self) -> bool:
        entry = None if self.room is None else self.room.members.get(self.subject)
        return entry == Entry(INVITED, self.request.sender, self.request.serial)

    def group(self, name: str, after: Room | None) -> list[str]:
        """Whom a line of the table means."""
        if name == "subject":
            return [self.subject]
        if name == "room":
            return [] if after is None else list(after.having(*_AUDIENCE))
        if self.room is None:
            raise LookupError(f"no room for {name}")
        if name == "inviter":
            inviter = self.room.members[self.subject].inviter
            is_there = self.room.standing(inviter) in _AUDIENCE
            return [inviter] if is_there else list(self.room.having(OWNER))
        return list(self.room.having(*{"staff": _STAFF, "all": STANDINGS}[name]))


_TESTS: dict[str, Callable[[_Case], bool]] = {
    "no room": lambda case: case.room is None,
    "private": lambda case: case.room is not None and case.room.is_private,
    "oneself": lambda case: case.subject == case.request.sender,
    "last owner": _Case.is_last_owner,
    "pending": _Case.is_pending,
}


def judge(room: Room | None, request: Request) -> Verdict:
    """What must come of the request. LookupError where the table has no answer."""
    case = _Case(room, request)
    rule = next((rule for rule in _lines(request.command) if all(map(case.holds, rule.when))), None)
    if rule is None:
        raise LookupError(f"no rule for {request} in {room}")
    after = _after(case, rule.becomes)
    # a failed invitation is nobody's request: all may be told
    left_out = "" if request.command == "undelivered" else request.sender
    told: dict[str, str] = {}
    for group, event in rule.tells:
        for user in case.group(group, after):
            if user != left_out:
                told.setdefault(user, event)
    is_answered = rule.is_answered and "automatic" not in request.circumstances
    return Verdict(rule.status, rule.clause, rule.event, is_answered, told, after)


def _after(case: _Case, becomes: str) -> Room | None:
    room = case.room
    if not becomes:
        return room
    if becomes == NO_ROOM:
        return None
    members = {} if room is None else dict(room.members)
    if becomes == OUTSIDER:
        del members[case.subject]
    elif becomes == INVITED:
        members[case.subject] = Entry(INVITED, case.request.sender, case.request.serial)
    else:
        members[case.subject] = Entry(becomes)
    return Room(case.request.is_private if room is None else room.is_private, members)


@cache
def _lines(command: str) -> tuple[Rule, ...]:
    """The lines that judge a command, in order."""
    table = _table()
    first = ["everyone"] if command != "undelivered" else []
    if command in table["needs-room-for"]:
        first.append("needs-room")
    return tuple(_rule(*columns) for name in (*first, command) for columns in table[name])


def commands() -> list[str]:
    """Those that the table judges."""
    return [name for name in _table() if name not in ("everyone", "needs-room", "needs-room-for")]


def rules(command: str) -> tuple[Rule, ...]:
    """The lines of one list of the table."""
    return tuple(_rule(*columns) for columns in _table()[command])


@cache
def _table() -> dict[str, list[Any]]:
    return tomllib.loads(files("conformance.model").joinpath("rules.toml").read_text(encoding="utf-8"))


def _rule(when: str, gives: str, tells: str = "", becomes: str = "") -> Rule:
    status, clause, event = gives.split()
    told = (pair.split(": ") for pair in tells.split(", ") if pair)
    return Rule(
        when=tuple(when.split(", ")) if when else (),
        status=int(status),
        clause=clause,
        event=event.strip("(-)") if event[0] in "(-" else event,
        is_answered=event[0] not in "(-",
        tells=tuple((group, event) for group, event in told),
        becomes=becomes,
    )


# --- as the graph of three users sees it ------------------------------------------------------------------------------

_STANDING_OF = {letter: name for letter, name in graph.ROLES.items() if name != OUTSIDER}
_LETTER_OF = {name: letter for letter, name in graph.ROLES.items()}
_SERIAL = 2  # of a pending invitation; an older one has a smaller one


def step(edge: graph.Edge) -> graph.Outcome:
    """`conformance.model.graph.Step`: the graph that the rules span."""
    verdict = judge(room_of(edge.state), request_of(edge))
    return graph.Outcome(
        status=verdict.status,
        clause=verdict.clause,
        event=verdict.event if verdict.is_answered or verdict.status >= 300 else "",
        is_answered=verdict.is_answered,
        told=tuple(sorted(verdict.told.items())),
        after=state_of(verdict.after),
    )


def room_of(state: str) -> Room | None:
    if state == graph.NONE:
        return None
    letters = graph.standings(state)
    entries = {
        user: Entry(_STANDING_OF[letter]) if letter in _STANDING_OF else Entry(INVITED, letter, _SERIAL)
        for user, letter in zip(graph.USERS, letters, strict=False)
        if letter != graph.OUTSIDER
    }
    return Room(graph.is_private(state), entries)


def state_of(room: Room | None, users: str = graph.USERS) -> str:
    if room is None:
        return graph.NONE
    letters = (_letter(room.members.get(user)) for user in users)
    return f"{'private' if room.is_private else 'public'}/{''.join(letters)}"


def _letter(entry: Entry | None) -> str:
    if entry is None:
        return graph.OUTSIDER
    return entry.inviter if entry.standing == INVITED else _LETTER_OF[entry.standing]


def request_of(edge: graph.Edge) -> Request:
    words, _, circumstances = edge.request.partition(" @")
    name, *rest = words.split()
    others = set(circumstances.split(",")) - {""}
    command, subject, serial = name, rest[0] if rest and name != "create" else "", _SERIAL
    if subject == "room":
        others.add("subject-is-room")
    if name == "modify":
        command = f"modify {rest[1]}"
    elif name == "malformed":
        others.add("unknown-command")
    elif name == "late":
        command, serial = "undelivered", _SERIAL - 1
    return Request(command, edge.actor, subject, "private" in rest, frozenset(others), serial)
