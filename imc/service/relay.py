"""Messages from one user to another (not to a room): relayed as they came, answered as the recipient answers.

imc is no proxy: it sends a request of its own and gives its final status to the sender. Silence is not answered (RFC
4320 §4.2: no 408 to a non-INVITE; the sender's own timer has fired by then).
"""

from __future__ import annotations

from imc.aor import Aor
from imc.delivery.job import Dispatch
from imc.service.copies import Copies
from imc.service.inbound import Inbound, Outcome
from imc.service.location import Location
from imc.service.outbox import Outbox
from imc.service.outcomes import try_later

_MAX_WAITING = 10_000


class Relay:
    """Senders who wait for a final status are bounded: 503 beyond."""

    def __init__(self, location: Location, copies: Copies, outbox: Outbox) -> None:
        self._location = location
        self._copies = copies
        self._outbox = outbox
        self._waiting: dict[int, Inbound] = {}
        self._serial = 0

    def handle(self, inbound: Inbound) -> None:
        # spec S-RELAY-3
        if not self._location.is_registered(inbound.to):
            inbound.answer(Outcome(status=404, code=-200, event="user-not-found", warning="no such user, or away"))
            return
        # spec S-TLS-8
        # RFC 5630 §5.1.2 has 480 for who cannot be reached by SIPS
        if inbound.is_secure:
            why = "TLS to the recipient is not promised: use a sip: address"
            inbound.answer(Outcome(status=480, code=-200, event="sips-not-allowed", warning=why))
            return
        if len(self._waiting) >= _MAX_WAITING:
            inbound.answer(try_later())
            return
        self._serial += 1
        dispatch = self._copies.of_relay(inbound)
        dispatch.context = {"relay": str(self._serial)}
        self._waiting[self._serial] = inbound
        self._outbox.release(self._outbox.job([dispatch], is_durable=False))

    # spec S-RELAY-1
    def settled(self, dispatch: Dispatch, _recipient: Aor, status: int) -> None:
        """The delivery engine has the recipient's final status."""
        inbound = self._waiting.pop(int(dispatch.context["relay"]), None)
        # spec S-RELAY-2
        if inbound is not None:  # of a 408 nothing reaches the sender: the stack keeps it back
            inbound.answer(Outcome(status=status, code=1 if status < 300 else -200))
