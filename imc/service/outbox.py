"""The outbox: what was promised and is not delivered yet, in the database.

A durable job is put there by the transaction of its decision, and handed to the delivery engine when that is committed.
What becomes of its copies is written after the fact, in batches, along with what is committed next: a row for each copy
that takes longer, the end of such a row, the end of the job. A shutdown trims the rows to those who are left; a start
hands every row that it finds to the engine again.

Invariants
- One batch is on its way at a time, and one that failed is written again before anything later: so what was settled
  meanwhile wins (spec S-LANE-6).
- Of decisions whose commit failed, or may have failed, at most `_MAX_WITHDRAWN` wait for their row to be taken away.
  Beyond that one is lost, counted, and told of once until something is written again: should its row be there all the
  same, the next start delivers what its sender was told had failed.
- A backlog is read when all that was told before is on the disk (spec S-LANE-18).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import structlog

from imc.aor import Aor
from imc.delivery.engine import Engine
from imc.delivery.job import Dispatch, Job, Kept, pack_recipients, restore, restore_copy
from imc.errors import ImcError, Overloaded, StoreConflict, StoreUnavailable
from imc.measures import Measures
from imc.sip.ids import Ids
from imc.store.ops import CloseOutbox, DeleteOutbox, DeleteWaiting, Op, PutOutbox, PutWaiting, UpdateOutbox
from imc.store.outbox import OutboxRow, WaitingRow
from imc.store.writer import Writer

_log = structlog.get_logger("imc.service")
_MAX_WITHDRAWN = 10_000
# What became of copies goes along with the next commit, or after so many seconds: alone it would double the commits.
_DELAY = 0.05
_MANY = 500
_BATCH = 5_000  # changes in one submission: a message to a room that is away must not keep others from the disk
_ATTEMPT_AGAIN = 1.0  # seconds after a batch that failed

Taken = Callable[[Sequence[Dispatch] | None], None]


class _Wait(NamedTuple):
    """``then`` is called when ``until`` changes are on the disk; with an error before, where it is not patient."""

    until: int
    then: Callable[[Exception | None], None]
    is_patient: bool


class Outbox:
    """``wall`` gives unix seconds; ``load(recipient, limit)`` reads somebody's first waiting copies, ``spawn`` starts
    tasks, ``wake`` asks for `tick`.

    It is the engine's `imc.delivery.backlog.Keeper`; `attach` the engine before anything else is called.
    """

    def __init__(
        self,
        writer: Writer,
        ids: Ids,
        wall: Callable[[], float],
        *,
        load: Callable[[Aor, int], Awaitable[list[WaitingRow]]],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        wake: Callable[[], None],
        measures: Measures | None = None,
    ) -> None:
        self._measures = measures or Measures()
        self._started = wall()
        self._writer = writer
        self._ids = ids
        self._wall = wall
        self._load = load
        self._spawn = spawn
        self._wake = wake
        self._engine: Engine
        self._seq = 0
        self._ops: list[Op] = []
        self._in_flight: list[Op] = []
        self._written = 0  # how many are on the disk, or were refused for good
        self._limit = _BATCH
        self._waits: deque[_Wait] = deque()
        self._due: float | None = None
        self._is_failing = False
        self._is_leaving = False
        self._withdrawals = 0
        self._withdrawn: set[str] = set()  # jobs whose rows are to go, and have not yet
        self._is_overflowing = False
        self._lost = 0
        self.is_held = False  # nothing is delivered now: what is durable is at the next start
        self._to_stay_open: set[int] = set()

    def attach(self, engine: Engine) -> None:
        self._engine = engine

    # --- jobs -------------------------------------------------------------------------------------------------------

    def job(self, dispatches: Iterable[Dispatch], *, is_durable: bool) -> Job | None:
        """A job of these dispatches; None where nobody is to receive anything."""
        wanted = tuple(dispatch for dispatch in dispatches if dispatch.recipients)
        if not wanted:
            return None
        self._seq += is_durable
        return Job(self._ids.tag(), self._wall(), wanted, is_durable, self._seq if is_durable else 0)

    # spec S-LANE-6
    def put(self, job: Job) -> Op:
        """The row of a job, for the transaction of its decision."""
        return PutOutbox(job.id, job.created, job.payload(), job.recipients(), job.seq)

    def release(self, job: Job | None) -> None:
        """Its decision is committed: deliver."""
        if job is not None and not self.is_held:
            self._engine.submit(job)

    def withdraw(self, job: Job | None) -> None:
        """Its decision was not committed, as far as is known: should its row be there all the same, it goes."""
        if job is None:
            return
        if len(self._withdrawn) < _MAX_WITHDRAWN:
            self._withdrawn.add(job.id)
            self._ops.append(DeleteOutbox(job.id))
            return
        self._lost += 1
        if not self._is_overflowing:
            self._is_overflowing = True
            _log.error("withdrawals-lost", bound=_MAX_WITHDRAWN, effect="a start may deliver what was refused")

    def statistics(self) -> dict[str, int]:
        return {"withdrawals": len(self._withdrawn), "withdrawals_lost": self._lost}

    # spec R-HISTORY-9
    def take_back(self, is_meant: Callable[[Dispatch], bool]) -> None:
        """Send nothing more of what is meant and in memory, but what is in flight; what is being read is read anew."""
        self._withdrawals += 1
        self._engine.withdraw(is_meant)

    def strike(self, row: OutboxRow, is_meant: Callable[[Dispatch], bool]) -> bool:
        """Take what is meant out of an entry, so that no start delivers it. False where nothing is."""
        try:
            job = restore(row.id, row.created, row.payload, row.recipients, row.seq)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.error("outbox-row-unreadable", id=row.id, error=str(error))
            return False
        meant = [dispatch for dispatch in job.dispatches if is_meant(dispatch)]
        if not any(dispatch.recipients for dispatch in meant):
            return False
        for dispatch in meant:
            dispatch.recipients = ()
        if len(meant) == len(job.dispatches):
            self._ops.append(DeleteOutbox(row.id))
        else:
            self._ops.append(UpdateOutbox(row.id, job.recipients()))
        return True

    def job_done(self, job: Job) -> None:
        """Its last copy is settled, or has a row of its own."""
        if job.created >= self._started:  # not what a start handed over anew
            self._measures.delivery_seconds.observe(max(0.0, self._wall() - job.created))
        if job.seq in self._to_stay_open:  # a start hands it over anew
            self._to_stay_open.discard(job.seq)
        elif job.is_durable:
            self._ops.append(CloseOutbox(job.seq) if job.kept else DeleteOutbox(job.id))

    # --- copies with rows of their own (`imc.delivery.backlog.Keeper`) ------------------------------------------------

    def keep(self, kept: Kept, *, is_dead: bool = False) -> None:
        self._ops.append(
            PutWaiting(
                kept.aor,
                kept.seq,
                kept.part,
                is_dead,
                kept.created,
                kept.expires,
                kept.tries,
                kept.status,
                self._wall(),
            )
        )

    def drop(self, kept: Kept) -> None:
        self._ops.append(DeleteWaiting(kept.aor, kept.seq, kept.part))

    # spec S-LANE-18
    def read(self, aor: Aor, limit: int, then: Taken) -> None:
        self._wait(lambda _: self._spawn(lambda: self._read(aor, limit, then)), is_patient=True)

    async def _read(self, aor: Aor, limit: int, then: Taken) -> None:
        withdrawals = self._withdrawals
        try:
            rows = await self._load(aor, limit)
            page = self._page_of(rows)
        except ImcError as error:
            _log.warning("waiting-not-read", recipient=str(aor), error=str(error))
            then(None)
        except Exception as error:  # whatever it is: the one who reads is told, or nobody is read any more
            _log.error("waiting-not-read", recipient=str(aor), exc_info=error)
            then(None)
        else:
            if (rows and not page) or withdrawals != self._withdrawals:
                self.read(aor, limit, then)  # what is behind those, or is left
            else:
                then(page)

    def _page_of(self, rows: Iterable[WaitingRow]) -> list[Dispatch]:
        page = []
        for row in rows:
            dispatch = copy_of(row)
            if dispatch is None:  # nobody could send it: an operator has to look at it
                self.change(row, is_dead=True)
            else:
                page.append(dispatch)
        return page

    def change(self, row: WaitingRow, *, is_dead: bool) -> None:
        """A row of somebody whose backlog rests: dead from now on, or to be tried again as if it were new."""
        created = row.created if is_dead else self._wall()
        self._ops.append(
            PutWaiting(row.aor, row.seq, row.part, is_dead, created, row.expires, row.tries, row.status, self._wall())
        )

    def remove(self, aor: Aor, seq: int, part: int) -> None:
        """A row goes, whatever state it is in."""
        self._ops.append(DeleteWaiting(aor, seq, part))

    # --- writing ----------------------------------------------------------------------------------------------------

    def after_all(self, then: Callable[[Exception | None], None]) -> None:
        """Call ``then`` when all that was told before is on the disk, or with what kept it from there."""
        self._wait(then, is_patient=False)

    def _wait(self, then: Callable[[Exception | None], None], *, is_patient: bool) -> None:
        self._waits.append(_Wait(self._written + len(self._in_flight) + len(self._ops), then, is_patient))
        self.flush()

    def next_deadline(self) -> float | None:
        """When to call `tick`; None when nothing waits for it."""
        return self._due

    def tick(self, now: float) -> None:
        """Called after each wake-up."""
        if self._in_flight:
            return
        if self._due is None and self._ops:
            self._due = now + (_ATTEMPT_AGAIN if self._is_failing else _DELAY)
        if self._due is not None and (now >= self._due or (len(self._ops) >= _MANY and not self._is_failing)):
            self.flush()

    def flush(self) -> None:
        """Have written what became of copies. What the writer cannot take now goes later."""
        if self._in_flight:
            return
        self._due = None
        self._end_waits(None)
        if not self._ops:
            return
        ops = self._ops[: self._limit]
        try:
            self._writer.submit(ops, self._committed)
        except (Overloaded, StoreUnavailable) as error:
            self._is_failing = True
            self._end_waits(error)
            self._wake()
            return
        del self._ops[: self._limit]
        self._in_flight = ops

    # spec S-LANE-6
    def _committed(self, error: Exception | None) -> None:
        ops, self._in_flight = self._in_flight, []
        self._is_failing = error is not None and not isinstance(error, StoreConflict)
        if error is None:
            self._limit = min(2 * self._limit, _BATCH)
            self._settled(ops)
        elif isinstance(error, StoreConflict) and len(ops) == 1:
            self._settled(ops)
            self._refused(ops[0], error)
        else:
            self._ops[:0] = ops  # at worst they are delivered again after a restart, with the same Call-IDs
            if isinstance(error, StoreConflict):  # one of them does not fit: the others shall not suffer for it
                self._limit = len(ops) // 2
        self._end_waits(error if self._is_failing else None)
        is_awaited = self._waits or self._is_leaving or self._limit < _BATCH
        if self._ops and not self._in_flight and not self._is_failing and is_awaited:
            self.flush()
        self._wake()

    def _settled(self, ops: list[Op]) -> None:
        """They are on the disk, or will never be."""
        self._written += len(ops)
        if self._withdrawn:
            self._withdrawn.difference_update(op.id for op in ops if isinstance(op, DeleteOutbox))
            self._is_overflowing &= len(self._withdrawn) >= _MAX_WITHDRAWN

    def _refused(self, op: Op, error: Exception) -> None:
        """It does not fit the database. Where it is a copy's row its entry stays as it is, for the next start."""
        _log.error("outbox-row-refused", op=type(op).__name__, error=str(error))
        if isinstance(op, PutWaiting):
            if CloseOutbox(op.seq) in self._ops:
                self._ops[self._ops.index(CloseOutbox(op.seq))] = DeleteWaiting(op.aor, op.seq, op.part)
            else:
                self._to_stay_open.add(op.seq)

    def _end_waits(self, error: Exception | None) -> None:
        """Call those whose changes are on the disk, and those who do not wait for longer than until a failure."""
        due = [wait for wait in self._waits if wait.until <= self._written]
        failed = [] if error is None else [w for w in self._waits if w.until > self._written and not w.is_patient]
        if due or failed:
            self._waits = deque(w for w in self._waits if w.until > self._written and (error is None or w.is_patient))
        for wait in due:
            wait.then(None)
        for wait in failed:
            wait.then(error)

    # --- start and end ----------------------------------------------------------------------------------------------

    def begin(self, seq: int) -> None:
        """The highest number of a row that is there."""
        self._seq = seq

    # spec S-LANE-7
    def restore(self, rows: Iterable[PutOutbox], has_row: Iterable[tuple[Aor, int, int]]) -> int:
        """Hand the rows that a start found to the engine, but for the copies (recipient, seq, part) that have rows of
        their own. Returns how many could be read; the others are logged."""
        count = 0
        own: defaultdict[int, set[tuple[Aor, int]]] = defaultdict(set)
        for aor, seq, part in has_row:
            own[seq].add((aor, part))
        for row in rows:
            try:
                job = restore(row.id, row.created, row.payload, row.recipients, row.seq)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                _log.error("outbox-row-unreadable", id=row.id, error=str(error))
                continue
            taken = own[row.seq]
            job.kept = len(taken)  # be they listed still or, after a shutdown, not any more
            for dispatch in job.dispatches if taken else ():
                dispatch.recipients = tuple(aor for aor in dispatch.recipients if (aor, dispatch.part) not in taken)
            self._engine.submit(job)
            count += 1
        return count

    def leave(self) -> None:
        """For the end: write what is told, and trim the rows to who is left. What is told later is written as well."""
        self._is_leaving = True
        self._ops += [UpdateOutbox(job_id, pack_recipients(rows)) for job_id, rows in self._engine.unfinished().items()]
        self.flush()


def copy_of(row: WaitingRow) -> Dispatch | None:
    """The copy of a row; None, and logged, where it cannot be read."""
    kept = Kept(
        aor=row.aor,
        seq=row.seq,
        part=row.part,
        created=row.created,
        expires=row.expires,
        tries=row.tries,
        status=row.status,
    )
    try:
        return restore_copy(row.id, row.payload, kept)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _log.error("outbox-row-unreadable", id=row.id, recipient=str(row.aor), error=str(error))
        return None
