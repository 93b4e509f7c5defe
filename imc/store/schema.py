"""The tables, as they stand after the newest migration.

``imc_rooms``, ``imc_members`` and ``subscriber`` are Kamailio's, column for column, so that a site can switch either
way; ``subscriber`` has two more columns for the digests of RFC 8760. What is ours alone is in ``imc_…`` tables.

A text is compared exactly, character by character: on MySQL our own tables have a binary collation, SQLite and
PostgreSQL do so anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql

# Kamailio's flag bits.
ROOM_PRIVATE = 1
ROOM_DELETED = 2
MEMBER_OWNER = 1
MEMBER_ADMIN = 2
MEMBER_INVITED = 4
MEMBER_DELETED = 8
# Of imc_waiting.
WAITING = 0
DEAD = 1

# Kamailio's id columns: INT(10) UNSIGNED AUTO_INCREMENT, SERIAL, INTEGER PRIMARY KEY.
KEY = Integer().with_variant(mysql.INTEGER(unsigned=True), "mysql", "mariadb")
BIG_KEY = BigInteger().with_variant(Integer(), "sqlite")
# MySQL's BLOB ends at 64 KiB.
BYTES = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
# Unix seconds; MySQL's FLOAT would have 24 bits.
SECONDS = Float(53).with_variant(mysql.DOUBLE(), "mysql", "mariadb")
EXACT: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
_MAX_IDENTIFIER = 63


def index_name(table: str, what: str) -> str:
    """``<table>_<what>_idx``, as Kamailio has it; PostgreSQL wants it unique in the schema and at most 63 long."""
    name = f"{table}_{what}_idx"
    if len(name) <= _MAX_IDENTIFIER:
        return name
    return f"{table[:30]}_{blake2b(table.encode(), digest_size=6).hexdigest()}_{what[:12]}_idx"


@dataclass(frozen=True, slots=True)
class Tables:
    """All tables, under the names that the configuration gives them."""

    metadata: MetaData
    rooms: Table
    members: Table
    subscriber: Table
    invitations: Table
    bindings: Table
    outbox: Table
    meta: Table
    waiting: Table
    messages: Table
    room_settings: Table
    audit: Table
    operators: Table


def tables(rooms_table: str = "imc_rooms", members_table: str = "imc_members") -> Tables:
    metadata = MetaData()
    return Tables(
        metadata,
        _rooms(metadata, rooms_table),
        _members(metadata, members_table),
        _subscriber(metadata),
        *_own(metadata),
        *_kept(metadata),
        _audit(metadata),
        _operators(metadata),
    )


def _rooms(metadata: MetaData, name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("id", KEY, primary_key=True, autoincrement=True),
        Column("name", String(64), nullable=False),
        Column("domain", String(64), nullable=False),
        Column("flag", Integer, nullable=False),
        UniqueConstraint("name", "domain", name=index_name(name, "name_domain")),
        # Not Kamailio's: pages of public rooms.
        Index(index_name(name, "flag"), "flag", "name", "domain"),
        **EXACT,
    )


def _members(metadata: MetaData, name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("id", KEY, primary_key=True, autoincrement=True),
        Column("username", String(64), nullable=False),
        Column("domain", String(64), nullable=False),
        Column("room", String(64), nullable=False),
        Column("flag", Integer, nullable=False),
        UniqueConstraint("username", "domain", "room", name=index_name(name, "account_room")),
        # Not Kamailio's, which loads all rooms at start: the members of one room.
        Index(index_name(name, "room"), "room"),
        **EXACT,
    )


def _subscriber(metadata: MetaData) -> Table:
    return Table(
        "subscriber",
        metadata,
        Column("id", KEY, primary_key=True, autoincrement=True),
        Column("username", String(64), nullable=False, server_default=""),
        Column("domain", String(64), nullable=False, server_default=""),
        Column("password", String(64), nullable=False, server_default=""),
        Column("ha1", String(128), nullable=False, server_default=""),
        Column("ha1b", String(128), nullable=False, server_default=""),
        # Not Kamailio's: A1 hashed as RFC 8760 has it.
        Column("ha1_sha256", String(64), nullable=False, server_default=""),
        Column("ha1_sha512_256", String(64), nullable=False, server_default=""),
        UniqueConstraint("username", "domain", name="subscriber_account_idx"),
        Index("subscriber_username_idx", "username"),
        **EXACT,
    )


def _own(metadata: MetaData) -> tuple[Table, Table, Table, Table]:
    return (
        Table(
            "imc_invitations",
            metadata,
            Column("room_user", String(64), primary_key=True),
            Column("room_domain", String(64), primary_key=True),
            Column("username", String(64), primary_key=True),
            Column("domain", String(64), primary_key=True),
            Column("invited_by", String(255), nullable=False),  # address-of-record, or ""
            Column("serial", BigInteger, nullable=False),
            Column("created", SECONDS, nullable=False),
            **EXACT,
        ),
        Table(
            "imc_bindings",
            metadata,
            Column("username", String(64), primary_key=True),
            Column("domain", String(64), primary_key=True),
            Column("contact", String(512), primary_key=True),  # `Binding.key`
            Column("q", Integer, nullable=False),  # thousandths
            Column("expires", SECONDS, nullable=False),
            Column("call_id", Text, nullable=False),
            Column("cseq", BigInteger, nullable=False),
            Column("path", Text, nullable=False),  # JSON list
            Column("received", Text, nullable=False),
            Column("flow", Text, nullable=False),  # JSON, or ""
            Column("instance", Text, nullable=False),
            Column("user_agent", Text, nullable=False),
            Column("registered", SECONDS, nullable=False),
            Index("imc_bindings_expires_idx", "expires"),
            **EXACT,
        ),
        Table(
            "imc_outbox",
            metadata,
            # In the order of decisions; the daemon counts, since it knows a row's number before it is written.
            Column("seq", BIG_KEY, primary_key=True, autoincrement=False),
            Column("id", String(64), nullable=False),
            Column("created", SECONDS, nullable=False),
            Column("payload", BYTES, nullable=False),
            Column("recipients", BYTES, nullable=False),
            UniqueConstraint("id", name="imc_outbox_id_idx"),
            **EXACT,
        ),
        Table(
            "imc_meta",
            metadata,
            Column("key", String(64), primary_key=True),
            Column("value", String(255), nullable=False),
            **EXACT,
        ),
    )


def _kept(metadata: MetaData) -> tuple[Table, Table, Table]:
    """What is kept longer than a delivery takes: copies that wait for their recipient, and what was said in rooms."""
    return (
        Table(
            "imc_waiting",
            metadata,
            Column("username", String(64), primary_key=True),
            Column("domain", String(64), primary_key=True),
            Column("seq", BigInteger, primary_key=True, autoincrement=False),  # of imc_outbox
            Column("part", Integer, primary_key=True, autoincrement=False),  # which dispatch of it
            Column("state", Integer, nullable=False),  # WAITING or DEAD
            Column("created", SECONDS, nullable=False),
            Column("expires", SECONDS, nullable=False),  # RFC 3428 §4; 0: never
            Column("tries", Integer, nullable=False),
            Column("status", Integer, nullable=False),  # of the last try
            Column("changed", SECONDS, nullable=False),  # when that was
            Index("imc_waiting_seq_idx", "seq"),
            Index("imc_waiting_state_idx", "state", "created"),
            **EXACT,
        ),
        Table(
            "imc_messages",
            metadata,
            Column("room_user", String(64), primary_key=True),
            Column("room_domain", String(64), primary_key=True),
            Column("seq", BigInteger, primary_key=True, autoincrement=False),  # in the room, from 1
            Column("username", String(64), nullable=False),
            Column("domain", String(64), nullable=False),
            Column("type", Text, nullable=False),
            Column("body", BYTES, nullable=False),  # as the sender sent it
            Column("created", SECONDS, nullable=False),
            Index("imc_messages_sender_idx", "username", "domain"),
            Index("imc_messages_created_idx", "created"),
            **EXACT,
        ),
        Table(
            "imc_room_settings",
            metadata,
            Column("room_user", String(64), primary_key=True),
            Column("room_domain", String(64), primary_key=True),
            Column("replay", Integer, nullable=False),  # messages repeated to who joins
            Column("keep_messages", Integer, nullable=False),  # -1: as the configuration says
            Column("keep_days", Integer, nullable=False),  # likewise
            **EXACT,
        ),
    )


def _audit(metadata: MetaData) -> Table:
    """Who did what (spec R-AUDIT-1): rows are added, and deleted when they are too old. Triggers refuse all else."""
    return Table(
        "imc_audit",
        metadata,
        # Microseconds of its time * 1024, so that ids are in the order of time: `imc.service.audit`.
        Column("id", BIG_KEY, primary_key=True, autoincrement=False),
        Column("created", SECONDS, nullable=False),
        Column("actor", String(255), nullable=False),  # a user's URI, an operator's name, or imc
        Column("via", String(64), nullable=False),  # sip, cli, or the interface
        Column("act", String(64), nullable=False),
        Column("room", String(255), nullable=False),  # URI, or ""
        Column("user", String(255), nullable=False),  # URI of whom it is about, or ""
        Column("detail", Text, nullable=False),  # JSON, or ""
        Column("result", String(255), nullable=False),
        Index("imc_audit_room_idx", "room", "id"),
        Index("imc_audit_user_idx", "user", "id"),
        Index("imc_audit_actor_idx", "actor", "id"),
        **EXACT,
    )


def _operators(metadata: MetaData) -> Table:
    """Who may log in on the operators' page: `imc.store.operators`."""
    return Table(
        "imc_operators",
        metadata,
        Column("name", String(64), primary_key=True),
        Column("role", String(16), nullable=False),
        Column("secret", String(255), nullable=False),  # of the password, by scrypt
        Column("created", SECONDS, nullable=False),
        **EXACT,
    )
