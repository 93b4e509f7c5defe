"""Rooms and members, between their rows and `imc.rooms.model`.

Rows may be Kamailio's own: flag bits that imc never writes are read sensibly (a deleted row is none, an invitation is
an invitation whatever else is set), and a row whose address breaks the grammar is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from immutables import Map
from sqlalchemy import and_, func, or_, select

from imc.aor import Aor
from imc.rooms.model import Member, Role, Room
from imc.rooms.model import member as plain_member
from imc.rooms.settings import RoomSettings
from imc.store.addresses import Addresses
from imc.store.batch import Batch
from imc.store.database import Database
from imc.store.messages import clear_logs, settings_of
from imc.store.schema import (
    MEMBER_ADMIN,
    MEMBER_DELETED,
    MEMBER_INVITED,
    MEMBER_OWNER,
    ROOM_DELETED,
    ROOM_PRIVATE,
    Tables,
)
from imc.store.sql import Builder, Cursor, Statement
from imc.store.statements import Statements

T = TypeVar("T")
Position = tuple[str, str]
_FLAGS = {Role.OWNER: MEMBER_OWNER, Role.ADMIN: MEMBER_ADMIN, Role.MEMBER: 0, Role.INVITED: MEMBER_INVITED}
_CHUNK = 100
# SQLite takes 32,766 parameters in one statement.
MAX_PAGE = 1000


class Page(NamedTuple, Generic[T]):
    """Some rows, and where the next page starts: ``next`` goes into ``after``; None after the last page."""

    rows: list[T]
    next: Position | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSummary:
    """A room without its members: ``members`` counts who is in it, ``invited`` who is not yet."""

    room: Aor
    is_private: bool
    members: int
    invited: int
    owners: tuple[Aor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEntry:
    """A room that somebody has a part in."""

    room: Aor
    is_private: bool
    role: Role


def role_of(flag: int) -> Role | None:
    """The role that a member's flag bits say; None for a row that Kamailio marked deleted."""
    if flag & MEMBER_DELETED:
        return None
    if flag & MEMBER_INVITED:
        return Role.INVITED
    if flag & MEMBER_OWNER:
        return Role.OWNER
    return Role.ADMIN if flag & MEMBER_ADMIN else Role.MEMBER


_ROLES = {flag: role_of(flag) for flag in range(16)}


