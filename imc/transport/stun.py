"""STUN Binding requests on the SIP port: how a client keeps its UDP flow open (RFC 5626 §4.4.2, RFC 5389).

The answer says nothing but the source's own address. Of the attributes none is looked at: RFC 5626 has the client send
none, and without credentials there is nothing to check.
"""

from __future__ import annotations

import socket
import struct
import zlib

from imc.transport.addresses import ip_family

_HEADER = struct.Struct("!HHI12s")  # type, length of what follows, magic cookie, transaction id
_BINDING_REQUEST = 0x0001
_BINDING_SUCCESS = 0x0101
_MAGIC_COOKIE = 0x2112A442
_XOR_MAPPED_ADDRESS = 0x0020
_FINGERPRINT = 0x8028
_FINGERPRINT_XOR = 0x5354554E  # RFC 5389 §15.5
_MAX_REQUEST = 548  # RFC 5389 §7.1: what surely fits a datagram


def is_stun(data: bytes) -> bool:
    """Whether a datagram is for STUN: its first two bits are zero, which no SIP message begins with (RFC 5389 §6)."""
    return len(data) >= _HEADER.size and data[0] < 0x40 and data[4:8] == b"\x21\x12\xa4\x42"


# spec S-OUT-6
def answer(data: bytes, remote: tuple[str, int]) -> bytes | None:
    """The success response to a Binding request from ``remote``; None where it is none, or is malformed."""
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind != _BINDING_REQUEST or length % 4 or length != len(data) - _HEADER.size or len(data) > _MAX_REQUEST:
        return None
    ip = remote[0].partition("%")[0]
    family = ip_family(ip)
    packed = socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, ip)
    key = struct.pack("!I12s", cookie, transaction)
    address = bytes(one ^ other for one, other in zip(packed, key, strict=False))
    value = struct.pack("!BBH", 0, 2 if family == 6 else 1, remote[1] ^ (_MAGIC_COOKIE >> 16)) + address
    mapped = struct.pack("!HH", _XOR_MAPPED_ADDRESS, len(value)) + value
    head = _HEADER.pack(_BINDING_SUCCESS, len(mapped) + 8, _MAGIC_COOKIE, transaction)
    checksum = zlib.crc32(head + mapped) ^ _FINGERPRINT_XOR
    return head + mapped + struct.pack("!HHI", _FINGERPRINT, 4, checksum)
