"""Kamailio's own schema as its Debian packages bring it, rows in it, and what an import makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from imc.aor import Aor
from imc.rooms.model import Member
from imc.service.silo import Silo
from imc.store.accounts import Account
from imc.store.kamailio.read import Names
from imc.store.kamailio.report import Report
from imc.store.kamailio.transfer import Transfer, export_kamailio, import_kamailio
from imc.store.options import StoreOptions
from imc.store.store import Store
from imc.store.urls import engine_url
from tests.databases import Database

_FOLDERS = {"sqlite": "db_sqlite", "mariadb": "mysql", "postgresql": "postgres"}
_PARTS = ("standard", "imc", "msilo", "auth_db")
TABLES = ("imc_rooms", "imc_members", "subscriber", "silo")
NOW = 1_700_000_000.0
# A room of two, an account, and a member of no room: (table, columns, rows).
A_ROOM: tuple[tuple[str, str, list[tuple[Any, ...]]], ...] = (
    ("imc_rooms", "name domain flag", [("chat-a", "example.com", 1)]),
    (
        "imc_members",
        "username domain room flag",
        [
            ("alice", "example.com", "sip:chat-a@example.com", 1),
            ("bob", "example.com", "sip:chat-a@example.com", 4),
            ("eve", "example.com", "sip:chat-b@example.com", 0),
        ],
    ),
    ("subscriber", "username domain password", [("alice", "example.com", "secret")]),
)


def make_schema(database: Database, parts: Sequence[str] = _PARTS) -> None:
    """Kamailio's tables, from the SQL of the package for this kind of database; a skip without it."""
    folder = Path("/usr/share/kamailio") / _FOLDERS[database.kind]
    files = [folder / f"{part}-create.sql" for part in parts]
    if not all(file.is_file() for file in files):
        pytest.skip(f"Kamailio's tables for {database.kind} are not installed")
    for file in files:
        for statement in re.split(r";\s*\n", file.read_text()):
            if statement.strip():
                database.execute(statement)


