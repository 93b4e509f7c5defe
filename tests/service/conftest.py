"""Databases of every kind."""

from __future__ import annotations

from tests.databases import database, mariadb_database, mariadb_server, postgresql_server, sqlite_database

__all__ = ["database", "mariadb_database", "mariadb_server", "postgresql_server", "sqlite_database"]
