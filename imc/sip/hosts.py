"""The host of a URI, a Via or a flow, where it is an IP address: one value for the many ways to write it."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=1024)
def ip_of(host: str) -> IpAddress | None:
    """The address, without brackets, scope (RFC 4007 §11) and IPv4-mapping (RFC 4291 §2.5.5.2); None for a name."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=8192)
def block_of(ip: str) -> str:
    """What counts as one source: an IPv4 address, or an IPv6 /64, which one customer has at the least."""
    address = ip_of(ip)
    if address is None or address.version == 4:
        return ip
    return address.packed[:8].hex()
