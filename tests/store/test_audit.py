"""The audit on every kind of database: rows that are added once, found, never changed, and deleted by age."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imc.store.audit import AuditFilter, id_at
from imc.store.ops import PutAudit, TrimAudit
from imc.store.store import Store
from tests.databases import Database

ALICE, BOB, ROOM = "sip:alice@example.com", "sip:bob@example.com", "sip:chat-x@example.com"


def row(number: int, *, actor: str = ALICE, user: str = BOB, act: str = "invite") -> PutAudit:
    return PutAudit(id_at(1_000.0 + number), 1_000.0 + number, actor, "sip", act, ROOM, user, '{"a":1}', "200 R-X-1")


# spec R-AUDIT-1
def test_rows_are_found_again(store: Store) -> None:
    rows = [row(1), row(2, actor="olga", act="imc.kick"), row(3, user=ALICE)]
    store.commit(rows)
    store.commit([replace(rows[0], actor="eve")])  # a transaction that is tried again
    assert store.audit_rows(AuditFilter(), 10) == rows[::-1]
    assert store.audit_rows(AuditFilter(), 2) == rows[:0:-1]
    assert store.audit_rows(AuditFilter(), 10, rows[1].id) == rows[:1]
    for wanted, found in (
        (AuditFilter(actor="olga"), [1]),
        (AuditFilter(user=ALICE), [2]),
        (AuditFilter(act="invite", room=ROOM), [2, 0]),
        (AuditFilter(since=1_002.0), [2, 1]),
        (AuditFilter(until=1_002.0), [0]),
        (AuditFilter(room="sip:chat-y@example.com"), []),
    ):
        assert store.audit_rows(wanted, 10) == [rows[index] for index in found], wanted
    assert (store.count_audit(), store.count_audit_of(ALICE)) == (3, 2)


# spec R-AUDIT-3
def test_rows_are_deleted_by_age_only(store: Store, database: Database) -> None:
    rows = [row(number) for number in range(5)]
    store.commit(rows)
    for statement in ("UPDATE imc_audit SET actor = 'eve'", "DELETE FROM imc_audit"):
        with pytest.raises(Exception, match="imc_audit: rows are"):
            database.execute(statement)
    assert store.audit_cut(3) == rows[3].id
    assert store.audit_cut(9) is None
    store.commit([TrimAudit(rows[3].id)])
    assert store.audit_rows(AuditFilter(), 10) == [rows[4], rows[3]]
