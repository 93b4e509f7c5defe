"""All statements of the hot paths, by name. `imc.store.sql` says how they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy import update as update_

from imc.store import statements_audit as audit
from imc.store import statements_log as log
from imc.store import statements_operators as operators
from imc.store import statements_waiting as waiting
from imc.store.schema import MEMBER_DELETED, MEMBER_INVITED, MEMBER_OWNER, ROOM_DELETED, Tables
from imc.store.sql import Builder, KeyDelete, Statement, after, lacks

BINDING_COLUMNS = (
    "username", "domain", "contact", "q", "expires", "call_id", "cseq", "path", "received", "flow", "instance",
    "user_agent", "registered",
)  # fmt: skip
ACCOUNT_COLUMNS = ("username", "domain", "password", "ha1", "ha1b", "ha1_sha256", "ha1_sha512_256")
_SECRETS = ACCOUNT_COLUMNS[2:]
_ZERO: ColumnElement[int] = literal_column("0")


@dataclass(frozen=True, slots=True)
class Statements:
    put_room: Statement
    clear_leftovers: Statement
    delete_room: KeyDelete
    delete_room_members: KeyDelete
    delete_room_invitations: KeyDelete
    put_member: Statement
    delete_member: KeyDelete
    put_invitation: Statement
    delete_invitation: KeyDelete
    put_settings: Statement
    put_message: Statement
    trim_log: Statement
    erase_message: Statement
    delete_room_messages: KeyDelete
    delete_room_settings: KeyDelete
    clear_old_messages: Statement
    clear_old_settings: Statement
    room_settings: Statement
    last_message: Statement
    newest_messages: Statement
    messages_after: Statement
    next_log_host: Statement
    next_log_name: Statement
    oldest_messages: Statement
    said_by: Statement
    count_said_by: Statement
    put_binding: Statement
    delete_binding: KeyDelete
    delete_bindings: KeyDelete
    delete_expired_bindings: Statement
    put_outbox: Statement
    update_outbox: Statement
    delete_outbox: KeyDelete
    close_outbox: Statement
    delete_done_outbox: Statement
    put_waiting: Statement
    delete_waiting: KeyDelete
    load_room: Statement
    list_rooms: Statement
    public_rooms: Statement
    count_rooms: Statement
    rooms_of: Statement
    count_rooms_owned: Statement
    load_bindings: Statement
    load_outbox: Statement
    outbox_end: Statement
    count_waiting: Statement
    twice_listed: Statement
    load_waiting: Statement
    list_waiting: Statement
    old_waiting: Statement
    old_dead: Statement
    expired_waiting: Statement
    surplus_dead: Statement
    get_account: Statement
    add_account: Statement
    set_account: Statement
    remove_account: Statement
    list_accounts: Statement
    get_meta: Statement
    put_meta: Statement
    get_operator: Statement
    list_operators: Statement
    add_operator: Statement
    set_operator: Statement
    remove_operator: Statement
    put_audit: Statement
    trim_audit: Statement
    audit_cut: Statement
    count_audit: Statement
    count_audit_of: Statement


def statements(build: Builder, tables: Tables) -> Statements:
    return Statements(
        **_room_writes(build, tables),
        **log.writes(build, tables),
        **log.reads(build, tables),
        **_other_writes(build, tables),
        **_room_reads(build, tables),
        **_other_reads(build, tables),
        **waiting.writes(build, tables),
        **waiting.reads(build, tables),
        **_accounts(build, tables),
        **operators.statements(build, tables),
        **audit.statements(build, tables),
    )


def _room_writes(build: Builder, tables: Tables) -> dict[str, Any]:
    rooms, members, invitations = tables.rooms, tables.members, tables.invitations
    is_live = exists().where(build.has(rooms, name="name", domain="domain"), lacks(rooms.c.flag, ROOM_DELETED))
    return {
        "put_room": build.upsert(rooms, ("name", "domain", "flag"), ("name", "domain")),
        "clear_leftovers": build.compile(
            delete(members).where(build.has(members, room="room"), ~is_live), "room", "name", "domain"
        ),
        "delete_room": build.key_delete(rooms, "name", "domain"),
        "delete_room_members": build.key_delete(members, "room"),
        "delete_room_invitations": build.key_delete(invitations, "room_user", "room_domain"),
        "put_member": build.upsert(members, ("username", "domain", "room", "flag"), ("username", "domain", "room")),
        "delete_member": build.key_delete(members, "username", "domain", "room"),
        "put_invitation": build.upsert(
            invitations,
            ("room_user", "room_domain", "username", "domain", "invited_by", "serial", "created"),
            ("room_user", "room_domain", "username", "domain"),
        ),
        "delete_invitation": build.key_delete(invitations, "room_user", "room_domain", "username", "domain"),
    }


def _other_writes(build: Builder, tables: Tables) -> dict[str, Any]:
    bindings, outbox, meta = tables.bindings, tables.outbox, tables.meta
    recipients = update_(outbox).where(build.has(outbox, id="key")).values(recipients=bindparam("recipients"))
    return {
        "put_binding": build.upsert(bindings, BINDING_COLUMNS, BINDING_COLUMNS[:3]),
        "delete_binding": build.key_delete(bindings, "username", "domain", "contact"),
        "delete_bindings": build.key_delete(bindings, "username", "domain"),
        "delete_expired_bindings": build.compile(
            delete(bindings).where(bindings.c.expires <= bindparam("before")), "before"
        ),
        "put_outbox": build.upsert(outbox, ("id", "created", "payload", "recipients", "seq"), ("id",)),
        "update_outbox": build.compile(recipients, "key", "recipients"),
        "delete_outbox": build.key_delete(outbox, "id"),
        "put_meta": build.upsert(meta, ("key", "value"), ("key",)),
    }


def _room_reads(build: Builder, tables: Tables) -> dict[str, Any]:
    rooms, members = tables.rooms, tables.members
    page = (
        select(rooms.c.name, rooms.c.domain, rooms.c.flag)
        .where(after(rooms.c.name, rooms.c.domain))
        .order_by(rooms.c.name, rooms.c.domain)
        .limit(bindparam("limit"))
        .offset(_ZERO)  # SQLite would get one more parameter for it
    )
    mine = build.has(members, username="username", domain="domain")
    return {
        "load_room": _load_room(build, tables),
        "list_rooms": build.compile(page.where(lacks(rooms.c.flag, ROOM_DELETED)), "first", "second", "limit"),
        # Equality lets the index (flag, name, domain) give the page; Kamailio knows no bits but private and deleted.
        "public_rooms": build.compile(page.where(rooms.c.flag == _ZERO), "first", "second", "limit"),
        "count_rooms": build.compile(select(func.count()).select_from(rooms).where(lacks(rooms.c.flag, ROOM_DELETED))),
        "rooms_of": build.compile(
            select(members.c.room, members.c.flag)
            .where(mine, members.c.room > bindparam("after"), lacks(members.c.flag, MEMBER_DELETED))
            .order_by(members.c.room)
            .limit(bindparam("limit"))
            .offset(_ZERO),
            "username",
            "domain",
            "after",
            "limit",
        ),
        "count_rooms_owned": build.compile(
            select(func.count())
            .select_from(members)
            .where(
                mine,
                members.c.flag.bitwise_and(literal_column(str(MEMBER_OWNER))) != _ZERO,
                lacks(members.c.flag, MEMBER_INVITED | MEMBER_DELETED),
            ),
            "username",
            "domain",
        ),
    }


def _load_room(build: Builder, tables: Tables) -> Statement:
    """One statement, and so one state: the room's own row, which has no username, and those of its members."""
    rooms, members, invitations = tables.rooms, tables.members, tables.invitations
    nothing: list[Any] = [null().label(name) for name in ("username", "domain", "invited_by", "serial")]
    own = select(*nothing[:2], rooms.c.flag, *nothing[2:]).where(build.has(rooms, name="name", domain="domain"))
    theirs = (
        select(members.c.username, members.c.domain, members.c.flag, invitations.c.invited_by, invitations.c.serial)
        .select_from(
            members.outerjoin(
                invitations,
                build.has(invitations, room_user="room_user", room_domain="room_domain")
                & (invitations.c.username == members.c.username)
                & (invitations.c.domain == members.c.domain),
            )
        )
        .where(build.has(members, room="room"))
    )
    return build.compile(union_all(own, theirs), "name", "domain", "room_user", "room_domain", "room")


