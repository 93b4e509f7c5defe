"""imc.store.messages, on every kind of database (spec R-HISTORY-1, R-HISTORY-2, R-HISTORY-6, R-SET-1)."""

from __future__ import annotations

import pytest

from imc.aor import Aor
from imc.errors import StoreConflict
from imc.rooms.settings import NEW_ROOM, RoomSettings
from imc.store.messages import LogEntry, MessageRow
from imc.store.ops import (
    MAX_PAYLOAD,
    MAX_TYPE,
    DeleteRoom,
    EraseMessage,
    PutMember,
    PutMessage,
    PutRoom,
    PutSettings,
    TrimLog,
)
from imc.store.store import Store
from tests.store.samples import ALICE, BOB, ODD_USERS, OTHER, OWNER, ROOM

NOW = 1_700_000_000.125
EVERY_BYTE = bytes(range(256)) * 4
FOREVER = 1e12


def put(seq: int, body: bytes = b"hello", *, room: Aor = ROOM, sender: Aor = ALICE, kind: str = "") -> PutMessage:
    return PutMessage(room, seq, sender, kind, body, NOW + seq)


def live(room: Aor = ROOM) -> list[PutRoom | PutMember]:
    return [PutRoom(room, False), PutMember(room, ALICE, OWNER)]


def newest(store: Store, limit: int = 100, *, room: Aor = ROOM, since: float = 0.0, **bounds: int) -> list[MessageRow]:
    limits = {"max_body": 1 << 20, "max_bytes": 1 << 30} | bounds
    return store.newest_messages(room, limit, since=since, **limits)[0]


def seqs(rows: list[MessageRow]) -> list[int]:
    return [row.seq for row in rows]


def test_a_message_is_read_as_it_was_written(store: Store) -> None:
    kind = 'text/plain;charset="utf-8";x="ü😀%s"'
    store.commit([*live(), put(1, EVERY_BYTE, kind=kind)])
    assert newest(store) == [MessageRow(1, ALICE, kind, EVERY_BYTE, NOW + 1, len(EVERY_BYTE))]
    assert store.messages_after(ROOM, 0, 10) == newest(store)


