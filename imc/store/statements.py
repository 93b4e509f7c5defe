"""All statements of the hot paths, by name. `imc.store.sql` says how they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy import update as update_

from imc.store.schema import DEAD, MEMBER_DELETED, MEMBER_INVITED, MEMBER_OWNER, ROOM_DELETED, WAITING, Tables
from imc.store.sql import AGAIN, Builder, KeyDelete, Statement, after, lacks

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


def statements(build: Builder, tables: Tables) -> Statements:
    return Statements(
        **_room_writes(build, tables),
        **_log_writes(build, tables),
        **_log_reads(build, tables),
        **_other_writes(build, tables),
        **_room_reads(build, tables),
        **_other_reads(build, tables),
        **_waiting(build, tables),
        **_accounts(build, tables),
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


def _log_writes(build: Builder, tables: Tables) -> dict[str, Any]:
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


def _log_reads(build: Builder, tables: Tables) -> dict[str, Any]:
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


def _waiting(build: Builder, tables: Tables) -> dict[str, Any]:
    waiting, outbox = tables.waiting, tables.outbox
    key = ("username", "domain", "seq", "part")
    rest = ("state", "created", "expires", "tries", "status", "changed")
    is_one = waiting.c.state == literal_column(str(WAITING))
    is_dead = waiting.c.state == literal_column(str(DEAD))
    has_none = ~exists().where(waiting.c.seq == outbox.c.seq)
    whole = (
        select(*(waiting.c[name] for name in (*key, *rest)), outbox.c.id, outbox.c.payload)
        .select_from(waiting.join(outbox, outbox.c.seq == waiting.c.seq))
        .limit(bindparam("limit"))
        .offset(_ZERO)
    )
    in_order = (waiting.c.seq, waiting.c.part)
    user, host, seq, part = (waiting.c[name] for name in key)
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
        "close_outbox": build.compile(
            update_(outbox).where(outbox.c.seq == bindparam("key")).values(recipients=bindparam("recipients")),
            "key",
            "recipients",
        ),
        "delete_done_outbox": build.compile(
            delete(outbox).where(outbox.c.seq == bindparam("seq"), func.length(outbox.c.recipients) == _ZERO, has_none),
            "seq",
        ),
        "put_waiting": build.upsert(waiting, (*key, *rest), key),
        "delete_waiting": build.key_delete(waiting, *key),
        "outbox_end": build.compile(
            select(func.coalesce(func.max(outbox.c.seq), _ZERO)).union_all(
                select(func.coalesce(func.max(waiting.c.seq), _ZERO))
            )
        ),
        "count_waiting": build.compile(select(user, host, func.count()).where(is_one).group_by(user, host)),
        "twice_listed": build.compile(
            select(*(waiting.c[name] for name in key))
            .select_from(waiting.join(outbox, outbox.c.seq == waiting.c.seq))
            .where(func.length(outbox.c.recipients) > _ZERO)
        ),
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
            select(*(waiting.c[name] for name in (*key, *rest)), outbox.c.id, outbox.c.payload)
            .select_from(waiting.join(outbox, outbox.c.seq == waiting.c.seq))
            .where(is_dead)
            .order_by(waiting.c.changed.desc(), waiting.c.created.desc())
            .limit(bindparam("limit"))
            .offset(bindparam("skip")),
            "limit",
            "skip",
        ),
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
