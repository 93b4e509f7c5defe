"""What stands between a callback's failure and the listener that called it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import structlog
import trio

from imc.sip.flow import Flow

_log = structlog.get_logger("imc.transport")
Receive: TypeAlias = Callable[[bytes, Flow], bool | None]
"""Takes one message. True: nothing more is wanted of this flow for a moment."""
_INTERVAL = 1.0


class Guard:
    """Counts failures, and logs at most one a second with its traceback: a hostile peer must not fill the log.

    ``clock`` gives monotonic seconds.
    """

    __slots__ = ("_clock", "_logged_at", "_unlogged", "failures", "turnstile")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged_at = float("-inf")
        self._unlogged = 0
        self.failures = 0
        self.turnstile = trio.Lock()
        """For streams that are new, or flooded lately: one is read at a time."""

    def failed(self, where: str, peer: object) -> None:
        """To be called in an ``except`` block. ``peer`` is the flow or address that it happened with."""
        self.failures += 1
        now = self._clock()
        if now - self._logged_at < _INTERVAL:
            self._unlogged += 1
            return
        self._logged_at = now
        _log.exception("unhandled exception", where=where, peer=str(peer), unlogged=self._unlogged)
        self._unlogged = 0
