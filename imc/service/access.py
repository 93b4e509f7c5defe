"""Access to rooms: each in memory when it is its turn, requests to one room in the order in which they came.

Invariants
- Whoever asks for a room is called once, with the room in memory, or told of a failure.
- While something is read, the room or what the request at its head needs beside it, those behind wait: order of arrival
  is order of judgement (spec R-ORDER-1). Different rooms go on side by side.
- No task for a request that needs nothing to be read. Who waits, and what goes on in tasks, is bounded: 503 beyond.
- A fault of ours is told to the one whose request met it, and stops nobody else's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog

from imc.aor import Aor
from imc.errors import ImcError
from imc.rooms.model import Room
from imc.service.inbound import Outcome
from imc.service.outcomes import failed, try_later
from imc.service.shards import Shards, Slot

T = TypeVar("T")
Answer = Callable[[Outcome], None]
_log = structlog.get_logger("imc.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOptions:
    """Bounds in requests: those that wait for one room, and those that go on in tasks."""

    max_waiting_per_room: int = 1_000
    max_gathering: int = 5_000


class Access:
    """``load`` reads a room and the number of the newest message in its log, ``spawn`` starts a task, ``on_read`` is
    told of each room read."""

    def __init__(
        self,
        options: RoomOptions,
        *,
        shards: Shards,
        load: Callable[[Aor], Awaitable[tuple[Room | None, int]]],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        on_read: Callable[[Slot, Room | None], None],
    ) -> None:
        self._options = options
        self._shards = shards
        self._load = load
        self._spawn = spawn
        self._on_read = on_read
        self._gathering = 0

    def changed(self, slot: Slot) -> None:
        """The room of this slot is another one now."""
        self._shards.weigh(slot)

    def with_room(self, aor: Aor, then: Callable[[Slot], None], answer: Answer) -> None:
        """Call ``then`` with the room in memory: now, or when those before have gone on and it was read."""
        slot = self._shards.slot(aor)
        if slot.is_loaded and not slot.is_held and not slot.waiting:
            _attempt(slot, then, answer)
        elif len(slot.waiting) >= self._options.max_waiting_per_room:
            answer(try_later())
        else:
            slot.wait((then, answer))
            self._advance(slot)

    def hold(
        self, slot: Slot, answer: Answer, read: Callable[[], Awaitable[T]], then: Callable[[Slot, T], None]
    ) -> None:
        """Go on with the request whose turn it is when ``read`` has ended: whoever comes after it waits behind it."""

        async def work() -> None:
            try:
                found = await read()
                slot.wait((lambda slot: then(slot, found), answer), is_first=True)
            finally:
                slot.is_held = False
                self._advance(slot)

        slot.is_held = self.later(answer, work)

    def later(self, answer: Answer, work: Callable[[], Awaitable[None]]) -> bool:
        """Go on with a request in a task, and let others pass. False, and answered, where too many do."""
        if self._gathering >= self._options.max_gathering:
            answer(try_later())
            return False
        self._gathering += 1

        async def run() -> None:
            try:
                await work()
            except Exception as error:
                _note(error)
                answer(failed(error))
            finally:
                self._gathering -= 1

        self._spawn(run)
        return True

    def look_ahead(self, aor: Aor, read: Callable[[], Awaitable[object]]) -> None:
        """Where requests wait for this room, read now what one of them will need. It does not matter if it fails."""
        if not self._shards.slot(aor).waiting:
            return

        async def work() -> None:
            with suppress(ImcError):
                await read()

        self.later(lambda _outcome: None, work)

    def _advance(self, slot: Slot) -> None:
        """Let those who wait go on, until something has to be read for one of them."""
        while slot.waiting and not slot.is_held:
            if slot.is_loaded:
                _attempt(slot, *slot.next_waiting())
            else:
                slot.is_held = True
                self._spawn(lambda: self._read(slot))

    async def _read(self, slot: Slot) -> None:
        try:
            room, newest = await self._load(slot.aor)
        except Exception as error:  # whatever it is: who waits is told, and who comes next reads again
            _note(error)
            slot.is_held = False
            waiting, slot.waiting = slot.waiting, ()
            for _, answer in waiting:
                answer(failed(error))
        else:
            slot.room = room
            slot.newest = newest
            slot.is_loaded = True
            slot.is_held = False
            self._shards.weigh(slot)
            self._on_read(slot, room)
            self._advance(slot)


def _attempt(slot: Slot, then: Callable[[Slot], None], answer: Answer) -> None:
    try:
        then(slot)
    except Exception as error:
        _note(error)
        answer(failed(error))


def _note(error: Exception) -> None:
    """What is not raised on purpose, with its traceback."""
    if not isinstance(error, ImcError):
        _log.error("request-failed", exc_info=error)
