"""Operators of the page: the store's, for the management interfaces.

An operator may not take the last admin away: who has lost all of them makes one with ``imc operator add``.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from imc.errors import AccountError
from imc.store.operators import Operator, check_role, hide, nobody
from imc.store.reader import StoreReader
from imc.store.store import Store

_AT_ONCE = 2  # passwords looked at at a time: each takes 16 MB and a core for 50 ms
_MOST_WAITING = 32


class Operators:
    """``wall`` gives unix seconds."""

    def __init__(self, store: Store, reader: StoreReader, wall: Callable[[], float]) -> None:
        self._store = store
        self._reader = reader
        self._wall = wall
        self._hashing = StoreReader(threads=_AT_ONCE, max_waiting=_MOST_WAITING)
        self._nobody: Operator | None = None

    async def get(self, name: str) -> Operator | None:
        """StoreError, Overloaded."""
        return await self._reader.run(self._store.get_operator, name)

    async def check(self, name: str, password: str) -> Operator | None:
        """The operator whose name and password these are. As long for a name that nobody has.

        StoreError; Overloaded where too many passwords are being looked at.
        """
        found = await self.get(name)
        if self._nobody is None:
            self._nobody = await self._hashing.run(nobody)
        is_right = await self._hashing.run((found or self._nobody).has_password, password)
        return found if is_right else None

    async def list(self) -> list[Operator]:
        return await self._reader.run(self._store.list_operators)

    async def add(self, name: str, role: str, password: str) -> None:
        """AccountError."""
        made = await self._hashing.run(lambda: Operator.from_password(name, role, password, self._wall()))
        await self._change(lambda: self._store.add_operator(made))

    async def set_password(self, name: str, password: str) -> None:
        """AccountError. The operator's sessions end."""
        secret = await self._hashing.run(hide, password)
        await self._change(lambda: self._store.set_operator(name, secret=secret))

    async def set_role(self, name: str, role: str) -> None:
        """AccountError. The operator's sessions end."""
        check_role(role)
        await self._change(lambda: self._store.change_operators(_check_left, name, role))

    async def remove(self, name: str) -> None:
        """AccountError. The operator's sessions end."""
        await self._change(lambda: self._store.change_operators(_check_left, name, None))

    async def _change(self, work: Callable[[], None]) -> None:
        await trio.to_thread.run_sync(work)


def _check_left(left: list[Operator]) -> None:
    if not any(one.role == "admin" for one in left):
        raise AccountError("no admin would be left")
