"""The two directions: what `imc db import-kamailio` and `imc db export-kamailio` do.

An import needs imc's daemon stopped, since that holds its rooms in memory; it takes the daemon's lock. An export only
reads here, and may run beside it. A dry run writes nothing on either side, and makes no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import IO

from sqlalchemy import Connection, func, inspect, select, text

from imc.aor import Aor
from imc.store.kamailio.peer import Peer, identity, is_exact
from imc.store.kamailio.read import Codec, Found, Names, Reader, find, read_known
from imc.store.kamailio.report import Report
from imc.store.kamailio.stage import SOURCE, TARGET, Stage
from imc.store.kamailio.write import create_missing, write_ours, write_theirs
from imc.store.options import StoreOptions
from imc.store.schema import DEAD, Tables, tables
from imc.store.store import Store

_NO_CASE = "only upper and lower case tell it from another, and {} takes both for the same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """``url`` is Kamailio's database, ``options`` are of imc's own.

    ``is_forced``: what is in conflict is made as the source has it. ``manager`` is the address that no room can have,
    ``domains`` are those that imc serves: of others it is told. ``file`` gets every row of the report. ``wall`` gives
    unix seconds.
    """

    url: str
    options: StoreOptions
    names: Names
    codec: Codec
    is_writing: bool = False
    is_forced: bool = False
    manager: Aor | None = None
    domains: tuple[str, ...] = ()
    file: IO[str] | None = None
    wall: Callable[[], float] = time.time


# --- in ---------------------------------------------------------------------------------------------------------------


def import_kamailio(transfer: Transfer) -> Report:
    """StoreError where either database cannot be read, StoreLocked where imc's daemon runs; then nothing is written."""
    theirs, ours = Peer(transfer.url, base=transfer.options.base), _own(transfer.options)
    report = Report(theirs.place, ours.place, transfer.file)
    with ExitStack() as stack:
        stage = stack.enter_context(Stage())
        with theirs.snapshot() as connection:  # before anything is made for it
            find(connection, transfer.names, theirs.place)
        store = None
        if transfer.is_writing:
            store = stack.enter_context(Store.open(replace(transfer.options, is_exclusive=True)))
        own = tables(transfer.options.rooms_table, transfer.options.members_table)
        with theirs.snapshot() as connection:
            found = find(connection, transfer.names, theirs.place)
            shared = _shared(connection, theirs, ours, own, found)
            if shared:
                report.note(
                    f"This is imc's own database: it uses {', '.join(shared)} as they are; there is nothing to import "
                    "but messages of msilo"
                )
            _read_theirs(
                Reader(connection=connection, stage=stage, side=SOURCE, report=report), found, shared, transfer
            )
        if store is None:
            with _read_only(ours) as mine:
                if mine is not None:
                    _read_ours(mine, own, stage, transfer.codec)
                _settle(stage, report, _inexact(mine, ours.kind, own), report.target)
            stage.note_domains(report, transfer.domains)
            return report
        with store.database.session() as mine:
            _be_patient(mine)
            _read_ours(mine, own, stage, transfer.codec)
            _settle(stage, report, _inexact(mine, ours.kind, own), report.target)
            stage.note_domains(report, transfer.domains)
            report.changes = write_ours(store, mine, stage, transfer.codec.pack, is_forced=transfer.is_forced)
        report.is_done = True
    return report


def _own(options: StoreOptions) -> Peer:
    return Peer(options.url, base=options.base)


@contextmanager
def _read_only(peer: Peer) -> Iterator[Connection | None]:
    """A snapshot; None where there is no file yet."""
    if not peer.is_there():
        yield None
        return
    with peer.snapshot() as connection:
        yield connection