class RoomStore:
    """The rooms' part of `imc.store.store.Store`."""

    database: Database
    build: Builder
    sql: Statements
    tables: Tables
    addresses: Addresses
    room_flag: Statement

    def load_room(self, aor: Aor) -> Room | None:
        """The room with its members and invitations, as one state of the database; None where there is none.

        It is as the last answered command left it (spec R-INV-8).
        """
        uri = str(aor)

        def work(cursor: Cursor) -> tuple[Sequence[Sequence[Any]], RoomSettings]:
            return self.sql.load_room.rows(cursor, *aor, *aor, uri), settings_of(self.sql, cursor, aor)

        rows, settings = self.database.read(work)
        own = next((row for row in rows if row[0] is None), None)
        if own is None or own[2] & ROOM_DELETED:
            return None
        return Room(aor, bool(own[2] & ROOM_PRIVATE), _members(rows, self.addresses), settings)

    def room_exists(self, aor: Aor) -> bool:
        """Whether there is one, however many are in it."""
        rows = self.database.read(lambda cursor: self.room_flag.rows(cursor, *aor))
        return bool(rows) and not rows[0][0] & ROOM_DELETED

    def load_room_and_log(self, aor: Aor) -> tuple[Room | None, int]:
        """The room, and the number of the newest message in its log; 0 without one."""
        room = self.load_room(aor)
        if room is None:
            return None, 0
        return room, int(self.database.read(lambda cursor: self.sql.last_message.rows(cursor, *aor))[0][0] or 0)

    def list_rooms(self, limit: int, after: Position | None = None) -> Page[RoomSummary]:
        """All rooms, ordered by name and host, ``limit`` a page (at most `MAX_PAGE`)."""
        limit = min(limit, MAX_PAGE)

        def work(cursor: Cursor) -> Page[RoomSummary]:
            rows = self.sql.list_rooms.rows(cursor, *(after or ("", "")), limit)
            found = [(room, flag) for name, domain, flag in rows if (room := _aor(name, domain)) is not None]
            return Page(self._summaries(cursor, found), _next(rows, limit))

        return self.database.read(work)

    def public_rooms(self, limit: int, after: Position | None = None) -> Page[Aor]:
        """The public rooms, ordered by name and host, ``limit`` a page."""
        rows = self.database.read(lambda cursor: self.sql.public_rooms.rows(cursor, *(after or ("", "")), limit))
        found = (_aor(name, domain) for name, domain, _ in rows)
        return Page([room for room in found if room is not None], _next(rows, limit))

    def rooms_of(self, user: Aor, limit: int, after: Position | None = None) -> Page[RoomEntry]:
        """The rooms that the user has a part in or is invited to, ordered by their URI, ``limit`` a page."""

        def work(cursor: Cursor) -> Page[RoomEntry]:
            rows = self.sql.rooms_of.rows(cursor, *user, after[0] if after else "", limit)
            found = {room: flag for uri, flag in rows if (room := _room_aor(uri)) is not None}
            flags = self._room_flags(cursor, list(found))
            entries = [
                RoomEntry(room=room, is_private=bool(flags[room] & ROOM_PRIVATE), role=role)
                for room, flag in found.items()
                if room in flags and (role := role_of(flag)) is not None
            ]
            return Page(entries, (rows[-1][0], "") if len(rows) == limit else None)

        return self.database.read(work)

    def count_rooms(self) -> int:
        """How many rooms there are. The database walks an index of all rooms: ask once, then count on."""
        return int(self.database.read(self.sql.count_rooms.rows)[0][0])

    def count_rooms_owned(self, user: Aor) -> int:
        """How many rooms the user is an owner of."""
        return int(self.database.read(lambda cursor: self.sql.count_rooms_owned.rows(cursor, *user))[0][0])

    def _summaries(self, cursor: Cursor, rooms: Sequence[tuple[Aor, int]]) -> list[RoomSummary]:
        members = self.tables.members
        is_here = members.c.room.in_([str(room) for room, _ in rooms])
        counted = (
            select(members.c.room, members.c.flag, func.count()).where(is_here).group_by(members.c.room, members.c.flag)
        )
        owning = select(members.c.room, members.c.username, members.c.domain, members.c.flag).where(
            is_here, members.c.flag.bitwise_and(MEMBER_OWNER) != 0
        )
        counts: dict[tuple[str, Role | None], int] = {}
        owners: dict[str, list[Aor]] = {}
        if rooms:
            for uri, flag, count in self.build.run(cursor, counted):
                key = uri, role_of(flag)
                counts[key] = counts.get(key, 0) + count
            for uri, name, domain, flag in self.build.run(
                cursor, owning.order_by(members.c.username, members.c.domain)
            ):
                if role_of(flag) is Role.OWNER and (owner := _aor(name, domain)) is not None:
                    owners.setdefault(uri, []).append(owner)
        return [
            RoomSummary(
                room=room,
                is_private=bool(flag & ROOM_PRIVATE),
                members=sum(counts.get((str(room), role), 0) for role in (Role.MEMBER, Role.ADMIN, Role.OWNER)),
                invited=counts.get((str(room), Role.INVITED), 0),
                owners=tuple(owners.get(str(room), ())),
            )
            for room, flag in rooms
        ]

    def _room_flags(self, cursor: Cursor, rooms: Sequence[Aor]) -> dict[Aor, int]:
        """The flags of those rooms that live."""
        table = self.tables.rooms
        flags: dict[Aor, int] = {}
        for start in range(0, len(rooms), _CHUNK):
            chunk = rooms[start : start + _CHUNK]
            is_one = or_(*(and_(table.c.name == room.user, table.c.domain == room.host) for room in chunk))
            for name, domain, flag in self.build.run(
                cursor, select(table.c.name, table.c.domain, table.c.flag).where(is_one)
            ):
                if not flag & ROOM_DELETED:
                    flags[Aor(name, domain)] = flag
        return flags


