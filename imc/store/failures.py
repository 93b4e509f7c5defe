"""What a driver's exception means: for now (`StoreUnavailable`), never like this (`StoreConflict`), or broken.

Drivers share the exception tree of PEP 249, but not what they put where; so codes decide where the class does not.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from imc.errors import StoreConflict, StoreError, StoreUnavailable

MAX_TEXT = 300
_FULL = "database or disk is full"
_ROOM = 65_536  # bytes; SQLite's index of its log (-shm) grows by 32 KiB
# MySQL manual, "Server Error Message Reference": a row that no repeat makes fit, whatever class PyMySQL gives it.
# 1048 ER_BAD_NULL_ERROR is how the upsert of `imc.store.sql` refuses a key that differs in case only.
_MYSQL_CASE = 1048
_MYSQL_CONFLICT = frozenset({1153, 1366, 1406, 3819, 3988, 4025})
# Deadlock: the transaction is rolled back and may be tried again.
_MYSQL_RETRY = frozenset({1213})
# PostgreSQL manual, "PostgreSQL Error Codes": serialization_failure, deadlock_detected.
_POSTGRESQL_RETRY = frozenset({"40001", "40P01"})
# Classes 22 data exception, 23 integrity violation, 54 program limit exceeded.
_POSTGRESQL_CONFLICT = ("22", "23", "54")
# Classes 08 connection, 53 resources, 55 not in state (lock_timeout), 57 operator intervention (statement_timeout,
# shutdown), 58 system error, 25 invalid transaction state (read-only server), 40 rollback.
_POSTGRESQL_UNAVAILABLE = ("08", "25", "40", "53", "55", "57", "58")


def code_of(error: BaseException) -> str | int | None:
    """SQLSTATE of PostgreSQL, error number of MySQL, error name of SQLite; None where there is none."""
    # First MySQL's, whose errors have an SQLSTATE too, mostly HY000.
    if error.args and isinstance(error.args[0], int):
        return error.args[0]
    for name in ("sqlstate", "sqlite_errorname"):
        value = getattr(error, name, None)
        if isinstance(value, str):
            return value
    return None


def is_worth_another_try(error: BaseException) -> bool:
    """Whether the same transaction may well succeed at once: it lost to another one."""
    code = code_of(error)
    return code in _MYSQL_RETRY or code in _POSTGRESQL_RETRY


def is_timeout(error: BaseException) -> bool:
    """Whether PyMySQL gave up waiting for an answer; it reports a lost connection (2013) then."""
    return code_of(error) == 2013 and "timed out" in str(error)


def translate(error: BaseException, dbapi: Any, place: str) -> StoreError:
    """The store's exception for a driver's. ``place`` names the database, without its password."""
    code = code_of(error)
    if code == _MYSQL_CASE:
        return StoreConflict(
            f"{place}: a row that differs only in upper and lower case is there already, "
            "and the table's collation takes both for the same"
        )
    return _kind(error, dbapi, code)(f"{place}: {_text(error, place)}")


def _kind(error: BaseException, dbapi: Any, code: str | int | None) -> type[StoreError]:
    # Text that the driver cannot encode (lone surrogates), numbers that no column takes.
    if isinstance(error, (UnicodeError, OverflowError)):
        return StoreConflict
    if isinstance(code, str) and not code.startswith("SQLITE"):
        if code.startswith(_POSTGRESQL_CONFLICT):
            return StoreConflict
        return StoreUnavailable if code.startswith(_POSTGRESQL_UNAVAILABLE) else StoreError
    if code in _MYSQL_CONFLICT or isinstance(error, (dbapi.IntegrityError, dbapi.DataError)):
        return StoreConflict
    # SQLite's plain error is a wrong statement: a table or a column that is missing.
    if code in ("SQLITE_ERROR", "SQLITE_NOTADB", "SQLITE_CORRUPT") or isinstance(error, dbapi.ProgrammingError):
        return StoreError
    if isinstance(error, (dbapi.OperationalError, dbapi.InterfaceError, dbapi.InternalError)):
        return StoreUnavailable
    return StoreError


def unreachable(error: BaseException, url: URL) -> StoreUnavailable:
    """For what went wrong while connecting."""
    text = describe(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)
    if url.password:
        text = _hide(url.password, text)
    place = place_of(url)
    return StoreUnavailable(f"{place}: {_FULL if _is_full(error, place) else text}")


def _hide(password: str, text: str) -> str:
    """The text without the password; where that is a word as well, inside longer words it is left."""
    return re.sub(rf"(?<!\w){re.escape(password)}(?!\w)" if password.isalnum() else re.escape(password), "***", text)


def _text(error: BaseException, place: str) -> str:
    return _FULL if _is_full(error, place) else describe(error)


def _is_full(error: BaseException, place: str) -> bool:
    """Whether it is for want of space that SQLite could not write: of its files beside the database it says "disk I/O
    error" then."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = code_of(cause)
    if not isinstance(code, str) or not code.startswith("SQLITE_IOERR"):
        return False
    try:
        found = os.statvfs(Path(place.removeprefix("database ")).parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM


def place_of(url: URL) -> str:
    """How messages name the database: no password, no driver, no options."""
    if url.get_backend_name() == "sqlite":
        return f"database {url.database}"
    host = url.host or url.query.get("host") or url.query.get("unix_socket") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"database {url.get_backend_name()}://{host}{port}/{url.database}"


def describe(error: BaseException) -> str:
    """One line, at most `MAX_TEXT` characters, printable."""
    text = str(error.args[1]) if len(error.args) > 1 and isinstance(error.args[0], int) else str(error)
    text = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip() or type(error).__name__
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
