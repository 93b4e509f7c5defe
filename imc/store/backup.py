"""A backup of the database as one file, and a database from such a file: of any kind, whichever kind it was.

The file is gzip of lines of JSON: a head, then for each table its name and columns, and its rows; the last line has the
number of rows of each table. So a file that was cut is known, and gzip's own checksum finds what was changed by chance.

Invariants
    A backup is one state of the database, of one moment, taken while a daemon writes on.
    A restore is one transaction: all of the file or nothing, and nothing before the whole file was read once.
    Keys that the database gives itself are given anew, in the order of the old ones: the outbox keeps its order.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Column, Connection, LargeBinary, Table, delete, func, insert, select, text

from imc.errors import StoreError
from imc.store.audit import KEPT_FROM
from imc.store.migrations import HEAD
from imc.store.ops import MAX_SERIAL
from imc.store.schema import Tables
from imc.store.store import Store

FORMAT = "imc backup 1"
_BATCH = 1_000
_MAX_LINE = 64 << 20  # characters: a row of the outbox has 8 MiB at most, and some more as base64


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """``rows`` by the table's name here (rooms, members, …); ``schema`` and ``created`` are of the backup."""

    schema: str
    created: float
    rows: dict[str, int]


def _named(names: Tables) -> dict[str, Table]:
    """The tables by names that no configuration changes, in the order in which they stand in a file."""
    return {
        "rooms": names.rooms,
        "members": names.members,
        "invitations": names.invitations,
        "subscriber": names.subscriber,
        "bindings": names.bindings,
        "outbox": names.outbox,
        "meta": names.meta,
        "waiting": names.waiting,
        "messages": names.messages,
        "room_settings": names.room_settings,
        "operators": names.operators,
        "audit": names.audit,
    }


# --- backup -----------------------------------------------------------------------------------------------------------


def backup(store: Store, file: Path, wall: Callable[[], float]) -> Contents:
    """Write a backup to a file that its owner alone can read: it holds password hashes.

    The file is there when it is whole, and not before. StoreError, also where the file cannot be written.
    """
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("xb") as raw:
            part.chmod(0o600)
            with gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as out:
                contents = _write(store, out, wall())
        part.replace(file)
    except FileExistsError:
        raise StoreError(f"{part} is there: another backup runs, or was cut off; remove it then") from None
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"{file}: {error.strerror}") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return contents


def _write(store: Store, out: gzip.GzipFile, now: float) -> Contents:
    counts: dict[str, int] = {}
    _put(out, {"format": FORMAT, "schema": HEAD, "created": now})
    with store.database.session(is_writing=False) as connection:
        _begin_snapshot(connection, store.database.kind)
        for name, table in _named(store.tables).items():
            columns = _columns(table)
            _put(out, {"table": name, "columns": [column.name for column in columns]})
            counts[name] = 0
            query = select(*columns).order_by(*table.primary_key.columns)
            for row in connection.execution_options(yield_per=_BATCH).execute(query):
                _put(out, [_plain(value) for value in row])
                counts[name] += 1
    _put(out, {"rows": counts})
    return Contents(schema=HEAD, created=now, rows=counts)


