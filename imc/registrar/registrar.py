"""The registrar: what a REGISTER does to the bindings of a user (RFC 3261 §10.3).

Invariants

- `Registrar.process` decides and changes nothing. It is told who the sender is (step 3), and answers with a value: the
  response's status and headers, the user's bindings as they would be, and the rows to put and to delete. The caller
  commits the rows, then calls `Bindings.apply`, then answers; if the commit fails it answers 500 or 503, and nothing
  happened. All contacts of a request are bound, or none (step 7).
- `process` looks at what was applied. So of one address-of-record one REGISTER may be under way at a time, from
  `process` to the end of its commit: `imc.registrar.turns` gives them their turns, in order of arrival. Different
  users do not wait for each other.
- Bounds: contacts of a user (403), bindings in all (503), the length of what is stored (400).

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

import ipaddress
import math
from dataclasses import dataclass

from imc.aor import Aor
from imc.errors import BadMessage
from imc.registrar.bindings import WEB_TRANSPORTS, Binding, Bindings, best_first
from imc.sip.flow import Flow
from imc.sip.grammar import parse_digits
from imc.sip.headers import NameAddr, Warn, parse_name_addr, render_date
from imc.sip.hosts import ip_of
from imc.sip.message import Request
from imc.sip.uas import reason_phrase
from imc.sip.uri import SipUri

_DEFAULT_PORT, _TLS_PORT = 5060, 5061
_OVER_TLS = frozenset({"tls", "wss"})
_MAX_REG_ID = 2**31 - 1  # RFC 5626 §4.2
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarOptions:
    """``own_hosts`` are further names of this server that a Request-URI may carry in place of a domain.

    ``own_addresses`` are the (host, port) pairs it listens on: a contact there would make a loop. Intervals are in
    seconds; ``min_expires`` at most an hour, since above that RFC 3261 §10.3 lets nobody be refused. ``flow_timer`` is
    within what time a client with RFC 5626 is asked to be heard of; 0: it is not asked.
    """

    domains: tuple[str, ...]
    own_hosts: frozenset[str] = frozenset()
    own_addresses: frozenset[tuple[str, int]] = frozenset()
    min_expires: int = 60
    max_expires: int = 7200
    default_expires: int = 3600
    max_contacts: int = 10
    max_bindings: int = 100_000
    max_contact_length: int = 512
    max_call_id_length: int = 255
    max_name_length: int = 64
    max_path_length: int = 1024
    flow_timer: int = 120
    contact_schemes: frozenset[str] = frozenset({"sip", "sips"})

    def __post_init__(self) -> None:
        if not 0 <= self.min_expires <= min(3600, self.max_expires):
            raise ValueError("min_expires must be at most 3600, and at most max_expires")
        if not self.min_expires <= self.default_expires <= self.max_expires:
            raise ValueError("default_expires must be between min_expires and max_expires")
        if self.max_contacts < 1 or self.max_bindings < 1:
            raise ValueError("max_contacts and max_bindings must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOutcome:
    """What a REGISTER leads to. ``deletes`` are contacts of the user, and go before ``puts``.

    For a refusal, and for a REGISTER that only asks, `is_change` is false and the bindings stay as they are.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    bindings_after: tuple[Binding, ...] = ()
    puts: tuple[Binding, ...] = ()
    deletes: tuple[str, ...] = ()

    @property
    def is_change(self) -> bool:
        return bool(self.puts or self.deletes)


class _Refused(Exception):
    def __init__(self, status: int, reason: str | None = None, *headers: tuple[str, str], why: str | None = None):
        super().__init__(why or reason or reason_phrase(status))
        self.status = status
        self.reason = reason or reason_phrase(status)
        self.headers = headers if why is None else (*headers, ("Warning", str(Warn(399, "imc", why))))

    def outcome(self) -> RegisterOutcome:
        return RegisterOutcome(status=self.status, reason=self.reason, headers=self.headers)


@dataclass(frozen=True, slots=True)
class _Wanted:
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


