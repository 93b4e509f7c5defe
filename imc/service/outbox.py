"""The outbox: what was promised and is not delivered yet, in the database.

A durable job is put there by the transaction of its decision, and handed to the delivery engine when that is committed.
When its last copy is settled its row goes, together with others, along with what is committed next. A shutdown trims
the rows to those who are left; a start hands every row that it finds to the engine again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from imc.delivery.engine import Engine
from imc.delivery.job import Dispatch, Job, pack_recipients, restore
from imc.errors import Overloaded
from imc.sip.ids import Ids
from imc.store.ops import DeleteOutbox, Op, PutOutbox, UpdateOutbox
from imc.store.writer import Writer

_log = structlog.get_logger("imc.service")
_MAX_WITHDRAWN = 10_000
# Rows of what is done go along with the next commit, or after so many seconds: alone they would double the commits.
_DELAY = 0.05
_MANY = 500


class Outbox:
    """``wall`` gives unix seconds."""

    def __init__(self, writer: Writer, engine: Engine, ids: Ids, wall: Callable[[], float]) -> None:
        self._writer = writer
        self._engine = engine
        self._ids = ids
        self._wall = wall
        self._done: list[str] = []
        self._due: float | None = None
        self.is_held = False  # nothing is delivered now: what is durable is at the next start

    def job(self, dispatches: Iterable[Dispatch], *, is_durable: bool) -> Job | None:
        """A job of these dispatches; None where nobody is to receive anything."""
        wanted = tuple(dispatch for dispatch in dispatches if dispatch.recipients)
        return Job(self._ids.tag(), self._wall(), wanted, is_durable) if wanted else None

    # spec S-LANE-6
    def put(self, job: Job) -> Op:
        """The row of a job, for the transaction of its decision."""
        return PutOutbox(job.id, job.created, job.payload(), job.recipients())

    def release(self, job: Job | None) -> None:
        """Its decision is committed: deliver."""
        if job is not None and not self.is_held:
            self._engine.submit(job)

    def withdraw(self, job: Job | None) -> None:
        """Its decision was not committed, as far as is known: should its row be there all the same, it goes."""
        if job is not None and len(self._done) < _MAX_WITHDRAWN:
            self._done.append(job.id)

    def job_done(self, job: Job) -> None:
        """The engine has settled the last copy."""
        if job.is_durable:
            self._done.append(job.id)

    def next_deadline(self) -> float | None:
        """When to call `tick`; None when nothing waits for it."""
        return self._due

    def tick(self, now: float) -> None:
        """Called after each wake-up."""
        if self._due is None and self._done:
            self._due = now + _DELAY
        if self._due is not None and (now >= self._due or len(self._done) >= _MANY):
            self.flush()

    def flush(self) -> None:
        """Let the rows of what is done go. What the writer cannot take now goes later."""
        self._due = None
        if not self._done:
            return
        done, self._done = self._done, []

        def committed(error: Exception | None) -> None:
            if error is not None:  # at worst they are delivered again after a restart, with the same Call-IDs
                self._done += done

        try:
            self._writer.submit([DeleteOutbox(job_id) for job_id in done], committed)
        except Overloaded:
            self._done += done

    # spec S-LANE-7
    def restore(self, rows: Iterable[PutOutbox]) -> int:
        """Hand the rows that a start found to the engine. Returns how many could be read; the others are logged."""
        count = 0
        for row in rows:
            try:
                job = restore(row.id, row.created, row.payload, row.recipients)
            except (ValueError, KeyError, TypeError) as error:
                _log.error("outbox-row-unreadable", id=row.id, error=str(error))
                continue
            self._engine.submit(job)
            count += 1
        return count

    def leftovers(self) -> list[Op]:
        """For the end: the rows that stay, trimmed to who is left, and the rows that go."""
        ops: list[Op] = [DeleteOutbox(job_id) for job_id in self._done]
        ops += [UpdateOutbox(job_id, pack_recipients(rows)) for job_id, rows in self._engine.unfinished().items()]
        return ops
