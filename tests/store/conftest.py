"""Stores on fresh databases of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.databases import (
    Database,
    database,
    mariadb_database,
    mariadb_server,
    postgresql_server,
    server_database,
    sqlite_database,
)

__all__ = [
    "database",
    "mariadb_database",
    "mariadb_server",
    "options",
    "postgresql_server",
    "server_database",
    "server_store",
    "sqlite_database",
    "store",
]


def options_for(database: Database) -> StoreOptions:
    return StoreOptions(url=database.url, timeout=5.0, lock_wait=0.2, wall=lambda: 1_700_000_000.25)


@pytest.fixture
def options(database: Database) -> StoreOptions:
    return options_for(database)


@pytest.fixture
def store(options: StoreOptions) -> Iterator[Store]:
    with Store.open(options) as opened:
        yield opened


@pytest.fixture
def server_store(server_database: Database) -> Iterator[Store]:
    """As `store`, on ``server_database``."""
    with Store.open(options_for(server_database)) as opened:
        yield opened
