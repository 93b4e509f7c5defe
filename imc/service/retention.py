"""What is beyond a room's settings leaves its log, a little at a time (spec R-HISTORY-6).

Invariants
- A commit of this task removes at most `BATCH` messages, and the next one is made when that is on disk: whoever else
  writes never waits for more.
- The newest message of a room is not deleted: what was said in it goes, its number stays (spec R-HISTORY-2).
- Rooms are gone through by name, a page at a time. A database that fails now is asked again at the next round.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

import structlog
import trio

from imc.aor import Aor
from imc.errors import Overloaded, StoreError
from imc.rooms.policy import Policy
from imc.rooms.settings import Kept, kept
from imc.service.history import DAY
from imc.store.messages import LogEntry
from imc.store.ops import EraseMessage, Op, TrimLog
from imc.store.reader import StoreReader
from imc.store.store import Store
from imc.store.writer import Writer

_log = structlog.get_logger("imc.service")
BATCH = 200
_ROOMS = 100
_FIRST = 60.0  # seconds after the start; then each _INTERVAL
_INTERVAL = 1_800.0


class Retention:
    """`run` it as a task; ``policy`` is asked anew each time. ``wall`` gives unix seconds."""

    def __init__(
        self,
        store: Store,
        reader: StoreReader,
        writer: Writer,
        *,
        policy: Callable[[], Policy],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._reader = reader
        self._writer = writer
        self._policy = policy
        self._wall = wall
        self._removed = 0

    def statistics(self) -> dict[str, int]:
        return {"messages_removed": self._removed}

    async def run(self) -> None:
        """Until cancelled."""
        await trio.sleep(_FIRST)
        while True:
            try:
                await self.sweep()
            except (StoreError, Overloaded) as error:
                _log.warning("retention-failed", error=str(error))
            await trio.sleep(_INTERVAL)

    async def sweep(self) -> None:
        """Once through all rooms. StoreError, Overloaded."""
        after = None
        while True:
            rooms = await self._reader.run(self._store.rooms_with_log, after, _ROOMS)
            for room in rooms:
                while await self._trim(room):
                    pass
            if len(rooms) < _ROOMS:
                return
            after = rooms[-1]

    async def _trim(self, room: Aor) -> bool:
        """Remove up to `BATCH` messages of the room. Whether there may be more to remove."""
        settings = await self._reader.run(self._store.room_settings, room)
        newest = await self._reader.run(self._store.last_message, room)
        oldest = await self._reader.run(self._store.oldest_messages, room, BATCH)
        ops, count = to_remove(oldest, newest, kept(settings, self._policy()), self._wall())
        if ops:
            await self._writer.commit(ops)
            self._removed += count
        return count == BATCH


def to_remove(oldest: list[LogEntry], newest: int, what: Kept, now: float) -> tuple[list[Op], int]:
    """What removes those of the oldest messages that are not to be kept, and how many they are.

    ``newest`` is the number of the room's newest message.
    """
    since = now - what.days * DAY
    gone = list(takewhile(lambda one: one.seq <= newest - what.messages or one.created < since, oldest))
    ops: list[Op] = []
    last = gone[-1] if gone and gone[-1].seq >= newest else None
    whole = gone[:-1] if last is not None else gone
    if whole:
        ops.append(TrimLog(whole[-1].room, whole[-1].seq, max(one.created for one in whole)))
    if last is not None and last.sender is not None:
        ops.append(EraseMessage(last.room, last.seq, last.sender, last.created))
    return ops, len(whole) + (last is not None and last.sender is not None)
