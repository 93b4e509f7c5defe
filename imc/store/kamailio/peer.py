"""A database as another program left it: reached without changing anything about it, and read in one snapshot.

`imc.store.database` sets up a database for imc's own use (SQLite in WAL mode, for one); this does not.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Connection, NullPool, TableClause, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from imc.errors import StoreError, StoreUnavailable
from imc.store.failures import place_of, translate, unreachable
from imc.store.urls import engine_url

BATCH = 1_000
_CONNECT_TIMEOUT = 5
_STRICT = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO"
# What tells one database from another, whatever name it is reached by.
_WHICH = {
    "mysql": "SELECT @@hostname, @@port, @@datadir, DATABASE()",
    "postgresql": "SELECT pg_postmaster_start_time()::text, current_setting('port'), current_database()",
}


class Peer:
    """``url`` is in Kamailio's form, ``base`` the directory that a relative SQLite path starts from. ConfigError."""

    def __init__(self, url: str, *, base: Path | None = None) -> None:
        self.url = engine_url(url, base=base)
        self.kind = self.url.get_backend_name()
        self.place = place_of(self.url)

    def is_there(self) -> bool:
        """Whether there is a file; a server's database is taken to be there."""
        return self.kind != "sqlite" or Path(str(self.url.database)).exists()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """All that is read is of one moment, and nothing can be written. StoreError, StoreUnavailable."""
        with self._connected(is_writing=False) as connection:
            if self.kind == "sqlite":
                connection.exec_driver_sql("BEGIN")
            elif self.kind == "mysql":
                connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            else:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            yield connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Committed at the end of the ``with``; all of it or nothing."""
        with self._connected(is_writing=True) as connection:
            if self.kind == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            elif self.kind == "mysql":
                # Strict: what does not fit is an error, not cut.
                connection.exec_driver_sql(f"SET SESSION sql_mode = '{_STRICT}'")
            yield connection
            connection.commit()

    @contextlib.contextmanager
    def _connected(self, *, is_writing: bool) -> Iterator[Connection]:
        if not self.is_there():
            raise StoreUnavailable(f"{self.place}: there is no such file")
        engine = create_engine(self.url, poolclass=NullPool, **self._how(is_writing=is_writing))
        dbapi: Any = engine.dialect.loaded_dbapi
        try:
            connection = engine.connect()
        except (SQLAlchemyError, dbapi.Error, OSError, RuntimeError) as error:
            raise unreachable(error, self.url) from error
        try:
            with connection:
                yield connection
        except (DBAPIError, dbapi.Error, UnicodeError) as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            raise translate(cause, dbapi, self.place) from error
        finally:
            engine.dispose()

    def _how(self, *, is_writing: bool) -> dict[str, Any]:
        if self.kind == "sqlite":
            return {"creator": lambda: _open_file(str(self.url.database), is_writing=is_writing)}
        if self.kind == "mysql":
            return {"connect_args": {"charset": "utf8mb4", "connect_timeout": _CONNECT_TIMEOUT}}
        return {"connect_args": {"connect_timeout": _CONNECT_TIMEOUT, "client_encoding": "utf8"}}


def _open_file(path: str, *, is_writing: bool) -> sqlite3.Connection:
    mode = "rw" if is_writing else "ro"
    connection = sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True, isolation_level=None, timeout=10.0)
    # Bytes that are no UTF-8 are for the mapping to refuse, a row at a time.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return connection


def identity(connection: Connection, kind: str) -> tuple[object, ...]:
    """Equal for two connections to the same database."""
    if kind == "sqlite":
        path = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
        found = Path(path).stat()
        return found.st_dev, found.st_ino
    return tuple(connection.exec_driver_sql(_WHICH[kind]).one())


def find_table(
    connection: Connection, name: str, needed: Sequence[str], optional: Sequence[str] = ()
) -> TableClause | None:
    """The table with those of its columns that are wanted, None where it is not there.

    StoreError where it lacks a needed one. Values come as the driver gives them.
    """
    inspector = inspect(connection)
    if not inspector.has_table(name):
        return None
    there = {column["name"].lower() for column in inspector.get_columns(name)}
    lacking = [column for column in needed if column not in there]
    if lacking:
        raise StoreError(f"table {name} is not Kamailio's: it has no column {', '.join(lacking)}")
    names = [*needed, *(column for column in optional if column in there)]
    return sqlalchemy.table(name, *(sqlalchemy.column(column) for column in names))


def is_exact(connection: Connection, kind: str, name: str, key: Sequence[str]) -> bool:
    """Whether the table tells upper from lower case in its key. Only MySQL's may not."""
    if kind != "mysql":
        return True
    found = connection.execute(
        text(
            "SELECT column_name, collation_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name = :name"
        ),
        {"name": name},
    ).all()
    return all(str(collation).endswith(("_bin", "binary")) for column, collation in found if column in key)


def stream(connection: Connection, query: sqlalchemy.Select[Any]) -> Iterator[Any]:
    """The rows of a query, never more of them in memory than a batch."""
    yield from connection.execute(query, execution_options={"yield_per": BATCH})
