"""How statements of the hot paths are made: with SQLAlchemy Core, compiled once, run on the driver's own cursor.

Compiling, or even looking a statement up in SQLAlchemy's cache, would cost more than running it. Every value is a bound
parameter; only names of tables stand in the text, quoted by SQLAlchemy.

MySQL needs two things of its own. A DELETE by many keys is one statement with OR between them: a round trip a row would
cost five to ten times as much, and a list of row values in IN may read the whole table (both measured). And Kamailio's
tables may compare without case there: an upsert for ``alice`` must not change the row of ``Alice``, nor a DELETE remove
it. For such a table (``inexact``) a key is compared once more, character by character, and an upsert fails where the
row that it meets is another's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Table, and_, bindparam, case, collate, delete, func, literal_column, null, or_
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.mysql import pymysql
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement, Delete

_OR_CHUNK = 100
AGAIN = "__again"

_DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "sqlite": lambda: pysqlite.dialect(paramstyle="qmark"),
    "mysql": lambda: pymysql.dialect(paramstyle="format"),
    "postgresql": lambda: psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}

Row = Sequence[Any]


class Cursor(Protocol):
    """A cursor of PEP 249, as far as it is used."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, operation: str, parameters: Row = ..., /) -> object: ...
    def executemany(self, operation: str, parameters: Sequence[Row], /) -> object: ...
    def fetchone(self) -> tuple[Any, ...] | None: ...
    def fetchall(self) -> Sequence[tuple[Any, ...]]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with positional parameters in the driver's own style.

    Callers pass each value once, in the order they were named in; ``pick`` puts them where the text wants them.
    """

    text: str
    pick: tuple[int, ...] | None = None

    def place(self, values: Row) -> Row:
        return values if self.pick is None else [values[index] for index in self.pick]

    def one(self, cursor: Cursor, *values: Any) -> None:
        cursor.execute(self.text, self.place(values))

    def many(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        if len(rows) == 1:
            cursor.execute(self.text, self.place(rows[0]))
        elif rows:
            cursor.executemany(self.text, rows if self.pick is None else [self.place(row) for row in rows])

    def rows(self, cursor: Cursor, *values: Any) -> Sequence[tuple[Any, ...]]:
        cursor.execute(self.text, self.place(values))
        return cursor.fetchall()


@dataclass(frozen=True, slots=True)
class KeyDelete(Statement):
    """A DELETE of rows by their keys. With ``condition``, many keys go into one statement."""

    condition: str | None = None

    def many(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        if self.condition is None or len(rows) <= 1:
            # Named, because slots make a new class: PEP 681 leaves super() without arguments broken there.
            Statement.many(self, cursor, rows)
            return
        for start in range(0, len(rows), _OR_CHUNK):
            chunk = rows[start : start + _OR_CHUNK]
            more = f" OR ({self.condition})" * (len(chunk) - 1)
            cursor.execute(self.text + more, [value for row in chunk for value in self.place(row)])


class Builder:
    """Makes statements for one dialect: ``sqlite``, ``mysql`` or ``postgresql``."""

    def __init__(self, kind: str, inexact: frozenset[str] = frozenset()) -> None:
        self.kind = kind
        self.inexact = inexact
        self.dialect: Dialect = _DIALECTS[kind]()

    def compile(self, clause: ClauseElement, *names: str) -> Statement:
        """``names`` are the parameters in the order in which callers pass them."""
        compiled = clause.compile(dialect=self.dialect)
        wanted = [name.removesuffix(AGAIN) for name in getattr(compiled, "positiontup", None) or ()]
        if set(wanted) != set(names):
            raise AssertionError(f"the statement takes {wanted}, not {names}: {compiled}")
        pick = tuple(names.index(name) for name in wanted)
        return Statement(str(compiled), None if pick == tuple(range(len(names))) else pick)

    def run(self, cursor: Cursor, clause: ClauseElement) -> Sequence[tuple[Any, ...]]:
        """The rows of a rare SELECT that holds its values; compiled each time, for the text grows with them."""
        compiled = clause.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})
        order: Sequence[str] = getattr(compiled, "positiontup", None) or ()
        cursor.execute(str(compiled), [compiled.params[name] for name in order])
        return cursor.fetchall()

    def upsert(self, table: Table, columns: Sequence[str], key: Sequence[str]) -> Statement:
        """INSERT a row, or give the row that has this key the other values."""
        row: dict[str, Any] = {column: bindparam(column) for column in columns}
        rest = [column for column in columns if column not in key]
        if self.kind != "mysql":
            make = sqlite.insert if self.kind == "sqlite" else postgresql.insert
            other = make(table).inline().values(row)
            updates = {column: other.excluded[column] for column in rest}
            return self.compile(other.on_conflict_do_update(index_elements=list(key), set_=updates), *columns)
        insertion = mysql.insert(table).values(row)
        values: dict[str, Any] = {column: insertion.inserted[column] for column in rest}
        if table.name in self.inexact:
            is_same = and_(*(exact(table.c[column]) == exact(insertion.inserted[column]) for column in key))
            # NULL in a column that takes none is error 1048, and so a StoreConflict.
            values[rest[0]] = case((is_same, values[rest[0]]), else_=null())
        return self.compile(insertion.on_duplicate_key_update(values), *columns)

    def has(self, table: Table, **columns: str) -> ColumnElement[bool]:
        """That each column equals the parameter of this name, exactly."""
        conditions = [table.c[column] == bindparam(name) for column, name in columns.items()]
        if table.name in self.inexact:
            # The first comparison finds the row by an index, this one looks at it.
            conditions += [exact(table.c[column]) == bindparam(name + AGAIN) for column, name in columns.items()]
        return and_(*conditions)

    def key_delete(self, table: Table, *key: str) -> KeyDelete:
        clause: Delete = delete(table).where(self.has(table, **{column: column for column in key}))
        statement = self.compile(clause, *key)
        prefix, where, condition = statement.text.partition(" WHERE ")
        if self.kind != "mysql":
            return KeyDelete(statement.text, statement.pick)
        return KeyDelete(f"{prefix}{where}({condition})", statement.pick, condition)


def exact(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A MySQL column that compares character by character, whatever its own character set and collation are."""
    return collate(func.convert(column.op("USING")(literal_column("utf8mb4"))), "utf8mb4_bin")


def after(first: ColumnElement[Any], second: ColumnElement[Any]) -> ColumnElement[bool]:
    """Rows that sort after (:first, :second). Row values in a comparison would keep MySQL from using an index."""
    return and_(first >= bindparam("first"), or_(first > bindparam("first" + AGAIN), second > bindparam("second")))


def lacks(flag: ColumnElement[int], bits: int) -> ColumnElement[bool]:
    """That none of the bits is set."""
    return flag.bitwise_and(literal_column(str(bits))) == literal_column("0")
