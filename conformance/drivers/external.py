"""Any server that runs already, by its URI: ``sip:HOST[:PORT][;transport=tcp]``.

Nothing of it is known but what the run is told: accounts from a file of users, or none, where it takes anyone's word; a
registrar, or with `Options.as_proxy` none, for then we are the proxy that it sends everything to. Its settings cannot
be changed, nor can it be ended. Rooms are made by commands.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import trio

from conformance.agent.client import SipClient
from conformance.drivers.base import PATIENCE, Server, SipTarget
from conformance.drivers.proxied import OutboundProxy, ProxiedClient
from conformance.drivers.reach import reach
from conformance.suite.case import Case
from conformance.suite.conversation import CannotStart, Driver, Lacks, Options, Target, User
from conformance.suite.features import FEATURES, Feature
from conformance.suite.selection import needs
from conformance.suite.wire_case import WireCase
from imc.errors import BadMessage
from imc.sip.uri import SipUri, parse_uri

Address = tuple[str, int]

_NOT_OURS: dict[Feature, str] = {
    "settings": "the settings of the case, which cannot be changed in a running server",
    "restart": "a restart, which a server that was not started for the run is not given",
    "kamailio-tables": "rooms in the tables of Kamailio's module, which cannot be written in a running server",
}
"""What takes more than to talk to it."""
_NOT_TOLD: dict[Feature, str] = {
    "manager": "an address of a conference manager (--manager)",
    "digest": "accounts with passwords (--users)",
}
_BEHIND_US: frozenset[Feature] = frozenset(("register", "relay", "digest"))
"""What is a proxy's, where we are the proxy."""
_BY_MODIFY: frozenset[Feature] = frozenset(("admins", "owners"))


class ExternalDriver(Driver):
    name = "sip"

    def describe(self) -> str:
        return "any server that runs already, as sip:HOST:PORT"

    @asynccontextmanager
    async def open(self, options: Options, cases: Sequence[Case]) -> AsyncIterator[Target]:
        uri = _parse(options)
        if (uri.param("transport") or "").lower() == "tcp":
            options = replace(options, transport="tcp")
        address = await _resolve(uri)
        target = ExternalTarget(
            name=options.uri or self.name, options=options, domain=_domain(options, uri), address=address
        )
        target.take(cases)
        async with trio.open_nursery() as nursery:
            if options.as_proxy is not None:
                target.proxy = OutboundProxy(address)
                await _listen(target.proxy, nursery, options.as_proxy)
            await reach(address, options.transport, options.patience or PATIENCE)
            yield target
            nursery.cancel_scope.cancel()


@dataclass
class ExternalTarget(SipTarget):
    """``address`` is where it listens, over UDP and TCP. ``proxy`` is ours, where it sends everything to us."""

    address: Address = ("", 0)
    proxy: OutboundProxy | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.manager = self.options.manager
        self.room_prefix = self.options.room_prefix
        self.features -= _NOT_OURS.keys()
        if self.options.as_proxy is not None:
            self.features -= _BEHIND_US
        if not any(user.password for user in self.options.users.values()):
            self.features -= {"digest"}
        if "modify" not in self.features:
            self.features -= _BY_MODIFY
        if self.manager is None:
            self.features -= {"manager"}
        if self.options.users:
            self.concurrency = 1  # cases share the accounts

    @asynccontextmanager
    async def serving(self, case: Case | WireCase) -> AsyncIterator[Server]:
        missing = next((name for name in FEATURES if name in needs(case) - self.features), None)
        if missing is not None:
            raise Lacks({**FEATURES, **_NOT_OURS, **_NOT_TOLD}[missing])
        yield Server(addresses={name: self.address for name in ("udp", "tcp") if name in self.features})

    def account(self, case: Case, actor: str) -> User:
        account = super().account(case, actor)
        wanted = case.users.get(actor)
        if self.options.users and wanted not in (None, account.address.partition("@")[0]):
            raise Lacks(f"an account of {actor} whose user part is {wanted!r}")
        return account

    async def open_client(self, nursery: trio.Nursery, server: Server, account: User, transport: str) -> SipClient:
        if self.proxy is not None and transport == "udp":
            return self.proxy.client(account.address)
        kind = SipClient if self.proxy is None else ProxiedClient
        client = await kind.open(
            nursery,
            f"sip:{account.address}",
            server.addresses[transport],
            password=account.password,
            transport=transport,
            takes_tcp=transport == "udp" and "tcp" in self.features,
            ip=local_ip(self.address),
        )
        if isinstance(client, ProxiedClient) and self.proxy is not None and transport == self.options.transport:
            self.proxy.adopt(client)
        return client


def local_ip(server: Address) -> str:
    """The address of ours that packets to ``server`` leave from."""
    with socket.socket(_family(server), socket.SOCK_DGRAM) as sock:
        sock.connect(server)
        ip: str = sock.getsockname()[0]
        return ip


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _parse(options: Options) -> SipUri:
    """The target's URI. CannotStart."""
    try:
        uri = parse_uri(options.uri or "")
    except BadMessage as error:
        raise CannotStart(f"{options.uri}: {error}") from None
    if not isinstance(uri, SipUri) or uri.scheme != "sip":
        raise CannotStart(f"{options.uri}: only sip: URIs, over UDP or TCP")
    return uri


async def _resolve(uri: SipUri) -> Address:
    """The first address of its host. CannotStart."""
    try:
        found = await trio.socket.getaddrinfo(uri.host.strip("[]"), uri.port or 5060, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise CannotStart(f"{uri}: {error.strerror}") from None
    ip, port = found[0][4][:2]
    return str(ip), int(port)


def _domain(options: Options, uri: SipUri) -> str:
    """As told; else the accounts'; else the host of the URI."""
    if options.domain is not None:
        return options.domain
    first = next(iter(options.users.values()), None)
    return first.address.rpartition("@")[2] if first is not None else uri.host


async def _listen(proxy: OutboundProxy, nursery: trio.Nursery, address: Address) -> None:
    try:
        await proxy.open(nursery, address)
    except OSError as error:
        raise CannotStart(f"no proxy on {address[0]}:{address[1]}: {error.strerror}") from None
