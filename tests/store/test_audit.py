"""imc.store.audit, on every kind of database: rows are added, found, and deleted by age alone (spec R-AUDIT-3)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import delete, update

from imc.errors import StoreConflict, StoreError
from imc.store.audit import AuditFilter, id_at
from imc.store.backup import backup, restore
from imc.store.ops import PutAudit, PutMember, PutRoom, TrimAudit
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.store.samples import ALICE, BOB, OWNER, ROOM

BEGUN = 1_700_000_000.0


def row(number: int, **more: object) -> PutAudit:
    """The row of second ``number``."""
    values: dict[str, object] = {
        "id": id_at(BEGUN + number),
        "created": BEGUN + number,
        "actor": str(ALICE),
        "via": "sip",
        "act": "join",
        "room": str(ROOM),
        "user": str(ALICE),
        "detail": "",
        "result": "200 R-JOIN-1",
    }
    return PutAudit(**{**values, **more})  # type: ignore[arg-type]


def seconds(rows: list[PutAudit]) -> list[int]:
    return [int(one.created - BEGUN) for one in rows]


def test_a_row_is_read_as_it_was_written(store: Store) -> None:
    odd = row(1, actor="o'hara % ☃", detail='{"role":"ädmin"}', result="")
    store.commit([PutRoom(ROOM, is_private=False), PutMember(ROOM, ALICE, OWNER), odd])
    assert store.audit_rows(AuditFilter(), 10) == [odd]


def test_the_same_row_twice_is_one(store: Store) -> None:
    """A transaction may be tried again after its connection was lost."""
    store.commit([row(1), row(2)])
    store.commit([row(2), row(3)])
    assert seconds(store.audit_rows(AuditFilter(), 10)) == [3, 2, 1]
    assert store.count_audit() == 3


def test_what_is_asked_for_newest_first_in_pages(store: Store) -> None:
    other = str(replace_room())
    store.commit(
        [
            *(row(number) for number in range(4)),
            row(4, room=other),
            row(5, user=str(BOB), act="remove"),
            row(6, actor=str(BOB), user=str(BOB)),
            row(7, actor="uid=0", via="socket", act="imc.reload", room="", user=""),
        ]
    )

    def found(**wanted: object) -> list[int]:
        return seconds(store.audit_rows(AuditFilter(**wanted), 10))  # type: ignore[arg-type]

    assert found(room=other) == [4]
    assert found(user=str(BOB)) == [6, 5]
    assert found(actor=str(BOB)) == [6]
    assert found(actor="uid=0") == [7]
    assert found(act="remove", room=str(ROOM)) == [5]
    assert found(since=BEGUN + 3, until=BEGUN + 6) == [5, 4, 3]
    assert found(since=1e300) == []
    assert found(since=-1e300, until=BEGUN + 1) == [0]
    first = store.audit_rows(AuditFilter(), 3)
    assert seconds(first) == [7, 6, 5]
    assert seconds(store.audit_rows(AuditFilter(), 3, first[-1].id)) == [4, 3, 2]
    assert store.count_audit_of(str(BOB)) == 2
    assert store.count_audit_of("sip:nobody@example.com") == 0


def replace_room() -> object:
    return ROOM._replace(user="chat-other")


def test_what_is_too_old_goes(store: Store) -> None:
    store.commit([row(number) for number in range(6)])
    assert store.audit_cut(2) == id_at(BEGUN + 2)
    assert store.audit_cut(6) is None
    store.commit([TrimAudit(id_at(BEGUN + 2))])
    assert seconds(store.audit_rows(AuditFilter(), 10)) == [5, 4, 3, 2]
    store.commit([TrimAudit(id_at(BEGUN + 1)), TrimAudit(id_at(BEGUN + 4)), row(9)])
    assert seconds(store.audit_rows(AuditFilter(), 10)) == [9, 5, 4]


def test_nobody_changes_or_deletes_a_row(store: Store) -> None:
    """R-AUDIT-3: the database itself refuses it, but for what is too old."""
    store.commit([row(number) for number in range(4)])
    store.commit([TrimAudit(id_at(BEGUN + 2))])
    audit = store.tables.audit
    for statement in (
        update(audit).values(actor="somebody else"),
        delete(audit).where(audit.c.id == id_at(BEGUN + 3)),
        delete(audit),
    ):
        with (
            pytest.raises((StoreError, sqlalchemy.exc.DBAPIError), match="imc_audit: rows are"),
            store.database.session() as connection,
        ):
            connection.execute(statement)
    assert seconds(store.audit_rows(AuditFilter(), 10)) == [3, 2]


def test_what_does_not_fit_is_refused(store: Store) -> None:
    for bad in (row(1, actor="a" * 256), row(1, room="r" * 256), row(1, detail="\0"), row(1, id=0)):
        with pytest.raises(StoreConflict):
            store.commit([bad])
    assert store.count_audit() == 0


def test_it_is_in_a_backup(store: Store, tmp_path: Path) -> None:
    store.commit([row(number) for number in range(3)])
    store.commit([TrimAudit(id_at(BEGUN + 1))])
    assert backup(store, tmp_path / "backup", lambda: BEGUN).rows["audit"] == 2
    store.commit([row(7)])
    with pytest.raises(StoreError, match=r"--replace"):
        restore(store, tmp_path / "backup")
    restore(store, tmp_path / "backup", may_replace=True)
    assert seconds(store.audit_rows(AuditFilter(), 10)) == [2, 1]
    audit = store.tables.audit
    with pytest.raises((StoreError, sqlalchemy.exc.DBAPIError)), store.database.session() as connection:
        connection.execute(delete(audit))  # and it is as guarded as before
    store.commit([row(8)])
    assert seconds(store.audit_rows(AuditFilter(), 10)) == [8, 2, 1]


def test_a_fast_second_has_many_ids() -> None:
    assert id_at(BEGUN + 1e-6) - id_at(BEGUN) >= 512
    assert id_at(1e300) < 1 << 63
    assert row(1, id=id_at(4e9)).id < 1 << 63


def test_a_row_is_not_replaced_in_sqlite(tmp_path: Path) -> None:
    """REPLACE deletes without asking a trigger."""
    options = StoreOptions(url=f"sqlite:///{tmp_path}/imc.db")
    with Store.open(options) as store:
        store.commit([row(1)])
    with closing(sqlite3.connect(tmp_path / "imc.db")) as other, other:
        other.execute(
            "INSERT OR REPLACE INTO imc_audit SELECT id, created, 'forged', via, act, room, user, detail, result "
            "FROM imc_audit"
        )
        assert other.execute("SELECT actor FROM imc_audit").fetchall() == [(str(ALICE),)]
    with Store.open(options) as store:
        store.commit([row(1), row(2)])
        assert store.count_audit() == 2
