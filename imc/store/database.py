"""Connections: how they are made for each kind of database, and how reads and transactions run on them.

Invariants
    Every connection but the one that writes is in autocommit: each statement of a read may see another state.
    There is one writer at a time. Its connection carries the daemon's lock where the server keeps it.
    A commit that returned is on disk: SQLite in WAL mode syncs at each commit (synchronous=FULL), PostgreSQL with
    synchronous_commit, InnoDB by innodb_flush_log_at_trx_commit=1, which `Database.warnings` looks at.
    `stage` never waits for another connection; the writer's own waiting is `_begin_sqlite`.
    Only `imc.errors` leave this module; no text holds the password.

A transaction that lost its connection is tried once more on a new one, its COMMIT included: what `Store` writes is the
same when it is written twice.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Pool, QueuePool, create_engine, event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection

from imc.errors import StoreError, StoreUnavailable
from imc.store import locks
from imc.store.failures import (
    is_timeout,
    is_worth_another_try,
    place_of,
    translate,
    unreachable,
)
from imc.store.options import StoreOptions
from imc.store.sql import Cursor
from imc.store.urls import engine_url

T = TypeVar("T")
_BUSY_STEP = 0.01  # seconds between attempts where SQLite does not wait by itself
# A checkpoint copies each page once, however often it was written: so many pages of the log in place of 1,000.
_CHECKPOINT_PAGES = 4_000


class Database:
    """One database, and the pool of connections to it. Thread-safe: several may read while one writes."""

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self.url = engine_url(options.url, base=options.base)
        self.kind = self.url.get_backend_name()
        self.place = place_of(self.url)
        self._file_lock: locks.FileLock | None = None
        self._writer: PoolProxiedConnection | None = None
        self._write_lock = threading.Lock()
        self._pool_lock = threading.Lock()
        self.engine = _make_engine(self.url, self.kind, options)
        self.dbapi: Any = self.engine.dialect.loaded_dbapi

    def open(self) -> None:
        """Reach the database, and take the daemon's lock if the options say so.

        StoreUnavailable where it cannot be reached, StoreLocked where another daemon has it.
        """
        if self.kind == "sqlite":
            path = _prepare_file(self.url, may_create=self.options.may_create)
            if self.options.is_exclusive:
                self._file_lock = locks.FileLock(path.with_name(path.name + ".lock"))
                self._file_lock.acquire(self.options.lock_wait)
        with self._write_lock:
            self._connected_writer()

    def close(self) -> None:
        with self._write_lock:
            self._release_daemon_lock()
            self._drop_writer()
        self.engine.dispose()
        if self._file_lock is not None:
            self._file_lock.release()
            self._file_lock = None

    def read(self, work: Callable[[Cursor], T]) -> T:
        """What ``work`` reads, on a connection from the pool. It is called again where the connection was lost."""
        for is_last in (False, True):
            pool = self.engine.pool
            connection = self.checkout()
            try:
                with open_cursor(connection) as cursor:
                    return work(cursor)
            except self.dbapi.Error as error:
                is_lost = self._is_lost(error, connection)
                if is_lost:
                    connection.invalidate()
                    self._empty_pool()
                if is_last or not is_lost or is_timeout(error):
                    raise translate(error, self.dbapi, self.place) from error
            finally:
                self._give_back(connection, pool)
        raise AssertionError("unreachable")

    def write(self, work: Callable[[Cursor], T]) -> T:
        """What ``work`` gives, once all that it wrote is committed. It is called again after a lost connection."""
        with self._write_lock:
            for is_last in (False, True):
                connection = self._connected_writer()
                try:
                    return self._transaction(connection, work)
                except (self.dbapi.Error, UnicodeError, OverflowError) as error:
                    is_lost = self._is_lost(error, connection)
                    if is_lost:
                        self._drop_writer()
                        # Those in the pool are as old: a server that restarted has forgotten them all.
                        self._empty_pool()
                    may_repeat = (is_lost and not is_timeout(error)) or is_worth_another_try(error)
                    if is_last or not may_repeat:
                        raise translate(error, self.dbapi, self.place) from error
        raise AssertionError("unreachable")

    def stage(self, work: Callable[[Cursor], object]) -> Staged | None:
        """``work`` done in a transaction that is still to be committed; None where that cannot be had at once.

        For SQLite only, whose statements change pages in memory. Nothing is waited for: where somebody else writes, or
        anything at all fails, nothing is left behind, and `write` is to be asked. Until the result is committed, in
        whatever thread, nobody else can write.
        """
        if self.kind != "sqlite" or not self._write_lock.acquire(blocking=False):
            return None
        staged = None
        try:
            connection: Any = self._writer.dbapi_connection if self._writer is not None else None
            if connection is not None:
                staged = _begun(connection, self._write_lock, work)
        finally:
            if staged is None:
                self._write_lock.release()
        return staged

    def _empty_pool(self) -> None:
        with self._pool_lock:
            self.engine.dispose()

    def _give_back(self, connection: PoolProxiedConnection, pool: Pool) -> None:
        """To the pool it came from; where that was emptied meanwhile, nobody else would ever close it."""
        with self._pool_lock:
            if self.engine.pool is not pool:
                connection.detach()
            connection.close()

    def checkout(self) -> PoolProxiedConnection:
        """A connection from the pool: in autocommit, to be closed by the caller. StoreUnavailable without one."""
        try:
            return self.engine.raw_connection()
        except StoreError:
            raise
        except (self.dbapi.Error, SQLAlchemyError, OSError, RuntimeError) as error:
            raise unreachable(error, self.url) from error

    @contextlib.contextmanager
    def session(self, *, is_writing: bool = True) -> Iterator[Connection]:
        """A SQLAlchemy connection in a transaction, for what is no hot path; committed at the end of the ``with``."""
        try:
            connection = self.engine.connect()
        except (SQLAlchemyError, self.dbapi.Error, OSError, RuntimeError) as error:
            raise unreachable(error, self.url) from error
        try:
            with connection:
                self._set_autocommit(connection.connection, is_on=False)
                if self.kind == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
                try:
                    yield connection
                    connection.commit()
                    # What went past SQLAlchemy, on the driver's own cursor, began a transaction too.
                    connection.connection.commit()
                except BaseException:
                    # Closed rather than cleaned up: the pool's connections are in autocommit and have no transaction.
                    connection.invalidate()
                    raise
                self._set_autocommit(connection.connection, is_on=True)
        except (DBAPIError, self.dbapi.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            raise translate(cause, self.dbapi, self.place) from error

    def _set_autocommit(self, connection: PoolProxiedConnection, *, is_on: bool) -> None:
        driver: Any = connection.dbapi_connection
        if self.kind == "mysql":
            driver.autocommit(is_on)
        elif self.kind == "postgresql":
            driver.autocommit = is_on

    def warnings(self) -> list[str]:
        """What about the server's settings endangers what was committed."""
        if self.kind == "mysql":
            rows = self.read(lambda cursor: _rows(cursor, "SELECT @@innodb_flush_log_at_trx_commit"))
            if str(rows[0][0]) != "1":
                return ["innodb_flush_log_at_trx_commit is not 1: a crash may lose what was committed last"]
        if self.kind == "postgresql":
            rows = self.read(lambda cursor: _rows(cursor, "SHOW fsync"))
            if rows[0][0] != "on":
                return ["fsync is off: a crash may damage the database"]
        if self.kind == "sqlite":
            rows = self.read(lambda cursor: _rows(cursor, "PRAGMA journal_mode"))
            if rows[0][0] != "wal":
                return [f"the journal is in mode {rows[0][0]}, not wal: readers and the writer wait for each other"]
        return []

    def _transaction(self, connection: PoolProxiedConnection, work: Callable[[Cursor], T]) -> T:
        """All of ``work`` or nothing; a driver's exception leaves with the transaction rolled back."""
        with open_cursor(connection) as cursor:
            try:
                if self.kind == "sqlite":
                    self._begin_sqlite(cursor)
                result = work(cursor)
                connection.commit()
            except BaseException:
                with contextlib.suppress(self.dbapi.Error):
                    connection.rollback()
                raise
            return result

    def _begin_sqlite(self, cursor: Cursor) -> None:
        """Begin, when whoever writes has ended.

        IMMEDIATE: a transaction that starts by reading could not write where somebody else wrote meanwhile.
        """
        ends = time.monotonic() + self.options.timeout
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                    raise
                time.sleep(_BUSY_STEP)

    def _connected_writer(self) -> PoolProxiedConnection:
        """The connection that writes, made anew after it was lost."""
        if self._writer is None:
            connection = self.checkout()
            connection.detach()
            try:
                self._prepare_writer(connection)
            except BaseException:
                connection.close()
                raise
            self._writer = connection
        return self._writer

    def _prepare_writer(self, connection: PoolProxiedConnection) -> None:
        try:
            if self.kind != "sqlite" and self.options.is_exclusive:
                with open_cursor(connection) as cursor:
                    locks.acquire_daemon(self.kind, cursor, self.options.lock_wait)
            if self.kind == "sqlite":
                with open_cursor(connection) as cursor:
                    cursor.execute("PRAGMA busy_timeout=0")
                    cursor.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            self._set_autocommit(connection, is_on=False)
        except self.dbapi.Error as error:
            raise unreachable(error, self.url) from error

    def _release_daemon_lock(self) -> None:
        """At once: a server ends a session, and the locks of it, only some time after its client has left."""
        if self._writer is None or self.kind == "sqlite" or not self.options.is_exclusive:
            return
        with contextlib.suppress(self.dbapi.Error), open_cursor(self._writer) as cursor:
            self._writer.rollback()
            locks.release_daemon(self.kind, cursor)

    def _drop_writer(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(self.dbapi.Error):
                self._writer.close()
            self._writer = None

    def _is_lost(self, error: BaseException, connection: PoolProxiedConnection) -> bool:
        """Whether the connection is of no use any more."""
        driver: Any = connection.dbapi_connection
        return isinstance(error, self.dbapi.Error) and self.engine.dialect.is_disconnect(error, driver, None)


class Staged:
    """A transaction that lacks its COMMIT. `commit` is called once, in whatever thread."""

    __slots__ = ("_connection", "_lock")

    def __init__(self, connection: Any, lock: threading.Lock) -> None:
        self._connection = connection
        self._lock = lock

    def commit(self) -> bool:
        """Whether it is on disk; else none of it is."""
        try:
            self._connection.commit()
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
            return False
        finally:
            self._lock.release()
        return True


def _begun(connection: Any, lock: threading.Lock, work: Callable[[Cursor], object]) -> Staged | None:
    try:
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        work(cursor)
    except BaseException as error:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        if isinstance(error, sqlite3.Error | UnicodeError | OverflowError):
            return None  # `Database.write` meets it again, and says what it is
        raise
    return Staged(connection, lock)


@contextlib.contextmanager
def open_cursor(connection: PoolProxiedConnection) -> Iterator[Cursor]:
    """The driver's own cursor, closed at the end."""
    cursor: Any = connection.cursor()
    try:
        yield cursor
    finally:
        # A lost connection has no cursor left to close.
        with contextlib.suppress(Exception):
            cursor.close()


def _rows(cursor: Cursor, text: str) -> Any:
    cursor.execute(text)
    return cursor.fetchall()


def _prepare_file(url: URL, *, may_create: bool) -> Path:
    """The SQLite file, made for its owner alone where it is missing and may be made: it will hold password hashes."""
    path = Path(str(url.database)).resolve()
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if may_create else 0), 0o600))
    except FileNotFoundError as error:
        hint = "" if may_create else "; imc serve, imc user add and imc db upgrade make it"
        raise StoreUnavailable(f"database {path}: {error.strerror}{hint}") from error
    except OSError as error:
        raise StoreUnavailable(f"database {path}: {error.strerror}") from error
    return path


