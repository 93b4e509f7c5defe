"""What a stage found to be done, written: into imc's own tables, or into Kamailio's. The caller has the transaction."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from imc.aor import Aor
from imc.store.accounts import VERSION_KEY
from imc.store.database import open_cursor
from imc.store.kamailio.mapping import Copy, silo_row
from imc.store.kamailio.peer import BATCH
from imc.store.kamailio.read import Found, Names
from imc.store.kamailio.stage import Stage
from imc.store.migrations.kamailio import note_versions
from imc.store.ops import MAX_PAYLOAD
from imc.store.schema import KEY, WAITING, Tables, index_name
from imc.store.sql import Cursor
from imc.store.store import Store

T = TypeVar("T")
# What Kamailio 5.x and 6.x expect in their table `version`.
_VERSIONS = {"rooms": 1, "members": 1, "subscriber": 7, "silo": 8}


# --- imc's own --------------------------------------------------------------------------------------------------------


def write_ours(
    store: Store, connection: Connection, stage: Stage, pack: Callable[[Copy], bytes], *, is_forced: bool
) -> int:
    """``is_forced``: what is in conflict is made as the source has it. How many rows were put or deleted."""
    with open_cursor(connection.connection) as cursor:
        done = _put_rooms(store, cursor, stage)
        if is_forced:
            done += _force_rooms(store, cursor, stage)
        done += _put_accounts(store, cursor, stage, is_forced=is_forced)
    for copies in _batches(stage.copies_to_put()):
        _enqueue(connection, store.tables, [(copy, pack(copy)) for copy in copies])
        done += len(copies)
    return done


def _put_rooms(store: Store, cursor: Cursor, stage: Stage) -> int:
    sql, done = store.sql, 0
    for rooms in _batches(stage.rooms_to_put(is_forced=False)):
        sql.clear_leftovers.many(cursor, [(uri, name, host) for uri, name, host, _ in rooms])
        sql.delete_room_invitations.many(cursor, [(name, host) for _, name, host, _ in rooms])
        sql.put_room.many(cursor, [row[1:] for row in rooms])
        done += len(rooms)
    for members in _batches(stage.members_to_put(is_forced=False)):
        sql.put_member.many(cursor, members)
        done += len(members)
    return done


def _force_rooms(store: Store, cursor: Cursor, stage: Stage) -> int:
    """An invitation that stays keeps its inviter; one that comes has none (see `imc.store.rooms`)."""
    sql, done = store.sql, 0
    for rooms in _batches(stage.rooms_to_put(is_forced=True)):
        sql.put_room.many(cursor, [row[1:] for row in rooms])
        done += len(rooms)
    for lost in _batches(stage.members_to_delete()):
        sql.delete_member.many(cursor, lost)
        sql.delete_invitation.many(cursor, [(*Aor.parse(uri), name, host) for name, host, uri in lost])
        done += len(lost)
    for members in _batches(stage.members_to_put(is_forced=True)):
        sql.delete_invitation.many(cursor, [(*Aor.parse(uri), name, host) for name, host, uri, _ in members])
        sql.put_member.many(cursor, members)
        done += len(members)
    return done


def _put_accounts(store: Store, cursor: Cursor, stage: Stage, *, is_forced: bool) -> int:
    sql, done = store.sql, 0
    for accounts in _batches(stage.accounts_to_put(is_forced=False)):
        sql.add_account.many(cursor, accounts)
        done += len(accounts)
    if is_forced:
        for accounts in _batches(stage.accounts_to_put(is_forced=True)):
            sql.set_account.many(cursor, accounts)
            done += len(accounts)
    if done:
        sql.put_meta.one(cursor, VERSION_KEY, secrets.token_hex(8))
    return done


def _enqueue(connection: Connection, tables: Tables, copies: Iterable[tuple[Copy, bytes]]) -> None:
    """A row of the outbox and one of imc_waiting for each, in their order; and that it has been here."""
    for copy, payload in copies:
        if len(payload) > MAX_PAYLOAD:  # the mapping allows for half of it
            raise AssertionError("a message outgrew the outbox")
        seq = _put_outbox(connection, tables.outbox, copy, payload)
        user = {"username": copy.recipient.user, "domain": copy.recipient.host}
        times = {"created": copy.created, "expires": copy.expires, "changed": copy.created}
        state = {"seq": seq, "part": 0, "state": WAITING, "tries": 0, "status": 0}
        connection.execute(insert(tables.waiting), {**user, **times, **state})
        connection.execute(insert(tables.meta), {"key": copy.id, "value": "imported"})


def _put_outbox(connection: Connection, outbox: Table, copy: Copy, payload: bytes) -> int:
    """Behind all that is there; the number of the row. The daemon that gives these numbers does not run."""
    seq = int(connection.execute(select(func.coalesce(func.max(outbox.c.seq), 0) + 1)).scalar_one())
    row = {"seq": seq, "id": copy.id, "created": copy.created, "payload": payload, "recipients": b""}
    connection.execute(insert(outbox).values(row))
    return seq


# --- Kamailio's -------------------------------------------------------------------------------------------------------


def kamailios(names: Names) -> dict[str, Table]:
    """The tables as Kamailio's schema has them, under these names."""
    metadata = MetaData()

    def text(name: str, length: int, default: str | None = None) -> Column[Any]:
        return Column(name, String(length), nullable=False, server_default=default)

    def number(name: str, default: str | None = None) -> Column[Any]:
        return Column(name, Integer, nullable=False, server_default=default)

    def key() -> Column[Any]:
        return Column("id", KEY, primary_key=True, autoincrement=True)

    rooms, members, subscriber, silo = names.rooms, names.members, names.subscriber, names.silo
    return {
        "rooms": Table(
            rooms, metadata, key(), text("name", 64), text("domain", 64), number("flag"),
            UniqueConstraint("name", "domain", name=index_name(rooms, "name_domain")),
        ),
        "members": Table(
            members, metadata, key(), text("username", 64), text("domain", 64), text("room", 64), number("flag"),
            UniqueConstraint("username", "domain", "room", name=index_name(members, "account_room")),
        ),
        "subscriber": Table(
            subscriber, metadata, key(), text("username", 64, ""), text("domain", 64, ""), text("password", 64, ""),
            text("ha1", 128, ""), text("ha1b", 128, ""),
            UniqueConstraint("username", "domain", name=index_name(subscriber, "account")),
            Index(index_name(subscriber, "username"), "username"),
        ),
        "silo": Table(
            silo, metadata, key(), text("src_addr", 255, ""), text("dst_addr", 255, ""), text("username", 64, ""),
            text("domain", 64, ""), number("inc_time", "0"), number("exp_time", "0"), number("snd_time", "0"),
            text("ctype", 32, "text/plain"), Column("body", LargeBinary), Column("extra_hdrs", Text),
            text("callid", 128, ""), number("status", "0"), Index(index_name(silo, "account"), "username", "domain"),
        ),
    }  # fmt: skip