def test_odd_names_and_the_largest_body(store: Store) -> None:
    senders = [Aor(name, "example.com") for name in ODD_USERS]
    store.commit([*live(), *(put(number, sender=one) for number, one in enumerate(senders, 1))])
    assert [row.sender for row in newest(store)] == senders
    body = EVERY_BYTE * (MAX_PAYLOAD // len(EVERY_BYTE))
    store.commit([put(100, body)])
    assert newest(store, 1)[0].body == body
    cut = newest(store, 1, max_body=10)[0]
    assert (cut.body, cut.size) == (body[:10], len(body))


def test_the_newest_come_in_their_order(store: Store) -> None:
    store.commit([*live(), *live(OTHER), *(put(number) for number in range(1, 61)), put(1, room=OTHER)])
    assert seqs(newest(store, 50)) == list(range(11, 61))
    assert seqs(newest(store, 200)) == list(range(1, 61))
    assert seqs(newest(store, 50, since=NOW + 58)) == [58, 59, 60]
    assert store.newest_messages(ROOM, 60, since=0, max_body=9, max_bytes=20 * 5 - 1)[1]
    assert not store.newest_messages(ROOM, 60, since=0, max_body=9, max_bytes=60 * 5)[1]


def test_pages_of_a_time(store: Store) -> None:
    store.commit([*live(), *(put(number) for number in range(1, 11))])
    assert seqs(store.messages_after(ROOM, 0, 4)) == [1, 2, 3, 4]
    assert seqs(store.messages_after(ROOM, 8, 4)) == [9, 10]
    assert seqs(store.messages_after(ROOM, 0, 100, since=NOW + 3, until=NOW + 6)) == [3, 4, 5]


def test_the_room_is_read_with_its_settings_and_its_newest_number(store: Store) -> None:
    assert store.load_room_and_log(ROOM) == (None, 0)
    store.commit([*live(), PutSettings(ROOM, RoomSettings(5, 0, -1)), put(1), put(2)])
    room, number = store.load_room_and_log(ROOM)
    assert room is not None
    assert (room.settings, number) == (RoomSettings(5, 0, -1), 2)
    store.commit([PutSettings(ROOM, RoomSettings(6, 7, 8))])
    assert store.room_settings(ROOM) == RoomSettings(6, 7, 8)
    assert store.room_settings(OTHER) == NEW_ROOM


def test_the_end_of_a_room_is_the_end_of_its_log(store: Store) -> None:
    # spec R-HISTORY-2
    for together in (False, True):
        store.commit([*live(), PutSettings(ROOM, RoomSettings(5)), put(1, b"old"), put(2, b"old")])
        store.commit([*live(OTHER), put(1, b"other", room=OTHER)])
        anew = [*live(), put(1, b"new", sender=BOB)]
        if together:
            store.commit([put(3, b"old"), DeleteRoom(ROOM), *anew])
        else:
            store.commit([put(3, b"old"), DeleteRoom(ROOM)])
            assert (newest(store), store.room_settings(ROOM)) == ([], NEW_ROOM)
            store.commit(anew)
        assert [(row.seq, row.body) for row in newest(store)] == [(1, b"new")]
        assert store.room_settings(ROOM) == NEW_ROOM
        assert [row.body for row in newest(store, room=OTHER)] == [b"other"]


def test_what_others_left_is_none_of_a_new_rooms(store: Store) -> None:
    """A room that Kamailio deleted leaves its log, which imc alone knows."""
    store.commit([*live(), PutSettings(ROOM, RoomSettings(5)), put(1, b"old")])
    with store.database.session() as connection:
        connection.exec_driver_sql("DELETE FROM imc_rooms")
    assert store.load_room_and_log(ROOM) == (None, 0)
    store.commit([*live(), put(1, b"new")])
    assert [row.body for row in newest(store)] == [b"new"]
    assert store.room_settings(ROOM) == NEW_ROOM


def test_the_same_twice_is_the_same(store: Store) -> None:
    """As a transaction that is tried once more writes it."""
    for _ in range(2):
        store.commit([*live(), put(1), put(2)])
    assert seqs(newest(store)) == [1, 2]


def test_old_ones_are_removed_and_the_number_stays(store: Store) -> None:
    # spec R-HISTORY-2
    store.commit([*live(), *(put(number) for number in range(1, 6))])
    store.commit([TrimLog(ROOM, 4, FOREVER), EraseMessage(ROOM, 5, ALICE, FOREVER)])
    assert newest(store) == []
    assert store.messages_after(ROOM, 0, 10) == []
    assert store.last_message(ROOM) == 5
    assert store.oldest_messages(ROOM, 10) == [LogEntry(ROOM, 5, None, NOW + 5)]


def test_what_removes_does_not_meet_what_is_newer(store: Store) -> None:
    """A new room of the same name: its numbers are the old ones, its times are not."""
    store.commit([*live(), put(1), put(2)])
    store.commit([TrimLog(ROOM, 2, NOW), EraseMessage(ROOM, 2, ALICE, NOW), EraseMessage(ROOM, 1, BOB, FOREVER)])
    assert seqs(newest(store)) == [1, 2]


def test_what_one_user_said(store: Store) -> None:
    store.commit([*live(), *live(OTHER), put(1), put(2, sender=BOB), put(3), put(1, room=OTHER)])
    assert store.count_said_by(ALICE) == 3
    assert sorted(store.said_by(ALICE, 10)) == [
        LogEntry(ROOM, 1, ALICE, NOW + 1),
        LogEntry(ROOM, 3, ALICE, NOW + 3),
        LogEntry(OTHER, 1, ALICE, NOW + 1),
    ]
    assert len(store.said_by(ALICE, 2)) == 2
    store.commit([EraseMessage(one.room, one.seq, ALICE, one.created) for one in store.said_by(ALICE, 10)])
    assert (store.count_said_by(ALICE), store.count_said_by(BOB)) == (0, 1)
    assert seqs(newest(store)) == [2]


def test_rooms_that_have_a_log(store: Store) -> None:
    rooms = sorted(Aor(name, host) for name in ("chat-a", "chat-b", "chat-c") for host in ("a.example", "b.example"))
    for room in rooms:
        store.commit([*live(room), put(1, room=room), put(2, room=room)])
    store.commit(live(Aor("chat-d", "a.example")))
    assert store.rooms_with_log(None, 100) == rooms
    assert store.rooms_with_log(None, 2) == rooms[:2]
    assert store.rooms_with_log(rooms[1], 3) == rooms[2:5]
    assert store.rooms_with_log(rooms[-1], 3) == []


@pytest.mark.parametrize("number", range(3))
def test_what_does_not_fit_is_refused(store: Store, number: int) -> None:
    ops = [put(1, kind="x" * (MAX_TYPE + 1)), put(1, kind="a\0b"), put(1, b"x" * (MAX_PAYLOAD + 1))]
    with pytest.raises(StoreConflict):
        store.commit([*live(), ops[number]])
    assert store.load_room(ROOM) is None
