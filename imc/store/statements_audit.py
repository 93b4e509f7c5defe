"""Statements of the audit, by name: a part of `imc.store.statements`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, bindparam, cast, delete, exists, func, insert, literal_column, or_, select

from imc.store.schema import Tables
from imc.store.sql import AGAIN, Builder

COLUMNS = ("id", "created", "actor", "via", "act", "room", "user", "detail", "result")
_ZERO: ColumnElement[int] = literal_column("0")


def statements(build: Builder, tables: Tables) -> dict[str, Any]:
    audit = tables.audit
    # A transaction may be tried twice, and a row that is there must not be touched: so no upsert.
    values: list[Any] = [bindparam(column) for column in COLUMNS]
    if build.kind == "postgresql":  # it does not take their types from where they go; MySQL cannot cast to DOUBLE
        values = [cast(value, audit.c[column].type) for column, value in zip(COLUMNS, values, strict=True)]
    is_there = exists().where(audit.c.id == bindparam("id" + AGAIN))
    put: Any
    if build.kind == "sqlite":
        put = insert(audit).inline().values({column: bindparam(column) for column in COLUMNS}).prefix_with("OR IGNORE")
    else:
        put = insert(audit).inline().from_select(list(COLUMNS), select(*values).where(~is_there))
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
