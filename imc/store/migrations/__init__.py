"""The schema of a database, brought up to date by Alembic: from the daemon itself, or from ``imc db upgrade``.

Invariants
    Tables of Kamailio that are there already are adopted (`imc.store.migrations.kamailio`), never recreated or cut.
    Two programs that start at once do not migrate at once: MySQL and PostgreSQL hold a lock meanwhile, SQLite is
    locked by the transaction.
    A migration may run again after it was cut off: MySQL commits each change of the schema for itself.
    A database newer than the program is refused.

A start on a database that is up to date does not import Alembic.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from imc.errors import StoreError
from imc.store import locks
from imc.store.database import Database, open_cursor
from imc.store.migrations import kamailio
from imc.store.options import StoreOptions
from imc.store.schema import Tables, tables

HEAD = "0005"
VERSION_TABLE = "imc_schema"
_LOCK_WAIT = 60.0
# Alembic keeps the migration under way in module globals.
_alembic_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What `upgrade` did. Revisions are None for a database that imc has not seen before; notes are sentences."""

    place: str
    before: str | None
    after: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the tables that are there are like: which compare their keys without case, and what to warn of."""

    inexact: frozenset[str]
    warnings: tuple[str, ...]


def upgrade(options: StoreOptions) -> Upgrade:
    """Bring the schema up to date, and rows that others wrote into canonical form. Errors as of `Store.open`."""
    database = Database(options)
    try:
        database.open()
        names = tables(options.rooms_table, options.members_table)
        with _migrating(database) as connection:
            before = current(connection)
            _check(before, database.place)
            notes = _run(connection, names)
            notes += kamailio.tidy(connection, names)
        return Upgrade(place=database.place, before=before, after=HEAD, notes=tuple(notes))
    finally:
        database.close()


def prepare(database: Database, names: Tables) -> list[str]:
    """Upgrade where that is needed; notes for the log. StoreError for a schema that is newer than this program."""
    with database.session(is_writing=False) as connection:
        before = current(connection)
        _check(before, database.place)
        inspector = inspect(connection)
        kamailios = (names.rooms, names.members, names.subscriber)
        if before == HEAD and all(inspector.has_table(table.name) for table in kamailios):
            return []
    with _migrating(database) as connection:
        # Another program may have done it meanwhile.
        before = current(connection)
        _check(before, database.place)
        notes = _run(connection, names)
        if before is None:
            notes += kamailio.tidy(connection, names)
        return notes


def current(connection: Connection) -> str | None:
    """The revision of the schema; None where imc has not been here."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608


def inspect_tables(database: Database, names: Tables) -> Found:
    """Look at how the tables of Kamailio were made."""
    with database.session(is_writing=False) as connection:
        inexact, warnings = kamailio.inspect_tables(connection, names)
    return Found(inexact, tuple(warnings))


def _check(revision: str | None, place: str) -> None:
    if revision is not None and revision > HEAD:
        raise StoreError(
            f"{place}: its schema is revision {revision}, newer than this imc, which knows {HEAD}; run the newer imc"
        )


@contextmanager
def _migrating(database: Database) -> Iterator[Connection]:
    """A transaction that no other program's migration runs beside. Where it fails, the lock goes with its session."""
    with database.session() as connection, open_cursor(connection.connection) as cursor:
        locks.acquire_upgrade(database.kind, cursor, _LOCK_WAIT)
        yield connection
        connection.commit()
        locks.release_upgrade(database.kind, cursor)


def _run(connection: Connection, names: Tables) -> list[str]:
    # Only here: Alembic takes a tenth of a second to import.
    from alembic import command
    from alembic.config import Config

    notes: list[str] = []
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, names=names, notes=notes)
    with _alembic_lock:
        command.upgrade(config, "head")
    # The names of the tables may be new to a database that is not.
    notes += kamailio.adopt(connection, names)
    return notes
