"""Rooms and their members: frozen values, and the only functions that make a new room out of an old one.

Invariants
    A `Room` never changes; `apply` gives the room after one `Change`, or None where it is gone.
    Every live room has an owner (spec R-INV-1): `imc.rooms.decide` sees to it, `apply` only applies.
    `Room.audience` is a function of the members alone: sorted, so that equal rooms have equal audiences.

The changes of a decision, applied in order to the room before it, give the room after it. The store keeps the same
rows; so what is read back is what was decided (spec R-DURABLE-3).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

from immutables import Map

from imc.aor import Aor
from imc.rooms.names import lookalike_key
from imc.rooms.settings import NEW_ROOM, RoomSettings


class Role(IntEnum):
    """How someone stands to a room, by rank (spec R-ROLE-1). An outsider has none: ``None``."""

    INVITED = 1
    MEMBER = 2
    ADMIN = 3
    OWNER = 4


class Member(NamedTuple):
    """One entry of a room. The last two fields are of an invitation only: who made it, and which one it is.

    ``invited_by`` is None where nobody knows any more (a table taken over). ``serial`` tells one invitation of a user
    from the next (spec R-INVITE-5); it is stored with the invitation.
    """

    role: Role
    invited_by: Aor | None = None
    serial: int = 0


# Look-alike keys that several members share; of a room of `LARGE` and more, how many members each key has.
Labels = frozenset[str] | Map[str, int]
LARGE = 256
_PLAIN = {role: Member(role) for role in Role}


def member(role: Role) -> Member:
    """The shared entry of somebody who has just this role."""
    return _PLAIN[role]


@dataclass(frozen=True, slots=True)
class Room:
    """A live room. ``members`` holds the invited too."""

    aor: Aor
    is_private: bool
    members: Map[Aor, Member]
    settings: RoomSettings = NEW_ROOM
    # Computed when first asked for, and handed on when one member comes or goes: a message walks over no members, and
    # nor does a list or a change, however many there are.
    _audience: tuple[Aor, ...] | None = field(default=None, init=False, repr=False, compare=False)
    _staff: tuple[Aor, ...] | None = field(default=None, init=False, repr=False, compare=False)
    _labels: Labels | None = field(default=None, init=False, repr=False, compare=False)

    def role(self, user: Aor) -> Role | None:
        entry = self.members.get(user)
        return None if entry is None else entry.role

    @property
    def audience(self) -> tuple[Aor, ...]:
        """Members, admins and owners, sorted: whom a notice to the room reaches, and a room message but its sender."""
        if self._audience is None:
            found = tuple(sorted(user for user, entry in self.members.items() if entry.role > Role.INVITED))
            object.__setattr__(self, "_audience", found)
            return found
        return self._audience

    def audience_without(self, user: Aor) -> tuple[Aor, ...]:
        """The audience but one. O(log n) to find the one, then a copy of pointers."""
        return _with(self.audience, user, is_in=False)

    @property
    def staff(self) -> tuple[Aor, ...]:
        """Admins and owners, sorted."""
        if self._staff is None:
            found = tuple(sorted(user for user, entry in self.members.items() if entry.role > Role.MEMBER))
            object.__setattr__(self, "_staff", found)
            return found
        return self._staff

    def ranked(self, limit: int | None = None) -> tuple[tuple[Aor, Role], ...]:
        """The audience by rank, within a rank sorted (spec R-LIST-2); at most ``limit`` of them."""
        staff = sorted(((user, self.members[user].role) for user in self.staff), key=lambda one: -one[1])[:limit]
        others = frozenset(self.staff)
        rest = None if limit is None else limit - len(staff)
        return (*staff, *islice(((user, Role.MEMBER) for user in self.audience if user not in others), rest))

    def having(self, *roles: Role) -> tuple[Aor, ...]:
        """Those of the staff who have one of the roles, sorted."""
        return tuple(user for user in self.staff if self.members[user].role in roles)

    def is_last_owner(self, user: Aor) -> bool:
        return self.role(user) is Role.OWNER and self.having(Role.OWNER) == (user,)

    def label(self, user: Aor) -> str:
        """What a room message shows of its sender (spec R-MSG-6)."""
        labels = self._labels
        if labels is None:
            labels = _labels_of(self.audience)
            object.__setattr__(self, "_labels", labels)
        if not labels:
            return user.user
        key = lookalike_key(user.user)
        is_shared = labels.get(key, 0) > 1 if isinstance(labels, Map) else key in labels
        return f"{user.user}@{user.host}" if is_shared else user.user


def _labels_of(audience: Sequence[Aor]) -> Labels:
    counts: dict[str, int] = {}
    for user in audience:
        key = lookalike_key(user.user)
        counts[key] = counts.get(key, 0) + 1
    if len(audience) >= LARGE:
        return Map(counts)
    return frozenset(key for key, count in counts.items() if count > 1)


class RoomCreated(NamedTuple):
    """The room comes into being, empty; its founder follows as a `MemberSet`."""

    is_private: bool


class RoomDestroyed(NamedTuple):
    """The room, its members and its invitations are gone."""


class MemberSet(NamedTuple):
    """The user's entry is this, whether or not there was one."""

    user: Aor
    member: Member


