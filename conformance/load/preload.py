"""Rooms that stand before a server starts, in the tables that Kamailio's imc module and imc have in common (SQLite)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
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


def fill(database: Path, rooms: Iterable[Room], names: Names) -> None:
    """Put the rooms into the tables that are there."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for room in rooms:
            connection.execute(
                "INSERT INTO imc_rooms (name, domain, flag) VALUES (?, ?, 0)",
                (f"{names.room}{room.number}", names.domain),
            )
            connection.executemany(
                "INSERT INTO imc_members (username, domain, room, flag) VALUES (?, ?, ?, ?)", _members(room, names)
            )
    connection.close()


def _members(room: Room, names: Names) -> Iterator[tuple[str, str, str, int]]:
    uri = names.room_uri(room.number)
    for index, user in enumerate(room.members):
        yield f"{names.user}{user}", names.domain, uri, MEMBER if index else OWNER
