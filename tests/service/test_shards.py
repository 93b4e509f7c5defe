"""Rooms in memory: which shard, which leave first, and that none leaves with something under way."""

from __future__ import annotations

from immutables import Map

from imc.aor import Aor
from imc.rooms.model import Role, Room, member
from imc.service.shards import Shards, Slot


def aor(number: int) -> Aor:
    return Aor(f"chat-{number}", "example.com")


def loaded(shards: Shards, number: int) -> Slot:
    slot = shards.slot(aor(number))
    slot.is_loaded = True
    slot.room = Room(slot.aor, False, Map({Aor("alice", "example.com"): member(Role.OWNER)}))
    return slot


def test_number_is_the_same_on_every_machine() -> None:
    shards = Shards(4, 1_000)
    assert [shards.number(aor(number)) for number in range(8)] == [15, 10, 4, 1, 9, 12, 2, 7]
    assert {Shards(0, 10).number(aor(number)) for number in range(50)} == {0}
    assert {shards.number(aor(number)) for number in range(500)} == set(range(16))


def test_slot_is_one_object_per_room() -> None:
    shards = Shards(2, 1_000)
    assert shards.slot(aor(1)) is shards.slot(aor(1))
    assert shards.slot(aor(1)) is not shards.slot(aor(2))
    assert shards.rooms_in_memory == 2


def test_unused_for_longest_leaves_first() -> None:
    shards = Shards(0, 3)
    slots = [loaded(shards, number) for number in range(3)]
    assert shards.slot(aor(0)) is slots[0]  # used again: number 1 is the one unused for longest
    loaded(shards, 3)
    assert shards.rooms_in_memory == 3
    assert shards.slot(aor(0)) is slots[0]
    assert shards.slot(aor(2)) is slots[2]
    assert shards.slot(aor(1)) is not slots[1]


def test_busy_ones_stay() -> None:
    shards = Shards(0, 2)
    uncommitted, waiting = loaded(shards, 0), shards.slot(aor(1))
    uncommitted.uncommitted = 1
    waiting.wait((lambda _slot: None, lambda _outcome: None))
    held = shards.slot(aor(2))
    held.is_held = True
    newest = shards.slot(aor(3))
    assert shards.rooms_in_memory == 4  # nothing could leave, the newest least of all
    assert [shards.slot(aor(number)) for number in range(4)] == [uncommitted, waiting, held, newest]


def test_bound_holds_again_when_they_are_at_rest() -> None:
    shards = Shards(0, 2)
    busy = [loaded(shards, number) for number in range(12)]
    for slot in busy:
        slot.uncommitted = 1
    again = [loaded(shards, number) for number in range(12, 20)]
    for slot in again:
        slot.uncommitted = 1
    assert shards.rooms_in_memory > 2
    for slot in (*busy, *again):
        slot.uncommitted = 0
    for number in range(20, 24):
        shards.slot(aor(number))
    assert shards.rooms_in_memory == 2


def test_rooms_that_could_not_be_read_leave_too() -> None:
    """A database that is away, and requests for ever new rooms: none is ever loaded."""
    shards = Shards(0, 10)
    for number in range(1_000):
        shards.slot(aor(number))
    assert shards.rooms_in_memory == 10


def test_voided_room_is_read_again() -> None:
    slot = loaded(Shards(0, 10), 1)
    guard = slot.guard
    slot.void()
    assert (slot.is_loaded, slot.room) == (False, None)
    assert slot.guard is not guard


def test_bound_is_for_all_shards_together() -> None:
    shards = Shards(2, 40)
    for number in range(1_000):
        loaded(shards, number)
    assert shards.rooms_in_memory == 40