def create_missing(connection: Connection, names: Names, found: Found) -> list[str]:
    """Make the tables that are not there; silo only where it is asked for. Their names."""
    tables = kamailios(names)
    made = {
        part: tables[part]
        for part, table in (("rooms", found.rooms), ("members", found.members), ("subscriber", found.subscriber))
        if table is None
    }
    if found.silo is None and names.silo in names.asked:
        made["silo"] = tables["silo"]
    for table in made.values():
        table.create(connection)
    note_versions(connection, {table.name: _VERSIONS[part] for part, table in made.items()})
    return [table.name for table in made.values()]


def write_theirs(connection: Connection, names: Names, stage: Stage, found: Found, *, is_forced: bool) -> int:
    """As `write_ours`. ``found`` is what was there after `create_missing`."""
    tables = kamailios(names)
    done = _put_rooms_there(connection, tables["rooms"], tables["members"], stage, is_forced=is_forced)
    done += _put_accounts_there(connection, tables["subscriber"], stage, is_forced=is_forced)
    if found.silo is None:
        return done
    columns = {column.name for column in found.silo.columns}
    for copies in _batches(stage.copies_to_put()):
        rows = [{name: value for name, value in silo_row(copy).items() if name in columns} for copy in copies]
        connection.execute(insert(tables["silo"]), rows)
        done += len(copies)
    return done


def _put_rooms_there(connection: Connection, rooms: Table, members: Table, stage: Stage, *, is_forced: bool) -> int:
    """Kamailio's own rows may write an address in another case: so what is in the way is looked for without it."""
    done = 0
    is_room = and_(func.lower(rooms.c.name) == bindparam("n"), func.lower(rooms.c.domain) == bindparam("h"))
    is_in_it = func.lower(members.c.room) == bindparam("u")
    doomed = [uri for (uri,) in stage.rooms_in_the_way()]
    if is_forced:
        doomed += [row[0] for row in stage.rooms_to_put(is_forced=True)]
    for uri in doomed:
        name, _, host = uri.lower().removeprefix("sip:").rpartition("@")
        done += connection.execute(delete(rooms).where(is_room), {"n": name, "h": host}).rowcount
        done += connection.execute(delete(members).where(is_in_it), {"u": uri.lower()}).rowcount
    for forced in (False, True) if is_forced else (False,):
        for batch in _batches(stage.rooms_to_put(is_forced=forced)):
            rows = [{"name": name, "domain": host, "flag": flag} for _, name, host, flag in batch]
            connection.execute(insert(rooms), rows)
            done += len(rows)
        for people in _batches(stage.members_of(is_forced=forced)):
            rows = [{"username": name, "domain": host, "room": uri, "flag": flag} for name, host, uri, flag in people]
            connection.execute(insert(members), rows)
            done += len(rows)
    return done


def _put_accounts_there(connection: Connection, table: Table, stage: Stage, *, is_forced: bool) -> int:
    done = 0
    for batch in _batches(stage.accounts_to_put(is_forced=False)):
        rows = [
            {"username": name, "domain": host, "password": password, "ha1": ha1, "ha1b": ha1b}
            for name, host, password, ha1, ha1b, *_ in batch
        ]
        connection.execute(insert(table), rows)
        done += len(rows)
    if is_forced:
        change = update(table).where(table.c.username == bindparam("n"), func.lower(table.c.domain) == bindparam("h"))
        for name, host, password, ha1, ha1b, *_ in stage.accounts_to_put(is_forced=True):
            values = {"password": password, "ha1": ha1, "ha1b": ha1b}
            connection.execute(change.values(values), {"n": name, "h": host})
            done += 1
    return done


def _batches(rows: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(rows, BATCH)):
        yield batch
