"""imc.store.outbox, on every kind of database."""

from __future__ import annotations

from itertools import pairwise

import pytest

from imc.aor import Aor
from imc.errors import StoreConflict
from imc.store.ops import MAX_PAYLOAD, CloseOutbox, DeleteOutbox, DeleteWaiting, PutOutbox, PutWaiting, UpdateOutbox
from imc.store.outbox import OutboxRow, WaitingRow
from imc.store.store import Store
from tests.store.samples import ALICE, BOB, CAROL, ODD_USERS, entry

EVERY_BYTE = bytes(range(256)) * 4


def test_an_entry_is_read_as_it_was_written(store: Store) -> None:
    put = entry("Id-1", 1_700_000_000.123456, EVERY_BYTE, b"bob@example.com\n")
    store.commit([put])
    assert store.load_outbox(10) == [OutboxRow(put.seq, "Id-1", 1_700_000_000.123456, EVERY_BYTE, b"bob@example.com\n")]


def test_entries_come_in_the_order_in_which_they_were_put(store: Store) -> None:
    # Neither their ids nor their times say so.
    names = ["m", "a", "z", "b", "M"]
    store.commit([entry(name, 5.0 - number) for number, name in enumerate(names[:3])])
    for number, name in enumerate(names[3:]):
        store.commit([entry(name, float(number))])
    rows = store.load_outbox(100)
    assert [row.id for row in rows] == names
    assert [row.seq for row in rows] == sorted({row.seq for row in rows})


def test_pages(store: Store) -> None:
    store.commit([entry(str(number), 0.0) for number in range(7)])
    seen: list[str] = []
    rows = store.load_outbox(3)
    while rows:
        seen += [row.id for row in rows]
        rows = store.load_outbox(3, rows[-1].seq)
    assert seen == [str(number) for number in range(7)]


def test_the_highest_number_in_use(store: Store) -> None:
    assert store.outbox_end() == 0
    put = entry("a", 0.0, b"")
    store.commit([put])
    assert store.outbox_end() == put.seq


def test_recipients_shrink_and_entries_go(store: Store) -> None:
    store.commit([entry(name, 0.0, b"p", b"x y z") for name in "abc"])
    store.commit([UpdateOutbox("a", b"x"), UpdateOutbox("b", b"y"), DeleteOutbox("c")])
    assert [(row.id, row.payload, row.recipients) for row in store.load_outbox(10)] == [
        ("a", b"p", b"x"),
        ("b", b"p", b"y"),
    ]
    store.commit([DeleteOutbox("a"), UpdateOutbox("gone", b"x")])
    assert [row.id for row in store.load_outbox(10)] == ["b"]


def test_what_comes_and_goes_in_one_commit_is_not_there(store: Store) -> None:
    store.commit([entry("a", 0.0, b"p", b"x y"), UpdateOutbox("a", b"x"), DeleteOutbox("a")])
    assert store.load_outbox(10) == []


