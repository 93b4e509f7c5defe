"""Turns: one job at a time for each key, in order of arrival.

The registrar decides on what was committed. So two REGISTERs of one user must not be under way at once: else the second
is decided without knowing of the first, and what is in memory and what is in the store may part. The service takes a
turn for each REGISTER, and ends it when its commit is done.

Invariants

- A key has at most one job under way; its next one starts when `end` is called, never inside of the one before.
- All that waits is bounded: in all (`Overloaded`), and for one key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

from imc.errors import Overloaded

Job = Callable[[], None]


class Turns:
    """``max_waiting`` jobs in all, ``max_per_key`` for one key, beside those under way."""

    __slots__ = ("_max_per_key", "_max_waiting", "_queues", "_starting", "_waiting")

    def __init__(self, *, max_waiting: int = 10_000, max_per_key: int = 16) -> None:
        self._max_waiting = max_waiting
        self._max_per_key = max_per_key
        self._queues: dict[Hashable, deque[Job]] = {}
        self._waiting = 0
        self._starting: dict[Hashable, bool] = {}  # a job is being called: whether it has ended already

    def __len__(self) -> int:
        """How many keys have a job under way."""
        return len(self._queues)

    # spec S-REG-2
    def take(self, key: Hashable, job: Job) -> None:
        """Call ``job`` now, or once it is its turn. It must lead to one call of `end`, at once or later.

        Overloaded, and the job is never called, where too many wait.
        """
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque()
            self._start(key, job)
            return
        if len(queue) >= self._max_per_key or self._waiting >= self._max_waiting:
            raise Overloaded("too many registrations at once")
        self._waiting += 1
        queue.append(job)

    def end(self, key: Hashable) -> None:
        """The job of ``key`` that was under way is done."""
        if key in self._starting:
            self._starting[key] = True  # `_start` below us goes on with the next one: no recursion
            return
        self._next(key)

    def _next(self, key: Hashable) -> None:
        queue = self._queues[key]
        if not queue:
            del self._queues[key]
            return
        self._waiting -= 1
        self._start(key, queue.popleft())

    def _start(self, key: Hashable, job: Job) -> None:
        while True:
            self._starting[key] = False
            try:
                job()
            except BaseException:
                # The job will not call `end` any more; those behind it must not wait for ever.
                del self._starting[key]
                self._next(key)
                raise
            if not self._starting.pop(key):
                return
            queue = self._queues[key]
            if not queue:
                del self._queues[key]
                return
            self._waiting -= 1
            job = queue.popleft()
