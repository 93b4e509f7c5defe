"""The log of what was said in rooms, and what a room has set for itself (spec §19, §20).

Invariants
    A message's number is one more than that of the message before it in its room, and used once: the row of the newest
    message is never deleted while the room lives. Where its content has to go the row stays, with nobody as its sender,
    and is never given to a reader.
    What removes says which state of the log it has read (``until``): it never meets a new room of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from imc.aor import Aor
from imc.rooms.settings import NEW_ROOM, RoomSettings
from imc.store.batch import Batch
from imc.store.database import Database
from imc.store.sql import Cursor
from imc.store.statements import Statements

_PAGE = 20
_FOREVER = 1e18  # seconds; beyond every time that is stored


class MessageRow(NamedTuple):
    """One message as its sender sent it; ``created`` in unix seconds, ``size`` in bytes, of the whole ``body``."""

    seq: int
    sender: Aor
    type: str
    body: bytes
    created: float
    size: int


class LogEntry(NamedTuple):
    """Where a message stands, without what was said. ``sender`` None: only its number is left."""

    room: Aor
    seq: int
    sender: Aor | None
    created: float


class MessageStore:
    """The log's part of `imc.store.store.Store`."""

    database: Database
    sql: Statements

    def last_message(self, room: Aor) -> int:
        """The number of the newest message; 0 where none was kept."""
        rows = self.database.read(lambda cursor: self.sql.last_message.rows(cursor, *room))
        return int(rows[0][0] or 0)

    def room_settings(self, room: Aor) -> RoomSettings:
        return self.database.read(lambda cursor: settings_of(self.sql, cursor, room))

    def newest_messages(
        self, room: Aor, limit: int, *, since: float, max_body: int, max_bytes: int
    ) -> tuple[list[MessageRow], bool]:
        """At most ``limit`` messages not older than ``since``, in their order; and whether there may be more of them.

        Of a body no more than ``max_body`` bytes are read, and in all no more than ``max_bytes`` and a page of 20.
        """

        def work(cursor: Cursor) -> tuple[list[MessageRow], bool]:
            found: list[MessageRow] = []
            before, size = (1 << 63) - 1, 0
            while len(found) < limit:
                if size > max_bytes:
                    return found[::-1], True
                count = min(_PAGE, limit - len(found))
                rows = self.sql.newest_messages.rows(cursor, *room, before, since, max_body, count)
                found += map(_message, rows)
                size += sum(len(row[4]) for row in rows)
                if len(rows) < count:
                    break
                before = rows[-1][0]
            return found[::-1], False

        return self.database.read(work)

    def messages_after(
        self, room: Aor, after: int, limit: int, *, since: float = 0.0, until: float = _FOREVER
    ) -> list[MessageRow]:
        """At most ``limit`` messages behind the number ``after``, in their order, of this time."""
        rows = self.database.read(
            lambda cursor: self.sql.messages_after.rows(cursor, *room, after, since, until, limit)
        )
        return [_message(row) for row in rows]

    def rooms_with_log(self, after: Aor | None, limit: int) -> list[Aor]:
        """The rooms that have a row in the log, by name and host, those behind ``after``."""

        def work(cursor: Cursor) -> list[Aor]:
            found: list[Aor] = []
            at: Sequence[str] = after or ("", "")
            while len(found) < limit:  # each by two looks into the index: DISTINCT would walk over all rows
                rows = self.sql.next_log_host.rows(cursor, *at, 1) or self.sql.next_log_name.rows(cursor, at[0], 1)
                if not rows:
                    break
                at = rows[0]
                found.append(Aor(*at))
            return found

        return self.database.read(work)

    def oldest_messages(self, room: Aor, limit: int) -> list[LogEntry]:
        rows = self.database.read(lambda cursor: self.sql.oldest_messages.rows(cursor, *room, limit))
        return [LogEntry(room, seq, Aor(*who) if who[0] else None, created) for seq, *who, created in rows]

    def said_by(self, user: Aor, limit: int) -> list[LogEntry]:
        """Some messages of this sender, in all rooms."""
        rows = self.database.read(lambda cursor: self.sql.said_by.rows(cursor, *user, limit))
        return [LogEntry(Aor(name, host), seq, user, created) for name, host, seq, created in rows]

    def count_said_by(self, user: Aor) -> int:
        return int(self.database.read(lambda cursor: self.sql.count_said_by.rows(cursor, *user))[0][0])


def settings_of(sql: Statements, cursor: Cursor, room: Aor) -> RoomSettings:
    rows = sql.room_settings.rows(cursor, *room)
    return RoomSettings(*rows[0]) if rows else NEW_ROOM


def apply_log(sql: Statements, cursor: Cursor, batch: Batch) -> None:
    """Write log and settings of a batch: after the rooms', which take with them what is gone."""
    sql.put_settings.many(cursor, [(*room, *settings) for room, settings in batch.settings.items()])
    sql.put_message.many(
        cursor,
        [
            (*one.room, one.seq, *one.sender, one.type, one.body, one.created)
            for log in batch.messages.values()
            for one in log
        ],
    )
    sql.trim_log.many(cursor, [(*one.room, one.upto, one.until) for log in batch.trims.values() for one in log])
    sql.erase_message.many(
        cursor,
        [(*one.room, one.seq, *one.sender, one.until, b"") for log in batch.erasures.values() for one in log],
    )


def clear_logs(sql: Statements, cursor: Cursor, gone: Sequence[Aor], new: Sequence[Aor]) -> None:
    """Spec R-HISTORY-2: of rooms that are gone, and what others may have left under the names of new ones."""
    sql.delete_room_messages.many(cursor, gone)
    sql.delete_room_settings.many(cursor, gone)
    sql.clear_old_messages.many(cursor, new)
    sql.clear_old_settings.many(cursor, new)


def _message(row: Sequence[Any]) -> MessageRow:
    seq, username, domain, kind, body, created, size = row
    return MessageRow(seq, Aor(username, domain), kind, bytes(body), created, size)
