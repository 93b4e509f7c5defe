"""imc.store.sql and imc.store.statements: texts and the order of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import bindparam, select

from imc.store.schema import tables
from imc.store.sql import Builder, KeyDelete, Statement
from imc.store.statements import statements

TABLES = tables("rooms", "members")
ALL_KINDS = pytest.mark.parametrize("kind", ["sqlite", "mysql", "postgresql"])


class FakeCursor:
    """Writes down what it is to run."""

    rowcount = 0

    def __init__(self) -> None:
        self.log: list[tuple[str, Any]] = []

    def execute(self, operation: str, parameters: Sequence[Any] = (), /) -> None:
        self.log.append((operation, list(parameters)))

    def executemany(self, operation: str, parameters: Sequence[Sequence[Any]], /) -> None:
        self.log.append((operation, [tuple(row) for row in parameters]))

    def fetchone(self) -> None:
        return None

    def fetchall(self) -> list[tuple[Any, ...]]:
        return []

    def close(self) -> None:
        return None


@ALL_KINDS
def test_values_are_parameters_and_stand_where_the_text_wants_them(kind: str) -> None:
    build = Builder(kind)
    rooms = TABLES.rooms
    clause = select(rooms.c.flag).where(rooms.c.domain == bindparam("domain"), rooms.c.name == bindparam("name"))
    statement = build.compile(clause, "name", "domain")
    cursor = FakeCursor()
    statement.one(cursor, "x' OR '1", "example.com")
    ((text, values),) = cursor.log
    assert values == ["example.com", "x' OR '1"]
    assert text.count("?" if kind == "sqlite" else "%s") == 2


@ALL_KINDS
def test_parameters_that_are_not_the_ones_named_are_noticed(kind: str) -> None:
    rooms = TABLES.rooms
    clause = select(rooms.c.flag).where(rooms.c.domain == bindparam("domain"))
    with pytest.raises(AssertionError):
        Builder(kind).compile(clause, "name")


@ALL_KINDS
def test_every_statement_can_be_made(kind: str) -> None:
    for inexact in (frozenset[str](), frozenset({"rooms", "members", "subscriber"})):
        made = statements(Builder(kind, inexact), TABLES)
        for name in made.__slots__:
            assert isinstance(getattr(made, name), Statement)


@ALL_KINDS
def test_deletions_of_many_rows(kind: str) -> None:
    delete = statements(Builder(kind), TABLES).delete_member
    keys = [(f"user{number}", "example.com", "sip:room@example.com") for number in range(250)]
    cursor = FakeCursor()
    delete.many(cursor, [])
    assert cursor.log == []
    delete.many(cursor, keys[:1])
    assert cursor.log == [(delete.text, list(keys[0]))]
    cursor.log.clear()
    delete.many(cursor, keys)
    if kind == "mysql":
        assert [len(values) for _, values in cursor.log] == [300, 300, 150]
        assert [text.count(" OR ") for text, _ in cursor.log] == [99, 99, 49]
        assert [value for _, values in cursor.log for value in values] == [value for key in keys for value in key]
    else:
        assert cursor.log == [(delete.text, keys)]


def test_a_table_without_case_is_compared_once_more() -> None:
    exact, inexact = (Builder("mysql", names) for names in (frozenset[str](), frozenset({"members"})))
    key = ("a", "b", "c")
    for build, repeats in ((exact, 1), (inexact, 2)):
        delete: KeyDelete = build.key_delete(TABLES.members, "username", "domain", "room")
        cursor = FakeCursor()
        delete.many(cursor, [key, key])
        assert cursor.log[0][1] == list(key) * repeats * 2
        upsert = build.upsert(TABLES.members, ("username", "domain", "room", "flag"), ("username", "domain", "room"))
        assert ("utf8mb4_bin" in upsert.text) is (repeats == 2)
        assert upsert.place((1, 2, 3, 4)) == (1, 2, 3, 4)


def test_table_names_are_quoted_where_they_need_it() -> None:
    made = statements(Builder("postgresql"), tables("Rooms", "order"))
    assert '"Rooms"' in made.put_room.text
    assert '"order"' in made.put_member.text