class Registrar:
    """Decides REGISTER requests over a table of bindings, which it only reads."""

    __slots__ = ("_bindings", "_options", "_own")

    def __init__(self, options: RegistrarOptions, bindings: Bindings) -> None:
        self._bindings = bindings
        self.reload(options)

    def reload(self, options: RegistrarOptions) -> None:
        """Go by these from now on. What is bound stays so."""
        self._options = options
        self._own = frozenset((ip_of(host) or host, port) for host, port in options.own_addresses)

    def process(self, request: Request, aor: Aor, flow: Flow, wall: float) -> RegisterOutcome:
        """Decide one REGISTER of the user ``aor``, who is known to be its sender.

        ``flow`` is where it came from, ``wall`` now in unix seconds. Extensions it requires were looked at by the
        endpoint's checks (step 2); "path" is the one that the registrar has.
        """
        before = self._bindings.lookup(aor, wall)
        try:
            self._check_domain(request)
            if request.to.sip_uri.aor != aor:  # step 4
                raise _Refused(403, why="only one's own address can be registered")
            if max(len(aor.user), len(aor.host)) > self._options.max_name_length:
                raise _Refused(400, why="the address is too long")
            source = _Source(request, aor, flow, wall, self._read_paths(request))
            self._check_outbound(source)
            after = _remove_all(request, before) if request.is_contact_star else self._update(source, before)
        except _Refused as refused:
            return refused.outcome()
        except BadMessage as error:
            return RegisterOutcome(status=400, reason=error.reason)
        kept = {binding.key for binding in after}
        return RegisterOutcome(
            status=200,
            reason=reason_phrase(200),
            headers=(*_answer_headers(request, after, wall), *self._outbound_headers(source)),
            bindings_after=after,
            puts=tuple(binding for binding in after if binding not in before),
            deletes=tuple(binding.key for binding in before if binding.key not in kept),
        )

    def check_domain(self, request: Request) -> RegisterOutcome | None:
        """The refusal of a REGISTER that is for other domains, whoever sent it: to be asked before authentication.

        It tells nothing of who has an account here.
        """
        try:
            self._check_domain(request)
        except _Refused as refused:
            return refused.outcome()
        return None

    # spec S-REG-1
    def _check_domain(self, request: Request) -> None:
        """RFC 3261 §10.3, steps 1 and 5."""
        domains = self._options.domains
        to = request.to.uri
        if not isinstance(to, SipUri):  # RFC 4475 §3.3.4
            raise _Refused(400, why="To must be a SIP or SIPS URI")
        if to.user is None:
            raise _Refused(404, why="To is not an address of this server")
        uri = request.request_uri
        host = uri.host if isinstance(uri, SipUri) else ""
        # An IP address that brought the request here is ours, though a NAT or a wildcard listener hides which it is.
        is_ours = ip_of(host) is not None or host in self._options.own_hosts
        if not is_ours and host not in domains:
            raise _Refused(404, why="not a domain of this server")
        if to.host not in domains or (not is_ours and host != to.host):
            raise _Refused(404, why="To is not of the domain in the Request-URI")

    # spec S-REG-8
    def _read_paths(self, request: Request) -> tuple[str, ...]:
        values = request.paths
        if not values:
            return ()
        # RFC 3327 §5.3: the recommended policy for a client that does not know the extension
        if "path" not in request.tokens("Supported"):
            raise _Refused(420, None, ("Unsupported", "path"), why="a proxy added Path, the client does not support it")
        if not all(isinstance(value.uri, SipUri) for value in values):
            raise _Refused(400, why="Path must be SIP URIs")
        paths = tuple(str(value._replace(display=None)) for value in values)
        whole = ", ".join(paths)
        if len(whole) > self._options.max_path_length or not whole.isascii():
            raise _Refused(400, why="Path is too long")
        return paths

    # spec S-OUT-1
    def _check_outbound(self, source: _Source) -> None:
        """RFC 5626 §6: what is wrong with the way that a client which uses it has come."""
        flows = [value for value in source.request.contacts if _reg_id(value)] if source.speaks_outbound else []
        if not flows:
            return
        if not source.is_outbound:
            raise _Refused(439, why="the first proxy on the way does not support outbound")
        if len(source.request.contacts) > 1:
            raise _Refused(400, why="a contact with reg-id must be the only one")

    def _outbound_headers(self, source: _Source) -> tuple[tuple[str, str], ...]:
        """RFC 5626 §6: that it was used, and how often to be heard of."""
        if not (source.is_outbound and any(_reg_id(value) for value in source.request.contacts)):
            return ()
        # spec S-OUT-5
        timer = self._options.flow_timer
        return (("Require", "outbound"), *((("Flow-Timer", str(timer)),) if timer and source.is_direct else ()))

    def _update(self, source: _Source, before: tuple[Binding, ...]) -> tuple[Binding, ...]:
        """RFC 3261 §10.3, step 7: the user's bindings after this request."""
        request, options = source.request, self._options
        wanted = [self._read_contact(source, value) for value in request.contacts]
        if wanted and len(request.call_id) > options.max_call_id_length:
            raise _Refused(400, why="Call-ID is too long")
        is_alone = sum(contact.expires > 0 for contact in wanted) == 1
        kept, added = list(before), list[Binding]()
        for contact in wanted:
            for binding in before:
                if contact.is_same(binding):
                    _check_order(request, binding)
            kept = [binding for binding in kept if not contact.is_same(binding)]
            # Of two values of one request that match each other, the later counts.
            added = [binding for binding in added if not contact.is_same(binding)]
            if contact.expires:
                added.append(source.bind(contact, is_alone=is_alone))
        after = kept + added
        # spec S-REG-10
        if added and len(after) > options.max_contacts:
            raise _Refused(403, why=f"at most {options.max_contacts} contacts for a user")
        growth = len(after) - len(before)
        if growth > 0 and len(self._bindings) + growth > options.max_bindings:
            raise _Refused(503, None, ("Retry-After", "60"), why="too many registrations")
        return best_first(after)

    def _read_contact(self, source: _Source, value: NameAddr) -> _Wanted:
        options, uri, request = self._options, value.uri, source.request
        if not isinstance(uri, SipUri) or uri.scheme not in options.contact_schemes:
            raise _Refused(400, "Unsupported Contact Scheme", why=f"a contact cannot be a {uri.scheme} URI here")
        if len(str(uri)) > options.max_contact_length:
            raise _Refused(400, why=f"a contact is longer than {options.max_contact_length} octets")
        self._check_target(uri)
        source.check_transport(uri)
        # spec S-REG-5
        expires = value.expires
        if expires is None:
            expires = request.expires
        if expires is None:
            expires = options.default_expires
        # "If and only if the requested expiration interval is greater than zero AND smaller than one hour AND less than
        # a registrar-configured minimum"
        if 0 < expires < options.min_expires:
            raise _Refused(423, None, ("Min-Expires", str(options.min_expires)))
        instance = _plain(value.param("+sip.instance"), 255)
        reg_id = _reg_id(value) if source.is_outbound else 0
        if reg_id and len(f"{uri} {reg_id} {instance}") > options.max_contact_length:
            raise _Refused(400, why=f"contact and instance are longer than {options.max_contact_length} octets")
        return _Wanted(uri, min(expires, options.max_expires), value.q, instance, reg_id)

    # spec S-REG-9
    def _check_target(self, uri: SipUri) -> None:
        """No contact that would bring a message back to this server, or to many hosts."""
        is_tls = uri.is_secure or uri.transport == "tls"
        host, port = uri.maddr or uri.host, uri.port or (_TLS_PORT if is_tls else _DEFAULT_PORT)
        address = ip_of(host)
        is_domain = address is None and uri.port is None and host in self._options.domains
        if is_domain or (address or host, port) in self._own:
            raise _Refused(403, why="a contact cannot be this server itself")
        if address is not None and (address.is_multicast or address == _BROADCAST):
            raise _Refused(403, why="a contact must be one host")


