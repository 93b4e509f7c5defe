"""Copies that wait, from the outside: their end by age, the dead letters among them, what operators do with them.

Rows of a backlog of which anything is in memory are left alone: there the delivery itself sees to age and expiry
(`imc.delivery.backlog`). All changes go the way of the outbox's own, so nothing overtakes them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
import trio

from imc.aor import Aor
from imc.delivery.backlog import Backlogs
from imc.delivery.job import Dispatch
from imc.errors import ImcError
from imc.service.outbox import Outbox, copy_of
from imc.store.outbox import WaitingRow
from imc.store.reader import StoreReader
from imc.store.store import Store

_log = structlog.get_logger("imc.service")
_STEP = 60.0  # seconds between looks at what is too old
_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterOptions:
    """How many dead letters stay, and for how many seconds."""

    keep: int = 100_000
    keep_for: float = 2_592_000.0


class WaitingCopies:
    """``settled`` tells of a final status whoever asked for it; ``wall`` gives unix seconds."""

    def __init__(
        self,
        options: DeadLetterOptions,
        *,
        store: Store,
        reader: StoreReader,
        outbox: Outbox,
        backlogs: Backlogs,
        settled: Callable[[Dispatch, Aor, int], None],
        wall: Callable[[], float],
    ) -> None:
        self._options = options
        self._store = store
        self._reader = reader
        self._outbox = outbox
        self._backlogs = backlogs
        self._settled = settled
        self._wall = wall

    async def run(self) -> None:
        """Look for what is too old, for ever."""
        while True:
            try:
                await self.sweep()
            except ImcError as error:
                _log.warning("waiting-not-swept", error=str(error))
            await trio.sleep(_STEP)

    # spec S-LANE-14, S-LANE-15
    async def sweep(self) -> None:
        """End what has waited too long, or has expired; delete dead letters beyond their bounds."""
        read, store, now = self._reader.run, self._store, self._wall()
        await self._all(lambda: read(store.expired_waiting, now, _PAGE), self._expire)
        before = now - self._backlogs.options.keep_for
        await self._all(lambda: read(_old(store, is_dead=False), before, _PAGE), self._bury)
        dead_before = now - self._options.keep_for
        await self._all(lambda: read(_old(store, is_dead=True), dead_before, _PAGE), self._delete)
        while True:
            surplus = await read(store.surplus_dead, self._options.keep, _PAGE)
            for key in surplus:
                self._outbox.remove(*key)
            if not surplus:
                return
            await self._written()

    async def _all(self, page: Callable[[], Awaitable[list[WaitingRow]]], end: Callable[[WaitingRow], bool]) -> None:
        """Page by page, until one has nothing that can be ended now."""
        while sum(end(row) for row in await page()):
            await self._written()

    def _expire(self, row: WaitingRow) -> bool:
        if not self._backlogs.is_at_rest(row.aor):
            return False
        self._outbox.remove(row.aor, row.seq, row.part)
        self._backlogs.removed(row.aor, 1)
        self._tell(row)
        return True

    def _bury(self, row: WaitingRow) -> bool:
        if not self._backlogs.is_at_rest(row.aor):
            return False
        self._outbox.change(row, is_dead=True)
        self._backlogs.removed(row.aor, 1)
        self._tell(row)
        _log.info("dead-letter", recipient=str(row.aor), id=row.id, status=row.status)
        return True

    def _delete(self, row: WaitingRow) -> bool:
        self._outbox.remove(row.aor, row.seq, row.part)
        return True

    def _tell(self, row: WaitingRow) -> None:
        dispatch = copy_of(row)
        if dispatch is not None and dispatch.wants_result:
            self._settled(dispatch, row.aor, row.status or 480)

    # --- operators --------------------------------------------------------------------------------------------------

    async def list(self, limit: int, after: tuple[Aor, int, int] | None = None) -> list[WaitingRow]:
        """All copies that wait or are dead, by recipient and decision, those behind (recipient, seq, part)."""
        await self._written()
        return await self._reader.run(self._store.list_waiting, limit, after)

    async def retry(self, rows: Iterable[WaitingRow]) -> int:
        """Put dead letters back, to be sent again at once. How many: an invitation that was told to have failed cannot
        be, nor what its sender had expire."""
        counts: dict[Aor, int] = {}
        for row in rows:
            dispatch = copy_of(row)
            is_over = row.expires and row.expires <= self._wall()
            if row.is_dead and dispatch is not None and not dispatch.wants_result and not is_over:
                self._outbox.change(row, is_dead=False)
                counts[row.aor] = counts.get(row.aor, 0) + 1
        await self._written()
        for aor, count in counts.items():
            self._backlogs.added(aor, count)
        return sum(counts.values())

    async def drop(self, rows: Iterable[WaitingRow]) -> int:
        """Delete copies. How many: those that are being sent at the moment are left."""
        count = 0
        for row in rows:
            if row.is_dead:
                count += self._delete(row)
            else:
                count += self._expire(row)
        await self._written()
        return count

    async def _written(self) -> None:
        """Until all that was told is on the disk; else what kept it from there is raised."""
        done = trio.Event()
        failure: list[Exception | None] = []

        def then(error: Exception | None) -> None:
            failure.append(error)
            done.set()

        self._outbox.after_all(then)
        await done.wait()
        if failure[0] is not None:
            raise failure[0]


def _old(store: Store, *, is_dead: bool) -> Callable[[float, int], list[WaitingRow]]:
    return lambda before, limit: store.old_waiting(before, limit, is_dead=is_dead)
