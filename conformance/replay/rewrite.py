"""A recorded message made new: what a client sends in its place.

Everything that belongs to the old conversation is replaced: Via, branch, tags, Call-ID, CSeq, Contact, routes,
addresses, credentials. All other headers, and bodies, stay but for names.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.replay.rename import Renaming
from conformance.replay.script import Agent, Exchange, Incoming
from imc.errors import BadMessage
from imc.sip.digest import authorize, choose_challenge
from imc.sip.headers import CSeq
from imc.sip.message import Headers, Request, Response
from imc.sip.uas import build_response
from imc.sip.uri import SipUri

CHALLENGES = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
_CREDENTIALS = ("Authorization", "Proxy-Authorization")
_MADE_ANEW = frozenset(("Via", "From", "To", "Call-ID", "CSeq", *_CREDENTIALS))
_OF_TRANSACTION = frozenset(("Via", "From", "To", "Call-ID", "CSeq", "Record-Route"))


@dataclass(slots=True)
class _Challenge:
    """``count`` requests were sent with its nonce."""

    text: str
    count: int = 0


@dataclass(slots=True)
class Rewriter:
    """``passwords`` by ``user@host`` or user part, as they are called now. ``transport`` is that of all requests, None
    for the recorded one."""

    renaming: Renaming
    passwords: Mapping[str, str] = field(default_factory=dict)
    transport: str | None = None
    _cseqs: dict[str, int] = field(default_factory=dict)
    _challenges: dict[tuple[str, str], _Challenge] = field(default_factory=dict)

    def transport_of(self, exchange: Exchange) -> str:
        return self.transport or exchange.recorded.transport

    def request(self, exchange: Exchange) -> Request:
        """The request of an exchange, the first time or again with what was learnt of challenges."""
        old, agent = exchange.request, exchange.agent
        rename = self.renaming
        transport = self.transport_of(exchange)
        call_id = rename.call_id(old.call_id)
        number = max(old.cseq.number, self._cseqs.get(call_id, 0) + 1)
        self._cseqs[call_id] = number
        via = f"SIP/2.0/{transport.upper()} {rename.live[agent]};branch=z9hG4bK{secrets.token_hex(8)};rport"
        headers = Headers([("Via", via), *(("Via", rename.uris(value)) for value in _lower_vias(old))])
        headers.add("From", self._address(old, "From", agent))
        headers.add("To", self._address(old, "To", agent))
        headers.add("Call-ID", call_id)
        headers.add("CSeq", str(CSeq(number, old.method)))
        for name, value in old.headers.items():
            if name == "Contact":
                headers.add(name, self._contact(value, agent))
            elif name in ("In-Reply-To", "References"):
                headers.add(name, rename.known_call_id(value))
            elif name not in _MADE_ANEW:
                headers.add(name, rename.uris(value, agent))
        request = Request(old.method, rename.uris(old.uri, agent), headers, rename.body(old.body))
        self._add_credentials(exchange, request)
        return request

    def learn(self, exchange: Exchange, response: Response) -> bool:
        """Take a challenge. Whether the request is to be sent again with an answer to it."""
        if response.status not in CHALLENGES or exchange.credentials == "none" or self._login(exchange) is None:
            return False
        asks, answers = CHALLENGES[response.status]
        text = choose_challenge(response.headers.all(asks))
        if text is None:
            return False
        self._challenges[self._user(exchange), answers] = _Challenge(text)
        return True

    def response(self, incoming: Incoming, request: Request) -> Response | None:
        """What the client said to what stands for ``request`` now; None for silence."""
        answer = incoming.answer
        if answer is None:
            return None if incoming.is_silent else answer_ok(request)
        headers = [
            (name, self.renaming.uris(value, incoming.agent))
            for name, value in answer.headers.items()
            if name not in _OF_TRANSACTION
        ]
        tag = self.renaming.tag(answer.to.tag or "")
        body = self.renaming.body(answer.body)
        return build_response(request, answer.status, answer.reason, to_tag=tag, headers=headers, body=body)

    def _address(self, old: Request, name: str, agent: Agent) -> str:
        address = old.from_ if name == "From" else old.to
        new = self.renaming.uris(str(address._replace(params=())), agent)
        params = address.params
        if address.tag is not None:
            params = address.with_param("tag", self.renaming.tag(address.tag)).params
        return new + "".join(f";{key}" if value is None else f";{key}={value}" for key, value in params)

    def _contact(self, value: str, agent: Agent) -> str:
        value = self.renaming.uris(value, agent)
        if self.transport == "udp":
            return value.replace(";transport=tcp", "")
        return value

    def _user(self, exchange: Exchange) -> str:
        uri = exchange.request.from_.uri
        return self.renaming.address(f"{uri.user}@{uri.host}") if isinstance(uri, SipUri) and uri.user else ""

    def _login(self, exchange: Exchange) -> tuple[str, str] | None:
        """User name and password."""
        address = self._user(exchange)
        name = address.partition("@")[0]
        password = self.passwords.get(address, self.passwords.get(name))
        if password is None:
            return None
        return name, password + " is wrong" if exchange.credentials == "wrong" else password

    def _add_credentials(self, exchange: Exchange, request: Request) -> None:
        login = self._login(exchange)
        if login is None or exchange.credentials == "none":
            return
        for name in _CREDENTIALS:
            challenge = self._challenges.get((self._user(exchange), name))
            if challenge is None:
                continue
            challenge.count += 1
            try:
                value = authorize(
                    challenge.text,
                    request.method,
                    request.uri,
                    *login,
                    body=request.body,
                    nc=challenge.count,
                    cnonce=secrets.token_hex(8),
                )
            except BadMessage:
                continue
            request.headers.add(name, value)


def answer_ok(request: Request) -> Response:
    """200 to what nobody recorded."""
    return build_response(request, 200, to_tag=secrets.token_hex(8))


def _lower_vias(request: Request) -> list[str]:
    """The Vias below the topmost: those of a proxy that stands as a client here."""
    return [str(via) for via in request.vias[1:]]