def insert(database: Database, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
    """Rows in one transaction."""
    names = columns.split()
    clause = sqlalchemy.insert(sqlalchemy.table(table, *(sqlalchemy.column(name) for name in names)))
    engine = sqlalchemy.create_engine(engine_url(database.url), poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.execute(clause, [dict(zip(names, row, strict=True)) for row in rows])


def rows(database: Database, table: str) -> list[tuple[Any, ...]]:
    """All of a table but its ids, in an order of its own."""
    names = [column["name"] for column in _inspect(database).get_columns(table) if column["name"] != "id"]
    found = database.execute(f"SELECT {', '.join(names)} FROM {table}")
    return sorted((tuple(map(_plain, row)) for row in found), key=repr)


def _inspect(database: Database) -> sqlalchemy.Inspector:
    return sqlalchemy.inspect(sqlalchemy.create_engine(engine_url(database.url), poolclass=sqlalchemy.NullPool))


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def has_table(database: Database, table: str) -> bool:
    return _inspect(database).has_table(table)


def fill(database: Database) -> None:
    """Rows as Kamailio writes them, and some that nobody should have."""
    make_schema(database)
    insert(
        database,
        "imc_rooms",
        "name domain flag",
        [
            ("chat-garden", "example.com", 1),
            ("chat-gone", "example.com", 2),
            ("chat-empty", "EXAMPLE.com", 0),
            ("chat with blanks", "example.com", 0),
            ("c" * 60, "example.com", 0),
            ("chat-%00", "example.com", 0),
            ("manager", "example.com", 0),
        ],
    )
    garden = "sip:chat-garden@example.com"
    insert(
        database,
        "imc_members",
        "username domain room flag",
        [
            ("alice", "example.com", garden, 1),
            ("bob", "example.com", garden, 4),
            ("carol", "Example.ORG", garden, 2),
            ("dave", "example.org", garden, 8),
            ("erin", "example.org", "sip:chat-gone@example.com", 1),
            ("erin", "example.org", "sip:chat-never@example.com", 1),
            ("chat-empty", "example.com", garden, 0),
            ("al ice", "example.com", garden, 0),
            ("frank", "example.org", "nonsense", 0),
        ],
    )
    insert(
        database,
        "subscriber",
        "username domain password ha1 ha1b",
        [
            ("alice", "example.com", "secret", "", ""),
            ("bob", "example.com", "", "0" * 32, "1" * 32),
            ("carol", "example.com", "other", "0" * 32, ""),
            ("dave", "example.com", "", "A" * 64, "B" * 64),
            ("nobody", "example.com", "", "", ""),
            ("broken", "example.com", "", "x" * 32, ""),
        ],
    )
    insert(
        database,
        "silo",
        "src_addr dst_addr username domain inc_time exp_time snd_time ctype body extra_hdrs callid status",
        [
            silo(body=b"one\xff\x00", callid="1@a"),
            silo(
                src_addr="sips:al-x@Example.com;transport=tcp", exp_time=int(NOW) + 9, extra_hdrs="X-A: b\r\nVia: x\r\n"
            ),
            silo(exp_time=int(NOW) - 1),
            silo(status=1),
            silo(snd_time=5),
            silo(src_addr="tel:+123"),
            silo(ctype="no type"),
            silo(username=""),
        ],
    )


def silo(**values: Any) -> tuple[Any, ...]:
    """A row of silo, in the order of its columns."""
    row: dict[str, Any] = {
        "src_addr": "sip:alice@example.com",
        "dst_addr": "sip:bob@example.com",
        "username": "bob",
        "domain": "example.com",
        "inc_time": int(NOW) - 100,
        "exp_time": 0,
        "snd_time": 0,
        "ctype": "text/plain",
        "body": b"hello",
        "extra_hdrs": "",
        "callid": "call@example.com",
        "status": 0,
    }
    return tuple({**row, **values}.values())


def transfer(url: str, own: str, **more: Any) -> Transfer:
    values: dict[str, Any] = {"manager": Aor("manager", "example.com"), "wall": lambda: NOW, "names": Names(), **more}
    return Transfer(url=url, options=StoreOptions(url=own, lock_wait=0.1), codec=Silo(), **values)


def take(url: str, own: str, **more: Any) -> Report:
    """An import that is done."""
    return import_kamailio(transfer(url, own, is_writing=True, **more))


def give(url: str, own: str, **more: Any) -> Report:
    """An export that is done."""
    return export_kamailio(transfer(url, own, is_writing=True, **more))


def numbers(report: Report) -> dict[str, tuple[int, ...]]:
    """(read, new, same, conflicting, did not fit, gone) of each table; what was read is one of them."""
    found: dict[str, tuple[int, ...]] = {
        name: (count.read, count.new, count.same, count.conflicting, count.misfit, count.gone)
        for name, count in report.counts.items()
    }
    assert all(sum(counts[1:]) == counts[0] for counts in found.values()), found
    return found


Rooms = dict[Aor, tuple[bool, dict[Aor, Member]]]


def held(url: str) -> tuple[Rooms, dict[Aor, Account | None]]:
    """What imc has: rooms, accounts."""
    with Store.open(StoreOptions(url=url)) as store:
        return _rooms(store), {aor: store.get_account(aor) for aor in store.list_accounts(1_000).rows}


def _rooms(store: Store) -> Rooms:
    found: Rooms = {}
    for summary in store.list_rooms(1_000).rows:
        room = store.load_room(summary.room)
        assert room is not None
        found[room.aor] = (room.is_private, dict(room.members))
    return found


def waiting(database: Database) -> list[tuple[Any, ...]]:
    """Copies that wait, each with what of its row of the outbox does not come by chance."""
    found = database.execute(
        "SELECT w.username, w.domain, w.part, w.state, w.created, w.expires, w.tries, w.status, "
        "o.payload, o.recipients FROM imc_waiting w JOIN imc_outbox o ON w.seq = o.seq ORDER BY w.seq"
    )
    return [tuple(map(_plain, row)) for row in found]
