"""imc.store.outbox, on every kind of database."""

from __future__ import annotations

from imc.store.ops import MAX_PAYLOAD, DeleteOutbox, UpdateOutbox
from imc.store.outbox import OutboxRow
from imc.store.store import Store
from tests.store.samples import entry

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