# spec S-REG-3
def _remove_all(request: Request, before: tuple[Binding, ...]) -> tuple[Binding, ...]:
    """RFC 3261 §10.3, step 6."""
    if request.expires != 0:
        raise _Refused(400, why="Contact: * needs Expires: 0")
    for binding in before:
        _check_order(request, binding)
    return ()


# spec S-REG-4
def _check_order(request: Request, binding: Binding) -> None:
    """RFC 3261 §10.3, steps 6 and 7: what a client sent earlier does not undo what it sent later."""
    if binding.call_id == request.call_id and request.cseq.number <= binding.cseq:
        # The RFC says that the request fails, not how.
        raise _Refused(400, "CSeq Out Of Order", why=f"CSeq must be higher than {binding.cseq}")


# spec S-REG-7
def _answer_headers(request: Request, after: tuple[Binding, ...], wall: float) -> tuple[tuple[str, str], ...]:
    """RFC 3261 §10.3, step 8, and RFC 3327 §5.3: the Path of the request goes back in a 2xx."""
    headers = [("Contact", _render_contact(binding, wall)) for binding in after]
    headers.append(("Date", render_date(wall)))
    headers += [("Path", line) for line in request.headers.all("Path")]
    return tuple(headers)


def _render_contact(binding: Binding, wall: float) -> str:
    value = NameAddr(None, binding.uri)
    value = value.with_param("expires", str(max(1, math.ceil(binding.expires_wall - wall))))
    if binding.q != 1000:
        value = value.with_param("q", f"{binding.q / 1000:.3f}".rstrip("0").rstrip("."))
    if binding.instance:
        value = value.with_param("+sip.instance", binding.instance)
    if binding.reg_id:
        value = value.with_param("reg-id", str(binding.reg_id))
    return str(value)


