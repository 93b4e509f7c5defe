"""imc.store.failures"""

from __future__ import annotations

import os
import sqlite3
from types import SimpleNamespace

import psycopg
import pymysql
import pytest

from imc.errors import StoreConflict, StoreError, StoreUnavailable
from imc.store.failures import (
    MAX_TEXT,
    code_of,
    describe,
    is_timeout,
    is_worth_another_try,
    place_of,
    translate,
    unreachable,
)
from imc.store.urls import engine_url


def sqlite_error(name: str, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("what it says")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (pymysql.err.IntegrityError(1062, "Duplicate entry"), StoreConflict),
        (pymysql.err.IntegrityError(1048, "Column 'flag' cannot be null"), StoreConflict),
        (pymysql.err.DataError(1406, "Data too long"), StoreConflict),
        (pymysql.err.OperationalError(1366, "Incorrect string value", sqlstate="22007"), StoreConflict),
        (pymysql.err.OperationalError(1153, "Got a packet bigger than max_allowed_packet"), StoreConflict),
        (pymysql.err.OperationalError(4025, "CONSTRAINT failed"), StoreConflict),
        (pymysql.err.OperationalError(2013, "Lost connection"), StoreUnavailable),
        (pymysql.err.OperationalError(1205, "Lock wait timeout exceeded", sqlstate="HY000"), StoreUnavailable),
        (pymysql.err.OperationalError(1114, "The table is full"), StoreUnavailable),
        (pymysql.err.OperationalError(1290, "running with the --read-only option"), StoreUnavailable),
        (pymysql.err.InterfaceError(0, ""), StoreUnavailable),
        (pymysql.err.InternalError(3100, "x"), StoreUnavailable),
        (pymysql.err.ProgrammingError(1146, "Table doesn't exist"), StoreError),
    ],
)
def test_mysql(error: Exception, kind: type[StoreError]) -> None:
    assert type(translate(error, pymysql.err, "db")) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.UniqueViolation("x"), StoreConflict),
        (psycopg.errors.StringDataRightTruncation("x"), StoreConflict),
        (psycopg.errors.NumericValueOutOfRange("x"), StoreConflict),
        (psycopg.errors.ProgramLimitExceeded("x"), StoreConflict),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), StoreConflict),
        (psycopg.errors.DiskFull("x"), StoreUnavailable),
        (psycopg.errors.AdminShutdown("x"), StoreUnavailable),
        (psycopg.errors.QueryCanceled("x"), StoreUnavailable),
        (psycopg.errors.LockNotAvailable("x"), StoreUnavailable),
        (psycopg.errors.ReadOnlySqlTransaction("x"), StoreUnavailable),
        (psycopg.errors.SerializationFailure("x"), StoreUnavailable),
        (psycopg.OperationalError("the connection is lost"), StoreUnavailable),
        (psycopg.InterfaceError("the connection is closed"), StoreUnavailable),
        (psycopg.errors.UndefinedTable("x"), StoreError),
        (psycopg.errors.InsufficientPrivilege("x"), StoreError),
        (psycopg.ProgrammingError("x"), StoreError),
    ],
)
def test_postgresql(error: Exception, kind: type[StoreError]) -> None:
    assert type(translate(error, psycopg, "db")) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sqlite_error("SQLITE_CONSTRAINT_UNIQUE", sqlite3.IntegrityError), StoreConflict),
        (sqlite_error("SQLITE_BUSY"), StoreUnavailable),
        (sqlite_error("SQLITE_FULL"), StoreUnavailable),
        (sqlite_error("SQLITE_IOERR_WRITE"), StoreUnavailable),
        (sqlite_error("SQLITE_READONLY"), StoreUnavailable),
        (sqlite_error("SQLITE_CANTOPEN"), StoreUnavailable),
        (sqlite_error("SQLITE_ERROR"), StoreError),
        (sqlite_error("SQLITE_NOTADB", sqlite3.DatabaseError), StoreError),
        (sqlite_error("SQLITE_CORRUPT", sqlite3.DatabaseError), StoreError),
        (sqlite3.ProgrammingError("x"), StoreError),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), StoreConflict),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), StoreConflict),
    ],
)
def test_sqlite(error: Exception, kind: type[StoreError]) -> None:
    assert type(translate(error, sqlite3, "db")) is kind


def test_codes() -> None:
    assert code_of(pymysql.err.OperationalError(1213, "x")) == 1213
    assert code_of(psycopg.errors.DeadlockDetected("x")) == "40P01"
    assert code_of(sqlite_error("SQLITE_BUSY")) == "SQLITE_BUSY"
    assert code_of(ValueError()) is None
    assert code_of(psycopg.OperationalError("x")) is None


def test_what_is_worth_another_try() -> None:
    assert is_worth_another_try(pymysql.err.OperationalError(1213, "x"))
    assert is_worth_another_try(psycopg.errors.SerializationFailure("x"))
    assert not is_worth_another_try(pymysql.err.OperationalError(1205, "x"))
    assert not is_worth_another_try(psycopg.errors.LockNotAvailable("x"))
    assert is_timeout(pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query (timed out)"))
    assert not is_timeout(pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query"))


def test_a_description_is_one_short_line() -> None:
    assert describe(pymysql.err.OperationalError(2003, "Can't connect")) == "Can't connect"
    assert describe(psycopg.OperationalError("failed:\n\tIs it\x00 running?\n")) == "failed: Is it running?"
    assert describe(ValueError()) == "ValueError"
    long = describe(ValueError("x" * 1000))
    assert len(long) == MAX_TEXT
    assert long.endswith("…")


def test_a_password_in_the_drivers_own_words_is_hidden() -> None:
    url = engine_url("postgres://imc:hunter2@db.example/imc")
    text = str(unreachable(psycopg.OperationalError('bad dsn "user=imc password=hunter2"'), url))
    assert text == 'database postgresql://db.example/imc: bad dsn "user=imc password=***"'


def test_a_password_that_is_a_word_is_not_hidden_inside_others() -> None:
    url = engine_url("postgres://imc:im@db.example/imc")
    text = str(unreachable(psycopg.OperationalError("password im of imc: timeout"), url))
    assert text == "database postgresql://db.example/imc: password *** of imc: timeout"


def test_places() -> None:
    assert place_of(engine_url("mysql://imc:pw@db.example:3307/imc")) == "database mysql://db.example:3307/imc"
    assert place_of(engine_url("postgres://imc@/imc?host=/run/pg")) == "database postgresql:///run/pg/imc"
    assert place_of(engine_url("sqlite:////var/lib/imc.db")) == "database /var/lib/imc.db"


def test_a_case_conflict_is_explained() -> None:
    error = translate(pymysql.err.IntegrityError(1048, "Column 'flag' cannot be null"), pymysql.err, "db")
    assert "upper and lower case" in str(error)


@pytest.mark.parametrize(
    ("name", "free", "text"),
    [
        ("SQLITE_IOERR_SHMSIZE", 8, "database or disk is full"),
        ("SQLITE_IOERR_WRITE", 1000, "what it says"),
        ("SQLITE_BUSY", 0, "what it says"),
    ],
)
def test_an_io_error_on_a_full_disk_says_so(monkeypatch: pytest.MonkeyPatch, name: str, free: int, text: str) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free, f_frsize=4096))
    url = engine_url("sqlite:////srv/imc.db")
    error = translate(sqlite_error(name), sqlite3, place_of(url))
    assert (type(error), str(error)) == (StoreUnavailable, f"database /srv/imc.db: {text}")
    assert str(unreachable(sqlite_error(name), url)) == f"database /srv/imc.db: {text}"
