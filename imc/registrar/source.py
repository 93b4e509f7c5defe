"""A REGISTER and where it came from: what that says of its contacts, and of the way to them.

Where a binding is reached. A client behind a NAT registers an address that only its own network knows. A REGISTER that
came straight from the client (one Via, no Path) shows where it really is, and requests go there: over the connection
it came by, or for UDP to its source address, from the socket it came to. That is done where the contact's host is an
IP address other than the source's, or ends in ``.invalid`` (RFC 7118 §5), or where the client asked for rport and its
port was changed on the way. It also keeps users from having a room's traffic sent to strangers. A second contact at
the same host, and one given by name, is reached at its own address.

A client that speaks RFC 5626 says so, and names itself (+sip.instance) and the flow (reg-id): then the way is the flow
alone, and a later registration of the same instance and reg-id takes the place of the former, whatever its contact.
"""

from __future__ import annotations

from dataclasses import dataclass

from imc.aor import Aor
from imc.errors import BadMessage
from imc.registrar.bindings import WEB_TRANSPORTS, Binding
from imc.sip.flow import Flow
from imc.sip.grammar import parse_digits
from imc.sip.headers import NameAddr, Warn, parse_name_addr
from imc.sip.hosts import ip_of
from imc.sip.message import Request
from imc.sip.uas import reason_phrase
from imc.sip.uri import SipUri

DEFAULT_PORT, TLS_PORT = 5060, 5061
_OVER_TLS = frozenset({"tls", "wss"})
_MAX_REG_ID = 2**31 - 1  # RFC 5626 §4.2


class Refused(Exception):
    """The REGISTER is refused, by this answer."""

    def __init__(self, status: int, reason: str | None = None, *headers: tuple[str, str], why: str | None = None):
        super().__init__(why or reason or reason_phrase(status))
        self.status = status
        self.reason = reason or reason_phrase(status)
        self.headers = headers if why is None else (*headers, ("Warning", str(Warn(399, "imc", why))))


@dataclass(frozen=True, slots=True)
class Wanted:
    """One Contact value: ``expires`` seconds from now, 0 to be removed. ``reg_id`` is 0 without RFC 5626."""

    uri: SipUri
    expires: int
    q: int
    instance: str
    reg_id: int = 0

    # spec S-REG-6
    # spec S-OUT-2
    def is_same(self, binding: Binding) -> bool:
        """Whether this takes the place of a binding."""
        if self.reg_id and binding.reg_id:
            return (self.instance, self.reg_id) == (binding.instance, binding.reg_id)
        return self.uri.matches(binding.uri) and (not binding.reg_id or binding.instance == self.instance)


def reg_id_of(value: NameAddr) -> int:
    """The reg-id of a contact, 0 where it has none, or no instance that it could be of (RFC 5626 §6). BadMessage."""
    text = value.param("reg-id")
    if text is None or not value.param("+sip.instance"):
        return 0
    number = parse_digits(text, "reg-id", _MAX_REG_ID)
    if number == 0:
        raise BadMessage("Bad reg-id")
    return number


def plain(text: str | None, length: int) -> str:
    """What can be stored and shown of a text that is for information only."""
    return "" if text is None else "".join(char for char in text if " " <= char <= "~")[:length]


