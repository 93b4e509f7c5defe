"""Copies that wait, from the outside: their end by age, the dead letters among them, what operators do with them.

Invariants
- A row is changed only while its recipient's backlog is frozen, and as it is then: what was seen of it before may be
  over (spec S-LANE-18). Where anything of a backlog is in memory it is left alone: there the delivery itself sees to
  age and expiry (`imc.delivery.backlog`).
- But for what a forgotten user said: those rows go whatever is in memory, and what is in memory is withdrawn.
- All changes go the way of the outbox's own, so nothing overtakes them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
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


class Fate(enum.Enum):
    """What becomes of a row."""

    STAYS = enum.auto()
    WAITS = enum.auto()
    DEAD = enum.auto()
    GONE = enum.auto()


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
        before, dead_before = now - self._backlogs.options.keep_for, now - self._options.keep_for
        old: list[tuple[Callable[..., list[WaitingRow]], float]] = [
            (store.expired_waiting, now),
            (partial(store.old_waiting, is_dead=False), before),
            (partial(store.old_waiting, is_dead=True), dead_before),
        ]
        for find, limit in old:
            while True:
                rows = await read(find, limit, _PAGE)
                if not await self._each(rows, partial(self._outlived, now, before, dead_before)):
                    break
        while surplus := await read(store.surplus_dead, self._options.keep, _PAGE):
            if not await self._each(surplus, lambda row: Fate.GONE if row.is_dead else Fate.STAYS):
                break

    @staticmethod
    def _outlived(now: float, before: float, dead_before: float, row: WaitingRow) -> Fate:
        if row.is_dead:
            return Fate.GONE if row.changed <= dead_before else Fate.STAYS
        if row.expires and row.expires <= now:
            return Fate.GONE
        return Fate.DEAD if row.created <= before else Fate.STAYS

    # spec S-LANE-18
    async def _each(self, rows: Iterable[WaitingRow], judge: Callable[[WaitingRow], Fate]) -> int:
        """What becomes of these copies, as they are when nothing else can happen to them. How many were changed.

        Those of a recipient of whom something is in memory are left.
        """
        keys: dict[Aor, set[tuple[int, int]]] = {}
        for row in rows:
            keys.setdefault(row.aor, set()).add((row.seq, row.part))
        count = 0
        for aor, chosen in keys.items():
            if self._backlogs.freeze(aor):
                count += await self._change(aor, chosen, judge)
        return count

    async def _change(self, aor: Aor, chosen: set[tuple[int, int]], judge: Callable[[WaitingRow], Fate]) -> int:
        """The recipient's backlog is frozen; in the end it is not."""
        added = removed = count = 0
        failed: list[WaitingRow] = []
        try:
            await self._written()
            for row in await self._rows_of(aor):
                fate = judge(row) if (row.seq, row.part) in chosen else Fate.STAYS
                if fate is Fate.STAYS:
                    continue
                count += 1
                added += fate is Fate.WAITS
                removed += not row.is_dead
                if fate is Fate.GONE:
                    self._outbox.remove(row.aor, row.seq, row.part)
                else:
                    self._outbox.change(row, is_dead=fate is Fate.DEAD)
                if not row.is_dead:
                    failed.append(row)
        finally:
            self._backlogs.thaw(aor, added=added, removed=removed)
        for row in failed:
            self._tell(row)
        await self._written()
        return count

    async def _rows_of(self, aor: Aor) -> list[WaitingRow]:
        found: list[WaitingRow] = []
        after = (aor, 0, -1)
        while True:
            page = await self._reader.run(self._store.list_waiting, _PAGE, after)
            found += [row for row in page if row.aor == aor]
            if len(page) < _PAGE or page[-1].aor != aor:
                return found
            after = (aor, page[-1].seq, page[-1].part)

    def _tell(self, row: WaitingRow) -> None:
        """It is given up: whoever waits for the result hears so."""
        _log.info("copy-given-up", recipient=str(row.aor), id=row.id, status=row.status)
        dispatch = copy_of(row)
        if dispatch is not None and dispatch.wants_result:
            self._settled(dispatch, row.aor, row.status or 480)

    # --- operators --------------------------------------------------------------------------------------------------

    async def page(self, limit: int, after: tuple[Aor, int, int] | None = None) -> list[WaitingRow]:
        """All copies that wait or are dead, by recipient and decision, those behind (recipient, seq, part)."""
        await self._written()
        return await self._reader.run(self._store.list_waiting, limit, after)

    async def retry(self, recipient: Aor | None, is_meant: Callable[[WaitingRow], bool]) -> int:
        """Put dead letters back, to be sent again at once: somebody's, or everybody's, that are meant. How many: an
        invitation that was told to have failed cannot be, nor what its sender had expire."""
        now = self._wall()

        def judge(row: WaitingRow) -> Fate:
            is_over = 0 < row.expires <= now
            dispatch = copy_of(row) if row.is_dead and not is_over and is_meant(row) else None
            return Fate.STAYS if dispatch is None or dispatch.wants_result else Fate.WAITS

        return await self._change_all(recipient, judge)

    async def drop(self, recipient: Aor | None, is_meant: Callable[[WaitingRow], bool]) -> int:
        """Delete copies that are meant: somebody's, or everybody's. How many: those of recipients of whom something is
        being sent at the moment are left."""
        return await self._change_all(recipient, lambda row: Fate.GONE if is_meant(row) else Fate.STAYS)

    async def _change_all(self, recipient: Aor | None, judge: Callable[[WaitingRow], Fate]) -> int:
        count = 0
        after = None if recipient is None else (recipient, 0, -1)
        while True:
            page = await self.page(_PAGE, after)
            whose = [row for row in page if recipient in (None, row.aor)]
            count += await self._each([row for row in whose if judge(row) is not Fate.STAYS], judge)
            if len(page) < _PAGE or len(whose) < len(page):
                return count
            after = (page[-1].aor, page[-1].seq, page[-1].part)

    # spec R-HISTORY-9
    async def count_said_by(self, user: Aor) -> int:
        """Copies of what somebody said in a room."""
        count = 0
        after = None
        while True:
            page = await self.page(_PAGE, after)
            count += sum(_is_said_by(user, row) for row in page)
            if len(page) < _PAGE:
                return count
            after = (page[-1].aor, page[-1].seq, page[-1].part)

    async def count_for(self, recipient: Aor) -> int:
        """Copies for somebody, dead letters among them."""
        await self._written()
        return len(await self._rows_of(recipient))

    async def drop_said_by(self, user: Aor) -> int:
        """Delete them, whatever is being sent: of what is in flight at this moment nothing is tried again. How many
        had rows."""

        def is_meant(dispatch: Dispatch) -> bool:
            return dispatch.by == str(user)

        count = 0
        while True:  # what was read meanwhile, or has come back to a row, is met by another round
            self._outbox.take_back(is_meant)
            found, is_whole = await self._strike(is_meant), True
            after = None
            while True:
                page = await self.page(_PAGE, after)
                meant = [row for row in page if _is_said_by(user, row)]
                done, is_left = await self._delete(meant)
                count, found, is_whole = count + done, found or bool(meant), is_whole and not is_left
                if len(page) < _PAGE:
                    break
                after = (page[-1].aor, page[-1].seq, page[-1].part)
            await self._written()
            if not found and is_whole:
                return count

    async def _delete(self, rows: list[WaitingRow]) -> tuple[int, bool]:
        """How many went, and whether some are left because others are changing them. Of a recipient of whom something
        is in memory the rows go unseen: what is held ends by itself, and a backlog makes up for rows that are not
        there when it is read."""
        by_recipient: dict[Aor, list[WaitingRow]] = {}
        for row in rows:
            by_recipient.setdefault(row.aor, []).append(row)
        count, is_left = 0, False
        for aor, own in by_recipient.items():
            backlog = self._backlogs.of.get(aor)
            if backlog is not None and backlog.is_frozen:
                is_left = True
            elif self._backlogs.freeze(aor):
                count += await self._change(aor, {(row.seq, row.part) for row in own}, lambda _: Fate.GONE)
            else:
                for row in own:
                    self._outbox.remove(aor, row.seq, row.part)
                count += len(own)
        return count, is_left

    async def _strike(self, is_meant: Callable[[Dispatch], bool]) -> bool:
        """Out of all entries that list recipients still; whether there was anything."""
        await self._written()
        found, after = False, 0
        while rows := await self._reader.run(self._store.load_outbox, _PAGE, after):
            for row in rows:
                found = self._outbox.strike(row, is_meant) or found
            after = rows[-1].seq
        return found

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


def _is_said_by(user: Aor, row: WaitingRow) -> bool:
    dispatch = copy_of(row)
    return dispatch is not None and dispatch.by == str(user)