class SettingsSet(NamedTuple):
    """The room's settings are these (spec R-SET-1)."""

    settings: RoomSettings


class MemberGone(NamedTuple):
    """The user's entry is gone."""

    user: Aor


class PrivacySet(NamedTuple):
    """The room is private from now on, or public (spec R-ADMIN-6)."""

    is_private: bool


Change = RoomCreated | RoomDestroyed | MemberSet | MemberGone | SettingsSet | PrivacySet
_NOBODY: Map[Aor, Member] = Map()


def apply(room: Room | None, aor: Aor, change: Change) -> Room | None:
    """The room at this address after the change. ValueError for one that cannot follow on what was."""
    match change:
        case RoomCreated(is_private) if room is None:
            return Room(aor, is_private, _NOBODY)
        case MemberSet(user, entry) if room is not None:
            after = Room(aor, room.is_private, room.members.set(user, entry), room.settings)
            return _hand_on(room, after, user, entry)
        case MemberGone(user) if room is not None and user in room.members:
            after = Room(aor, room.is_private, room.members.delete(user), room.settings)
            return _hand_on(room, after, user, None)
        case SettingsSet(settings) if room is not None:
            return _same_people(room, Room(aor, room.is_private, room.members, settings))
        case PrivacySet(is_private) if room is not None:
            return _same_people(room, Room(aor, is_private, room.members, room.settings))
        case RoomDestroyed() if room is not None:
            return None
    raise ValueError(f"{change} cannot follow on {room}")


def _hand_on(before: Room, after: Room, user: Aor, entry: Member | None) -> Room:
    """Derive what was computed of the room before from that, instead of a walk over all members."""
    role = Role.INVITED if entry is None else entry.role
    former = before.role(user) or Role.INVITED
    if before._audience is not None:
        object.__setattr__(after, "_audience", _with(before._audience, user, is_in=role > Role.INVITED))
    if before._staff is not None:
        object.__setattr__(after, "_staff", _with(before._staff, user, is_in=role > Role.MEMBER))
    if isinstance(before._labels, Map):
        step = (role > Role.INVITED) - (former > Role.INVITED)
        object.__setattr__(after, "_labels", _counted(before._labels, lookalike_key(user.user), step))
    return after


def _same_people(before: Room, after: Room) -> Room:
    """What was computed of the room before holds of this one as well."""
    for name in ("_audience", "_staff", "_labels"):
        object.__setattr__(after, name, getattr(before, name))
    return after


def _with(users: tuple[Aor, ...], user: Aor, *, is_in: bool) -> tuple[Aor, ...]:
    """The sorted users with this one, or without. O(log n), and a copy of pointers where it makes a difference."""
    at = bisect_left(users, user)
    was_in = at < len(users) and users[at] == user
    if was_in == is_in:
        return users
    return (*users[:at], user, *users[at:]) if is_in else users[:at] + users[at + 1 :]


def _counted(counts: Map[str, int], key: str, step: int) -> Map[str, int]:
    if not step:
        return counts
    count = counts.get(key, 0) + step
    return counts.set(key, count) if count else counts.delete(key)
