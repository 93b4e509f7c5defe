"""Text to command (spec §2). What comes in is hostile; nothing here raises on it.

A command is frozen and says what is wanted, with every address resolved. What cannot be read is a `BadCommand`, which
`imc.rooms.decide` judges like any other, so that malformed text has one outcome too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from imc.aor import Aor
from imc.rooms.model import Role
from imc.rooms.names import is_too_long_for_room, is_too_long_for_user, is_visible
from imc.rooms.policy import Policy
from imc.rooms.settings import OPTIONS, read_number, read_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """``room`` is the room it is about; for `Rooms`, `Help` and `BadCommand` the address it was sent to (R-ANSWER-3).

    ``code`` is what imc_manager() returns where it is refused (spec R-ANSWER-5).
    """

    name: ClassVar[str]
    code: ClassVar[int]
    room: Aor


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Command):
    name = "create"
    code = -30
    is_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Command):
    name = "join"
    code = -40


@dataclass(frozen=True, slots=True, kw_only=True)
class Targeted(Command):
    """A command about another user."""

    user: Aor


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite(Targeted):
    name = "invite"
    code = -50


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Targeted):
    name = "add"
    code = -50


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept(Command):
    name = "accept"
    code = -60


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject(Command):
    name = "reject"
    code = -70


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove(Targeted):
    name = "remove"
    code = -80


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Command):
    name = "leave"
    code = -90


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy(Command):
    name = "destroy"
    code = -110


@dataclass(frozen=True, slots=True, kw_only=True)
class Members(Command):
    name = "members"
    code = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms(Command):
    name = "rooms"
    code = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Modify(Targeted):
    name = "modify"
    code = -120
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Command):
    name = "history"
    code = -100
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Command):
    """The command set without an option: what the room keeps and repeats."""

    name = "settings"
    code = -120


@dataclass(frozen=True, slots=True, kw_only=True)
class Set(Command):
    """``option`` is one of `imc.rooms.settings.OPTIONS`, ``value`` what it is to be."""

    name = "set"
    code = -120
    option: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Help(Command):
    name = "help"
    code = -120


@dataclass(frozen=True, slots=True, kw_only=True)
class BadCommand(Command):
    """What could not be read, by the event id of its refusal. ``detail`` is safe to show; ``returns`` is its code."""

    name = "bad"
    code = -130
    event: str
    clause: str
    detail: str = ""
    returns: int = -130


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawInvitation(Targeted):
    """No text leads here: an invitation could not be delivered (spec R-INVITE-4). Which one, inviter and serial say."""

    name = "undelivered"
    code = -50
    inviter: Aor
    serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateFor(Targeted):
    """No text leads here: an operator makes a room (spec R-ADMIN-1). ``user`` is to be its owner."""

    name = "create"
    code = -30
    is_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPrivate(Command):
    """No text leads here: an operator makes a room private, or public (spec R-ADMIN-6)."""

    name = "privacy"
    code = -120
    is_private: bool


# What the words are called in hints; a word in brackets may be left away. Other than these, forms are the classes.
_FORMS: dict[str, tuple[type[Command], tuple[str, ...]]] = {
    "create": (Create, ("[room]", "[private]")),
    "join": (Join, ("[room]",)),
    "invite": (Invite, ("user", "[room]")),
    "add": (Add, ("user", "[room]")),
    "accept": (Accept, ("[room]",)),
    "reject": (Reject, ("[room]",)),
    "remove": (Remove, ("user", "[room]")),
    "leave": (Leave, ("[room]",)),
    "destroy": (Destroy, ("[room]",)),
    "members": (Members, ("[room]",)),
    "rooms": (Rooms, ()),
    "modify": (Modify, ("user", "role", "[room]")),
    "history": (History, ("[n]", "[room]")),
    "set": (Set, ("[option]", "[value]", "[room]")),
    "help": (Help, ()),
}
USAGE = {name: words for name, (_, words) in _FORMS.items()}
ALIASES = {"deny": "reject", "exit": "leave", "list": "members"}  # spec R-CMD-2
DEFAULT_HISTORY = 20  # spec R-HISTORY-3
ROLES = {"owner": Role.OWNER, "admin": Role.ADMIN, "member": Role.MEMBER}

_LINE_END = re.compile(r"[\r\n]")
_LIKE_NUMBER = re.compile(r"[-+]\S*|[0-9]+([.,][0-9]*)?", re.ASCII)  # meant as one, and none that can be taken
_BLANKS = re.compile(r"[ \t]+")
_SHOWABLE = re.compile(r"[A-Za-z][A-Za-z-]{0,30}\Z")


class _Bad(Exception):
    """Why the words are no command; never leaves this module."""

    def __init__(self, event: str, clause: str, detail: str = "") -> None:
        super().__init__(event)
        self.event, self.clause, self.detail = event, clause, detail


class _Words(NamedTuple):
    """The parameters of a command, and what their addresses are relative to."""

    values: list[str]
    to: Aor
    policy: Policy

    def room(self, at: int) -> Aor:
        """The room named at this place, or the one addressed (spec R-ADDR-2, R-ADDR-3, R-ADDR-6)."""
        room = self._address(at, self.to.host) if at < len(self.values) else self.to
        if room == self.policy.manager:
            raise _Bad("room-needed", "R-ADDR-6")
        if is_too_long_for_room(room):
            raise _Bad("name-too-long", "R-ADDR-4", "room")
        if not is_visible(room.user):
            raise _Bad("bad-address", "R-ADDR-9", "room")
        return room

    def user(self, at: int, room: Aor) -> Aor:
        user = self._address(at, room.host)
        if is_too_long_for_user(user):
            raise _Bad("name-too-long", "R-ADDR-4", "user")
        if not is_visible(user.user):
            raise _Bad("bad-address", "R-ADDR-9", "user")
        return user

    def _address(self, at: int, default_host: str) -> Aor:
        try:
            return Aor.parse(self.values[at], default_host)
        except ValueError:
            raise _Bad("bad-address", "R-ADDR-2") from None


def _create(words: _Words) -> Command:
    # `#create private` asks for a private room at the address it is sent to
    values, is_private = words.values, False
    if values and values[-1].lower() == "private":
        values, is_private = values[:-1], True
    if len(values) > 1:
        raise _Bad("bad-parameter", "R-CMD-3", "private")
    return Create(room=words._replace(values=values).room(0), is_private=is_private)


def _modify(words: _Words) -> Command:
    role = ROLES.get(words.values[1].lower())
    if role is None:
        raise _Bad("bad-role", "R-CMD-3")
    room = words.room(2)
    return Modify(room=room, user=words.user(0, room), role=role)


def _history(words: _Words) -> Command:
    """A number alone is how many; a room whose name is a number needs its host, or a number before it."""
    values, limit = words.values, words.policy.limits.max_history
    number = read_number(values[0]) if values else DEFAULT_HISTORY
    if number is None and len(values) == 1 and not _LIKE_NUMBER.fullmatch(values[0]):  # the room alone
        values, number = ["", *values], DEFAULT_HISTORY
    if not number:
        raise _Bad("bad-parameter", "R-HISTORY-3")
    count = number if limit is None else min(number, limit)
    return History(room=words._replace(values=values).room(1), count=count)


def _set(words: _Words) -> Command:
    """Without an option, or with a room alone: what the settings are (spec R-SET-4)."""
    values = words.values
    option = values[0].lower() if values else ""
    if len(values) < 2:
        if option in OPTIONS:
            raise _Bad("missing-parameter", "R-CMD-3")
        return Settings(room=words.room(0))
    value = read_value(option, values[1], words.policy) if option in OPTIONS else None
    if value is None:
        raise _Bad("bad-parameter", "R-SET-2")
    return Set(room=words.room(2), option=option, value=value)


def _about_user(form: Callable[..., Command]) -> Callable[[_Words], Command]:
    def read(words: _Words) -> Command:
        room = words.room(1)
        return form(room=room, user=words.user(0, room))

    return read


def _about_room(form: Callable[..., Command]) -> Callable[[_Words], Command]:
    return lambda words: form(room=words.room(0))


def _about_nothing(form: Callable[..., Command]) -> Callable[[_Words], Command]:
    return lambda words: form(room=words.to)


def _reader(form: type[Command]) -> Callable[[_Words], Command]:
    if form is Create:
        return _create
    if form is Modify:
        return _modify
    if form is History:
        return _history
    if form is Set:
        return _set
    if form in (Rooms, Help):
        return _about_nothing(form)
    return _about_user(form) if issubclass(form, Targeted) else _about_room(form)


_READERS = {name: _reader(form) for name, (form, _) in _FORMS.items()}


def is_command(body: str, policy: Policy) -> bool:
    """Whether a text is a command, good or bad (spec R-CMD-1)."""
    return body.startswith(policy.start_char)


def parse_command(body: str, to: Aor, policy: Policy) -> Command:
    """The command that a text begins with; `BadCommand` for anything else. ``to`` is the address it was sent to."""
    line = _LINE_END.split(body, maxsplit=1)[0][1:]
    limit = policy.limits.max_command_line
    if limit is not None and len(line) >= limit:
        return BadCommand(room=to, event="command-too-long", clause="R-CMD-5", returns=-20)
    name, *values = _BLANKS.split(line.rstrip(" \t"))
    name = name.lower()
    name = ALIASES.get(name, name)
    if not name:
        return BadCommand(room=to, event="empty-command", clause="R-CMD-4", returns=-20)
    if name not in _FORMS:
        detail = name if _SHOWABLE.match(name) else ""
        return BadCommand(room=to, event="unknown-command", clause="R-CMD-4", detail=detail)
    form, usage = _FORMS[name]
    try:
        if len(values) < sum(not word.startswith("[") for word in usage):
            raise _Bad("missing-parameter", "R-CMD-3")
        if len(values) > len(usage) and form is not Help:
            raise _Bad("too-many-parameters", "R-CMD-3")
        return _READERS[name](_Words(values, to, policy))
    except _Bad as bad:
        return BadCommand(room=to, event=bad.event, clause=bad.clause, detail=bad.detail or name, returns=form.code)
