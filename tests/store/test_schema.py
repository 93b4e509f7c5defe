"""imc.store.schema, and that the migrations lead there."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from imc.store.migrations import VERSION_TABLE
from imc.store.schema import index_name, tables
from imc.store.store import Store
from imc.store.urls import engine_url
from tests.databases import Database
from tests.store.conftest import options_for


def _is_ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
    return kind != "table" or name not in (VERSION_TABLE, "version")


def test_the_migrations_make_what_the_schema_says(store: Store, database: Database) -> None:
    engine = sqlalchemy.create_engine(engine_url(database.url), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": _is_ours, "compare_type": True})
        differences: list[Any] = compare_metadata(context, store.tables.metadata)
    assert differences == []


def test_our_own_tables_compare_exactly_in_mysql(mariadb_database: Database) -> None:
    with Store.open(options_for(mariadb_database)) as store:
        found = mariadb_database.execute(
            "SELECT DISTINCT table_name, collation_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND collation_name IS NOT NULL"
        )
        engines = mariadb_database.execute(
            "SELECT DISTINCT engine FROM information_schema.tables WHERE table_schema = DATABASE()"
        )
        names = set(store.tables.metadata.tables)
    assert {name for name, _ in found} >= names
    assert {collation for name, collation in found if name in names} == {"utf8mb4_bin"}
    assert engines == [("InnoDB",)]


@pytest.mark.parametrize(
    ("table", "kamailio"),
    [
        ("imc_rooms", {"name": 64, "domain": 64, "flag": None, "id": None}),
        ("imc_members", {"username": 64, "domain": 64, "room": 64, "flag": None, "id": None}),
    ],
)
def test_kamailios_columns_to_the_letter(table: str, kamailio: dict[str, int | None]) -> None:
    found = tables().metadata.tables[table]
    assert {column.name: getattr(column.type, "length", None) for column in found.columns} == kamailio
    assert not any(column.nullable for column in found.columns)


def test_names_of_indexes_fit_and_differ() -> None:
    assert index_name("imc_rooms", "name_domain") == "imc_rooms_name_domain_idx"
    one, two = (index_name("x" * 62 + end, "name_domain") for end in "ab")
    assert one != two
    assert len(one) <= 63
