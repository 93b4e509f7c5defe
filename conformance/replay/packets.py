"""Packets down to UDP datagrams and TCP segments: link layers, IPv4 and IPv6, fragments put together.

Invariants

- `Packets.take` never raises. A packet of another protocol gives nothing; one that is broken gives nothing and a note.
- At most `_MAX_DATAGRAMS` fragmented datagrams are kept, each of 64 KiB; the oldest goes first, with a note.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import dpkt

from conformance.replay.containers import Frame
from conformance.replay.recording import Address, Notes

_UDP, _TCP, _IPV6_FRAGMENT = 17, 6, 44
_VLAN_TYPES = (0x8100, 0x88A8, 0x9100)
_FIN, _SYN, _RST = 0x01, 0x02, 0x04
_MAX_DATAGRAMS = 256
_MAX_FRAGMENTS = 2048
_MAX_DATAGRAM = 65_535


class Datagram(NamedTuple):
    number: int
    at: float
    source: Address
    target: Address
    data: bytes
    is_cut: bool  # by the capture: there was more on the wire


class Segment(NamedTuple):
    """``seq`` is that of the first octet of ``data``; a SYN counts as one octet before it."""

    number: int
    at: float
    source: Address
    target: Address
    seq: int
    data: bytes
    is_syn: bool
    is_end: bool  # FIN or RST


@dataclass(slots=True)
class _Fragments:
    number: int
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int | None = None  # known once the last one is there

    def whole(self) -> bytes | None:
        if self.size is None:
            return None
        data = b""
        for offset in sorted(self.parts):
            if offset > len(data):
                return None
            data += self.parts[offset][len(data) - offset :]
        return data[: self.size] if len(data) >= self.size else None


class _NotIp(Exception):
    """Another protocol."""


class Packets:
    """Frames in, datagrams and segments out."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._fragments: OrderedDict[tuple[object, ...], _Fragments] = OrderedDict()
        self._unknown: set[int] = set()

    def take(self, frame: Frame) -> Datagram | Segment | None:
        try:
            return self._take(frame)
        except _NotIp:
            return None
        except Exception as error:  # dpkt raises whatever the octets make happen
            self._notes.add(f"packet {frame.number}: cannot be decoded ({type(error).__name__})")
            return None

    def finish(self) -> None:
        for left in self._fragments.values():
            self._note_incomplete(left)
        self._fragments.clear()

    def _take(self, frame: Frame) -> Datagram | Segment | None:
        read = _LINKS.get(frame.link)
        if read is None:
            if frame.link not in self._unknown and len(self._unknown) < 100:
                self._unknown.add(frame.link)
                self._notes.add(f"packet {frame.number}: link type {frame.link} is not known; its packets are left out")
            return None
        ip = read(frame.data)
        if isinstance(ip, dpkt.ip.IP):
            proto, is_part = ip.p, bool(ip.mf or ip.offset)
            place = ip.id, ip.offset * 8, bool(ip.mf)
        else:
            proto = getattr(ip, "p", ip.nxt)
            head = ip.extension_hdrs.get(_IPV6_FRAGMENT)
            is_part = head is not None and bool(head.m_flag or head.frag_off)
            place = (head.id, head.frag_off * 8, bool(head.m_flag)) if head is not None else (0, 0, False)
        if proto not in (_UDP, _TCP):
            return None
        payload: Any = ip.data
        if is_part:
            whole = self._assemble(frame, (ip.src, ip.dst, proto, place[0]), bytes(ip.data), place[1], place[2])
            if whole is None:
                return None
            payload = whole
        if isinstance(payload, bytes):
            payload = dpkt.udp.UDP(payload) if proto == _UDP else dpkt.tcp.TCP(payload)
        return _transport(frame, ip, payload)

    def _assemble(
        self, frame: Frame, key: tuple[object, ...], data: bytes, offset: int, has_more: bool
    ) -> bytes | None:
        kept = self._fragments.get(key)
        if kept is None:
            kept = self._fragments[key] = _Fragments(frame.number)
            if len(self._fragments) > _MAX_DATAGRAMS:
                self._note_incomplete(self._fragments.popitem(last=False)[1])
        if offset + len(data) > _MAX_DATAGRAM or len(kept.parts) >= _MAX_FRAGMENTS:
            raise ValueError("a fragment beyond the size of a datagram")
        kept.parts.setdefault(offset, data)  # what came first counts
        if not has_more:
            kept.size = offset + len(data)
        whole = kept.whole()
        if whole is not None:
            del self._fragments[key]
        return whole

    def _note_incomplete(self, fragments: _Fragments) -> None:
        self._notes.add(f"packet {fragments.number}: a fragmented datagram of which not all fragments were captured")


def _transport(frame: Frame, ip: Any, payload: Any) -> Datagram | Segment | None:
    is_cut = len(frame.data) < frame.size
    if not isinstance(payload, (dpkt.udp.UDP, dpkt.tcp.TCP)) or not payload.sport or not payload.dport:
        return None
    source = Address(str(ipaddress.ip_address(ip.src)), payload.sport)
    target = Address(str(ipaddress.ip_address(ip.dst)), payload.dport)
    data = bytes(payload.data)
    if isinstance(payload, dpkt.udp.UDP):
        if 8 <= payload.ulen < 8 + len(data):
            data = data[: payload.ulen - 8]
        return Datagram(frame.number, frame.at, source, target, data, is_cut)
    is_syn = bool(payload.flags & _SYN)
    seq = (payload.seq + is_syn) % 2**32
    return Segment(frame.number, frame.at, source, target, seq, data, is_syn, bool(payload.flags & (_FIN | _RST)))


# -- link layers ------------------------------------------------------------------------------------------------------


def _find_ip(packet: Any) -> Any:
    """The IP packet in what dpkt has decoded."""
    for _ in range(6):
        if isinstance(packet, (dpkt.ip.IP, dpkt.ip6.IP6)):
            return packet
        packet = getattr(packet, "data", None)
    raise _NotIp


def _ethernet(data: bytes) -> Any:
    return _find_ip(dpkt.ethernet.Ethernet(data))


def _cooked(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        packet = read(data)
        kind, rest = packet.ethtype, packet.data
        while kind in _VLAN_TYPES:
            tag = dpkt.ethernet.VLANtag8021Q(rest)
            kind, rest = tag.type, rest[tag.__hdr_len__ :]
        if isinstance(rest, bytes) and kind == dpkt.ethernet.ETH_TYPE_IP:
            return dpkt.ip.IP(rest)
        if isinstance(rest, bytes) and kind == dpkt.ethernet.ETH_TYPE_IP6:
            return dpkt.ip6.IP6(rest)
        return _find_ip(rest)

    return decode


def _raw(data: bytes) -> Any:
    if data[:1] and data[0] >> 4 == 4:
        return dpkt.ip.IP(data)
    if data[:1] and data[0] >> 4 == 6:
        return dpkt.ip6.IP6(data)
    raise _NotIp


def _loopback(data: bytes) -> Any:
    return _find_ip(dpkt.loopback.Loopback(data))


# LINKTYPE of the capture → reader; 12 and 14 are DLT_RAW of some systems.
_LINKS: dict[int, Callable[[bytes], Any]] = {
    0: _loopback,
    1: _ethernet,
    12: _raw,
    14: _raw,
    101: _raw,
    108: _loopback,
    113: _cooked(dpkt.sll.SLL),
    228: _raw,
    229: _raw,
    276: _cooked(dpkt.sll2.SLL2),
}