def _reg_id(value: NameAddr) -> int:
    """The reg-id of a contact, 0 where it has none, or no instance that it could be of (RFC 5626 §6). BadMessage."""
    text = value.param("reg-id")
    if text is None or not value.param("+sip.instance"):
        return 0
    number = parse_digits(text, "reg-id", _MAX_REG_ID)
    if number == 0:
        raise BadMessage("Bad reg-id")
    return number


def _plain(text: str | None, length: int) -> str:
    """What can be stored and shown of a text that is for information only."""
    return "" if text is None else "".join(char for char in text if " " <= char <= "~")[:length]


@dataclass(frozen=True, slots=True)
class _Source:
    """One REGISTER, and where it came from. See the head of this module for what that says of a contact."""

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
            raise _Refused(400, why="a contact over WebSocket is registered over WebSocket")
        if not contact.is_secure:
            return
        # RFC 5630 §5.2: a binding is secure on all of its way, or it is none
        uri = self.request.request_uri
        way = [value.uri for value in self.request.contacts] + [parse_name_addr(path).uri for path in self.paths]
        if not all(isinstance(each, SipUri) and each.is_secure for each in (uri, *way)):
            raise _Refused(400, why="with a sips contact, Request-URI, all contacts and Path must be sips")
        if self.flow.transport not in _OVER_TLS:
            raise _Refused(400, why="a sips contact is registered over TLS")

    def bind(self, contact: _Wanted, *, is_alone: bool) -> Binding:
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
            user_agent=_plain(self.request.headers.get("User-Agent"), 255),
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
        is_here = ip_of(contact.host) == ip_of(host) and (contact.port or _DEFAULT_PORT) == port
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
        port = via.port or (_TLS_PORT if self.flow.transport == "tls" else _DEFAULT_PORT)
        was_changed = via.rport is not None and port != self.flow.remote[1]
        return was_changed and (contact.port or _DEFAULT_PORT) == port


def _is_by(contact: SipUri, transport: str) -> bool:
    """Whether a contact is for the transport that it was registered by.

    Over TLS the parameter names what is below it, or above: tcp in a sips URI (RFC 3261 §26.2.2), ws for wss as well
    (RFC 7118 §5.2).
    """
    wanted = contact.transport
    if wanted is None or wanted == transport:
        return True
    return (transport == "wss" and wanted == "ws") or (transport == "tls" and wanted == "tcp" and contact.is_secure)
