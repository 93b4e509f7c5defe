"""Whether requests can be served now, in words (`imc.manage.metrics.web`).

- However many ask, one read is under way: who asks needs no token, and a database that hangs must cost neither the
  reading threads that requests want, nor those of the management's HTTP.
- A database that does not answer is waited for no longer than ``patience``: it is not the event loop that is stuck.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from imc.errors import ImcError

PATIENCE = 2.0  # seconds; less than those of `imc.manage.metrics.web`


class Readiness:
    """``read`` asks the database for something small; ``spawn`` runs it beside its caller."""

    def __init__(
        self,
        *,
        read: Callable[[], Awaitable[object]],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        is_draining: Callable[[], bool],
        is_failing: Callable[[], bool],
        patience: float = PATIENCE,
    ) -> None:
        self._read = read
        self._spawn = spawn
        self._is_draining = is_draining
        self._is_failing = is_failing
        self._patience = patience
        self._under_way: trio.Event | None = None
        self._is_readable = True

    async def complaints(self) -> tuple[str, ...]:
        """Why they cannot be served; nothing where they can. None of it tells where the database is."""
        found = []
        if self._is_draining():
            found.append("the daemon is about to end")
        if self._is_failing():
            found.append("the database did not take the last transaction")
        done = self._under_way
        if done is None:
            done = self._under_way = trio.Event()
            self._spawn(self._look)
        with trio.move_on_after(self._patience):
            await done.wait()
        if not done.is_set():
            found.append(f"the database did not answer within {self._patience:g} s")
        elif not self._is_readable:
            found.append("the database cannot be read")
        return tuple(found)

    async def _look(self) -> None:
        done, is_readable = self._under_way, False
        try:
            await self._read()
            is_readable = True
        except ImcError:  # its text may tell of the database's address
            pass
        finally:
            self._is_readable, self._under_way = is_readable, None
            if done is not None:
                done.set()
