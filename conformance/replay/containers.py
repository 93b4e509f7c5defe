"""Capture files: pcap and pcapng, their packets one by one, whatever is wrong with them.

Read here and not by dpkt, whose readers know one link type for a file, take sizes on trust, and do not say where
a file is broken. Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.

Invariants

- Memory is bounded by one block (`_MAX_BLOCK`), whatever sizes the file claims.
- A broken file ends the packets with a note that has the offset; only one of which nothing can be read is Unreadable.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from conformance.replay.recording import Notes, Unreadable, is_time

_MAX_BLOCK = 16 * 1024 * 1024
_MAX_INTERFACES = 1024
# magic as it stands in the file → byte order, ticks of a second
_PCAP = {
    b"\xa1\xb2\xc3\xd4": (">", 10**6), b"\xd4\xc3\xb2\xa1": ("<", 10**6),
    b"\xa1\xb2\x3c\x4d": (">", 10**9), b"\x4d\x3c\xb2\xa1": ("<", 10**9),
}  # fmt: skip
_PCAPNG = b"\x0a\x0d\x0d\x0a"
MAGICS = (*_PCAP, _PCAPNG)

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_OPTION_END, _OPTION_TSRESOL, _OPTION_TSOFFSET = 0, 9, 14


class Frame(NamedTuple):
    """A packet as captured. ``link`` is its LINKTYPE, ``size`` how many octets it had on the wire."""

    number: int
    at: float
    link: int
    data: bytes
    size: int


def frames(file: BinaryIO, notes: Notes) -> Iterator[Frame]:
    """All packets, numbered from 1 as Wireshark does. Unreadable where it is no capture file."""
    magic = file.read(4)
    if magic in _PCAP:
        return _pcap(file, notes, *_PCAP[magic])
    if magic == _PCAPNG:
        return _Pcapng(file, notes).frames()
    raise Unreadable("not a pcap or pcapng file")


def _pcap(file: BinaryIO, notes: Notes, order: str, ticks: int) -> Iterator[Frame]:
    head = file.read(20)
    if len(head) < 20:
        raise Unreadable(f"the file ends in its header, after {4 + len(head)} of 24 octets")
    _, _, _, _, snaplen, link = struct.unpack(order + "HHiIII", head)
    link &= 0xFFFF  # above are the FCS bits
    number = 0
    while record := file.read(16):
        number += 1
        offset = file.tell() - len(record)
        if len(record) < 16:
            notes.add(f"packet {number} (offset {offset}): the file ends in its header; it was cut off")
            return
        seconds, fraction, captured, size = struct.unpack(order + "IIII", record)
        if captured > max(_MAX_BLOCK, 0) or (captured > size and captured > max(snaplen, 65_536)):
            notes.add(
                f"packet {number} (offset {offset}): a size of {captured} octets cannot be; nothing after it is read"
            )
            return
        data = file.read(captured)
        if len(data) < captured:
            notes.add(
                f"packet {number} (offset {offset}): {len(data)} of {captured} octets are there; the file was cut off"
            )
            return
        yield Frame(number, seconds + fraction / ticks, link, data, size)


@dataclass(slots=True)
class _Interface:
    link: int
    snaplen: int
    ticks: float = 1e6  # of a second
    offset: int = 0  # seconds


class _Pcapng:
    def __init__(self, file: BinaryIO, notes: Notes) -> None:
        self._file = file
        self._notes = notes
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._number = 0
        self._last = 0.0

    def frames(self) -> Iterator[Frame]:
        self._file.seek(0)
        is_first = True
        for offset, kind, body in self._blocks():
            if kind == _SECTION:
                self._interfaces = []
            elif kind == _INTERFACE:
                self._add_interface(offset, body)
            elif kind in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
                self._number += 1
                frame = self._frame(offset, kind, body)
                if frame is not None:
                    self._last = frame.at
                    yield frame
            is_first = False
        if is_first:
            raise Unreadable("the file ends in its first block")

    def _blocks(self) -> Iterator[tuple[int, int, bytes]]:
        """Offset, type and body of each block."""
        while head := self._file.read(8):
            offset = self._file.tell() - len(head)
            if len(head) < 8:
                self._notes.add(f"offset {offset}: the file ends in the head of a block; it was cut off")
                return
            if head[:4] == _PCAPNG:
                order = self._file.read(4)
                self._file.seek(-len(order), 1)
                if order not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
                    self._notes.add(f"offset {offset}: a section without byte-order magic; nothing after it is read")
                    return
                self._order = ">" if order[0] == 0x1A else "<"
            kind, size = struct.unpack(self._order + "II", head)
            if size < 12 or size % 4 or size > _MAX_BLOCK:
                self._notes.add(f"offset {offset}: a block of {size} octets cannot be; nothing after it is read")
                return
            body = self._file.read(size - 8)
            if len(body) < size - 8:
                self._notes.add(f"offset {offset}: a block has {8 + len(body)} of {size} octets; the file was cut off")
                return
            if body[-4:] != head[4:]:
                self._notes.add(f"offset {offset}: a block whose two sizes differ; nothing after it is read")
                return
            yield offset, kind, body[:-4]

    def _add_interface(self, offset: int, body: bytes) -> None:
        if len(body) < 8 or len(self._interfaces) >= _MAX_INTERFACES:
            self._notes.add(f"offset {offset}: an interface that cannot be used")
            return
        link, _, snaplen = struct.unpack(self._order + "HHI", body[:8])
        interface = _Interface(link, snaplen)
        for code, value in self._options(body[8:]):
            if code == _OPTION_TSRESOL and value:
                exponent = value[0] & 0x7F
                interface.ticks = float(2 ** min(exponent, 64) if value[0] & 0x80 else 10 ** min(exponent, 18))
            elif code == _OPTION_TSOFFSET and len(value) == 8:
                (interface.offset,) = struct.unpack(self._order + "q", value)
        self._interfaces.append(interface)

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        at = 0
        while at + 4 <= len(data):
            code, size = struct.unpack(self._order + "HH", data[at : at + 4])
            if code == _OPTION_END:
                return
            yield code, data[at + 4 : at + 4 + size]
            at += 4 + size + -size % 4

    def _frame(self, offset: int, kind: int, body: bytes) -> Frame | None:
        which, ticks = 0, None
        start = 4 if kind == _SIMPLE_PACKET else 20
        if len(body) < start:
            self._notes.add(f"packet {self._number} (offset {offset}): too short for a packet")
            return None
        if kind == _SIMPLE_PACKET:
            (size,) = struct.unpack(self._order + "I", body[:4])
            captured = min(size, len(body) - 4)
        elif kind == _PACKET:
            which, high, low, captured, size = struct.unpack(self._order + "IIIII", body[:20])
            ticks = high << 32 | low
        else:
            which, _, high, low, captured, size = struct.unpack(self._order + "HHIIII", body[:20])
            ticks = high << 32 | low
        if which >= len(self._interfaces):
            self._notes.add(f"packet {self._number} (offset {offset}): its interface is not described")
            return None
        interface = self._interfaces[which]
        if kind == _SIMPLE_PACKET and interface.snaplen:
            captured = min(captured, interface.snaplen)
        data = body[start : start + captured]
        at = self._last if ticks is None else ticks / interface.ticks + interface.offset
        if not is_time(at):
            self._notes.add(f"packet {self._number} (offset {offset}): {at:.0f} s is not a time; left out")
            return None
        return Frame(self._number, at, interface.link, data, size)
