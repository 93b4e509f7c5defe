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

Where a binding is reached is `imc.registrar.source`'s to say.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass

from imc.aor import Aor
from imc.errors import BadMessage
from imc.registrar.bindings import Binding, Bindings, best_first
from imc.registrar.source import DEFAULT_PORT, TLS_PORT, Refused, Source, Wanted, plain, reg_id_of
from imc.sip.flow import Flow
from imc.sip.headers import NameAddr, render_date
from imc.sip.hosts import ip_of
from imc.sip.message import Request
from imc.sip.uas import reason_phrase
from imc.sip.uri import SipUri

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
                raise Refused(403, why="only one's own address can be registered")
            if max(len(aor.user), len(aor.host)) > self._options.max_name_length:
                raise Refused(400, why="the address is too long")
            source = Source(request, aor, flow, wall, self._read_paths(request))
            self._check_outbound(source)
            after = _remove_all(request, before) if request.is_contact_star else self._update(source, before)
        except Refused as refused:
            return _refusal(refused)
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
        except Refused as refused:
            return _refusal(refused)
        return None

    # spec S-REG-1
    def _check_domain(self, request: Request) -> None:
        """RFC 3261 §10.3, steps 1 and 5."""
        domains = self._options.domains
        to = request.to.uri
        if not isinstance(to, SipUri):  # RFC 4475 §3.3.4
            raise Refused(400, why="To must be a SIP or SIPS URI")
        if to.user is None:
            raise Refused(404, why="To is not an address of this server")
        uri = request.request_uri
        host = uri.host if isinstance(uri, SipUri) else ""
        # An IP address that brought the request here is ours, though a NAT or a wildcard listener hides which it is.
        is_ours = ip_of(host) is not None or host in self._options.own_hosts
        if not is_ours and host not in domains:
            raise Refused(404, why="not a domain of this server")
        if to.host not in domains or (not is_ours and host != to.host):
            raise Refused(404, why="To is not of the domain in the Request-URI")

    # spec S-REG-8
    def _read_paths(self, request: Request) -> tuple[str, ...]:
        values = request.paths
        if not values:
            return ()
        # RFC 3327 §5.3: the recommended policy for a client that does not know the extension
        if "path" not in request.tokens("Supported"):
            raise Refused(420, None, ("Unsupported", "path"), why="a proxy added Path, the client does not support it")
        if not all(isinstance(value.uri, SipUri) for value in values):
            raise Refused(400, why="Path must be SIP URIs")
        paths = tuple(str(value._replace(display=None)) for value in values)
        whole = ", ".join(paths)
        if len(whole) > self._options.max_path_length or not whole.isascii():
            raise Refused(400, why="Path is too long")
        return paths

    # spec S-OUT-1
    def _check_outbound(self, source: Source) -> None:
        """RFC 5626 §6: what is wrong with the way that a client which uses it has come."""
        flows = [value for value in source.request.contacts if reg_id_of(value)] if source.speaks_outbound else []
        if not flows:
            return
        if not source.is_outbound:
            raise Refused(439, why="the first proxy on the way does not support outbound")
        if len(source.request.contacts) > 1:
            raise Refused(400, why="a contact with reg-id must be the only one")

    def _outbound_headers(self, source: Source) -> tuple[tuple[str, str], ...]:
        """RFC 5626 §6: that it was used, and how often to be heard of."""
        if not (source.is_outbound and any(reg_id_of(value) for value in source.request.contacts)):
            return ()
        # spec S-OUT-5
        timer = self._options.flow_timer
        return (("Require", "outbound"), *((("Flow-Timer", str(timer)),) if timer and source.is_direct else ()))

    def _update(self, source: Source, before: tuple[Binding, ...]) -> tuple[Binding, ...]:
        """RFC 3261 §10.3, step 7: the user's bindings after this request."""
        request, options = source.request, self._options
        wanted = [self._read_contact(source, value) for value in request.contacts]
        if wanted and len(request.call_id) > options.max_call_id_length:
            raise Refused(400, why="Call-ID is too long")
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
            raise Refused(403, why=f"at most {options.max_contacts} contacts for a user")
        growth = len(after) - len(before)
        if growth > 0 and len(self._bindings) + growth > options.max_bindings:
            raise Refused(503, None, ("Retry-After", "60"), why="too many registrations")
        return best_first(after)

    def _read_contact(self, source: Source, value: NameAddr) -> Wanted:
        options, uri, request = self._options, value.uri, source.request
        if not isinstance(uri, SipUri) or uri.scheme not in options.contact_schemes:
            raise Refused(400, "Unsupported Contact Scheme", why=f"a contact cannot be a {uri.scheme} URI here")
        if len(str(uri)) > options.max_contact_length:
            raise Refused(400, why=f"a contact is longer than {options.max_contact_length} octets")
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
            raise Refused(423, None, ("Min-Expires", str(options.min_expires)))
        instance = plain(value.param("+sip.instance"), 255)
        reg_id = reg_id_of(value) if source.is_outbound else 0
        if reg_id and len(f"{uri} {reg_id} {instance}") > options.max_contact_length:
            raise Refused(400, why=f"contact and instance are longer than {options.max_contact_length} octets")
        return Wanted(uri, min(expires, options.max_expires), value.q, instance, reg_id)

    # spec S-REG-9
    def _check_target(self, uri: SipUri) -> None:
        """No contact that would bring a message back to this server, or to many hosts."""
        is_tls = uri.is_secure or uri.transport == "tls"
        host, port = uri.maddr or uri.host, uri.port or (TLS_PORT if is_tls else DEFAULT_PORT)
        address = ip_of(host)
        is_domain = address is None and uri.port is None and host in self._options.domains
        if is_domain or (address or host, port) in self._own:
            raise Refused(403, why="a contact cannot be this server itself")
        if address is not None and (address.is_multicast or address == _BROADCAST):
            raise Refused(403, why="a contact must be one host")


# spec S-REG-3
def _remove_all(request: Request, before: tuple[Binding, ...]) -> tuple[Binding, ...]:
    """RFC 3261 §10.3, step 6."""
    if request.expires != 0:
        raise Refused(400, why="Contact: * needs Expires: 0")
    for binding in before:
        _check_order(request, binding)
    return ()


# spec S-REG-4
def _check_order(request: Request, binding: Binding) -> None:
    """RFC 3261 §10.3, steps 6 and 7: what a client sent earlier does not undo what it sent later."""
    if binding.call_id == request.call_id and request.cseq.number <= binding.cseq:
        # The RFC says that the request fails, not how.
        raise Refused(400, "CSeq Out Of Order", why=f"CSeq must be higher than {binding.cseq}")


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


def _refusal(refused: Refused) -> RegisterOutcome:
    return RegisterOutcome(status=refused.status, reason=refused.reason, headers=refused.headers)
