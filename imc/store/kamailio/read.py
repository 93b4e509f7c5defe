"""Tables of either kind, Kamailio's and imc's own, read into one side of a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, TableClause, inspect, select

from imc.aor import Aor
from imc.errors import StoreError
from imc.store.kamailio import mapping
from imc.store.kamailio.mapping import Copy, Gone, Misfit
from imc.store.kamailio.peer import find_table, stream
from imc.store.kamailio.report import Report
from imc.store.kamailio.stage import SOURCE, TARGET, Stage
from imc.store.schema import WAITING, Tables

T = TypeVar("T")
ROOM_COLUMNS = ("id", "name", "domain", "flag")
MEMBER_COLUMNS = ("id", "username", "domain", "room", "flag")
ACCOUNT_COLUMNS = ("id", "username", "domain", "password", "ha1", "ha1b")
OWN_ACCOUNT_COLUMNS = ("ha1_sha256", "ha1_sha512_256")
SILO_COLUMNS = (
    "id", "src_addr", "dst_addr", "username", "domain", "inc_time", "exp_time", "snd_time", "ctype", "body",
)  # fmt: skip
SILO_OPTIONAL = ("extra_hdrs", "callid", "status")
SILO_PREFIX = "silo"  # of the names that messages from there have here


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What Kamailio's tables are called; ``asked`` are those that must be there, since somebody named them."""

    rooms: str = "imc_rooms"
    members: str = "imc_members"
    subscriber: str = "subscriber"
    silo: str = "silo"
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Found:
    """Those that are there, and are what they should be."""

    rooms: TableClause | None
    members: TableClause | None
    subscriber: TableClause | None
    silo: TableClause | None


