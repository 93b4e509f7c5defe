"""Messages to a list of recipients, for ad-hoc groups (RFC 5365), to those who have agreed (RFC 5363 §5.2).

Invariants

- Nothing is sent to anybody unless everybody on the list shares a room with the sender: to be in a room together is the
  agreement, and to leave takes it back.
- Recipients are bounded, and each counts as a request of the sender's. 202 when the copies are on disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from imc.aor import Aor
from imc.delivery.job import Dispatch
from imc.errors import BadMessage, ImcError, Overloaded, StoreUnavailable
from imc.service.copies import Copies, media_type
from imc.service.inbound import Inbound, Outcome
from imc.service.outbox import Outbox
from imc.service.outcomes import failed, try_later
from imc.service.recipient_list import ListMessage, compose, read_list_message
from imc.sip.ids import Ids
from imc.store.writer import Writer

_MAX_GATHERING = 200  # messages whose recipients are being looked up


class Lists:
    """``rooms_of`` reads in which rooms somebody is, ``may_send`` takes one request of a user from what they may make,
    ``can_carry`` says whether a large copy can be sent; ``limit`` is of recipients, and 0 turns it off."""

    def __init__(
        self,
        *,
        limit: Callable[[], int],
        copies: Copies,
        outbox: Outbox,
        writer: Writer,
        ids: Ids,
        rooms_of: Callable[[Aor], Awaitable[frozenset[Aor]]],
        may_send: Callable[[Aor], bool],
        can_carry: Callable[[Dispatch], Awaitable[bool]],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._limit = limit
        self._copies = copies
        self._outbox = outbox
        self._writer = writer
        self._ids = ids
        self._rooms_of = rooms_of
        self._may_send = may_send
        self._can_carry = can_carry
        self._spawn = spawn
        self._gathering = 0

    @property
    def is_on(self) -> bool:
        return self._limit() > 0

    # spec S-LIST-1
    def handle(self, inbound: Inbound) -> None:
        """A MESSAGE to the manager that requires this."""
        try:
            message = read_list_message(media_type(inbound), inbound.body, self._limit())
        except BadMessage as error:
            inbound.answer(Outcome(status=error.status, code=-1, event="bad-list", warning=error.reason))
            return
        # spec S-LIST-3
        if self._gathering >= _MAX_GATHERING or not all(self._may_send(inbound.sender) for _ in message.entries[1:]):
            inbound.answer(try_later())
            return
        self._gathering += 1
        self._spawn(lambda: self._send(inbound, message))

    async def _send(self, inbound: Inbound, message: ListMessage) -> None:
        try:
            missing = await self._without_consent(inbound.sender, message)
            if missing:
                words = "not all recipients are in a room with you"
                headers = (("Permission-Missing", ", ".join(f"<{user}>" for user in missing)),)
                inbound.answer(Outcome(status=470, code=-1, event="consent-needed", warning=words, headers=headers))
                return
            content_type, body = compose(message, self._ids.tag())
            recipients = tuple(entry.user for entry in message.entries)
            copy = self._copies.of_list(inbound, recipients, content_type, body)
            if self._copies.is_large(copy) and not await self._can_carry(copy):
                words = "too long for one of the recipients: their program takes datagrams only"
                inbound.answer(Outcome(status=413, code=-1, event="text-too-long", warning=words))
                return
            self._commit(inbound, copy)
        except ImcError as error:
            inbound.answer(failed(error))
        finally:
            self._gathering -= 1

    # spec S-LIST-2
    async def _without_consent(self, sender: Aor, message: ListMessage) -> list[Aor]:
        mine = await self._rooms_of(sender)
        others = [entry.user for entry in message.entries if entry.user != sender]
        return [user for user in others if not mine & await self._rooms_of(user)]

    def _commit(self, inbound: Inbound, copy: Dispatch) -> None:
        job = self._outbox.job([copy], is_durable=True)
        assert job is not None  # a list is not empty

        def committed(error: Exception | None) -> None:
            if error is None:
                inbound.answer(Outcome(status=202))
                self._outbox.release(job)
            else:
                self._outbox.withdraw(job)
                inbound.answer(failed(error))

        self._outbox.flush()
        try:
            self._writer.submit([self._outbox.put(job)], committed)
        except (Overloaded, StoreUnavailable) as error:
            self._outbox.withdraw(job)
            inbound.answer(failed(error))
