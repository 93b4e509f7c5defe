"""What a sender gets where something beside the rules stood in the way."""

from __future__ import annotations

from imc.errors import Overloaded, StoreConflict, StoreUnavailable
from imc.service.inbound import Outcome

RETRY_AFTER = 5


def failed(error: Exception) -> Outcome:
    """The database or a bound stood in the way (spec R-DURABLE-2)."""
    if isinstance(error, StoreConflict):
        return Outcome(status=500, code=-1, event="store-conflict", warning="the database refused it")
    if isinstance(error, StoreUnavailable):
        return try_later("cannot be stored now, try again later")
    if isinstance(error, Overloaded):
        return try_later()
    return Outcome(status=500, code=-1, event="failed", warning="internal error")


def try_later(words: str = "too much at once, try again later") -> Outcome:
    return Outcome(status=503, code=-1, event="try-later", warning=words, retry_after=RETRY_AFTER)
