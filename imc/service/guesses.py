"""Guessing of passwords, counted by account: many addresses guess no faster than one (spec S-AUTH-14).

Invariants

- Each wrong answer for an account takes one of its tokens (``burst`` at once, ``rate`` a second). Without one, no
  password is looked at that comes for it from elsewhere; so in the long run no more than ``rate`` are tried.
- Elsewhere is an address (`imc.sip.hosts.block_of`) from which its password was not shown for `_REMEMBERED` seconds,
  and at which it is not registered. At home nothing is counted: neither do others lock the user out there, nor does a
  phone that was left with an old password lock them out anywhere else.
- A name is counted whether there is such an account or not: what is answered tells nothing of it.
- The tables are bounded, and a key is a hash, so that long names cost no more than short ones. What was unused for
  longest is forgotten: who wants a fresh count of one account has to spend as many wrong answers as the table is long.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from imc.aor import Aor
from imc.service.rates import Buckets, Rate

_REMEMBERED = 7 * 86_400.0  # seconds
_MAX_HOMES = 100_000
_SHOWN = 256  # characters of a name that a stranger made up


class Guesses:
    """``is_at`` tells whether a user is registered at an address, ``on_hit`` is told for which account one is refused.

    Times are monotonic, in seconds. A ``rate`` of None: nothing is counted, nothing refused.
    """

    __slots__ = ("_buckets", "_homes", "_is_at", "_max_homes", "_on_hit", "_rate")

    def __init__(
        self,
        rate: Rate | None,
        is_at: Callable[[Aor, str], bool] = lambda _account, _block: False,
        on_hit: Callable[[str, str], None] = lambda _limit, _who: None,
        max_homes: int = _MAX_HOMES,
    ) -> None:
        self._rate = rate
        self._is_at = is_at
        self._on_hit = on_hit
        self._max_homes = max_homes
        self._buckets = None if rate is None else Buckets(rate)
        self._homes: OrderedDict[int, float] = OrderedDict()

    def reload(self, rate: Rate | None) -> None:
        """Another rate begins anew; the same one changes nothing, and no reload makes anyone a stranger."""
        if rate != self._rate:
            self._rate = rate
            self._buckets = None if rate is None else Buckets(rate)

    def refused_for(self, account: Aor, block: str, now: float) -> int | None:
        """For how many seconds no password is looked at that comes from ``block``; None where this one is."""
        buckets = self._buckets
        if buckets is None or buckets.has(hash(account), now) or self._is_home(account, block, now):
            return None
        self._on_hit("guess_rate", str(account)[:_SHOWN])
        return math.ceil(buckets.wait(hash(account), now))

    def wrong(self, account: Aor, block: str, now: float) -> None:
        """An answer for ``account`` that came from ``block`` was wrong."""
        if self._buckets is not None and not self._is_home(account, block, now):
            self._buckets.take(hash(account), now)

    def right(self, account: Aor, block: str, now: float) -> None:
        """The password was shown from ``block``, just now and not by a copy."""
        key = hash((account, block))
        self._homes[key] = now
        self._homes.move_to_end(key)
        if len(self._homes) > self._max_homes:
            self._homes.popitem(last=False)

    def statistics(self) -> dict[str, int]:
        return {"accounts_guessed": 0 if self._buckets is None else len(self._buckets)}

    def _is_home(self, account: Aor, block: str, now: float) -> bool:
        shown = self._homes.get(hash((account, block)))
        return (shown is not None and now - shown <= _REMEMBERED) or self._is_at(account, block)
