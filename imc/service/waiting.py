"""Copies that wait, from the outside: their end by age, the dead letters among them, what operators do with them.

Invariants
- Rows of a backlog of which anything is in memory are left alone: there the delivery itself sees to age and expiry
  (`imc.delivery.backlog`). So are rows that the delivery has changed since they were read: what it has settled would
  come again.
- One at a time reads rows and changes them, and reads when all that was told before is on the disk.
- All changes go the way of the outbox's own, so nothing overtakes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

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
        self._lock = trio.Lock()

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
        while await self._delete_surplus():
            pass

    async def _delete_surplus(self) -> int:
        async with self._lock:
            await self._written()
            surplus = await self._reader.run(self._store.surplus_dead, self._options.keep, _PAGE)
            for key in surplus:
                self._outbox.remove(*key)
            await self._written()
        return len(surplus)

    async def _all(self, page: Callable[[], Awaitable[list[WaitingRow]]], end: Callable[[WaitingRow], bool]) -> None:
        """Page by page, until one has nothing that can be ended now."""
        while (await self._change(page, end))[1]:
            pass

    async def _change(
        self, page: Callable[[], Awaitable[list[WaitingRow]]], change: Callable[[WaitingRow], bool]
    ) -> tuple[list[WaitingRow], list[WaitingRow]]:
        """Read rows, and change each that may be changed now. Those that were read, and those that were changed."""
        async with self._lock:
            with self._backlogs.watch() as moved:
                await self._written()
                rows = await page()
                changed = [row for row in rows if (row.is_dead or row.aor not in moved) and change(row)]
            await self._written()
        return rows, changed

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

    async def page(self, limit: int, after: tuple[Aor, int, int] | None = None) -> list[WaitingRow]:
        """All copies that wait or are dead, by recipient and decision, those behind (recipient, seq, part)."""
        await self._written()
        return await self._reader.run(self._store.list_waiting, limit, after)

    async def retry(self, recipient: Aor | None, is_meant: Callable[[WaitingRow], bool]) -> int:
        """Put dead letters back, to be sent again at once. How many: an invitation that was told to have failed cannot
        be, nor what its sender had expire. Without ``recipient`` those of everybody."""
        count = 0
        async with aclosing(self._each(recipient, lambda row: is_meant(row) and self._put_back(row))) as pages:
            async for changed in pages:
                for aor, rows in Counter(row.aor for row in changed).items():
                    self._backlogs.added(aor, rows)
                count += len(changed)
        return count

    def _put_back(self, row: WaitingRow) -> bool:
        dispatch = copy_of(row) if row.is_dead else None
        is_over = row.expires and row.expires <= self._wall()
        if dispatch is None or dispatch.wants_result or is_over:
            return False
        self._outbox.change(row, is_dead=False)
        return True

    async def drop(self, recipient: Aor | None, is_meant: Callable[[WaitingRow], bool]) -> int:
        """Delete copies. How many: those that are being sent at the moment are left."""

        def end(row: WaitingRow) -> bool:
            return is_meant(row) and (self._delete(row) if row.is_dead else self._expire(row))

        count = 0
        async with aclosing(self._each(recipient, end)) as pages:
            async for changed in pages:
                count += len(changed)
        return count

    async def _each(
        self, recipient: Aor | None, change: Callable[[WaitingRow], bool]
    ) -> AsyncGenerator[list[WaitingRow], None]:
        """Change the rows of somebody, or of everybody, page by page: those that were changed."""
        after = None if recipient is None else (recipient, 0, -1)
        while True:
            page = partial(self._reader.run, self._store.list_waiting, _PAGE, after)
            rows, changed = await self._change(page, lambda row: recipient in (None, row.aor) and change(row))
            yield changed
            if len(rows) < _PAGE or recipient not in (None, rows[-1].aor):
                return
            after = (rows[-1].aor, rows[-1].seq, rows[-1].part)

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
