"""Rooms in memory, spread over 2**hash_size shards by a stable hash of the room's address (architecture no. 5).

A `Slot` is one room as the last decision left it, committed or not. Decisions are made on it one at a time, at once,
and go to the writer in that order; a commit that fails makes the slot void: every decision that was built on it fails
too, and the next use reads the room from the database again.

Nothing outside its shard touches a room's memory. Each shard has a bound; the rooms unused for longest leave first, and
never one with a decision under way.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice

from imc.aor import Aor
from imc.rooms.model import Room
from imc.service.inbound import Outcome
from imc.store.guard import Guard

_LOOKED_AT = 16


class Slot:
    """One room, or the knowledge that there is none (``room`` None).

    ``uncommitted`` counts decisions that are with the writer. ``is_held``: something is being read, the room or what
    one request needs beside it; ``waiting`` are those behind it, each with what to do and whom to tell of a failure.
    ``newest`` is the number of the newest message in its log, committed or not; 0 without one.
    ``is_counted``: whether the room is one of those that are said to exist; None before it was first read.
    """

    __slots__ = ("aor", "guard", "is_counted", "is_held", "is_loaded", "newest", "room", "uncommitted", "waiting")

    def __init__(self, aor: Aor) -> None:
        self.aor = aor
        self.room: Room | None = None
        self.newest = 0
        self.is_loaded = False
        self.is_held = False
        self.is_counted: bool | None = None
        self.guard = Guard()
        self.uncommitted = 0
        self.waiting: deque[tuple[Callable[[Slot], None], Callable[[Outcome], None]]] = deque()

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody would notice if it were read again."""
        return not (self.uncommitted or self.is_held or self.waiting)

    def void(self) -> None:
        """Forget what was decided: the next use reads the room again."""
        self.is_loaded = False
        self.room = None
        self.newest = 0
        self.guard = Guard()


class Shard:
    """The rooms of one shard, the least recently used first."""

    __slots__ = ("_bound", "slots")

    def __init__(self, bound: int) -> None:
        self.slots: OrderedDict[Aor, Slot] = OrderedDict()
        self._bound = bound

    def slot(self, aor: Aor) -> Slot:
        slot = self.slots.get(aor)
        if slot is None:
            slot = self.slots[aor] = Slot(aor)
            if len(self.slots) > self._bound:
                self._shrink(slot)
        else:
            self.slots.move_to_end(aor)
        return slot

    def _shrink(self, newest: Slot) -> None:
        """Let rooms go that are at rest, those too that could not be read.

        To stay cheap, a few are looked at. Where all of them are busy the next call shrinks; how many can be busy is
        bounded by what may wait.
        """
        for aor, slot in list(islice(self.slots.items(), _LOOKED_AT)):
            if len(self.slots) <= self._bound:
                return
            if slot is not newest and slot.is_at_rest:
                del self.slots[aor]


class Shards:
    """All shards. ``hash_size`` is a power of two (source document §1.3.4); ``max_rooms`` bounds them in all."""

    def __init__(self, hash_size: int, max_rooms: int) -> None:
        count = 1 << hash_size
        self._mask = count - 1
        self._shards = [Shard(max(1, max_rooms // count)) for _ in range(count)]

    def number(self, aor: Aor) -> int:
        """The shard of a room: the same on every machine and in every run."""
        return zlib.crc32(f"{aor.user}@{aor.host}".encode("ascii")) & self._mask

    def slot(self, aor: Aor) -> Slot:
        return self._shards[self.number(aor)].slot(aor)

    def rooms_in_memory(self) -> int:
        """Names, rather: those too of which it is known that there is no room."""
        return sum(len(shard.slots) for shard in self._shards)
