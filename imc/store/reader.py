"""Reads of the store from trio: in worker threads, bounded in number and in how many wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from imc.errors import Overloaded

T = TypeVar("T")


class StoreReader:
    """Runs the reading methods of a `Store` (or whatever blocks alike).

    ``threads`` read at once, as many as the store has connections for reading; at most ``max_waiting`` more wait.
    A read that was begun is not interrupted when its caller is cancelled: statements have timeouts of their own.
    """

    def __init__(self, *, threads: int = 4, max_waiting: int = 10_000) -> None:
        self._limiter = trio.CapacityLimiter(threads)
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(self, read: Callable[..., T], *arguments: object) -> T:
        """What ``read(*arguments)`` gives. Overloaded where too many wait; else the store's own errors."""
        if self._waiting >= self._max_waiting:
            raise Overloaded("too many reads wait for the database")
        self._waiting += 1
        try:
            return await trio.to_thread.run_sync(read, *arguments, limiter=self._limiter)
        finally:
            self._waiting -= 1

    def statistics(self) -> dict[str, int]:
        return {"reads_waiting": self._waiting}
