"""User agents behind a proxy that we are ourselves: what a server sends to anybody comes to one address, and here is
handed to whom the Request-URI names. What they send has their address in P-Asserted-Identity (RFC 3325).

They register nowhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import trio

from conformance.agent.client import SipClient
from conformance.agent.wire import Send, Wire
from conformance.suite.matching import bare
from imc.errors import BadMessage
from imc.sip.message import Request, Response, parse_message
from imc.sip.uas import build_response

Address = tuple[str, int]


class ProxiedClient(SipClient):
    """A user behind an `OutboundProxy`; over TCP it has a connection of its own to send by."""

    def build(
        self,
        method: str,
        uri: str,
        *,
        to: str | None = None,
        from_: str | None = None,
        call_id: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Request:
        """As any user's, and vouched for, unless it claims to be somebody else."""
        vouched = [("P-Asserted-Identity", f"<{self.address}>")] if from_ is None else []
        return super().build(method, uri, to=to, from_=from_, call_id=call_id, headers=[*headers, *vouched], body=body)

    def share(self, wire: Wire) -> None:
        """Send by this wire, which is others' too."""
        self._wire = wire

    def waits_for(self, response: Response) -> bool:
        return response.via.branch in self._pending

    def take(self, data: bytes, reply: Send, source: str) -> None:
        """What came for it."""
        self._take(data, reply, source)


class OutboundProxy:
    """One port, of UDP and TCP, for all users: `open` it, then `client` makes them."""

    def __init__(self, server: Address) -> None:
        self.wire = Wire(server, "udp", self._take, lambda: None)
        self._server = server
        self._clients: dict[str, ProxiedClient] = {}

    async def open(self, nursery: trio.Nursery, address: Address) -> None:
        """Listen there; port 0 is any. OSError."""
        ip, port = address
        await nursery.start(self.wire.serve, ip, True, port)

    def client(self, address: str) -> ProxiedClient:
        """A user agent of this address (user@host), from now on in place of an earlier one."""
        client = ProxiedClient(f"sip:{address}", self._server, password=None, transport="udp")
        client.share(self.wire)
        self.adopt(client)
        return client

    def adopt(self, client: ProxiedClient) -> None:
        """Hand it what comes for its address, by whatever way it sends."""
        self._clients[bare(client.address)] = client

    def _take(self, data: bytes, reply: Send, source: str) -> None:
        try:
            message = parse_message(data, is_datagram=source == "udp")
        except BadMessage:
            return  # it comes to nobody: whoever waits for it says so
        if isinstance(message, Response):
            for client in self._clients.values():
                if client.waits_for(message):
                    client.take(data, reply, source)
                    return
        else:
            found = self._clients.get(bare(message.uri))
            if found is not None:
                found.take(data, reply, source)
            elif message.method != "ACK":
                reply(build_response(message, 404, to_tag=secrets.token_hex(4)).render())
