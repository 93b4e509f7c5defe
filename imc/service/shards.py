"""Rooms in memory, spread over 2**hash_size shards by a stable hash of the room's address (architecture no. 5).

A `Slot` is one room as the last decision left it, committed or not. Decisions are made on it one at a time, at once,
and go to the writer in that order; a commit that fails makes the slot void: every decision that was built on it fails
too, and the next use reads the room from the database again.

Nothing outside its shard touches a room's memory. Each shard has a bound, and all together have one for their members;
the rooms unused for longest leave first, and never one with a decision under way. What nobody uses leaves in time.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice

import trio

from imc.aor import Aor
from imc.rooms.model import Room
from imc.service.inbound import Outcome
from imc.store.guard import Guard

_LOOKED_AT = 16
_AGES = 16  # after so many a room is idle
_EPOCHS = 256  # numbers of which Python keeps one object
_DROPPED = 1_000  # idle rooms, without a pause


class Slot:
    """One room, or the knowledge that there is none (``room`` None).

    ``uncommitted`` counts decisions that are with the writer. ``is_held``: something is being read, the room or what
    one request needs beside it; ``waiting`` are those behind it, each with what to do and whom to tell of a failure.
    ``newest`` is the number of the newest message in its log, committed or not; 0 without one.
    ``is_counted``: whether the room is one of those that are said to exist; None before it was first read. ``weight``
    is what `Shards` counts it for, ``epoch`` when it was used last. There may be a million: what most never need, the
    queue and the guard, is made when it is needed.
    """

    __slots__ = (
        "_guard", "aor", "epoch", "is_counted", "is_held", "is_loaded", "newest", "room", "uncommitted", "waiting",
        "weight",
    )  # fmt: skip

    def __init__(self, aor: Aor, epoch: int = 0) -> None:
        self.aor = aor
        self.room: Room | None = None
        self.newest = 0
        self.is_loaded = False
        self.is_held = False
        self.is_counted: bool | None = None
        self._guard: Guard | None = None
        self.uncommitted = 0
        self.waiting: deque[Waiting] | tuple[()] = ()
        self.weight = 0
        self.epoch = epoch

    @property
    def guard(self) -> Guard:
        """Of what is decided on this room, until one of it is not committed."""
        if self._guard is None:
            self._guard = Guard()
        return self._guard

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody would notice if it were read again."""
        return not (self.uncommitted or self.is_held or self.waiting)

    def wait(self, one: Waiting, *, is_first: bool = False) -> None:
        """Behind all who wait already, or before them."""
        if not self.waiting:
            self.waiting = deque()
        if is_first:
            self.waiting.appendleft(one)
        else:
            self.waiting.append(one)

    def next_waiting(self) -> Waiting:
        """Whose turn it is. IndexError where nobody waits."""
        if not self.waiting:
            raise IndexError("nobody waits")
        one = self.waiting.popleft()
        if not self.waiting:
            self.waiting = ()
        return one

    def void(self) -> None:
        """Forget what was decided: the next use reads the room again."""
        self.is_loaded = False
        self.room = None
        self.newest = 0
        self._guard = None


Waiting = tuple[Callable[[Slot], None], Callable[[Outcome], None]]
_Shard = OrderedDict[Aor, Slot]
"""The rooms of one shard, the least recently used first."""


class Shards:
    """All shards. ``hash_size`` is a power of two (source document §1.3.4).

    Bounds in all: ``max_rooms``, and ``max_members`` of those that are in memory, the invited counted. To stay cheap,
    only a few rooms are looked at when one has to go: where all of them are busy the next use shrinks. How many can
    be busy is bounded by what may wait.
    """

    def __init__(self, hash_size: int, max_rooms: int, max_members: int = 1_000_000) -> None:
        count = 1 << hash_size
        self._mask = count - 1
        self._shards: list[_Shard] = [OrderedDict() for _ in range(count)]
        self._rooms_each = max(1, max_rooms // count)
        self._max_members = max_members
        self._members = 0
        self._turn = 0
        self._epoch = 0

    def number(self, aor: Aor) -> int:
        """The shard of a room: the same on every machine and in every run."""
        return zlib.crc32(f"{aor.user}@{aor.host}".encode("ascii")) & self._mask

    def slot(self, aor: Aor) -> Slot:
        """The room's, which is now the one used last."""
        shard = self._shards[self.number(aor)]
        slot = shard.get(aor)
        if slot is None:
            slot = shard[aor] = Slot(aor, self._epoch)
            if len(shard) > self._rooms_each:
                self._shrink(shard, slot, lambda: len(shard) <= self._rooms_each)
        else:
            shard.move_to_end(aor)
            slot.epoch = self._epoch
        return slot

    def weigh(self, slot: Slot) -> None:
        """The room of this slot was read, or is another one now. Others may have to go for it."""
        weight = 0 if slot.room is None else len(slot.room.members)
        self._members += weight - slot.weight
        slot.weight = weight
        if self._members <= self._max_members:
            return
        for _ in range(min(len(self._shards), _LOOKED_AT)):
            if self._members <= self._max_members:
                return
            self._turn = (self._turn + 1) & self._mask
            self._shrink(self._shards[self._turn], slot, lambda: self._members <= self._max_members)

    def _shrink(self, shard: _Shard, newest: Slot, is_enough: Callable[[], bool]) -> None:
        """Let rooms go that are at rest, those too that could not be read."""
        for slot in list(islice(shard.values(), _LOOKED_AT)):
            if is_enough():
                return
            if slot is not newest and slot.is_at_rest:
                self._drop(shard, slot)

    def _drop(self, shard: _Shard, slot: Slot) -> None:
        del shard[slot.aor]
        self._members -= slot.weight

    async def run(self, idle_limit: float) -> None:
        """Let rooms go that were not used for so many seconds, a few at a time, for ever."""
        while True:
            await trio.sleep(idle_limit / _AGES)
            self.age()
            while self.drop_idle():
                await trio.lowlevel.checkpoint()

    def age(self) -> None:
        """A sixteenth of the time after which a room is idle has passed."""
        self._epoch = (self._epoch + 1) % _EPOCHS

    def drop_idle(self) -> bool:
        """Let some of the rooms go that were not used for `_AGES` ages. Whether there may be more."""
        left = _DROPPED
        for shard in self._shards:
            for slot in list(islice(shard.values(), left)):
                if (self._epoch - slot.epoch) % _EPOCHS < _AGES:
                    break
                if slot.is_at_rest:
                    self._drop(shard, slot)
                    left -= 1
        return not left

    @property
    def rooms_in_memory(self) -> int:
        """Names, rather: those too of which it is known that there is no room."""
        return sum(map(len, self._shards))

    @property
    def members_in_memory(self) -> int:
        """How many are in those rooms, or invited to them."""
        return self._members
