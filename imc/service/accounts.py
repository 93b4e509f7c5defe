"""Accounts at hand: what the store knows of users' passwords, kept in memory for a while.

Invariants

- A change made by `imc user …`, in whatever process, is seen within the poll interval: the store's accounts have a
  version, which is asked for every second, and a new one empties the cache. A change that leaves the version alone (by
  Kamailio's tools) is seen once the entry's time is over.
- An entry read while the version changed is used once and not kept.
- Users without account are remembered as well, in a table of their own: so that a lookup costs the same whether there
  is an account or not, and that a stream of invented names does not push out those who exist.
- Bounds: entries of either kind (the least recently used leaves), and addresses being loaded (`Overloaded`).
- While the store cannot be reached, entries live on until their time is over; a load raises what the store raised.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from imc.aor import Aor
from imc.errors import Overloaded, StoreError

A = TypeVar("A")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsOptions:
    """Times in seconds."""

    poll_interval: float = 1.0
    lifetime: float = 60.0
    max_known: int = 50_000
    max_unknown: int = 10_000
    max_loading: int = 256


class Accounts(Generic[A]):
    """``load`` reads one account of the store (None: there is none), ``version`` gives what differs after each change.

    Both may raise `StoreError`. Times are trio's clock.
    """

    def __init__(
        self,
        options: AccountsOptions,
        *,
        load: Callable[[Aor], Awaitable[A | None]],
        version: Callable[[], Awaitable[object]],
    ) -> None:
        self._options = options
        self._load = load
        self._version = version
        self._known: OrderedDict[Aor, tuple[A, float]] = OrderedDict()
        self._unknown: OrderedDict[Aor, float] = OrderedDict()
        self._loading: dict[Aor, _Load[A]] = {}
        self._seen: object = None
        self._generation = 0
        self._changed = trio.Event()
        self._is_reachable = True

    def peek(self, aor: Aor, now: float) -> A | None:
        """The account, None where there is none. LookupError where it must be loaded first."""
        entry = self._known.get(aor)
        if entry is not None and now < entry[1]:
            self._known.move_to_end(aor)
            return entry[0]
        until = self._unknown.get(aor)
        if until is not None and now < until:
            self._unknown.move_to_end(aor)
            return None
        raise LookupError(aor)

    async def load(self, aor: Aor) -> A | None:
        """The account, from memory or from the store; those who ask for one at the same time share one read.

        StoreError where the store failed, `Overloaded` where too many are being read.
        """
        try:
            return self.peek(aor, trio.current_time())
        except LookupError:
            pass
        under_way = self._loading.get(aor)
        if under_way is not None:
            return await under_way.wait()
        if len(self._loading) >= self._options.max_loading:
            raise Overloaded("too many accounts are being read")
        load = self._loading[aor] = _Load()
        generation = self._generation
        try:
            load.account = await self._load(aor)
        except BaseException as error:
            # Whoever waits for this read failed with it, but not with its cancellation.
            load.error = error if isinstance(error, Exception) else Overloaded("the read was given up")
            raise
        finally:
            del self._loading[aor]
            load.is_done.set()
        if generation == self._generation:
            self._keep(aor, load.account)
        return load.account

    async def run(self) -> None:
        """Follow changes of the store's accounts, for ever."""
        while True:
            try:
                version = await self._version()
            except StoreError:
                self._is_reachable = False
            else:
                self._is_reachable = True
                self._follow(version)
            await trio.sleep(self._options.poll_interval)

    async def wait_change(self, seen: int = 0) -> int:
        """Wait until the cache was emptied more often than ``seen`` times; how often it was.

        For those who must do something about accounts that are gone: their bindings, say.
        """
        while self._generation <= seen:
            await self._changed.wait()
        return self._generation

    def forget(self) -> None:
        """Read everything anew: accounts changed, or may have."""
        self._known.clear()
        self._unknown.clear()
        self._generation += 1
        self._changed.set()
        self._changed = trio.Event()

    def statistics(self) -> dict[str, int]:
        return {
            "accounts_known": len(self._known),
            "accounts_unknown": len(self._unknown),
            "accounts_loading": len(self._loading),
            "accounts_reachable": int(self._is_reachable),
        }

    def _follow(self, version: object) -> None:
        if version != self._seen:
            self._seen = version
            self.forget()

    def _keep(self, aor: Aor, account: A | None) -> None:
        until = trio.current_time() + self._options.lifetime
        if account is None:
            self._known.pop(aor, None)
            self._unknown[aor] = until
            self._unknown.move_to_end(aor)
            if len(self._unknown) > self._options.max_unknown:
                self._unknown.popitem(last=False)
        else:
            self._unknown.pop(aor, None)
            self._known[aor] = (account, until)
            self._known.move_to_end(aor)
            if len(self._known) > self._options.max_known:
                self._known.popitem(last=False)


class _Load(Generic[A]):
    """One read under way, and those who wait for it."""

    __slots__ = ("account", "error", "is_done")

    def __init__(self) -> None:
        self.account: A | None = None
        self.error: Exception | None = None
        self.is_done = trio.Event()

    async def wait(self) -> A | None:
        await self.is_done.wait()
        if self.error is not None:
            raise self.error
        return self.account
