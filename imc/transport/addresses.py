"""Addresses that sockets listen on and send to: their texts, and the choice among them.

Invariants

- An IP address is kept in one canonical text (``ipaddress``), so that texts can be compared; an IPv6 address has no
  brackets, but in ``udp:[::1]:5060`` and wherever else a port follows it.
- A listen address names an IP address, never a host name: what a name means may change, and whether a daemon is open
  to the world must be readable from its configuration.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple

from imc.aor import canonical_host

TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")
OVER_TLS = frozenset({"tls", "wss"})
WEB = frozenset({"ws", "wss"})
DEFAULT_PORT = 5060  # RFC 3261 §19.1.2
_DEFAULT_PORTS = {"tls": 5061, "ws": 80, "wss": 443}  # RFC 3261 §19.1.2, RFC 7118 §5.3

_LISTEN = re.compile(r"(?P<transport>[A-Za-z]+):(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?\Z")
_HOST_PORT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?\Z")


class ListenAddress(NamedTuple):
    """Where a socket listens. ``ip`` is canonical and without brackets; port 0 lets the kernel choose."""

    transport: str
    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport}:{join_host_port(self.ip, self.port)}"

    @property
    def family(self) -> int:
        """4 or 6."""
        return ip_family(self.ip)

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.ip).is_loopback

    @property
    def is_wildcard(self) -> bool:
        return ipaddress.ip_address(self.ip).is_unspecified


def parse_listen(text: str) -> ListenAddress:
    """From ``udp:127.0.0.1:5060``, ``tls:[::1]:5061``, ``udp:0.0.0.0``; without a port it is the transport's default.

    ValueError, whose text can be shown to whoever wrote the address.
    """
    match = _LISTEN.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a listen address: write TRANSPORT:IP:PORT, an IPv6 address in []")
    transport = match["transport"].lower()
    if transport not in TRANSPORTS:
        raise ValueError(f"{text!r}: transport {transport!r} is none of {', '.join(TRANSPORTS)}")
    host = match["host"]
    ip = canonical_ip(host)
    if ip is None or (ip_family(ip) == 6) != host.startswith("["):
        raise ValueError(f"{text!r}: {host!r} is not an IP address (IPv6 in []; 0.0.0.0 and [::] listen on all)")
    port = int(match["port"]) if match["port"] else default_port(transport)
    if port > 65535:
        raise ValueError(f"{text!r}: a port is at most 65535")
    return ListenAddress(transport, ip, port)


def default_port(transport: str) -> int:
    """Where a transport is served when nobody says where."""
    return _DEFAULT_PORTS.get(transport, DEFAULT_PORT)


def parse_advertise(text: str) -> tuple[str, int | None]:
    """From ``chat.example.com``, ``203.0.113.5:5060`` or ``[2001:db8::5]``: host and port, None without a port.

    An IPv6 address comes without its brackets. ValueError for anything else.
    """
    match = _HOST_PORT.match(text.strip())
    port = int(match["port"]) if match is not None and match["port"] else None
    if match is None or (port is not None and not 0 < port <= 65535):
        raise ValueError(f"{text!r} is not HOST or HOST:PORT")
    host = match["host"]
    ip = canonical_ip(host)
    if host.startswith("[") and ip is None:
        raise ValueError(f"{text!r}: {host!r} is not an IPv6 address")
    return (ip if ip is not None else canonical_host(host)), port


def canonical_ip(text: str) -> str | None:
    """The one text of an IP address, given with or without ``[]``; None where ``text`` is no IP address.

    An IPv4 address written as an IPv4-mapped IPv6 address stays what it is: our IPv6 sockets speak IPv6 only.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None


def ip_family(ip: str) -> int:
    """4 or 6, of an IP address without brackets."""
    return 6 if ":" in ip else 4


def join_host_port(host: str, port: int) -> str:
    """``host:port``, with ``[]`` around an IPv6 address: the ``hostport`` of RFC 3261 §25.1."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def socket_family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def socket_address(ip: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """What ``connect`` and ``sendto`` take. A scope (``fe80::1%eth0``) has a field of its own there.

    OSError where no such interface exists.
    """
    if "%" not in ip:
        return ip, port
    address, _, scope = ip.partition("%")
    return address, port, 0, int(scope) if scope.isdigit() else socket.if_nametoindex(scope)


def choose_listener(listeners: list[ListenAddress], ip: str, source: str | None) -> ListenAddress | None:
    """The listener that speaks to ``ip``; ``source`` is the local address that the kernel would use (None: no route).

    First one that is bound to ``source``, then one bound to all addresses, then any from which a packet could get
    there: a packet with a loopback source goes to this machine's own addresses only. None where none of the family is.
    """
    if source is None:
        return None
    family = ip_family(ip)
    same = [listener for listener in listeners if listener.family == family]
    is_own = source == ip or ipaddress.ip_address(ip).is_loopback
    for wanted in (
        [listener for listener in same if listener.ip == source],
        [listener for listener in same if listener.is_wildcard],
        [listener for listener in same if is_own or not listener.is_loopback],
    ):
        if wanted:
            return wanted[0]
    return None


def source_for(ip: str, port: int) -> str | None:
    """The local address from which the kernel would send to ``ip``; None where it has no route.

    A UDP socket is connected, which sends nothing, and asked for its name.
    """
    try:
        with socket.socket(socket_family(ip), socket.SOCK_DGRAM) as probe:
            probe.connect(socket_address(ip, port or DEFAULT_PORT))
            return str(probe.getsockname()[0])
    except OSError:
        return None