class Codec(Protocol):
    """How a message stands in the outbox: `imc.service.silo` knows it."""

    def pack(self, copy: Copy) -> bytes:
        """The payload of an outbox row of its own."""

    def unpack(self, row: WaitingRow) -> Copy:
        """Misfit for a row that cannot be read."""

    def call_id(self, job: str, part: int, recipient: Aor) -> str:
        """The Call-ID that a copy has, or will have."""


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A row of imc_waiting with that of the outbox; times in unix seconds."""

    recipient: Aor
    part: int
    created: float
    expires: float
    id: str
    payload: bytes
    recipients: bytes


def find(connection: Connection, names: Names, place: str, *, may_lack: bool = False) -> Found:
    """Kamailio's tables in a database. StoreError where one lacks a column, or is asked for and missing; with
    ``may_lack`` none needs to be there."""
    found = Found(
        find_table(connection, names.rooms, ROOM_COLUMNS),
        find_table(connection, names.members, MEMBER_COLUMNS),
        find_table(connection, names.subscriber, ACCOUNT_COLUMNS, OWN_ACCOUNT_COLUMNS),
        find_table(connection, names.silo, SILO_COLUMNS, SILO_OPTIONAL),
    )
    if may_lack:
        return found
    tables = (
        (names.rooms, found.rooms),
        (names.members, found.members),
        (names.subscriber, found.subscriber),
        (names.silo, found.silo),
    )
    missing = [name for name, table in tables if table is None]
    for name in missing:
        if name in names.asked:
            raise StoreError(f"{place}: there is no table {name}")
    if len(missing) == len(tables):
        raise StoreError(f"{place} is not Kamailio's: it has none of the tables {', '.join(missing)}")
    if (found.rooms is None) != (found.members is None):
        lacking = names.rooms if found.rooms is None else names.members
        raise StoreError(f"{place}: there is no table {lacking}; rooms and members are of no use without each other")
    return found


@dataclass(slots=True, kw_only=True)
class Reader:
    """Reads into one side of a stage. Without a report a row that means nothing here is passed over."""

    connection: Connection
    stage: Stage
    side: int
    report: Report | None = None

    def rooms(self, table: TableClause, manager: Aor | None = None) -> None:
        """``manager`` is the address that no room can have."""

        def take(row: Any) -> bool:
            try:
                record = mapping.room(*row)
            except Gone:
                self.stage.add_gone(self.side, mapping.room_address(*row[:2]))
                raise
            if record.room == manager:
                raise Misfit("it is the conference manager's address (R-ADDR-6)")  # spec R-ADDR-6
            return self.stage.add_room(self.side, record)

        self._read(table, ROOM_COLUMNS[1:], take, "rooms", ("name", "domain"))

    def members(self, table: TableClause) -> None:
        def take(row: Any) -> bool:
            try:
                return self.stage.add_member(self.side, mapping.member(*row))
            except Gone:
                if self.side == TARGET:
                    self.stage.add_gone(TARGET, mapping.room_uri(row[2]))
                raise

        self._read(table, MEMBER_COLUMNS[1:], take, "members", ("username", "domain", "room"))

    def accounts(self, table: TableClause, *, for_kamailio: bool = False) -> None:
        """``for_kamailio``: they go there, and so need a digest that Kamailio has a place for."""
        cut = 0

        def take(row: Any) -> bool:
            nonlocal cut
            try:
                record = mapping.account(*row)
            except Misfit:
                if self.side != TARGET:
                    raise
                # It is in the way all the same, with a secret like no other.
                return self.stage.add_account(self.side, mapping.locked_account(*row[:2]))
            if for_kamailio:
                cut += bool(record.ha1_sha256 or record.ha1_sha512_256)
                if not record.ha1:
                    raise Misfit("it has digests of SHA-256 alone, for which Kamailio has no column")
            elif record.note and self.report is not None:
                self.report.remark("accounts", str(record.aor), record.note)
            return self.stage.add_account(self.side, record)

        own = [name for name in OWN_ACCOUNT_COLUMNS if name in table.c]
        self._read(table, (*ACCOUNT_COLUMNS[1:], *own), take, "accounts", ("username", "domain"))
        if cut and self.report is not None:
            self.report.note(f"{cut} accounts have SHA digests, for which Kamailio has no columns")

    def silo(self, table: TableClause, now: float) -> None:
        """``now`` is in unix seconds."""
        names = tuple(column.name for column in table.columns)

        def take(row: Any) -> bool:
            copy = mapping.stored(dict(zip(names, row, strict=True)), now)
            if self.side == TARGET:
                self.stage.add_known_copy(TARGET, copy.id, copy.call_id, copy.recipient)
                return True
            if copy.note and self.report is not None:
                self.report.remark("messages", f"id={row[0]}", copy.note)
            return self.stage.add_copy(self.side, copy)

        self._read(table, names, take, "messages", ("id",))

    def waiting(self, tables: Tables, codec: Codec) -> None:
        """imc's own copies that wait, as the source's."""
        outbox = tables.outbox
        for row in _waiting_rows(self.connection, tables, outbox.c.payload, outbox.c.recipients):
            username, domain, part, created, expires, id_, payload, recipients = row
            entry = WaitingRow(
                Aor(username, domain), part, float(created), float(expires), id_, bytes(payload), bytes(recipients)
            )

            def take(entry: WaitingRow) -> bool:
                copy = codec.unpack(entry)
                mapping.silo_row(copy)  # whether there is one
                return self.stage.add_copy(SOURCE, replace(copy, id=_copy_name(copy, entry.part)))

            self._take(entry, take, "messages", f"{id_} to {entry.recipient}")

    def _read(
        self, table: TableClause, columns: tuple[str, ...], take: Callable[[Any], bool], name: str, key: tuple[str, ...]
    ) -> None:
        for row in stream(self.connection, select(*(table.c[column] for column in columns)).order_by(table.c.id)):
            values = dict(zip(columns, row, strict=True))
            self._take(row, take, name, mapping.raw(*((one, values[one]) for one in key)))

    def _take(self, row: T, take: Callable[[T], bool], name: str, what: str) -> None:
        """One row, and what becomes of it."""
        report = self.report or Report("", "")
        report.counts[name].read += 1
        try:
            if not take(row):
                report.misfit(name, what, "a row before it is of the same address")
        except Misfit as error:
            report.misfit(name, what, str(error))
        except Gone as error:
            report.gone(name, what, str(error))


def _copy_name(copy: Copy, part: int) -> str:
    """One name for each copy. A message that came from silo is the only copy of its job, and keeps that name."""
    return copy.id if copy.id.startswith(SILO_PREFIX) and part == 0 else copy.call_id


def read_known(connection: Connection, tables: Tables, stage: Stage, codec: Codec) -> None:
    """What imc has of Kamailio's messages already, or had: the names alone."""
    for table, column in ((tables.outbox, tables.outbox.c.id), (tables.meta, tables.meta.c.key)):
        if inspect(connection).has_table(table.name):
            for (name,) in stream(connection, select(column).where(column.startswith(SILO_PREFIX))):
                stage.add_known_copy(TARGET, name)
    if inspect(connection).has_table(tables.waiting.name):
        for username, domain, part, _, _, id_ in _waiting_rows(connection, tables):
            recipient = Aor(username, domain)
            call_id = codec.call_id(id_, part, recipient)
            stage.add_known_copy(TARGET, call_id, call_id, recipient)


def _waiting_rows(connection: Connection, tables: Tables, *more: Any) -> Iterator[Any]:
    waiting, outbox = tables.waiting, tables.outbox
    columns = (waiting.c.username, waiting.c.domain, waiting.c.part, waiting.c.created, waiting.c.expires, outbox.c.id)
    return stream(
        connection,
        select(*columns, *more)
        .join_from(waiting, outbox, waiting.c.seq == outbox.c.seq)
        .where(waiting.c.state == WAITING)
        .order_by(waiting.c.seq, waiting.c.part),
    )
