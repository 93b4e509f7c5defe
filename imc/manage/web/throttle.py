"""How often a password may be tried: a bucket for each account, whether it exists or not, and one for each address.

Invariants: a try takes a token of both buckets, or of none; a right password gives them back. The tables are bounded:
what was unused for longest is forgotten, and is as good as full when it comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleOptions:
    """``*_burst`` tries at once, then one each ``*_every`` seconds."""

    account_burst: float = 10.0
    account_every: float = 30.0
    address_burst: float = 20.0
    address_every: float = 10.0
    bound: int = 10_000


class Throttle:
    """``clock`` is monotonic, in seconds."""

    def __init__(self, options: ThrottleOptions, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._accounts = _Buckets(options.account_burst, options.account_every, options.bound)
        self._addresses = _Buckets(options.address_burst, options.address_every, options.bound)

    def take(self, account: str, address: str) -> float:
        """0 where the password may be looked at, else the seconds to wait."""
        now = self._clock()
        wait = max(self._accounts.wait(account, now), self._addresses.wait(address, now))
        if wait <= 0:
            self._accounts.add(account, -1, now)
            self._addresses.add(address, -1, now)
        return max(0.0, wait)

    def give_back(self, account: str, address: str) -> None:
        """It was the right one."""
        now = self._clock()
        self._accounts.add(account, 1, now)
        self._addresses.add(address, 1, now)


class _Buckets:
    def __init__(self, burst: float, every: float, bound: int) -> None:
        self._burst = burst
        self._every = every
        self._bound = bound
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str, now: float) -> float:
        return (1 - self._level(key, now)) * self._every

    def add(self, key: str, count: int, now: float) -> None:
        self._levels[key] = (min(self._burst, self._level(key, now) + count), now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._bound:
            self._levels.popitem(last=False)

    def _level(self, key: str, now: float) -> float:
        level, since = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + (now - since) / self._every)