def _begin_snapshot(connection: Connection, kind: str) -> None:
    """All that is read from here on is of one moment; and it may take longer than a statement of the daemon's."""
    if kind == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    elif kind == "mysql":
        connection.execute(text("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        connection.execute(text("START TRANSACTION WITH CONSISTENT SNAPSHOT"))


def _columns(table: Table) -> list[Column[Any]]:
    """Those of a backup: all but the keys that the database gives itself."""
    return [column for column in table.columns if column.autoincrement is not True]


def _put(out: gzip.GzipFile, line: object) -> None:
    out.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):  # SQLAlchemy's way with MySQL's DOUBLE
        return float(value)
    return base64.b64encode(bytes(value)).decode("ascii") if isinstance(value, bytes | memoryview) else value


# --- restore ----------------------------------------------------------------------------------------------------------


def inspect_backup(file: Path) -> Contents:
    """Read a whole backup, and say what is in it. StoreError where it is none, was cut, or is newer than imc."""
    for contents, _, _ in _rows(file, {}):
        if contents is not None:
            return contents
    raise StoreError(f"{file}: ends too early")


def restore(store: Store, file: Path, *, may_replace: bool = False) -> Contents:
    """Make the database what the backup says. Its daemon must not run: open the store as exclusive.

    StoreError where the file is no good, or where the database holds anything and ``may_replace`` is not said; then
    nothing is changed.
    """
    contents = inspect_backup(file)
    tables = _named(store.tables)
    with store.database.session() as connection:
        if store.database.kind == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        if not may_replace:
            _check_empty(connection, tables, store.place)
        _open_audit(connection, store)
        for table in reversed(list(tables.values())):
            connection.execute(delete(table))
        batch: list[dict[str, Any]] = []
        filled: Table | None = None
        for _, table, row in _rows(file, tables):
            if table is not filled or len(batch) >= _BATCH:
                _insert(connection, filled, batch)
                batch, filled = [], table
            if row is not None:
                batch.append(row)
        _insert(connection, filled, batch)
    return contents


def _check_empty(connection: Connection, tables: dict[str, Table], place: str) -> None:
    for name, table in tables.items():
        if name != "meta" and connection.execute(select(func.count()).select_from(table)).scalar():
            raise StoreError(f"{place} is not empty (table {table.name}); --replace removes all that is in it")


def _open_audit(connection: Connection, store: Store) -> None:
    """Let the audit be emptied as all else is. What its triggers go by is then replaced by the backup's own."""
    meta = store.tables.meta
    connection.execute(delete(meta).where(meta.c.key == KEPT_FROM))
    connection.execute(insert(meta).values(key=KEPT_FROM, value=str(MAX_SERIAL)))


def _insert(connection: Connection, table: Table | None, rows: list[dict[str, Any]]) -> None:
    if table is not None and rows:
        connection.execute(insert(table), rows)


Row = tuple[Contents | None, Table | None, dict[str, Any] | None]


def _rows(file: Path, tables: dict[str, Table]) -> Iterator[Row]:
    """(None, table, row) for each row of these tables, and at the end the contents. StoreError."""
    try:
        with gzip.open(file, "rt", encoding="ascii", newline="\n") as lines:
            yield from _parse(lines, file, tables)
    except (gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise StoreError(f"{file}: is not a backup of imc, or is damaged: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StoreError(f"{file}: {why}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file}: is not a backup of imc: {error}") from error


def _parse(lines: IO[str], file: Path, tables: dict[str, Table]) -> Iterator[Row]:
    head = json.loads(lines.readline(_MAX_LINE))
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ValueError("it does not begin as one")
    if head["schema"] > HEAD:
        raise StoreError(f"{file}: made by a newer imc (schema {head['schema']}, this one has {HEAD})")
    table: Table | None = None
    columns: list[str] = []
    counts: dict[str, int] = {}
    name = ""
    while line := lines.readline(_MAX_LINE):
        found = json.loads(line)
        if isinstance(found, list):
            counts[name] += 1
            if table is not None:
                row = _row(table, columns, found)
                if name == "outbox":  # a backup of schema 0001 has it in their order, and not their numbers
                    row.setdefault("seq", counts[name])
                yield None, table, row
        elif "table" in found:
            name, columns = found["table"], found["columns"]
            table = tables[name] if tables else None
            counts[name] = 0
        elif found["rows"] != counts:
            raise ValueError("its rows are not as many as it says")
        elif lines.readline(1):  # at the end of the file gzip looks at its checksum
            raise ValueError("something follows its end")
        else:
            yield Contents(schema=head["schema"], created=head["created"], rows=counts), None, None
            return
    raise StoreError(f"{file}: ends too early")


def _row(table: Table, columns: list[str], values: list[Any]) -> dict[str, Any]:
    row = dict(zip(columns, values, strict=True))
    for column in columns:
        if isinstance(table.columns[column].type, LargeBinary):
            row[column] = base64.b64decode(row[column], validate=True)
    return row
