"""Who is in a room, as those in it may see it, and what changed of that: pure.

A roster names the audience by rank, as the command members does (spec R-LIST-2): the invited are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from imc.aor import Aor
from imc.rooms.model import Role, Room


class Person(NamedTuple):
    """``label`` is what room messages show of them (spec R-MSG-6)."""

    role: Role
    label: str


@dataclass(frozen=True, slots=True)
class Roster:
    """``total`` counts all in the room, ``people`` are those of them that are named, by rank."""

    total: int
    people: Mapping[Aor, Person]


class Difference(NamedTuple):
    """What makes a later roster of an earlier one: who is new or otherwise, and who is not named any more."""

    changed: dict[Aor, Person]
    gone: tuple[Aor, ...]


# spec S-EVT-7
def roster_of(room: Room, limit: int) -> Roster:
    """At most ``limit`` of them are named: the staff first."""
    people = {user: Person(role, room.label(user)) for user, role in room.ranked(limit)}
    return Roster(len(room.audience), people)


def difference(before: Roster, after: Roster) -> Difference:
    changed = {user: person for user, person in after.people.items() if before.people.get(user) != person}
    return Difference(changed, tuple(user for user in before.people if user not in after.people))
