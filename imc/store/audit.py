"""The audit (spec R-AUDIT-1, R-AUDIT-3): rows that are added, read, and deleted when they are too old.

Invariants
    A row is never changed: triggers refuse it where the database has them (`imc.store.migrations`).
    Rows are deleted from the oldest on. From which id on they are kept stands in imc_meta, in the same commit: the
    triggers let nothing else be deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, select

from imc.store.batch import Batch
from imc.store.database import Database
from imc.store.ops import PutAudit
from imc.store.schema import Tables
from imc.store.sql import Builder, Cursor
from imc.store.statements import Statements
from imc.store.statements_audit import COLUMNS

KEPT_FROM = "audit_kept_from"
MAX_AUDIT_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which rows: "" and None for all. ``since`` and ``until`` are unix seconds, the latter not included.

    ``user`` is whom it is about, ``actor`` who did it.
    """

    room: str = ""
    user: str = ""
    actor: str = ""
    act: str = ""
    since: float | None = None
    until: float | None = None


class AuditStore:
    """The audit's part of `imc.store.store.Store`."""

    database: Database
    build: Builder
    sql: Statements
    tables: Tables

    def audit_rows(self, wanted: AuditFilter, limit: int, before: int | None = None) -> list[PutAudit]:
        """The newest rows first, ``limit`` at most; those before the id ``before`` alone, for the next page."""
        audit = self.tables.audit
        conditions: list[ColumnElement[bool]] = [
            audit.c[name] == value for name in ("room", "user", "actor", "act") if (value := getattr(wanted, name))
        ]
        if wanted.since is not None:
            conditions.append(audit.c.created >= wanted.since)
            conditions.append(audit.c.id >= max(0, id_at(wanted.since - 1.0)))
        if wanted.until is not None:
            conditions.append(audit.c.created < wanted.until)
        if before is not None:
            conditions.append(audit.c.id < before)
        query = select(*(audit.c[column] for column in COLUMNS)).where(and_(True, *conditions))
        query = query.order_by(audit.c.id.desc()).limit(min(limit, MAX_AUDIT_PAGE))
        rows = self.database.read(lambda cursor: self.build.run(cursor, query))
        return [_row(row) for row in rows]

    def count_audit(self) -> int:
        return int(self.database.read(self.sql.count_audit.rows)[0][0])

    def count_audit_of(self, user: str) -> int:
        """How many rows name the user, as who did it or whom it is about."""
        return int(self.database.read(lambda cursor: self.sql.count_audit_of.rows(cursor, user))[0][0])

    def audit_cut(self, count: int) -> int | None:
        """The id of the row that ``count`` older ones stand before; None where there are not so many."""
        rows = self.database.read(lambda cursor: self.sql.audit_cut.rows(cursor, count))
        return int(rows[0][0]) if rows else None


def id_at(wall: float) -> int:
    """The least id of a row of this time."""
    return int(min(max(wall, 0.0), 4e9) * 1_000_000) << 10


def apply_audit(sql: Statements, cursor: Cursor, batch: Batch) -> None:
    if batch.audit:
        sql.put_audit.many(cursor, batch.audit)  # each is its columns, in their order
    if batch.audit_from:
        sql.put_meta.one(cursor, KEPT_FROM, str(batch.audit_from))
        sql.trim_audit.one(cursor, batch.audit_from)


def _row(row: Any) -> PutAudit:
    id_, created, *texts = row
    return PutAudit(int(id_), float(created), *map(str, texts))
