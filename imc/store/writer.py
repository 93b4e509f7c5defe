"""Group commit: what is submitted while one transaction is on its way to the disk makes up the next one.

Invariants
    Submissions are committed in the order in which they were made, and their callbacks are called in that order, on
    the event loop, each exactly once: with None once the submission is on disk, else with what became of it.
    A submission that does not fit fails alone (`Store.commit_groups`); a database that does not answer fails all that
    were in the transaction, and the next transaction tries again.
    What waits is bounded, in submissions and in bytes; what does not fit is refused at once.

One commit costs a sync of the disk whatever is in it, and a hop to a thread and back: so there is one transaction at a
time, as large as what has come meanwhile, up to `WriterOptions.max_batch`.

The thread shares the interpreter with the loop: each call of a driver gives it up and has to have it back, and under
load that takes as long as the loop likes to run. So what can be staged (`imc.store.database.Staged`) is staged on the
loop, a few microseconds a row, and the thread has one call to make, COMMIT. Transactions that are large, or a database
whose pages are slow to read, keep nobody waiting: all of it is the thread's then.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog
import trio

from imc.errors import Overloaded, StoreError, StoreUnavailable
from imc.measures import Measures
from imc.store.guard import Guard
from imc.store.ops import Op, weight

Done = Callable[[Exception | None], None]
_log = structlog.get_logger("imc.store")


class Staged(Protocol):
    """What lacks only its COMMIT."""

    def commit(self) -> bool:
        """Whether it is on disk; else none of it is."""
        ...


class Committer(Protocol):
    """What commits: a `Store`."""

    def stage_groups(self, groups: Sequence[Sequence[Op]]) -> Staged | None: ...

    def commit_groups(
        self, groups: Sequence[Sequence[Op]], guards: Sequence[Guard | None] | None = None
    ) -> list[StoreError | None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """Bounds: submissions and bytes that wait, submissions and bytes in one transaction, and in one that is staged.

    After a staging that took longer than ``slow_staging`` seconds there is none for ``staging_pause`` seconds.
    A transaction that the database did not take is held against it for ``failing_for`` seconds.
    """

    max_waiting: int = 20_000
    max_waiting_bytes: int = 256 << 20
    max_batch: int = 2_000
    max_batch_bytes: int = 16 << 20
    max_staged: int = 100
    max_staged_bytes: int = 256 << 10
    slow_staging: float = 0.05
    staging_pause: float = 1.0
    failing_for: float = 30.0


@dataclass(slots=True)
class _Submission:
    ops: tuple[Op, ...]
    done: Done
    weight: int
    guard: Guard | None


class Writer:
    """The one way to write while the daemon runs. `run` does the work; `submit` and `drain` are for everybody else."""

    def __init__(
        self, committer: Committer, options: WriterOptions | None = None, *, measures: Measures | None = None
    ) -> None:
        self._committer = committer
        self._measures = measures or Measures()
        self._began = 0.0
        self._failed: float | None = None  # when, where the last transaction was not taken
        self._options = options or WriterOptions()
        self._waiting: deque[_Submission] = deque()
        self._waiting_bytes = 0
        self._in_flight = 0
        self._something = trio.Event()
        self._nothing = trio.Event()
        self._nothing.set()
        self._is_closed = False
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._token: trio.lowlevel.TrioToken | None = None
        self._landed: trio.Event | None = None
        self._tell: Callable[[], None] = self._tell_run
        self._within: Callable[[Callable[[], None]], None] = _alone
        self._stage_again = 0.0
        self._counts = {"commits": 0, "submissions": 0, "failures": 0, "refused": 0, "largest_batch": 0}

    def attach(self, tell: Callable[[], None], within: Callable[[Callable[[], None]], None]) -> None:
        """Let somebody else call `begin`: soon after each ``tell``, and after what it is given to do by ``within``.

        Else `run` does, which takes two turns of the loop more. For what comes in while something is on its way to the
        disk nobody is told.
        """
        self._tell = tell
        self._within = within

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
        if self._nothing.is_set():
            self._nothing = trio.Event()
        if not self._in_flight:
            self._tell()

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
        self._token = trio.lowlevel.current_trio_token()
        # One thread: the order of commits is the order of submissions.
        threading.Thread(target=self._do_work, name="commit", daemon=True).start()
        if self._waiting:
            self._something.set()
        try:
            while True:
                await self._something.wait()
                # Whoever runs in this turn of the loop comes along: those above all whom the last commit set free.
                await trio.lowlevel.checkpoint()
                self._something = trio.Event()
                self.begin()
        finally:
            self._is_closed = True
            if self._in_flight:
                # Somebody waits for the outcome, and it is at most a few timeouts away.
                self._landed = trio.Event()
                with trio.CancelScope(shield=True):
                    await self._landed.wait()
            self._work.put(None)
            self._token = None
            self._fail_all()
            self._nothing.set()

    @property
    def is_failing(self) -> bool:
        """Whether the database did not take the last transaction, lately: who sends nothing on while that is so would
        never see that it does again."""
        return self._failed is not None and time.monotonic() - self._failed < self._options.failing_for

    def begin(self) -> None:
        """Send what waits on its way, unless something is under way already."""
        if self._in_flight or self._token is None or not self._waiting:
            return
        batch = self._next_batch()
        if batch:
            self._in_flight = len(batch)
            self._began = time.monotonic()
            groups = [submission.ops for submission in batch]
            self._work.put(partial(self._commit, self._token, batch, groups, self._stage(batch, groups)))
        else:
            self._nothing.set()

    def _tell_run(self) -> None:
        self._something.set()

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

    def _stage(self, batch: list[_Submission], groups: Sequence[Sequence[Op]]) -> Staged | None:
        """The batch without its COMMIT, where that is little work."""
        options, began = self._options, time.monotonic()
        if len(batch) > options.max_staged or began < self._stage_again:
            return None
        if sum(submission.weight for submission in batch) > options.max_staged_bytes:
            return None
        try:
            staged = self._committer.stage_groups(groups)
        except Exception:
            _log.exception("staging_failed", submissions=len(batch))
            return None
        if time.monotonic() - began > options.slow_staging:
            self._stage_again = time.monotonic() + options.staging_pause
        return staged

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _do_work(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _commit(
        self,
        token: trio.lowlevel.TrioToken,
        batch: list[_Submission],
        groups: Sequence[Sequence[Op]],
        staged: Staged | None,
    ) -> None:
        results: Sequence[Exception | None]
        try:
            if staged is not None and staged.commit():
                results = [None] * len(batch)
            else:
                results = self._committer.commit_groups(groups, [submission.guard for submission in batch])
        except Exception as error:
            # Not the database's fault but ours: the daemon goes on, this batch does not.
            _log.exception("commit_failed", submissions=len(batch))
            results = [StoreError(f"commit failed: {error!r}")] * len(batch)
        token.run_sync_soon(self._within, partial(self._land, batch, results))

    # --- on the loop again ------------------------------------------------------------------------------------------

    def _land(self, batch: list[_Submission], results: Sequence[Exception | None]) -> None:
        self._counts["commits"] += 1
        self._measures.commit_seconds.observe(time.monotonic() - self._began)
        self._measures.commit_size.observe(len(batch))
        is_lost = any(isinstance(result, StoreUnavailable) for result in results)
        self._failed = time.monotonic() if is_lost else None
        self._counts["largest_batch"] = max(self._counts["largest_batch"], len(batch))
        self._finish(batch, results)
        self._in_flight = 0
        if self._landed is not None:
            self._landed.set()
        elif self._waiting:
            self._tell()
        else:
            self._nothing.set()

    def _finish(self, batch: Sequence[_Submission], results: Sequence[Exception | None]) -> None:
        """Tell each submitter. One whose callback fails does not keep the others from being told."""
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


def _alone(work: Callable[[], None]) -> None:
    work()
