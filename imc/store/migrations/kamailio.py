"""Kamailio's tables: made as Kamailio makes them, or adopted where they are there.

To adopt is to add what imc needs and Kamailio does not mind: an index of members by room, one of rooms by flag, two
columns of ``subscriber``. No column is changed or dropped, no table is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    insert,
    inspect,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateColumn

from imc.aor import Aor
from imc.errors import StoreConflict, StoreError
from imc.store.schema import KEY, Tables, index_name
from imc.store.sql import exact

# What Kamailio 5.x and 6.x look for in their table `version` before they use a table.
_VERSIONS = {"imc_rooms": 1, "imc_members": 1, "subscriber": 7}


def adopt(connection: Connection, names: Tables) -> list[str]:
    """Make the three tables, or add to them what is missing; what was done, in sentences.

    StoreError where a table lacks a column of Kamailio's, StoreConflict where it holds a row twice.
    """
    notes: list[str] = []
    made: list[str] = []
    for table, key in _keys(names):
        if inspect(connection).has_table(table.name):
            notes += _adopt_one(connection, table, key)
        else:
            table.create(connection)
            made.append(table.name)
    note_versions(connection, {name: _VERSIONS[name] for name in made if name in _VERSIONS})
    return notes


def tidy(connection: Connection, names: Tables) -> list[str]:
    """Write the addresses that others stored in their canonical form: host in lower case, no needless escapes.

    A row whose canonical form is there already is left alone.
    """
    notes = []
    for table, columns in (
        (names.rooms, ("name", "domain")),
        (names.members, ("username", "domain")),
        (names.subscriber, ("username", "domain")),
    ):
        changed = kept = 0
        uri = [table.c.room] if "room" in table.c else []
        rows = connection.execute(
            select(table.c.id, *(table.c[name] for name in columns), *uri).where(
                or_(*(_may_differ(connection, column) for column in (*(table.c[name] for name in columns), *uri)))
            )
        ).all()
        for row in rows:
            values = _canonical(columns, row)
            if values is None or all(row[index + 1] == value for index, value in enumerate(values.values())):
                continue
            try:
                with connection.begin_nested():
                    connection.execute(update(table).where(table.c.id == row[0]).values(values))
                changed += 1
            except IntegrityError:
                kept += 1
        if changed:
            notes.append(f"table {table.name}: {changed} addresses were written in canonical form")
        if kept:
            notes.append(f"table {table.name}: {kept} rows are left out, their canonical address has a row already")
    return notes


def inspect_tables(connection: Connection, names: Tables) -> tuple[frozenset[str], list[str]]:
    """Tables that compare keys without case, and warnings. Only MySQL has such tables, or such without transactions."""
    if connection.dialect.name not in ("mysql", "mariadb"):
        return frozenset(), []
    inexact: set[str] = set()
    warnings: list[str] = []
    for table, key in _keys(names):
        collations = connection.execute(
            text(
                "SELECT column_name, collation_name FROM information_schema.columns "
                "WHERE table_schema = DATABASE() AND table_name = :name"
            ),
            {"name": table.name},
        ).all()
        bad = sorted({collation for column, collation in collations if column in key and not _is_exact(collation)})
        if bad:
            inexact.add(table.name)
            warnings.append(
                f"table {table.name} has the collation {', '.join(bad)}: addresses that differ only in case cannot "
                "both have a row in it"
            )
        engine = connection.execute(
            text("SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = :name"),
            {"name": table.name},
        ).scalar()
        if engine != "InnoDB":
            warnings.append(
                f"table {table.name} has the engine {engine}, which has no transactions and may lose rows in a crash; "
                f"ALTER TABLE {table.name} ENGINE=InnoDB"
            )
    return frozenset(inexact), warnings


def _is_exact(collation: str | None) -> bool:
    return collation is not None and (collation == "binary" or collation.endswith("_bin"))


def _keys(names: Tables) -> Iterable[tuple[Table, tuple[str, ...]]]:
    return (
        (names.rooms, ("name", "domain")),
        (names.members, ("username", "domain", "room")),
        (names.subscriber, ("username", "domain")),
    )


def _adopt_one(connection: Connection, table: Table, key: Sequence[str]) -> list[str]:
    notes = []
    inspector = inspect(connection)
    there = {column["name"].lower() for column in inspector.get_columns(table.name)}
    missing = [column for column in table.columns if column.name not in there]
    lacking = [column.name for column in missing if not column.name.startswith("ha1_")]
    if lacking:
        raise StoreError(f"table {table.name} is not Kamailio's: it has no column {', '.join(lacking)}")
    for column in missing:
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        name = connection.dialect.identifier_preparer.format_table(table)
        connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {definition}")
        notes.append(f"table {table.name}: column {column.name} was added")
    indexes: list[tuple[str | None, ...]] = [
        tuple(index["column_names"]) for index in inspector.get_indexes(table.name)
    ]
    uniques: list[tuple[str | None, ...]] = [
        tuple(constraint["column_names"]) for constraint in inspector.get_unique_constraints(table.name)
    ]
    uniques += [tuple(index["column_names"]) for index in inspector.get_indexes(table.name) if index["unique"]]
    uniques.append(tuple(inspector.get_pk_constraint(table.name)["constrained_columns"]))
    if not any(set(columns) == set(key) for columns in uniques):
        # ON CONFLICT and ON DUPLICATE KEY go by it.
        unique = Index(index_name(table.name, "imc_key"), *(table.c[name] for name in key), unique=True)
        try:
            unique.create(connection)
        except IntegrityError as error:
            raise StoreConflict(f"table {table.name} holds the same {', '.join(key)} twice") from error
        finally:
            table.indexes.discard(unique)
        notes.append(f"table {table.name}: a unique index was added")
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        columns = tuple(column.name for column in index.columns)
        if not any(found[: len(columns)] == columns for found in [*indexes, *uniques]):
            index.create(connection)
            notes.append(f"table {table.name}: the index {index.name} was added")
    return notes


def note_versions(connection: Connection, versions: Mapping[str, int]) -> None:
    """Tell Kamailio of tables that it could use, in its own way; what it says of a table itself stays."""
    if not versions:
        return
    version = Table(
        "version",
        MetaData(),
        Column("id", KEY, primary_key=True, autoincrement=True),
        Column("table_name", String(32), nullable=False),
        Column("table_version", Integer, nullable=False, server_default="0"),
        UniqueConstraint("table_name", name=index_name("version", "table_name")),
    )
    if not inspect(connection).has_table("version"):
        version.create(connection)
    there = set(connection.execute(select(version.c.table_name)).scalars())
    rows: list[dict[str, Any]] = [
        {"table_name": name, "table_version": version} for name, version in versions.items() if name not in there
    ]
    if rows:
        connection.execute(insert(version), rows)


def _may_differ(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the text may not be canonical: it holds an upper-case letter or an escape."""
    lower: ColumnElement[Any] = func.lower(column)
    if connection.dialect.name in ("mysql", "mariadb"):
        return or_(exact(column) != exact(lower), column.contains("%", autoescape=True))
    return or_(column != lower, column.contains("%", autoescape=True))


def _canonical(columns: Sequence[str], row: Sequence[Any]) -> dict[str, str] | None:
    try:
        values = dict(zip(columns, Aor.make(row[1], row[2]), strict=True))
        if len(row) > 3:
            values["room"] = str(Aor.parse(row[3]))
    except ValueError:
        return None
    return values
