"""From a SIP URI to the addresses where it may be served, in the order to try them: RFC 3263.

The client's part (§4), in short. TARGET is ``maddr`` or the host.

1. Transport (§4.1): the ``transport`` parameter; without one, a numeric TARGET or a port means UDP (sips: TLS);
   else NAPTR records say; else each transport that has SRV records; else UDP (sips: TLS).
2. Address and port (§4.2): a numeric TARGET is the address; with a port A and AAAA are asked; else SRV records
   give hosts and ports; else A and AAAA with the default port of the transport.

Invariants

- A ``sips`` URI never gives a target that is not TLS. One that could only be reached by a transport which is not in
  ``transports`` is Unreachable, and the error says so.
- `Resolver.resolve` ends within ``deadline`` seconds and gives at least one and at most ``max_targets`` targets.
- A host that /etc/hosts names is looked up there only: its administrator has said where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import dns.asyncresolver
import dns.rdtypes.IN.NAPTR
import dns.rdtypes.IN.SRV
import trio

from imc.errors import Unreachable
from imc.sip.uri import SipUri
from imc.transport.addresses import WEB, canonical_ip, default_port
from imc.transport.names import NameOptions, Names

_SERVICES = {b"SIP+D2U": "udp", b"SIP+D2T": "tcp", b"SIPS+D2T": "tls"}  # NAPTR, RFC 3263 §4.1
_SRV_PREFIX = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_OVER_TLS = {"tcp": "tls", "tls": "tls"}  # RFC 3261 §26.2.2: sips with transport=tcp means TLS over TCP
_NOWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 – the kernel would take them for this machine


class Target(NamedTuple):
    """Where to send: ``ip`` is canonical and without brackets.

    ``name`` is whom a TLS server's certificate must name: what the URI asked for, before DNS (RFC 5922 §7.3).
    """

    transport: str
    ip: str
    port: int
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverOptions:
    """``transports`` in the order to prefer them, ``families`` (4, 6) likewise; ``deadline`` in seconds."""

    transports: tuple[str, ...] = ("udp", "tcp", "tls")
    families: tuple[int, ...] = (6, 4)
    deadline: float = 8.0
    max_services: int = 8
    max_targets: int = 16
    names: NameOptions = field(default_factory=NameOptions)


class _Search:
    """What one resolution has found so far. ``why`` collects what to say if it is nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.targets: list[Target] = []
        self.why: list[str] = []
        self.is_denied = False  # RFC 2782: an SRV target "." says that the service is decidedly not available


