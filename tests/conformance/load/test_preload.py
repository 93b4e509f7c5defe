"""`conformance.load.preload`: rows that Kamailio and imc read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from conformance.load import preload
from conformance.load.sender import Names
from conformance.load.works import Room


def test_rooms_and_members(tmp_path: Path) -> None:
    database = tmp_path / "rooms.sqlite"
    preload.create_tables(database)
    preload.fill(database, [Room(4, [2, 0]), Room(5, range(1))], Names(room="chat-r"))
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT name, domain, flag FROM imc_rooms").fetchall() == [
            ("chat-r4", "example.com", 0),
            ("chat-r5", "example.com", 0),
        ]
        assert connection.execute("SELECT username, domain, room, flag FROM imc_members").fetchall() == [
            ("user2", "example.com", "sip:chat-r4@example.com", 1),
            ("user0", "example.com", "sip:chat-r4@example.com", 0),
            ("user0", "example.com", "sip:chat-r5@example.com", 1),
        ]
        assert dict(connection.execute("SELECT table_name, table_version FROM version")) == {
            "imc_rooms": 1,
            "imc_members": 1,
        }
