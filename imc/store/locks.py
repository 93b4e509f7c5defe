"""Locks that hold as long as their holder lives: one daemon to a database, one migration at a time.

MySQL and PostgreSQL keep the daemon's lock in the session that writes. So it is a fence too: a daemon that lost its
session, and with it the lock, cannot write before it has the lock again. SQLite's is a lock on a file beside the
database (`flock`), which the kernel gives back when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from imc.errors import StoreLocked, StoreUnavailable
from imc.store.sql import Cursor

_POLL = 0.05
# PostgreSQL's advisory locks are numbers, and each database has its own: "imc" in ASCII, and which lock.
_DAEMON_KEY = 0x696D6300
_UPGRADE_KEY = 0x696D6301
# MySQL's are names of the whole server, at most 64 characters (MySQL manual, "Locking Functions").
_MYSQL_NAME = "CONCAT('imc-', %s, '-', MD5(DATABASE()))"


class FileLock:
    """An exclusive lock on a file, which is made where it is missing and left in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, wait: float) -> None:
        """Within ``wait`` seconds, else StoreLocked; StoreUnavailable where the file cannot be made."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"lock file {self.path}: {error.strerror}") from error
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise StoreLocked(f"another imc daemon uses the database ({self.path} is locked)") from None
                time.sleep(_POLL)
            except OSError as error:
                os.close(descriptor)
                raise StoreUnavailable(f"lock file {self.path}: {error.strerror}") from error
            else:
                self._descriptor = descriptor
                return

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def acquire_daemon(kind: str, cursor: Cursor, wait: float) -> None:
    """Take the daemon's lock for this session, within ``wait`` seconds; else StoreLocked."""
    if not _acquire(kind, cursor, _DAEMON_KEY, wait):
        raise StoreLocked("another imc daemon uses the database")


def acquire_upgrade(kind: str, cursor: Cursor, wait: float) -> None:
    """Take the migration's lock for this session (SQLite locks the whole database); StoreUnavailable without it."""
    if kind != "sqlite" and not _acquire(kind, cursor, _UPGRADE_KEY, wait):
        raise StoreUnavailable("the schema of the database is being upgraded by somebody else")


def release_daemon(kind: str, cursor: Cursor) -> None:
    """Give the daemon's lock back, for whoever opens the database next."""
    _release(kind, cursor, _DAEMON_KEY)


def release_upgrade(kind: str, cursor: Cursor) -> None:
    _release(kind, cursor, _UPGRADE_KEY)


def _release(kind: str, cursor: Cursor, key: int) -> None:
    if kind == "mysql":
        cursor.execute(f"SELECT RELEASE_LOCK({_MYSQL_NAME})", (key,))
        cursor.fetchall()
    elif kind == "postgresql":
        cursor.execute("SELECT pg_advisory_unlock(%s)", (key,))


def _acquire(kind: str, cursor: Cursor, key: int, wait: float) -> bool:
    if kind == "mysql":
        # Whole seconds.
        cursor.execute(f"SELECT GET_LOCK({_MYSQL_NAME}, %s)", (key, max(0, round(wait))))
        row = cursor.fetchone()
        return row is not None and row[0] == 1
    deadline = time.monotonic() + wait
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,))
        row = cursor.fetchone()
        if row is not None and row[0]:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)
