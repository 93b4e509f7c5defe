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
from dataclasses import dataclass, field
from enum import IntEnum
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
    # Computed when first asked for, and handed on when one member comes or goes: a message walks over no members.
    _audience: tuple[Aor, ...] | None = field(default=None, init=False, repr=False, compare=False)
    _shared_labels: frozenset[str] | None = field(default=None, init=False, repr=False, compare=False)

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
        audience = self.audience
        at = bisect_left(audience, user)
        if at == len(audience) or audience[at] != user:
            return audience
        return audience[:at] + audience[at + 1 :]

    def having(self, *roles: Role) -> tuple[Aor, ...]:
        """Those who have one of the roles, sorted."""
        return tuple(sorted(user for user, entry in self.members.items() if entry.role in roles))

    def is_last_owner(self, user: Aor) -> bool:
        return self.role(user) is Role.OWNER and self.having(Role.OWNER) == (user,)

    def label(self, user: Aor) -> str:
        """What a room message shows of its sender (spec R-MSG-6)."""
        shared = self._shared_labels
        if shared is None:
            seen: set[str] = set()
            twice: set[str] = set()
            for one in self.audience:
                key = lookalike_key(one.user)
                (twice if key in seen else seen).add(key)
            shared = frozenset(twice)
            object.__setattr__(self, "_shared_labels", shared)
        return f"{user.user}@{user.host}" if shared and lookalike_key(user.user) in shared else user.user


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


Change = RoomCreated | RoomDestroyed | MemberSet | MemberGone | SettingsSet
_NOBODY: Map[Aor, Member] = Map()


def apply(room: Room | None, aor: Aor, change: Change) -> Room | None:
    """The room at this address after the change. ValueError for one that cannot follow on what was."""
    match change:
        case RoomCreated(is_private) if room is None:
            return Room(aor, is_private, _NOBODY)
        case MemberSet(user, entry) if room is not None:
            after = Room(aor, room.is_private, room.members.set(user, entry), room.settings)
            return _hand_on(room, after, user, is_in=entry.role > Role.INVITED)
        case MemberGone(user) if room is not None and user in room.members:
            after = Room(aor, room.is_private, room.members.delete(user), room.settings)
            return _hand_on(room, after, user, is_in=False)
        case SettingsSet(settings) if room is not None:
            after = Room(aor, room.is_private, room.members, settings)
            object.__setattr__(after, "_audience", room._audience)
            return after
        case RoomDestroyed() if room is not None:
            return None
    raise ValueError(f"{change} cannot follow on {room}")


def _hand_on(before: Room, after: Room, user: Aor, *, is_in: bool) -> Room:
    """Derive the audience from the one before, instead of a walk over all members."""
    if before._audience is not None:
        rest = before.audience_without(user)
        if is_in:
            at = bisect_left(rest, user)
            rest = (*rest[:at], user, *rest[at:])
        object.__setattr__(after, "_audience", rest)
    return after
