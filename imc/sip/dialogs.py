"""Dialogs that a SUBSCRIBE makes, as the notifier keeps them (RFC 3261 §12, RFC 6665 §4.4.1).

Invariants

- A dialog is named by Call-ID, our tag and the subscriber's; none of them ever changes, nor does the route set.
- The CSeq of what we send grows by one with each request that was sent; that of what comes must grow (§12.2.2).
- The subscriber's addresses and names are sent back as text, just as they came.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from imc.errors import BadMessage
from imc.sip.headers import NameAddr
from imc.sip.hosts import ip_of
from imc.sip.message import Request
from imc.sip.uri import SipUri

_MAX_LENGTH = 4_096  # bytes of what is kept of a request: its addresses and its route set


class DialogId(NamedTuple):
    call_id: str
    local_tag: str
    remote_tag: str


@dataclass(slots=True, kw_only=True)
class Dialog:
    """``local`` and ``remote`` are whole values of From and To of what we send; ``target`` is the remote target."""

    id: DialogId
    local: str
    remote: str
    target: SipUri
    routes: tuple[NameAddr, ...]
    remote_cseq: int
    local_cseq: int = 0

    @classmethod
    def begin(cls, request: Request, local_tag: str) -> Dialog:
        """The dialog of a request that is answered with 2xx and this tag (§12.1.1). BadMessage."""
        remote_tag = request.from_.tag
        if remote_tag is None:
            raise BadMessage("From has no tag")
        routes = tuple(request.record_routes)  # §12.1.1: for a UAS in the order in which they stand
        local, remote = request.headers.get("To") or "", request.headers.get("From") or ""
        if not all(isinstance(route.uri, SipUri) for route in routes):
            raise BadMessage("Record-Route must be SIP URIs")
        if len(local) + len(remote) + len(request.call_id) + sum(len(str(route)) for route in routes) > _MAX_LENGTH:
            raise BadMessage("Too much to remember")
        return cls(
            id=DialogId(request.call_id, local_tag, remote_tag),
            local=f"{local};tag={local_tag}",
            remote=remote,
            target=read_target(request),
            routes=routes,
            remote_cseq=request.cseq.number,
        )

    def follow(self, request: Request) -> bool:
        """Let a later request take its effect: its CSeq, its Contact (§12.2.2). False where it is out of order.

        BadMessage, and nothing changes, where its Contact is bad.
        """
        target = read_target(request) if "Contact" in request.headers else self.target
        if request.cseq.number <= self.remote_cseq:
            return False
        self.remote_cseq = request.cseq.number
        self.target = target
        return True

    @property
    def next_hop(self) -> str:
        """The URI that a request is sent to (§12.2.1.1, §8.1.2)."""
        return str(self.routes[0].uri if self.routes else self.target)

    def request(
        self, method: str, headers: Iterable[tuple[str, str]], body: bytes, *, sent_by: str
    ) -> tuple[str, bytes]:
        """The next request in this dialog: its Request-URI, and all that follows the branch of its Via.

        ``sent_by`` is host[:port] of ours, and may have URI parameters behind it: it becomes our Contact.
        """
        uri: object = self.target
        routes = [str(route) for route in self.routes]
        first = self.routes[0].uri if self.routes else None
        if isinstance(first, SipUri) and not first.is_lr:  # §12.2.1.1: a strict router
            uri = first
            routes = [*routes[1:], f"<{self.target}>"]
        lines = [
            "",
            *(f"Route: {route}" for route in routes),
            "Max-Forwards: 70",
            f"From: {self.local}",
            f"To: {self.remote}",
            f"Call-ID: {self.id.call_id}",
            f"CSeq: {self.local_cseq + 1} {method}",
            f"Contact: <sip:{sent_by}>",
            *(f"{name}: {value}" for name, value in headers),
            f"Content-Length: {len(body)}",
            "\r\n",
        ]
        return str(uri), "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


# spec S-EVT-8
def read_target(request: Request) -> SipUri:
    """The Contact of a request that makes a dialog: one SIP URI of one host (§12.1.1). BadMessage."""
    contacts = request.contacts
    if len(contacts) != 1:
        raise BadMessage("There must be one Contact")
    uri = contacts[0].uri
    if not isinstance(uri, SipUri):
        raise BadMessage("Contact must be a SIP URI")
    address = ip_of(uri.maddr or uri.host)
    if address is not None and (address.is_multicast or str(address) == "255.255.255.255"):
        raise BadMessage("Contact must be one host", status=403)
    # RFC 3261 §19.1.1, table 1: neither "method" nor headers may stand in a Request-URI.
    params = tuple((name, value) for name, value in uri.params if name.lower() != "method")
    return SipUri(uri.scheme, uri.user, uri.password, uri.host, uri.port, params)
