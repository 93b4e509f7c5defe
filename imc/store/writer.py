"""Group commit: what is submitted while one transaction is on its way to the disk makes up the next one.

Invariants
    Submissions are committed in the order in which they were made, and their callbacks are called in that order, on
    the event loop, each exactly once: with None once the submission is on disk, else with what became of it.
    A submission that does not fit fails alone (`Store.commit_groups`); a database that does not answer fails all that
    were in the transaction, and the next transaction tries again.
    What waits is bounded, in submissions and in bytes; what does not fit is refused at once.

One commit costs a sync of the disk whatever is in it, and a hop to a thread and back: so there is one transaction at a
time, as large as what has come meanwhile, up to `WriterOptions.max_batch`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from imc.errors import Overloaded, StoreError, StoreUnavailable
from imc.store.guard import Guard
from imc.store.ops import Op, weight

Done = Callable[[Exception | None], None]
_log = structlog.get_logger("imc.store")


class Committer(Protocol):
    """What commits: a `Store`."""

    def commit_groups(
        self, groups: Sequence[Sequence[Op]], guards: Sequence[Guard | None] | None = None
    ) -> list[StoreError | None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """Bounds: submissions and bytes that wait, submissions and bytes in one transaction."""

    max_waiting: int = 20_000
    max_waiting_bytes: int = 256 << 20
    max_batch: int = 2_000
    max_batch_bytes: int = 16 << 20


@dataclass(slots=True)
class _Submission:
    ops: tuple[Op, ...]
    done: Done
    weight: int
    guard: Guard | None


class Writer:
    """The one way to write while the daemon runs. `run` does the work; `submit` and `drain` are for everybody else."""

    def __init__(self, committer: Committer, options: WriterOptions | None = None) -> None:
        self._committer = committer
        self._options = options or WriterOptions()
        self._waiting: deque[_Submission] = deque()
        self._waiting_bytes = 0
        self._in_flight = 0
        self._something = trio.Event()
        self._nothing = trio.Event()
        self._nothing.set()
        self._is_closed = False
        # One thread: the order of commits is the order of submissions.
        self._limiter = trio.CapacityLimiter(1)
        self._counts = {"commits": 0, "submissions": 0, "failures": 0, "refused": 0, "largest_batch": 0}

    def submit(self, ops: Sequence[Op], done: Done, guard: Guard | None = None) -> None:
        """Have the ops committed as one; ``done`` is called later, never from in here.

        Where a submission with the same ``guard`` before it fails, this one fails too, unwritten.

        Overloaded where too much waits, StoreUnavailable after `run` has ended; then ``done`` is not called.
        """
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        size = sum(map(weight, ops))
        if (
            len(self._waiting) >= self._options.max_waiting
            or self._waiting_bytes + size > self._options.max_waiting_bytes
        ):
            self._counts["refused"] += 1
            raise Overloaded("too many changes wait for the database")
        self._waiting.append(_Submission(tuple(ops), done, size, guard))
        self._waiting_bytes += size
        self._something.set()
        if self._nothing.is_set():
            self._nothing = trio.Event()

    async def commit(self, ops: Sequence[Op]) -> None:
        """`submit`, and wait for it. Its outcome other than success is raised; a cancelled wait changes nothing."""
        finished = trio.Event()
        outcome: list[Exception | None] = []

        def done(error: Exception | None) -> None:
            outcome.append(error)
            finished.set()

        self.submit(ops, done)
        await finished.wait()
        if outcome[0] is not None:
            raise outcome[0]

    async def drain(self) -> None:
        """Until all that was submitted has its outcome. It returns at once where nothing waits."""
        while self._waiting or self._in_flight:
            await self._nothing.wait()

    async def run(self) -> None:
        """Commit until cancelled. The transaction under way is then finished, and what still waits fails."""
        try:
            while True:
                await self._something.wait()
                # Whoever runs in this turn of the loop comes along: those above all whom the last commit set free.
                await trio.lowlevel.checkpoint()
                batch = self._next_batch()
                if batch:
                    await self._commit(batch)
                if not self._waiting:
                    self._something = trio.Event()
                    self._nothing.set()
        finally:
            self._is_closed = True
            self._fail_all()
            self._nothing.set()

    def statistics(self) -> dict[str, int]:
        return {**self._counts, "writes_waiting": len(self._waiting), "in_flight": self._in_flight}

    def _next_batch(self) -> list[_Submission]:
        batch: list[_Submission] = []
        size = 0
        while self._waiting and len(batch) < self._options.max_batch:
            guard = self._waiting[0].guard
            if guard is not None and not guard.is_good:
                if batch:  # callbacks keep their order: this one's comes after those of the batch before it
                    break
                self._refuse_next()
                continue
            size += self._waiting[0].weight
            if batch and size > self._options.max_batch_bytes:
                break
            batch.append(self._waiting.popleft())
            self._waiting_bytes -= batch[-1].weight
        return batch

    def _refuse_next(self) -> None:
        """The next submission rests on one that failed."""
        submission = self._waiting.popleft()
        self._waiting_bytes -= submission.weight
        self._finish([submission], [StoreUnavailable("what this was built on was not committed")])

    async def _commit(self, batch: list[_Submission]) -> None:
        self._in_flight = len(batch)
        groups = [submission.ops for submission in batch]
        guards = [submission.guard for submission in batch]
        results: list[Exception | None]
        try:
            # Not abandoned when cancelled: somebody waits for the outcome, and it is at most a few timeouts away.
            commit = self._committer.commit_groups
            results = list(await trio.to_thread.run_sync(commit, groups, guards, limiter=self._limiter))
        except trio.Cancelled:
            # Cancelled before the thread began.
            self._finish(batch, [StoreUnavailable("the store is closed")] * len(batch))
            raise
        except Exception as error:
            # Not the database's fault but ours: the daemon goes on, this batch does not.
            _log.exception("commit_failed", submissions=len(batch))
            results = [StoreError(f"commit failed: {error!r}")] * len(batch)
        self._counts["commits"] += 1
        self._counts["largest_batch"] = max(self._counts["largest_batch"], len(batch))
        self._finish(batch, results)

    def _finish(self, batch: Sequence[_Submission], results: Sequence[Exception | None]) -> None:
        """Tell each submitter. One whose callback fails does not keep the others from being told."""
        self._in_flight = 0
        for submission, result in zip(batch, results, strict=True):
            self._counts["submissions"] += 1
            self._counts["failures"] += result is not None
            if result is not None and submission.guard is not None:
                submission.guard.is_good = False
            try:
                submission.done(result)
            except Exception:
                _log.exception("commit_callback_failed")

    def _fail_all(self) -> None:
        waiting = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._finish(waiting, [StoreUnavailable("the store is closed")] * len(waiting))
