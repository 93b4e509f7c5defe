"""Statements of the log of room messages and of the settings of rooms, by name: a part of `imc.store.statements`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, delete, exists, func, literal_column, select
from sqlalchemy import update as update_

from imc.store.schema import ROOM_DELETED, Tables
from imc.store.sql import Builder, lacks

_ZERO: ColumnElement[int] = literal_column("0")
_LIMIT: ColumnElement[int] = bindparam("limit")


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
    settings = tables.room_settings
    return {
        "room_settings": build.compile(
            select(settings.c.replay, settings.c.keep_messages, settings.c.keep_days).where(
                build.has(settings, room_user="name", room_domain="domain")
            ),
            "name",
            "domain",
        ),
        **_of_room(build, tables.messages),
        **_pages(build, tables.messages),
        **_rooms(build, tables.messages),
        **_of_user(build, tables.messages),
    }


def _of_room(build: Builder, messages: Table) -> dict[str, Any]:
    """What a room's log begins and ends with."""
    of_room = build.has(messages, room_user="name", room_domain="domain")
    return {
        "last_message": build.compile(select(func.max(messages.c.seq)).where(of_room), "name", "domain"),
        "oldest_messages": build.compile(
            select(messages.c.seq, messages.c.username, messages.c.domain, messages.c.created)
            .where(of_room)
            .order_by(messages.c.seq)
            .limit(_LIMIT)
            .offset(_ZERO),
            "name",
            "domain",
            "limit",
        ),
    }


def _pages(build: Builder, messages: Table) -> dict[str, Any]:
    """What was said in a room: the newest of it, texts cut; or all of it, from some number on."""
    of_room = build.has(messages, room_user="name", room_domain="domain")
    is_whole = messages.c.username != literal_column("''")
    head = [messages.c[column] for column in ("seq", "username", "domain", "type")]
    size = func.length(messages.c.body)  # bytes, on all three
    whole = select(*head, messages.c.body, messages.c.created, size)
    cut = select(*head, func.substr(messages.c.body, literal_column("1"), bindparam("most")), messages.c.created, size)
    return {
        "newest_messages": build.compile(
            cut.where(of_room, messages.c.seq < bindparam("before"), messages.c.created >= bindparam("since"), is_whole)
            .order_by(messages.c.seq.desc())
            .limit(_LIMIT)
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
            .limit(_LIMIT)
            .offset(_ZERO),
            "name",
            "domain",
            "after",
            "since",
            "until",
            "limit",
        ),
    }


def _rooms(build: Builder, messages: Table) -> dict[str, Any]:
    """The next room that has a log."""
    names = select(messages.c.room_user, messages.c.room_domain)
    return {
        "next_log_host": build.compile(
            names.where(messages.c.room_user == bindparam("name"), messages.c.room_domain > bindparam("domain"))
            .order_by(messages.c.room_domain)
            .limit(_LIMIT)
            .offset(_ZERO),
            "name",
            "domain",
            "limit",
        ),
        "next_log_name": build.compile(
            names.where(messages.c.room_user > bindparam("name"))
            .order_by(messages.c.room_user, messages.c.room_domain)
            .limit(_LIMIT)
            .offset(_ZERO),
            "name",
            "limit",
        ),
    }


def _of_user(build: Builder, messages: Table) -> dict[str, Any]:
    """What somebody said, in whatever room."""
    is_theirs = build.has(messages, username="name", domain="domain")
    return {
        "said_by": build.compile(
            select(messages.c.room_user, messages.c.room_domain, messages.c.seq, messages.c.created)
            .where(is_theirs)
            .limit(_LIMIT)
            .offset(_ZERO),
            "name",
            "domain",
            "limit",
        ),
        "count_said_by": build.compile(
            select(func.count()).select_from(messages).where(is_theirs),
            "name",
            "domain",
        ),
    }
