"""Database servers of the tests' own, for the whole daemon."""

from __future__ import annotations

from tests.databases import database, mariadb_server, postgresql_server, sqlite_database

__all__ = ["database", "mariadb_server", "postgresql_server", "sqlite_database"]
