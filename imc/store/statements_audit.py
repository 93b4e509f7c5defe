"""Statements of the audit, by name: a part of `imc.store.statements`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, func, insert, literal_column, or_, select
from sqlalchemy.dialects import postgresql

from imc.store.schema import Tables
from imc.store.sql import AGAIN, Builder

COLUMNS = ("id", "created", "actor", "via", "act", "room", "user", "detail", "result")


def statements(build: Builder, tables: Tables) -> dict[str, Any]:
    audit = tables.audit
    # A transaction may be tried twice, and a row that is there must not be touched, or a trigger refuses it.
    put: Any = insert(audit).inline().values({column: bindparam(column) for column in COLUMNS})
    if build.kind == "postgresql":
        row: dict[str, Any] = {column: bindparam(column) for column in COLUMNS}
        put = postgresql.insert(audit).inline().values(row).on_conflict_do_nothing()
    else:
        put = put.prefix_with("OR IGNORE" if build.kind == "sqlite" else "IGNORE")
    return {
        "put_audit": build.compile(put, *COLUMNS),
        "trim_audit": build.compile(delete(audit).where(audit.c.id < bindparam("before")), "before"),
        "audit_cut": build.compile(
            select(audit.c.id).order_by(audit.c.id).limit(literal_column("1")).offset(bindparam("count")), "count"
        ),
        "count_audit": build.compile(select(func.count()).select_from(audit)),
        "count_audit_of": build.compile(
            select(func.count())
            .select_from(audit)
            .where(or_(audit.c.user == bindparam("user"), audit.c.actor == bindparam("user" + AGAIN))),
            "user",
        ),
    }