@dataclass(frozen=True, slots=True)
class Source:
    """One REGISTER, and where it came from. See the head of this module."""

    request: Request
    aor: Aor
    flow: Flow
    wall: float
    paths: tuple[str, ...]

    @property
    def is_direct(self) -> bool:
        """Whether it came from the client itself."""
        return not self.paths and len(self.request.vias) == 1

    @property
    def speaks_outbound(self) -> bool:
        request = self.request
        return any("outbound" in request.tokens(name) for name in ("Supported", "Require"))

    @property
    def is_outbound(self) -> bool:
        """Whether RFC 5626 applies: the client speaks it, and so does the first proxy, where there is one."""
        if not self.speaks_outbound:
            return False
        if self.is_direct:
            return True
        # RFC 5626 §6: the last Path value is that of the proxy next to the client
        first = parse_name_addr(self.paths[-1]).uri if self.paths else None
        return isinstance(first, SipUri) and first.param("ob") is not None

    # spec S-TLS-6
    def check_transport(self, contact: SipUri) -> None:
        """What can only be reached by a transport is registered by it."""
        if contact.transport in WEB_TRANSPORTS and self.is_direct and self.flow.transport not in WEB_TRANSPORTS:
            raise Refused(400, why="a contact over WebSocket is registered over WebSocket")
        if not contact.is_secure:
            return
        # RFC 5630 §5.2: a binding is secure on all of its way, or it is none
        uri = self.request.request_uri
        way = [value.uri for value in self.request.contacts] + [parse_name_addr(path).uri for path in self.paths]
        if not all(isinstance(each, SipUri) and each.is_secure for each in (uri, *way)):
            raise Refused(400, why="with a sips contact, Request-URI, all contacts and Path must be sips")
        if self.flow.transport not in _OVER_TLS:
            raise Refused(400, why="a sips contact is registered over TLS")

    def bind(self, contact: Wanted, *, is_alone: bool) -> Binding:
        flow, received = self.find(contact.uri, is_alone=is_alone)
        if contact.reg_id and self.is_direct:
            flow = self.flow
        return Binding(
            aor=self.aor,
            contact=str(contact.uri),
            q=contact.q,
            expires_wall=self.wall + contact.expires,
            call_id=self.request.call_id,
            cseq=self.request.cseq.number,
            path=self.paths,
            received=received,
            flow=flow,
            instance=contact.instance,
            reg_id=contact.reg_id,
            user_agent=plain(self.request.headers.get("User-Agent"), 255),
            registered_wall=self.wall,
        )

    def find(self, contact: SipUri, *, is_alone: bool) -> tuple[Flow | None, str]:
        """The flow to keep for a contact, and the URI to use in place of the contact's own address ("" for none)."""
        flow, vias = self.flow, self.request.vias
        if not self.is_direct or not _is_by(contact, flow.transport):
            return None, ""
        is_elsewhere = self._is_elsewhere(contact)
        # spec S-HOP-6
        if flow.is_reliable:
            # One connection is one client: a further contact at the same host is another client, for which it speaks.
            is_own = (contact.host, contact.port) == (vias[0].host, vias[0].port)
            return (flow if is_alone or is_elsewhere or is_own else None), ""
        host, port = flow.remote
        if is_elsewhere:
            return flow, f"sip:[{host}]:{port}" if ":" in host else f"sip:{host}:{port}"
        is_here = ip_of(contact.host) == ip_of(host) and (contact.port or DEFAULT_PORT) == port
        return (flow if is_here else None), ""

    # spec S-HOP-5
    def _is_elsewhere(self, contact: SipUri) -> bool:
        """Whether the source of the request tells better than the contact where the client is."""
        host = contact.maddr or contact.host
        if host.endswith(".invalid"):
            return True
        address, source = ip_of(host), ip_of(self.flow.remote[0])
        if address is None or source is None:
            return False
        if address != source:
            return not (address.is_loopback and source.is_loopback)
        # The port was changed on the way (RFC 3581 §4), and the contact has the port from before.
        via = self.request.via
        port = via.port or (TLS_PORT if self.flow.transport == "tls" else DEFAULT_PORT)
        was_changed = via.rport is not None and port != self.flow.remote[1]
        return was_changed and (contact.port or DEFAULT_PORT) == port


def _is_by(contact: SipUri, transport: str) -> bool:
    """Whether a contact is for the transport that it was registered by.

    Over TLS the parameter names what is below it, or above: tcp in a sips URI (RFC 3261 §26.2.2), ws for wss as well
    (RFC 7118 §5.2).
    """
    wanted = contact.transport
    if wanted is None or wanted == transport:
        return True
    return (transport == "wss" and wanted == "ws") or (transport == "tls" and wanted == "tcp" and contact.is_secure)