class Resolver:
    def __init__(self, options: ResolverOptions, client: dns.asyncresolver.Resolver | None = None) -> None:
        """``client`` asks the DNS; by default it is made from ``options.names``."""
        self._options = options
        self.names = Names(options.names, client)

    # spec S-DNS-1
    async def resolve(self, uri: SipUri, *, transport: str | None = None) -> tuple[Target, ...]:
        """Where to send a request for ``uri``, best first. Unreachable.

        ``transport`` overrides the URI's parameter: "tcp" for a request too large for UDP (RFC 3261 §18.1.1).
        """
        if uri.is_secure:
            self._supported(uri, "tls")
        search = _Search((canonical_ip(uri.host) or uri.host).rstrip(".").lower())
        host = (uri.maddr or uri.host).rstrip(".").lower()
        wanted = self._wanted(uri, transport)
        with trio.move_on_after(self._options.deadline) as scope:
            ip = canonical_ip(host)
            if ip is not None:
                self._add(search, wanted or self._default(uri), [ip], uri.port)
                await trio.lowlevel.checkpoint()
            elif uri.port is not None or self.names.is_local(host):
                await self._add_hosts(search, wanted or self._default(uri), [(host, uri.port)])
            else:
                await self._search(search, uri, host, wanted)
        if scope.cancelled_caught and not search.targets:
            search.why.append("DNS: no answer in time")
        targets = tuple(dict.fromkeys(search.targets))[: self._options.max_targets]
        if not targets:
            raise Unreachable(f"{host}: {', '.join(dict.fromkeys(search.why)) or 'no address'}")
        return targets

    # spec S-DNS-2
    def _wanted(self, uri: SipUri, transport: str | None) -> str | None:
        wanted = transport or uri.transport
        if wanted is None:
            return None
        if uri.is_secure:
            if wanted not in _OVER_TLS:
                raise Unreachable(f"{uri.host}: a sips URI cannot be served over {wanted}")
            wanted = "tls"
        return self._supported(uri, wanted)

    def _default(self, uri: SipUri) -> str:
        if uri.is_secure:
            return "tls"
        return next((each for each in self._options.transports if each != "tls"), "udp")

    def _supported(self, uri: SipUri, transport: str) -> str:
        if transport not in self._options.transports:
            raise Unreachable(f"{uri.host}: {_not_supported(transport)}")
        return transport

    # RFC 3263 §4.1, §4.2

    async def _search(self, search: _Search, uri: SipUri, host: str, wanted: str | None) -> None:
        """A host name without port: NAPTR, then SRV, then A and AAAA."""
        services: list[tuple[str, str]] = []  # transport, name of SRV records
        if wanted is None:
            services = await self._naptr(search, host, is_secure=uri.is_secure)
        if services:
            await self._srv(search, services)
        if not search.targets and not search.is_denied:
            possible = [wanted] if wanted else [each for each in _SRV_PREFIX if not uri.is_secure or each == "tls"]
            supported = [each for each in self._options.transports if each in possible]
            await self._srv(search, [(each, f"{_SRV_PREFIX[each]}.{host}") for each in supported])
        if not search.targets and not search.is_denied:
            await self._add_hosts(search, wanted or self._default(uri), [(host, None)])

    async def _naptr(self, search: _Search, host: str, *, is_secure: bool) -> list[tuple[str, str]]:
        answer = await self.names.lookup(host, "NAPTR")
        services: list[tuple[str, str]] = []
        for record in answer.in_order():
            naptr = cast("dns.rdtypes.IN.NAPTR.NAPTR", record)
            transport = _SERVICES.get(naptr.service.upper())
            if transport is None or naptr.flags.lower() != b"s" or (is_secure and transport != "tls"):
                continue
            if transport in self._options.transports:
                services.append((transport, _text(naptr.replacement)))
            else:
                search.why.append(_not_supported(transport))
        return services[: self._options.max_services]

    async def _srv(self, search: _Search, services: Sequence[tuple[str, str]]) -> None:
        """Ask for all SRV sets at once, then go through them in order."""
        found: dict[int, list[tuple[str, int | None]]] = {}

        async def look_up(index: int, name: str) -> None:
            answer = await self.names.lookup(name, "SRV")
            records = [cast("dns.rdtypes.IN.SRV.SRV", record) for record in answer.in_order()]
            found[index] = [(_text(srv.target), srv.port) for srv in records[: self._options.max_services]]
            if answer.failure:
                search.why.append(answer.failure)

        async with trio.open_nursery() as nursery:
            for index, (_, name) in enumerate(services):
                nursery.start_soon(look_up, index, name)
        for index, (transport, name) in enumerate(services):
            hosts = [(host, port) for host, port in found[index] if host]
            if len(hosts) < len(found[index]):
                search.why.append(f"{name} says that there is no such service")
            await self._add_hosts(search, transport, hosts)
        search.is_denied = not search.targets and any(host == "" for hosts in found.values() for host, _ in hosts)

    async def _add_hosts(self, search: _Search, transport: str, hosts: Sequence[tuple[str, int | None]]) -> None:
        """Ask for the addresses of all hosts at once, then add them in order."""
        found: dict[str, list[str]] = {}

        async def look_up(host: str) -> None:
            found[host], failure = await self.names.addresses(host, self._options.families)
            if failure:
                search.why.append(failure)

        async with trio.open_nursery() as nursery:
            for host in dict.fromkeys(host for host, _ in hosts):
                nursery.start_soon(look_up, host)
        for host, port in hosts:
            self._add(search, transport, found[host], port)

    def _add(self, search: _Search, transport: str, ips: Sequence[str], port: int | None) -> None:
        if port is None:
            port = default_port(transport)
        if not 0 < port <= 65535:
            search.why.append(f"port {port}")
            return
        name = search.name if transport == "tls" else ""
        search.targets += [Target(transport, ip, port, name) for ip in ips if ip not in _NOWHERE]


def _not_supported(transport: str) -> str:
    if transport in WEB:
        return "over WebSocket a client is reached by the connection that it opened, and it has none now"
    return f"transport {transport} not supported"


def _text(name: object) -> str:
    """A DNS name in lower case, without its root dot; "" for the root."""
    return str(name).rstrip(".").lower()