def _other_reads(build: Builder, tables: Tables) -> dict[str, Any]:
    bindings, outbox, meta = tables.bindings, tables.outbox, tables.meta
    return {
        "load_bindings": build.compile(select(*(bindings.c[column] for column in BINDING_COLUMNS))),
        "load_outbox": build.compile(
            select(outbox.c.seq, outbox.c.id, outbox.c.created, outbox.c.payload, outbox.c.recipients)
            .where(outbox.c.seq > bindparam("after"), func.length(outbox.c.recipients) > _ZERO)
            .order_by(outbox.c.seq)
            .limit(bindparam("limit"))
            .offset(_ZERO),
            "after",
            "limit",
        ),
        "get_meta": build.compile(select(meta.c.value).where(build.has(meta, key="name")), "name"),
    }


def _accounts(build: Builder, tables: Tables) -> dict[str, Any]:
    subscriber = tables.subscriber
    is_who = build.has(subscriber, username="user", domain="host")
    secrets: dict[str, Any] = {column: bindparam(column) for column in _SECRETS}
    return {
        "get_account": build.compile(
            select(*(subscriber.c[column] for column in ACCOUNT_COLUMNS)).where(is_who), "user", "host"
        ),
        "add_account": build.compile(
            insert(subscriber).inline().values({column: bindparam(column) for column in ACCOUNT_COLUMNS}),
            *ACCOUNT_COLUMNS,
        ),
        "set_account": build.compile(update_(subscriber).where(is_who).values(secrets), "user", "host", *_SECRETS),
        "remove_account": build.compile(delete(subscriber).where(is_who), "user", "host"),
        "list_accounts": build.compile(
            select(subscriber.c.username, subscriber.c.domain)
            .where(after(subscriber.c.username, subscriber.c.domain))
            .order_by(subscriber.c.username, subscriber.c.domain)
            .limit(bindparam("limit"))
            .offset(_ZERO),
            "first",
            "second",
            "limit",
        ),
    }
