"""Statements of copies that wait for their recipients, by name: a part of `imc.store.statements`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, delete, exists, func, literal_column, or_, select
from sqlalchemy import update as update_

from imc.store.schema import DEAD, WAITING, Tables
from imc.store.sql import AGAIN, Builder

_ZERO: ColumnElement[int] = literal_column("0")
_KEY = ("username", "domain", "seq", "part")
_REST = ("state", "created", "expires", "tries", "status", "changed")


def writes(build: Builder, tables: Tables) -> dict[str, Any]:
    waiting, outbox = tables.waiting, tables.outbox
    has_none = ~exists().where(waiting.c.seq == outbox.c.seq)
    return {
        "close_outbox": build.compile(
            update_(outbox).where(outbox.c.seq == bindparam("key")).values(recipients=bindparam("recipients")),
            "key",
            "recipients",
        ),
        "delete_done_outbox": build.compile(
            delete(outbox).where(outbox.c.seq == bindparam("seq"), func.length(outbox.c.recipients) == _ZERO, has_none),
            "seq",
        ),
        "put_waiting": build.upsert(waiting, (*_KEY, *_REST), _KEY),
        "delete_waiting": build.key_delete(waiting, *_KEY),
    }


def reads(build: Builder, tables: Tables) -> dict[str, Any]:
    return {**_counts(build, tables), **_of_recipients(build, tables), **_to_clear(build, tables)}


def _counts(build: Builder, tables: Tables) -> dict[str, Any]:
    """What a start asks for."""
    waiting, outbox = tables.waiting, tables.outbox
    user, host = waiting.c.username, waiting.c.domain
    return {
        "outbox_end": build.compile(
            select(func.coalesce(func.max(outbox.c.seq), _ZERO)).union_all(
                select(func.coalesce(func.max(waiting.c.seq), _ZERO))
            )
        ),
        "count_waiting": build.compile(
            select(user, host, func.count()).where(_has_state(waiting, WAITING)).group_by(user, host)
        ),
        "twice_listed": build.compile(
            select(*(waiting.c[name] for name in _KEY))
            .select_from(waiting.join(outbox, outbox.c.seq == waiting.c.seq))
            .where(func.length(outbox.c.recipients) > _ZERO)
        ),
    }


def _of_recipients(build: Builder, tables: Tables) -> dict[str, Any]:
    """Rows of one recipient, or of all, in their order."""
    waiting = tables.waiting
    whole, is_one = _whole(tables).limit(bindparam("limit")).offset(_ZERO), _has_state(waiting, WAITING)
    in_order = (waiting.c.seq, waiting.c.part)
    user, host, seq, part = (waiting.c[name] for name in _KEY)
    # Row values in a comparison would keep MySQL from using an index.
    is_after = or_(
        user > bindparam("user"),
        and_(
            user == bindparam("user" + AGAIN),
            or_(
                host > bindparam("host"),
                and_(
                    host == bindparam("host" + AGAIN),
                    or_(seq > bindparam("seq"), and_(seq == bindparam("seq" + AGAIN), part > bindparam("part"))),
                ),
            ),
        ),
    )
    return {
        "load_waiting": build.compile(
            whole.where(build.has(waiting, username="username", domain="domain"), is_one).order_by(*in_order),
            "username",
            "domain",
            "limit",
        ),
        "list_waiting": build.compile(
            whole.where(user >= bindparam("user_from"), is_after).order_by(user, host, *in_order),
            "user_from",
            "user",
            "host",
            "seq",
            "part",
            "limit",
        ),
    }


def _to_clear(build: Builder, tables: Tables) -> dict[str, Any]:
    """Rows whose time is over, and dead letters beyond their bound."""
    waiting = tables.waiting
    is_one, is_dead = _has_state(waiting, WAITING), _has_state(waiting, DEAD)
    whole = _whole(tables).limit(bindparam("limit")).offset(_ZERO)
    return {
        "old_waiting": build.compile(
            whole.where(is_one, waiting.c.created <= bindparam("before")).order_by(waiting.c.created),
            "before",
            "limit",
        ),
        "old_dead": build.compile(
            whole.where(is_dead, waiting.c.changed <= bindparam("before")).order_by(waiting.c.changed),
            "before",
            "limit",
        ),
        "expired_waiting": build.compile(
            whole.where(is_one, waiting.c.expires > _ZERO, waiting.c.expires <= bindparam("before")).order_by(
                waiting.c.expires
            ),
            "before",
            "limit",
        ),
        "surplus_dead": build.compile(
            _whole(tables)
            .where(is_dead)
            .order_by(waiting.c.changed.desc(), waiting.c.created.desc())
            .limit(bindparam("limit"))
            .offset(bindparam("skip")),
            "limit",
            "skip",
        ),
    }


def _whole(tables: Tables) -> Select[Any]:
    waiting, outbox = tables.waiting, tables.outbox
    columns = (waiting.c[name] for name in (*_KEY, *_REST))
    both = waiting.join(outbox, outbox.c.seq == waiting.c.seq)
    return select(*columns, outbox.c.id, outbox.c.payload).select_from(both)


def _has_state(waiting: Table, state: int) -> ColumnElement[bool]:
    return waiting.c.state == literal_column(str(state))
