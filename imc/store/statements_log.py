"""Statements of the log of room messages and of the settings of rooms, by name: a part of `imc.store.statements`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, exists, func, literal_column, select
from sqlalchemy import update as update_

from imc.store.schema import ROOM_DELETED, Tables
from imc.store.sql import Builder, lacks

_ZERO: ColumnElement[int] = literal_column("0")


def writes(build: Builder, tables: Tables) -> dict[str, Any]:
    messages, settings, rooms = tables.messages, tables.room_settings, tables.rooms
    is_live = exists().where(build.has(rooms, name="name", domain="domain"), lacks(rooms.c.flag, ROOM_DELETED))
    of_room = {"room_user": "name", "room_domain": "domain"}
    nothing: ColumnElement[str] = literal_column("''")
    erase = (
        update_(messages)
        .where(
            messages.c.room_user == bindparam("name"),
            messages.c.room_domain == bindparam("host"),
            messages.c.seq == bindparam("number"),
            messages.c.username == bindparam("who"),
            messages.c.domain == bindparam("where"),
            messages.c.created <= bindparam("until"),
        )
        .values(username=nothing, domain=nothing, type=nothing, body=bindparam("nothing"))
    )
    return {
        "put_settings": build.upsert(
            settings, ("room_user", "room_domain", "replay", "keep_messages", "keep_days"), ("room_user", "room_domain")
        ),
        # The same row again does no harm: a transaction may be tried twice.
        "put_message": build.upsert(
            messages,
            ("room_user", "room_domain", "seq", "username", "domain", "type", "body", "created"),
            ("room_user", "room_domain", "seq"),
        ),
        "trim_log": build.compile(
            delete(messages).where(
                build.has(messages, **of_room),
                messages.c.seq <= bindparam("upto"),
                messages.c.created <= bindparam("until"),
            ),
            "name",
            "domain",
            "upto",
            "until",
        ),
        "erase_message": build.compile(erase, "name", "host", "number", "who", "where", "until", "nothing"),
        "delete_room_messages": build.key_delete(messages, "room_user", "room_domain"),
        "delete_room_settings": build.key_delete(settings, "room_user", "room_domain"),
        "clear_old_messages": build.compile(
            delete(messages).where(build.has(messages, **of_room), ~is_live), "name", "domain"
        ),
        "clear_old_settings": build.compile(
            delete(settings).where(build.has(settings, **of_room), ~is_live), "name", "domain"
        ),
    }


def reads(build: Builder, tables: Tables) -> dict[str, Any]:
    messages, settings = tables.messages, tables.room_settings
    of_room = build.has(messages, room_user="name", room_domain="domain")
    is_whole = messages.c.username != literal_column("''")
    head = [messages.c[column] for column in ("seq", "username", "domain", "type")]
    size = func.length(messages.c.body)  # bytes, on all three
    whole = select(*head, messages.c.body, messages.c.created, size)
    cut = select(*head, func.substr(messages.c.body, literal_column("1"), bindparam("most")), messages.c.created, size)
    names = select(messages.c.room_user, messages.c.room_domain)
    limit: ColumnElement[int] = bindparam("limit")
    return {
        "room_settings": build.compile(
            select(settings.c.replay, settings.c.keep_messages, settings.c.keep_days).where(
                build.has(settings, room_user="name", room_domain="domain")
            ),
            "name",
            "domain",
        ),
        "last_message": build.compile(select(func.max(messages.c.seq)).where(of_room), "name", "domain"),
        "newest_messages": build.compile(
            cut.where(of_room, messages.c.seq < bindparam("before"), messages.c.created >= bindparam("since"), is_whole)
            .order_by(messages.c.seq.desc())
            .limit(limit)
            .offset(_ZERO),
            "name",
            "domain",
            "before",
            "since",
            "most",
            "limit",
        ),
        "messages_after": build.compile(
            whole.where(
                of_room,
                messages.c.seq > bindparam("after"),
                messages.c.created >= bindparam("since"),
                messages.c.created < bindparam("until"),
                is_whole,
            )
            .order_by(messages.c.seq)
            .limit(limit)
            .offset(_ZERO),
            "name",
            "domain",
            "after",
            "since",
            "until",
            "limit",
        ),
        "next_log_host": build.compile(
            names.where(messages.c.room_user == bindparam("name"), messages.c.room_domain > bindparam("domain"))
            .order_by(messages.c.room_domain)
            .limit(limit)
            .offset(_ZERO),
            "name",
            "domain",
            "limit",
        ),
        "next_log_name": build.compile(
            names.where(messages.c.room_user > bindparam("name"))
            .order_by(messages.c.room_user, messages.c.room_domain)
            .limit(limit)
            .offset(_ZERO),
            "name",
            "limit",
        ),
        "oldest_messages": build.compile(
            select(messages.c.seq, messages.c.username, messages.c.domain, messages.c.created)
            .where(of_room)
            .order_by(messages.c.seq)
            .limit(limit)
            .offset(_ZERO),
            "name",
            "domain",
            "limit",
        ),
        "said_by": build.compile(
            select(messages.c.room_user, messages.c.room_domain, messages.c.seq, messages.c.created)
            .where(build.has(messages, username="name", domain="domain"))
            .limit(limit)
            .offset(_ZERO),
            "name",
            "domain",
            "limit",
        ),
        "count_said_by": build.compile(
            select(func.count()).select_from(messages).where(build.has(messages, username="name", domain="domain")),
            "name",
            "domain",
        ),
    }
