"""The outbox: what was promised and is not delivered yet, in the database.

A durable job is put there by the transaction of its decision, and handed to the delivery engine when that is committed.
What becomes of its copies is written after the fact, in batches, along with what is committed next: a row for each copy
that takes longer, the end of such a row, the end of the job. A shutdown trims the rows to those who are left; a start
hands every row that it finds to the engine again.

Invariants
- One batch is on its way at a time, and one that failed is written again before anything later: so what was settled
  meanwhile wins (spec S-LANE-6).
- A backlog is read when all that was told before is on the disk (spec S-LANE-18).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from imc.aor import Aor
from imc.delivery.engine import Engine
from imc.delivery.job import Dispatch, Job, Kept, pack_recipients, restore, restore_copy
from imc.errors import ImcError, Overloaded, StoreConflict, StoreUnavailable
from imc.sip.ids import Ids
from imc.store.ops import CloseOutbox, DeleteOutbox, DeleteWaiting, Op, PutOutbox, PutWaiting, UpdateOutbox
from imc.store.outbox import WaitingRow
from imc.store.writer import Writer

_log = structlog.get_logger("imc.service")
_MAX_WITHDRAWN = 10_000
# What became of copies goes along with the next commit, or after so many seconds: alone it would double the commits.
_DELAY = 0.05
_MANY = 500
_ATTEMPT_AGAIN = 1.0  # seconds after a batch that failed

Taken = Callable[[Sequence[Dispatch] | None], None]


class Outbox:
    """``wall`` gives unix seconds; ``load(recipient, limit)`` reads somebody's first waiting copies, ``spawn`` starts
    tasks.

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
    ) -> None:
        self._writer = writer
        self._ids = ids
        self._wall = wall
        self._load = load
        self._spawn = spawn
        self._engine: Engine
        self._seq = 0
        self._ops: list[Op] = []
        self._is_writing = False
        self._reads: list[Callable[[Exception | None], None]] = []  # wait for what was told before them
        self._due: float | None = None
        self._is_failing = False

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
        if job is not None:
            self._engine.submit(job)

    def withdraw(self, job: Job | None) -> None:
        """Its decision was not committed, as far as is known: should its row be there all the same, it goes."""
        if job is not None and len(self._ops) < _MAX_WITHDRAWN:
            self._ops.append(DeleteOutbox(job.id))

    def job_done(self, job: Job) -> None:
        """Its last copy is settled, or has a row of its own."""
        if job.is_durable:
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
        def written(error: Exception | None) -> None:
            if error is not None:
                then(None)
            else:
                self._spawn(lambda: self._read(aor, limit, then))

        self.after_all(written)

    async def _read(self, aor: Aor, limit: int, then: Taken) -> None:
        try:
            rows = await self._load(aor, limit)
        except ImcError as error:
            _log.warning("waiting-not-read", recipient=str(aor), error=str(error))
            then(None)
            return
        page = []
        for row in rows:
            dispatch = copy_of(row)
            if dispatch is None:  # nobody could send it: an operator has to look at it
                self.change(row, is_dead=True)
            else:
                page.append(dispatch)
        then(page)

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
        self._reads.append(then)
        self.flush()

    def next_deadline(self) -> float | None:
        """When to call `tick`; None when nothing waits for it."""
        return self._due

    def tick(self, now: float) -> None:
        """Called after each wake-up."""
        if self._due is None and self._ops and not self._is_writing:
            self._due = now + (_ATTEMPT_AGAIN if self._is_failing else _DELAY)
        if self._due is not None and (now >= self._due or (len(self._ops) >= _MANY and not self._is_failing)):
            self.flush()

    def flush(self) -> None:
        """Have written what became of copies. What the writer cannot take now goes later."""
        if self._is_writing or not (self._ops or self._reads):
            return
        self._due = None
        ops, self._ops = self._ops, []
        reads, self._reads = self._reads, []
        if not ops:
            for then in reads:
                then(None)
            return

        def committed(error: Exception | None) -> None:
            self._is_writing = False
            self._is_failing = error is not None
            if isinstance(error, StoreConflict) and len(ops) > 1:
                self._write_each(ops)
                error = None
            if error is not None and not isinstance(error, StoreConflict):
                self._ops[:0] = ops  # at worst they are delivered again after a restart, with the same Call-IDs
            elif error is not None:
                _log.error("outbox-row-refused", op=type(ops[0]).__name__, error=str(error))
            for then in reads:
                then(error)
            if self._reads:
                self.flush()

        try:
            self._writer.submit(ops, committed)
            self._is_writing = True
        except (Overloaded, StoreUnavailable) as error:
            self._ops = ops
            self._is_failing = True
            for then in reads:
                then(error)

    def _write_each(self, ops: Iterable[Op]) -> None:
        """One of them does not fit the database: the others shall not suffer for it."""

        def refused(error: Exception | None) -> None:
            if error is not None:
                _log.error("outbox-row-refused", error=str(error))

        for op in ops:
            try:
                self._writer.submit([op], refused)
            except (Overloaded, StoreUnavailable) as error:
                refused(error)

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
            except (ValueError, KeyError, TypeError) as error:
                _log.error("outbox-row-unreadable", id=row.id, error=str(error))
                continue
            taken = own[row.seq]
            for dispatch in job.dispatches if taken else ():
                left = tuple(aor for aor in dispatch.recipients if (aor, dispatch.part) not in taken)
                job.kept += len(dispatch.recipients) - len(left)
                dispatch.recipients = left
            self._engine.submit(job)
            count += 1
        return count

    def leftovers(self) -> list[Op]:
        """For the end: the rows that stay, trimmed to who is left, and what became of the others."""
        ops, self._ops = self._ops, []
        ops += [UpdateOutbox(job_id, pack_recipients(rows)) for job_id, rows in self._engine.unfinished().items()]
        return ops


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
    except (ValueError, KeyError, TypeError) as error:
        _log.error("outbox-row-unreadable", id=row.id, recipient=str(row.aor), error=str(error))
        return None
