"""imc.service.outcomes"""

from __future__ import annotations

from imc.errors import Overloaded, StoreUnavailable
from imc.service.outcomes import failed


def test_whoever_is_put_off_hears_why() -> None:
    # spec R-DURABLE-2
    store, bound = failed(StoreUnavailable("full")), failed(Overloaded("rooms"))
    assert (store.status, store.event, store.warning) == (503, "try-later", "cannot be stored now, try again later")
    assert (bound.status, bound.event, bound.warning) == (503, "try-later", "too much at once, try again later")
    assert store.retry_after == bound.retry_after == 5
