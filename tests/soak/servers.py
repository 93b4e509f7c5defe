"""Database servers of the soak's own: started when a fault asks for one, and ended with it, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.databases import MariaDb, PostgreSql, Server, _find


class Skipped(Exception):
    """This cannot be done here; the text says why."""


KINDS: dict[str, tuple[type[Server], tuple[str, ...]]] = {
    "mariadb": (MariaDb, ("mariadbd", "mysqld")),
    "postgresql": (PostgreSql, ("postgres",)),
}


@contextmanager
def server(kind: str) -> Iterator[Server]:
    """A database server. Skipped where there is none to start."""
    make, programs = KINDS[kind]
    if _find(*programs) is None:
        raise Skipped(f"{kind} is not installed")
    found = make()
    try:
        yield found
    finally:
        found.close()