def _make_engine(url: URL, kind: str, options: StoreOptions) -> Engine:
    engine = create_engine(
        url,
        connect_args=_connect_arguments(kind, options),
        poolclass=QueuePool,
        pool_size=options.readers,
        max_overflow=1,  # the writer's, until it leaves the pool
        pool_timeout=options.timeout,
        pool_reset_on_return=None,  # autocommit: nothing to roll back, so no round trip for it
    )
    prepare = {"sqlite": _prepare_sqlite, "mysql": _prepare_mysql, "postgresql": _prepare_postgresql}[kind]

    @event.listens_for(engine, "connect")
    def prepare_connection(connection: Any, _record: object) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            prepare(cursor, options)

    return engine


def _connect_arguments(kind: str, options: StoreOptions) -> dict[str, Any]:
    if kind == "sqlite":
        return {"isolation_level": None, "check_same_thread": False, "timeout": options.timeout}
    if kind == "mysql":
        return {
            "autocommit": True,
            "charset": "utf8mb4",
            "connect_timeout": options.connect_timeout,
            # Longer than the server's own bound on a lock wait.
            "read_timeout": options.timeout + 1,
            "write_timeout": options.timeout + 1,
        }
    return {
        "autocommit": True,
        "connect_timeout": max(2, round(options.connect_timeout)),  # libpq takes 2 s and more
        # A server that vanished without a word is noticed within about 10 s.
        "keepalives_idle": 4,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }


def _prepare_sqlite(cursor: Cursor, options: StoreOptions) -> None:
    # The change to WAL does not wait for a lock as statements do (no busy handler); a file that is in WAL stays so.
    ends = time.monotonic() + options.timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(_BUSY_STEP)
    cursor.execute("PRAGMA synchronous=FULL")


def _prepare_mysql(cursor: Cursor, options: StoreOptions) -> None:
    # Strict: what does not fit is an error, not cut.
    cursor.execute(
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', "
        "innodb_lock_wait_timeout = %s",
        (max(1, round(options.timeout)),),
    )


def _prepare_postgresql(cursor: Cursor, options: StoreOptions) -> None:
    milliseconds = str(max(1, round(options.timeout * 1000)))
    cursor.execute(
        "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false), "
        "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
        "ELSE current_setting('synchronous_commit') END, false)",
        (milliseconds, milliseconds),
    )
