"""A user: an ear, which is registered and hears, and a voice, which speaks. Often they are one SIP user agent.

Invariant: what the ear answers with 200 is in the ledger, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from conformance.agent.client import NoAnswer, SipClient
from imc.sip.message import Request
from tests.soak.ledger import Ledger, Record
from tests.soak.relay import Address, UdpRelay

DOMAIN = "example.com"
_CONNECT_AGAIN = 0.05
_CONNECT_WITHIN = 60.0


class Person:
    """User ``number`` of the daemon at ``server``; made by `open`.

    ``reached_at``: where its contact says that it is reached over TCP, should that be elsewhere. ``refusal``: the
    status for what comes, with ``answer_headers`` of the ear; None where it is taken.
    """

    def __init__(self, nursery: trio.Nursery, number: int, server: Address, ledger: Ledger) -> None:
        self.nursery = nursery
        self.number = number
        self.server = server
        self.ledger = ledger
        self.relay: UdpRelay | None = None
        self.reached_at: Address | None = None
        self.refusal: int | None = None
        self.refused = 0
        self.ear: SipClient
        self.voice: SipClient

    @classmethod
    async def open(
        cls,
        nursery: trio.Nursery,
        number: int,
        server: Address,
        ledger: Ledger,
        *,
        ear: str = "udp",
        voice: str | None = None,
        relay: UdpRelay | None = None,
        via: Address | None = None,
    ) -> Person:
        """``ear`` and ``voice`` are transports; without one for the voice the ear speaks. It is registered.

        With a ``relay``, over UDP, all goes by it. ``via`` is what stands for the server before the ear alone.
        """
        person = cls(nursery, number, via or server, ledger)
        if relay is not None:
            person.relay = relay
            await nursery.start(relay.run)
        person.ear = await person._client(ear)
        person.ear.answer = person._judge
        person.server = server
        person.voice = person.ear if voice is None else await person._client(voice)
        response = await person.register()
        assert response == 200, (number, response)
        return person

    async def _client(self, transport: str) -> SipClient:
        server = self.relay.near if self.relay is not None else self.server
        return await SipClient.open(
            self.nursery, self.address, server, transport=transport, takes_tcp=transport == "udp" and self.relay is None
        )

    @property
    def address(self) -> str:
        return f"sip:user{self.number}@{DOMAIN}"

    @property
    def contact(self) -> str:
        """Where the ear is reached: at the relay, where there is one."""
        if self.reached_at is not None:
            return f"sip:user{self.number}@{self.reached_at[0]}:{self.reached_at[1]};transport=tcp"
        if self.relay is None:
            return self.ear.contact
        return f"sip:user{self.number}@{self.relay.far[0]}:{self.relay.far[1]}"

    # Hearing

    def _judge(self, request: Request) -> int:
        if self.refusal is not None:
            self.refused += 1
            return self.refusal
        self.ledger.arrive(self.number, request)
        return 200

    async def register(self, *, expires: int = 3600, gone: str | None = None) -> int:
        """REGISTER the ear; the status. ``gone`` is a contact that it had before, and takes out."""
        contacts = f"<{self.contact}>" + (f", <{gone}>;expires=0" if gone is not None else "")
        return (await self.ear.register(expires=expires, contact=contacts)).status

    async def reconnect(self, via: Address | None = None) -> int:
        """A new ear over TCP in place of the old one, which is closed without a word; the status of its REGISTER.

        ``via``: see `open`.
        """
        old, gone = self.ear, self.contact
        server, self.server = self.server, via or self.server
        new = await self._connected("tcp")
        self.server = server
        new.answer = self._judge
        self.ear = new
        if self.voice is old:
            self.voice = new
        status = await self.register(gone=gone)
        old.close()
        return status

    async def _connected(self, transport: str) -> SipClient:
        """A new user agent, as soon as the server takes connections."""
        with trio.fail_after(_CONNECT_WITHIN):
            while True:
                try:
                    return await self._client(transport)
                except* OSError:
                    pass
                await trio.sleep(_CONNECT_AGAIN)

    def forget(self) -> None:
        """See `SipClient.forget`."""
        self.ear.forget()
        if self.voice is not self.ear:
            self.voice.forget()

    # Speaking

    async def say(self, record: Record, room: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> int:
        """A MESSAGE to the room that is called so; its final status, which the ledger has then. 0: none came."""
        status = 0
        try:
            if not self.voice.is_connected and self.voice is not self.ear:
                self.voice = await self._connected(self.voice.transport)
            response = await self.voice.request(
                "MESSAGE",
                f"sip:{room}@{DOMAIN}",
                call_id=self.ledger.call_id(record),
                headers=[("Content-Type", "text/plain"), *headers],
                body=body,
            )
            status = response.status
        except NoAnswer:
            pass
        self.ledger.answer(record, status)
        return status

    def nudge(self) -> None:
        """Send again what waits for an answer, as its timer could have done at this moment."""
        waiting = self.voice.last
        if waiting is not None and self.voice.transport == "udp" and self.voice.is_waiting(waiting):
            self.voice.send_raw(waiting.render())