def room_flag(build: Builder, tables: Tables) -> Statement:
    """The flag of a room's row; it walks over no members."""
    rooms = tables.rooms
    return build.compile(select(rooms.c.flag).where(build.has(rooms, name="name", domain="domain")), "name", "domain")


def apply_rooms(sql: Statements, cursor: Cursor, batch: Batch, wall: float) -> None:
    """Write the rooms and members of a batch: what goes, then what comes."""
    cleared = list(batch.cleared_rooms)
    uris = [(str(room),) for room in cleared]
    sql.delete_room_members.many(cursor, uris)
    sql.delete_room_invitations.many(cursor, cleared)
    sql.delete_room.many(cursor, [room for room in cleared if room not in batch.rooms])
    new = [room for room in batch.rooms if room not in batch.cleared_rooms]
    sql.clear_leftovers.many(cursor, [(str(room), *room) for room in new])
    clear_logs(sql, cursor, cleared, new)
    sql.put_room.many(cursor, [(*room, ROOM_PRIVATE if is_private else 0) for room, is_private in batch.rooms.items()])
    gone, put, invited, settled = _member_rows(batch, wall)
    sql.delete_member.many(cursor, gone)
    sql.put_member.many(cursor, put)
    sql.delete_invitation.many(cursor, settled)
    sql.put_invitation.many(cursor, invited)


def _member_rows(
    batch: Batch, wall: float
) -> tuple[list[Sequence[Any]], list[Sequence[Any]], list[Sequence[Any]], list[Sequence[Any]]]:
    """Keys of members to delete; rows of members, and of invitations; keys of invitations that are settled."""
    gone: list[Sequence[Any]] = []
    put: list[Sequence[Any]] = []
    invited: list[Sequence[Any]] = []
    settled: list[Sequence[Any]] = []
    for room, members in batch.members.items():
        uri = str(room)
        # A room that comes into being, or lost all, has no invitations to settle.
        is_new = room in batch.cleared_rooms or room in batch.rooms
        for user, entry in members.items():
            if entry is None:
                gone.append((*user, uri))
            else:
                put.append((*user, uri, _FLAGS[entry.role]))
            if entry is not None and entry.role is Role.INVITED:
                invited_by = str(entry.invited_by) if entry.invited_by else ""
                invited.append((*room, *user, invited_by, entry.serial, wall))
            elif not is_new:
                settled.append((*room, *user))
    return gone, put, invited, settled


def _members(rows: Iterable[Sequence[Any]], addresses: Addresses) -> Map[Aor, Member]:
    """The map of a room's members, from (username, domain, flag, invited by, serial) rows."""
    members = Map[Aor, Member]().mutate()
    for username, domain, flag, invited_by, serial in rows:
        if username is None:
            continue
        role = _ROLES[flag & 15]
        user = addresses.get(username, domain)
        if role is None or user is None:
            continue
        entry = plain_member(role) if role is not Role.INVITED else _invited(invited_by, serial)
        known = members.get(user)
        # Two rows may be one address in two spellings; the higher rank stands.
        if known is None or known.role < role:
            members[user] = entry
    return members.finish()


def _invited(invited_by: str | None, serial: int | None) -> Member:
    """A Kamailio row has no inviter, so nor has an invitation that came from there."""
    inviter = _room_aor(invited_by) if invited_by else None
    return Member(Role.INVITED, inviter, serial or 0)


def _aor(name: str, domain: str) -> Aor | None:
    try:
        return Aor.make(name, domain)
    except ValueError:
        return None


def _room_aor(uri: str) -> Aor | None:
    try:
        return Aor.parse(uri)
    except ValueError:
        return None


def _next(rows: Sequence[Sequence[Any]], limit: int) -> Position | None:
    return (rows[-1][0], rows[-1][1]) if len(rows) == limit else None
