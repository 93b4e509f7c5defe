"""Statements of operators, by name: a part of `imc.store.statements`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from imc.store.schema import Tables
from imc.store.sql import Builder

COLUMNS = ("name", "role", "secret", "created")


def statements(build: Builder, tables: Tables) -> dict[str, Any]:
    operators = tables.operators
    is_who = build.has(operators, name="who")
    columns = [operators.c[column] for column in COLUMNS]
    values: dict[str, Any] = {column: bindparam(column) for column in COLUMNS}
    changed: dict[str, Any] = {column: bindparam(f"new_{column}") for column in ("role", "secret")}
    return {
        "get_operator": build.compile(select(*columns).where(is_who), "who"),
        "list_operators": build.compile(select(*columns).order_by(operators.c.name)),
        "add_operator": build.compile(insert(operators).inline().values(values), *COLUMNS),
        "set_operator": build.compile(update(operators).where(is_who).values(changed), "who", "new_role", "new_secret"),
        "remove_operator": build.compile(delete(operators).where(is_who), "who"),
    }
