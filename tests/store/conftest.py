"""Stores on fresh databases of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.databases import Database, database, mariadb_server, postgresql_server, sqlite_database

__all__ = ["database", "mariadb_server", "options", "postgresql_server", "sqlite_database", "store"]


@pytest.fixture
def options(database: Database) -> StoreOptions:
    return StoreOptions(url=database.url, timeout=5.0, lock_wait=0.2, wall=lambda: 1_700_000_000.25)


@pytest.fixture
def store(options: StoreOptions) -> Iterator[Store]:
    with Store.open(options) as opened:
        yield opened