def _be_patient(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def _shared(connection: Connection, theirs: Peer, ours: Peer, own: Tables, found: Found) -> list[str]:
    """The tables of Kamailio's that are imc's own, adopted in place."""
    if theirs.kind != ours.kind or not ours.is_there():
        return []
    with ours.snapshot() as mine:
        if identity(mine, ours.kind) != identity(connection, theirs.kind):
            return []
    names = {own.rooms.name, own.members.name, own.subscriber.name}
    there = (found.rooms, found.members, found.subscriber)
    return [table.name for table in there if table is not None and table.name in names]


def _read_theirs(reader: Reader, found: Found, shared: Sequence[str], transfer: Transfer) -> None:
    """All but the shared ones."""
    is_source = reader.side == SOURCE
    if found.rooms is not None and found.rooms.name not in shared:
        reader.rooms(found.rooms, transfer.manager if is_source else None)
    if found.members is not None and found.members.name not in shared:
        reader.members(found.members)
    if found.subscriber is not None and found.subscriber.name not in shared:
        reader.accounts(found.subscriber)
    if found.silo is not None:
        reader.silo(found.silo, transfer.wall() if is_source else 0.0)


def _read_ours(connection: Connection, own: Tables, stage: Stage, codec: Codec) -> None:
    """As the target. In a dry run any table may be missing."""
    names = Names(rooms=own.rooms.name, members=own.members.name, subscriber=own.subscriber.name)
    found = replace(find(connection, names, "", may_lack=True), silo=None)
    reader = Reader(connection=connection, stage=stage, side=TARGET)
    for table, read in ((found.rooms, reader.rooms), (found.members, reader.members)):
        if table is not None:
            read(table)
    if found.subscriber is not None:
        reader.accounts(found.subscriber)
    read_known(connection, own, stage, codec)


def _inexact(connection: Connection | None, kind: str, own: Tables) -> dict[str, bool]:
    """Which of our tables do not tell upper from lower case."""
    if connection is None:
        return {}
    keys = {
        "room": (own.rooms.name, ("name", "domain")),
        "member": (own.members.name, ("username", "domain", "room")),
        "account": (own.subscriber.name, ("username", "domain")),
    }
    return {part: not is_exact(connection, kind, name, key) for part, (name, key) in keys.items()}


def _settle(stage: Stage, report: Report, inexact: dict[str, bool], target: str) -> None:
    """Once both sides are filled: what cannot be goes, what is left is compared and counted."""
    why = _NO_CASE.format(target)
    stage.drop_rooms_among_members(report)
    if inexact.get("room"):
        stage.drop_look_alikes("room", why, report)
    stage.drop_orphans(report)
    for table in ("member", "account"):
        if inexact.get(table):
            stage.drop_look_alikes(table, why, report)
    stage.remark(report)
    stage.compare()
    stage.count(report)


# --- out --------------------------------------------------------------------------------------------------------------


def export_kamailio(transfer: Transfer) -> Report:
    """As `import_kamailio`; a database that lacks Kamailio's tables gets them."""
    theirs = Peer(transfer.url, base=transfer.options.base)
    with ExitStack() as stack:
        stage = stack.enter_context(Stage())
        with theirs.snapshot() as connection:
            found = find(connection, transfer.names, theirs.place, may_lack=True)
        store = stack.enter_context(Store.open(transfer.options))
        report = Report(store.place, theirs.place, transfer.file)
        ours = _own(transfer.options)
        with theirs.snapshot() as connection:
            if _shared(connection, theirs, ours, store.tables, found):
                report.note("This is imc's own database: Kamailio can use its tables as they are, once imc is stopped")
                return report
        has_silo = found.silo is not None or transfer.names.silo in transfer.names.asked
        with ours.snapshot() as mine:
            _read_source(
                Reader(connection=mine, stage=stage, side=SOURCE, report=report), store.tables, transfer, has_silo
            )
        connect = theirs.transaction if transfer.is_writing else theirs.snapshot
        with connect() as connection:
            _be_patient(connection)
            if transfer.is_writing:
                for name in create_missing(connection, transfer.names, found):
                    report.note(f"table {name} was made")
            found = find(connection, transfer.names, theirs.place, may_lack=True)
            _read_theirs(Reader(connection=connection, stage=stage, side=TARGET), found, (), transfer)
            # Kamailio itself tells no rooms or members apart by case, whatever its tables do.
            is_inexact = found.subscriber is None or not is_exact(
                connection, theirs.kind, found.subscriber.name, ("username", "domain")
            )
            inexact = {"room": True, "member": True, "account": theirs.kind == "mysql" and is_inexact}
            _settle(stage, report, inexact, "Kamailio")
            if transfer.is_writing:
                report.changes = write_theirs(connection, transfer.names, stage, found, is_forced=transfer.is_forced)
        report.is_done = transfer.is_writing
    return report


def _read_source(reader: Reader, own: Tables, transfer: Transfer, has_silo: bool) -> None:
    names = Names(rooms=own.rooms.name, members=own.members.name, subscriber=own.subscriber.name)
    found = find(reader.connection, names, "", may_lack=True)
    assert found.rooms is not None
    assert found.members is not None
    assert found.subscriber is not None
    reader.rooms(found.rooms)
    reader.members(found.members)
    reader.accounts(found.subscriber, for_kamailio=True)
    if has_silo:
        reader.waiting(own, transfer.codec)
    assert reader.report is not None
    _note_losses(reader.connection, own, reader.report, has_silo=has_silo)


def _note_losses(connection: Connection, own: Tables, report: Report, *, has_silo: bool) -> None:
    """What imc keeps and Kamailio has no place for."""
    waiting, outbox = own.waiting, own.outbox
    everything = [
        (own.invitations, None, "invitations lose their inviter and serial: Kamailio has no columns for them"),
        (own.room_settings, None, "rooms lose their settings (imc_room_settings)"),
        (own.messages, None, "messages of the history stay here (imc_messages)"),
        (own.bindings, None, "registrations stay here: clients register anew"),
        (outbox, func.length(outbox.c.recipients) > 0, "deliveries are under way: let imc finish them first"),
        (waiting, waiting.c.state == DEAD, "copies are given up, and stay here"),
    ]
    if not has_silo:
        everything.append((waiting, waiting.c.state != DEAD, "messages wait: without a table silo they stay here"))
    for table, condition, words in everything:
        if inspect(connection).has_table(table.name):
            query = select(func.count()).select_from(table)
            number = connection.execute(query if condition is None else query.where(condition)).scalar_one()
            if number:
                report.note(f"{number} {words}")