def test_a_large_entry_and_many_small_ones(store: Store) -> None:
    payload = EVERY_BYTE * (MAX_PAYLOAD // len(EVERY_BYTE))
    store.commit([entry("large", 0.0, payload, b"r" * (2 << 20))])
    store.commit([entry(f"small{number}", 0.0, payload[:20_000], b"r") for number in range(200)])
    rows = store.load_outbox(300)
    assert rows[0].payload == payload
    assert len(rows[0].recipients) == 2 << 20
    assert len(rows) == 201
    store.commit([DeleteOutbox(row.id) for row in rows])
    assert store.load_outbox(1) == []


# --- copies with rows of their own ------------------------------------------------------------------------------------


def row(aor: Aor, put: PutOutbox, part: int = 0, *, is_dead: bool = False, **more: float) -> PutWaiting:
    values = {"created": 5.5, "expires": 0.0, "tries": 0, "status": 0, "changed": 7.25, **more}
    return PutWaiting(aor, put.seq, part, is_dead, **values)  # type: ignore[arg-type]


def entries(store: Store, count: int, recipients: bytes = b"bob@example.com") -> list[PutOutbox]:
    puts = [entry(f"w{number}", 1.0, b"payload %d" % number, recipients) for number in range(count)]
    store.commit(puts)
    return puts


def test_a_copy_is_read_as_it_was_written(store: Store) -> None:
    (put,) = entries(store, 1)
    store.commit([row(BOB, put, 3, created=1.5, expires=9.125, tries=2, status=480, changed=4.75)])
    wanted = WaitingRow(BOB, put.seq, 3, False, 1.5, 9.125, 2, 480, 4.75, put.id, b"payload 0")
    assert store.load_waiting(BOB, 10) == [wanted]
    store.commit([row(BOB, put, 3, is_dead=True, status=503)])  # one row, be it written again
    assert store.load_waiting(BOB, 10) == []
    (found,) = store.list_waiting(10)
    assert (found.is_dead, found.status, found.tries) == (True, 503, 0)


def test_somebodys_copies_come_in_the_order_of_their_entries(store: Store) -> None:
    # spec S-LANE-12
    puts = entries(store, 3)
    keys = [(2, 0), (0, 1), (1, 0), (0, 0)]
    store.commit([row(BOB, puts[number], part, created=-number) for number, part in keys])
    store.commit([row(ALICE, puts[0]), row(BOB, puts[0], 2, is_dead=True)])
    found = [(one.seq - puts[0].seq, one.part) for one in store.load_waiting(BOB, 10)]
    assert found == sorted(keys)
    assert [(one.seq - puts[0].seq, one.part) for one in store.load_waiting(BOB, 2)] == sorted(keys)[:2]
    assert sorted(store.count_waiting()) == [(ALICE, 1), (BOB, 4)]


def test_an_entry_goes_with_its_last_copy_once_it_is_closed(store: Store) -> None:
    # spec S-LANE-6
    one, two, three = entries(store, 3)
    store.commit([row(BOB, one), row(ALICE, one, is_dead=True), row(BOB, two), CloseOutbox(three.seq)])
    store.commit([CloseOutbox(one.seq), DeleteWaiting(BOB, two.seq, 0)])
    assert [each.id for each in store.load_outbox(10)] == [two.id]  # it is not closed, and not listed with the others
    assert store.twice_listed() == []
    store.commit([DeleteWaiting(BOB, one.seq, 0)])
    assert [each.payload for each in store.list_waiting(10)] == [one.payload]  # the dead letter keeps it
    store.commit([DeleteWaiting(ALICE, one.seq, 0), CloseOutbox(two.seq), DeleteWaiting(BOB, two.seq, 0)])
    assert store.outbox_end() == 0


def test_put_and_deleted_in_one_commit_with_its_entry(store: Store) -> None:
    put = entry("w", 1.0)
    store.commit([put, row(BOB, put), CloseOutbox(put.seq), DeleteWaiting(BOB, put.seq, 0)])
    assert store.list_waiting(10) == []
    assert store.outbox_end() == 0


def test_copies_whose_entry_lists_recipients_still(store: Store) -> None:
    # spec S-LANE-7
    one, two = entries(store, 2)
    store.commit([row(BOB, one), row(ALICE, one, 1, is_dead=True), row(BOB, two), CloseOutbox(two.seq)])
    assert sorted(store.twice_listed()) == [(ALICE, one.seq, 1), (BOB, one.seq, 0)]


def test_a_number_in_use_by_a_copy_alone_is_not_given_again(store: Store) -> None:
    (put,) = entries(store, 1)
    store.commit([row(BOB, put), DeleteOutbox(put.id)])
    assert store.outbox_end() == put.seq
    assert store.list_waiting(10) == []


def test_pages_of_all_copies(store: Store) -> None:
    puts = entries(store, 2)
    people = [Aor(user, "example.com") for user in ODD_USERS] + [CAROL, Aor("bob", "example.org")]
    rows = [row(aor, put, part) for aor in people for put in puts for part in (0, 1)]
    store.commit(rows)
    seen: list[tuple[Aor, int, int]] = []
    page = store.list_waiting(7)
    while page:
        seen += [(one.aor, one.seq, one.part) for one in page]
        page = store.list_waiting(7, seen[-1])
    assert len(seen) == len(rows)
    assert set(seen) == {(one.aor, one.seq, one.part) for one in rows}
    by_user = [aor for aor, _, _ in seen]
    assert len({*by_user}) == 1 + sum(one != other for one, other in pairwise(by_user))  # each one's together


def test_old_ones_expired_ones_and_surplus(store: Store) -> None:
    # spec S-LANE-14, S-LANE-15
    puts = entries(store, 6)
    store.commit(
        [
            row(BOB, puts[0], created=30.0, expires=40.0),
            row(BOB, puts[1], created=10.0),
            row(BOB, puts[2], created=20.0, expires=35.0),
            *(row(ALICE, put, changed=float(number), is_dead=True) for number, put in enumerate(puts)),
        ]
    )
    base = puts[0].seq
    assert [one.seq - base for one in store.old_waiting(20.0, 10, is_dead=False)] == [1, 2]
    assert [one.seq - base for one in store.old_waiting(99.0, 2, is_dead=False)] == [1, 2]
    assert [one.seq - base for one in store.old_waiting(2.0, 10, is_dead=True)] == [0, 1, 2]
    assert [one.seq - base for one in store.expired_waiting(39.0, 10)] == [2]
    assert [one.seq - base for one in store.expired_waiting(40.0, 10)] == [2, 0]
    assert sorted(one.seq - base for one in store.surplus_dead(4, 10)) == [0, 1]
    assert store.surplus_dead(6, 10) == []
    assert len(store.surplus_dead(0, 2)) == 2


def test_a_copy_that_does_not_fit_is_refused(store: Store) -> None:
    (put,) = entries(store, 1)
    with pytest.raises(StoreConflict):
        store.commit([row(Aor("u" * 65, "example.com"), put)])
    with pytest.raises(StoreConflict):
        store.commit([PutWaiting(BOB, 0, 0, False, 1.0, 0.0, 0, 0, 1.0)])
    assert store.list_waiting(10) == []
