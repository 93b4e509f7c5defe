"""Rooms in memory: which shard, which leave first, and that none leaves with something under way."""

from __future__ import annotations

import sys

import pytest
import trio
import trio.testing
from immutables import Map

from imc.aor import Aor
from imc.rooms.model import Member, Role, Room, member
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


def with_members(shards: Shards, number: int, count: int) -> Slot:
    """A room that was read, with so many in it."""
    slot = shards.slot(aor(number))
    everybody = {Aor(f"user{index}", "example.com"): member(Role.MEMBER) for index in range(count)}
    slot.is_loaded, slot.room = True, Room(slot.aor, False, Map[Aor, Member](everybody))
    shards.weigh(slot)
    return slot


@pytest.mark.parametrize("hash_size", [0, 2])
def test_members_are_bounded_in_all(hash_size: int) -> None:
    shards = Shards(hash_size, 1_000, max_members=100)
    for number in range(50):
        with_members(shards, number, 10)
    assert (shards.members_in_memory, shards.rooms_in_memory) == (100, 10)


def test_a_room_larger_than_the_bound_stays_while_it_is_the_one_in_use() -> None:
    shards = Shards(0, 1_000, max_members=100)
    small = with_members(shards, 0, 10)
    large = with_members(shards, 1, 150)
    assert shards.members_in_memory == 150
    assert shards.slot(large.aor) is large
    assert with_members(shards, 0, 10) is not small
    assert (shards.members_in_memory, shards.rooms_in_memory) == (10, 1)


def test_members_are_counted_as_the_room_changes() -> None:
    shards = Shards(0, 1_000)
    slot = with_members(shards, 0, 3)
    with_members(shards, 0, 5)
    assert shards.members_in_memory == 5
    slot.void()
    shards.weigh(slot)
    assert shards.members_in_memory == 0


def test_busy_rooms_stay_however_many_are_in_them() -> None:
    shards = Shards(0, 1_000, max_members=20)
    busy = with_members(shards, 0, 15)
    busy.uncommitted = 1
    with_members(shards, 1, 10)
    assert shards.slot(aor(0)) is busy
    assert shards.members_in_memory == 25


async def test_what_nobody_uses_leaves(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    shards = Shards(1, 10_000)
    for number in range(3_000):  # more than leave without a pause
        loaded(shards, number)
    busy = loaded(shards, 3_000)
    busy.is_held = True
    nursery.start_soon(shards.run, 16.0)
    for _ in range(3):
        await trio.sleep(7.0)
        used = shards.slot(aor(5))
    assert shards.rooms_in_memory == 2
    assert shards.slot(aor(5)) is used
    assert shards.slot(busy.aor) is busy
    nursery.cancel_scope.cancel()


def test_who_waits_has_a_queue_and_nobody_else() -> None:
    """A queue of its own would be most of what a room of five needs in memory."""
    slot = Slot(aor(1))
    assert sys.getsizeof(slot.waiting) < 60
    heard: list[int] = []
    for number in (1, 2):
        slot.wait((lambda _slot, number=number: heard.append(number), lambda _outcome: None))  # type: ignore[misc]
    slot.wait((lambda _slot: heard.append(0), lambda _outcome: None), is_first=True)
    while slot.waiting:
        slot.next_waiting()[0](slot)
    assert (heard, slot.waiting) == ([0, 1, 2], ())
    with pytest.raises(IndexError):
        slot.next_waiting()
