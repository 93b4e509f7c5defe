"""Rooms that stand before a server starts, in the tables that Kamailio's imc module and imc have in common (SQLite)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from conformance.load.sender import Names
from conformance.load.works import Room

OWNER, MEMBER = 1, 0
_TABLES = """
CREATE TABLE version (
    id INTEGER PRIMARY KEY NOT NULL, table_name VARCHAR(32) NOT NULL UNIQUE, table_version INTEGER DEFAULT 0 NOT NULL);
INSERT INTO version (table_name, table_version) VALUES ('imc_rooms', 1), ('imc_members', 1);
CREATE TABLE imc_rooms (
    id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(64) NOT NULL, domain VARCHAR(64) NOT NULL, flag INTEGER NOT NULL,
    UNIQUE (name, domain));
CREATE TABLE imc_members (
    id INTEGER PRIMARY KEY NOT NULL, username VARCHAR(64) NOT NULL, domain VARCHAR(64) NOT NULL,
    room VARCHAR(64) NOT NULL, flag INTEGER NOT NULL, UNIQUE (username, domain, room));
CREATE INDEX imc_members_room ON imc_members (room);
"""


def create_tables(database: Path) -> None:
    """As Kamailio needs them, and an index that spares it to read all members for each room; imc makes its own."""
    with sqlite3.connect(database) as connection:
        connection.executescript(_TABLES)
    connection.close()


def fill(database: Path, rooms: Collection[Room], names: Names) -> None:
    """Put the rooms into the tables that are there. They are gone through twice."""
    with sqlite3.connect(database) as connection:
        connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;")
        connection.executemany(
            "INSERT INTO imc_rooms (name, domain, flag) VALUES (?, ?, 0)",
            ((f"{names.room}{room.number}", names.domain) for room in rooms),
        )
        connection.executemany(
            "INSERT INTO imc_members (username, domain, room, flag) VALUES (?, ?, ?, ?)",
            (row for room in rooms for row in _members(room, names)),
        )
    connection.close()


def _members(room: Room, names: Names) -> Iterator[tuple[str, str, str, int]]:
    uri = names.room_uri(room.number)
    for index, user in enumerate(room.members):
        yield f"{names.user}{user}", names.domain, uri, MEMBER if index else OWNER


def register(database: Path, users: int, names: Names, contact: Callable[[int], str]) -> None:
    """Bindings of the first ``users`` users in imc's own table, for an hour; ``contact`` is the HOST:PORT of each."""
    now = time.time()
    with sqlite3.connect(database) as connection:
        connection.executemany(
            "INSERT INTO imc_bindings (username, domain, contact, q, expires, call_id, cseq, path, received, flow, "
            "instance, user_agent, registered) VALUES (?, ?, ?, 1000, ?, ?, 1, '[]', '', '', '', 'load', ?)",
            (
                (f"{names.user}{user}", names.domain, f"sip:{names.user}{user}@{contact(user)}", now + 3600,
                 f"{user}.{names.room}", now)
                for user in range(users)
            ),
        )  # fmt: skip
    connection.close()
