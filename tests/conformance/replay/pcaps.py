"""Captures made of what they shall hold: files, link layers, IP, UDP and TCP."""

from __future__ import annotations

import io
import ipaddress
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from conformance.replay.read import capture_messages, read_from
from conformance.replay.recording import Notes, Recorded, Recording

ETHERNET, RAW, NULL, LOOP, SLL, SLL2 = 1, 101, 0, 108, 113, 276
CLIENT, SERVER = "192.0.2.7", "192.0.2.1"
CLIENT6, SERVER6 = "2001:db8::7", "2001:db8::1"
SYN, FIN, ACK = 0x02, 0x01, 0x10


class Packet(NamedTuple):
    at: float
    data: bytes
    size: int | None = None  # on the wire, where the capture has less


def udp(payload: bytes, source: tuple[str, int] = (CLIENT, 5062), target: tuple[str, int] = (SERVER, 5060)) -> bytes:
    """An IP packet with a datagram."""
    data = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0) + payload
    return ip(data, 17, source[0], target[0])


def tcp(
    payload: bytes,
    seq: int,
    flags: int = ACK,
    source: tuple[str, int] = (CLIENT, 40001),
    target: tuple[str, int] = (SERVER, 5060),
) -> bytes:
    """An IP packet with a segment."""
    data = struct.pack("!HHIIBBHHH", source[1], target[1], seq % 2**32, 0, 5 << 4, flags, 65535, 0, 0) + payload
    return ip(data, 6, source[0], target[0])


def ip(data: bytes, proto: int, source: str, target: str) -> bytes:
    from_, to = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if from_.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(data), proto, 64) + from_.packed + to.packed + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 1, 0, 64, proto, 0)
    return head + from_.packed + to.packed + data


def fragments(packet: bytes, size: int) -> list[bytes]:
    """An IP packet cut; ``size`` of each piece, a multiple of 8."""
    if packet[0] >> 4 == 6:
        head, data = packet[:40], packet[40:]
        found = []
        for at in range(0, len(data), size):
            part = data[at : at + size]
            more = int(at + size < len(data))
            extension = struct.pack("!BBHI", head[6], 0, at | more, 77)
            plen = struct.pack("!H", len(part) + 8)
            found.append(head[:4] + plen + bytes([44]) + head[7:] + extension + part)
        return found
    head, data = packet[:20], packet[20:]
    found = []
    for at in range(0, len(data), size):
        part = data[at : at + size]
        more = 0x2000 if at + size < len(data) else 0
        found.append(head[:2] + struct.pack("!HHH", 20 + len(part), 77, more | at // 8) + head[8:] + part)
    return found


def framed(packet: bytes, link: int, *, vlans: int = 0) -> bytes:
    """An IP packet in a frame of a link type."""
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    tags = b""
    for _ in range(vlans):
        tags = struct.pack("!HH", 7, kind) + tags
        kind = 0x8100
    if link == ETHERNET:
        return bytes(12) + struct.pack("!H", kind) + tags + packet
    if link == NULL:
        return struct.pack("<I", 2 if packet[0] >> 4 == 4 else 30) + packet
    if link == LOOP:
        return struct.pack(">I", 2 if packet[0] >> 4 == 4 else 30) + packet
    if link == SLL:
        return struct.pack("!HHH8sH", 0, 1, 6, bytes(8), kind) + tags + packet
    if link == SLL2:
        return struct.pack("!HHiHBB8s", kind, 0, 1, 1, 0, 6, bytes(8)) + tags + packet
    return packet


def pcap(packets: Iterable[Packet], link: int = ETHERNET, *, order: str = "<", is_nano: bool = False) -> bytes:
    """A pcap file; ``data`` of the packets is that of frames."""
    magic = 0xA1B23C4D if is_nano else 0xA1B2C3D4
    ticks = 10**9 if is_nano else 10**6
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for packet in packets:
        size = len(packet.data) if packet.size is None else packet.size
        seconds = int(packet.at)
        out.append(struct.pack(order + "IIII", seconds, round((packet.at - seconds) * ticks), len(packet.data), size))
        out.append(packet.data)
    return b"".join(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int, order: str = "<", options: bytes = b"") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options, order)


def enhanced(packet: Packet, which: int = 0, order: str = "<", ticks: int = 10**6) -> bytes:
    moment = round(packet.at * ticks)
    size = len(packet.data) if packet.size is None else packet.size
    head = struct.pack(order + "IIIII", which, moment >> 32, moment & 0xFFFFFFFF, len(packet.data), size)
    return block(6, head + packet.data, order)


def pcapng(packets: Sequence[Packet], link: int = ETHERNET, order: str = "<") -> bytes:
    return section(order) + interface(link, order) + b"".join(enhanced(each, order=order) for each in packets)


def messages_of(file: bytes) -> tuple[list[Recorded], list[str]]:
    """The SIP messages of a capture, and the notes."""
    notes = Notes()
    found = list(capture_messages(io.BytesIO(file), notes))
    return found, list(notes)


def read_bytes(file: bytes) -> Recording:
    return read_from(io.BytesIO(file), "test")
