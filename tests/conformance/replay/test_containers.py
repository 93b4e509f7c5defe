from __future__ import annotations

import io
import struct

import pytest

from conformance.replay.containers import Frame, frames
from conformance.replay.recording import Notes, Unreadable
from tests.conformance.replay.pcaps import (
    ETHERNET,
    RAW,
    Packet,
    block,
    enhanced,
    interface,
    pcap,
    pcapng,
    section,
)

PACKETS = [Packet(1700000000.25, b"one"), Packet(1700000001.5, b"second", 60)]
SEEN = [Frame(1, 1700000000.25, ETHERNET, b"one", 3), Frame(2, 1700000001.5, ETHERNET, b"second", 60)]


def read(file: bytes) -> tuple[list[Frame], list[str]]:
    notes = Notes()
    found = list(frames(io.BytesIO(file), notes))
    return found, list(notes)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_nano", [False, True])
def test_pcap(order: str, is_nano: bool) -> None:
    assert read(pcap(PACKETS, order=order, is_nano=is_nano)) == (SEEN, [])


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    assert read(pcapng(PACKETS, order=order)) == (SEEN, [])


def test_pcapng_with_interfaces_of_their_own() -> None:
    """Link type, resolution of time and offset are those of each packet's interface."""
    resolution = struct.pack("<HHBxxx", 9, 1, 9)
    offset = struct.pack("<HHq", 14, 8, 1000)
    file = section() + interface(ETHERNET) + interface(RAW, options=resolution + offset + struct.pack("<HH", 0, 0))
    file += enhanced(Packet(5.5, b"a")) + enhanced(Packet(6.25, b"b"), which=1, ticks=10**9)
    file += block(5, b"statistics, which are no packet")
    assert read(file) == ([Frame(1, 5.5, ETHERNET, b"a", 1), Frame(2, 1006.25, RAW, b"b", 1)], [])


def test_pcapng_sections_have_their_own_interfaces_and_byte_order() -> None:
    file = pcapng([Packet(1.0, b"a")]) + pcapng([Packet(2.0, b"b")], RAW, ">")
    assert read(file) == ([Frame(1, 1.0, ETHERNET, b"a", 1), Frame(2, 2.0, RAW, b"b", 1)], [])


def test_pcapng_simple_and_old_packets() -> None:
    simple = block(3, struct.pack("<I", 4) + b"abcd")
    old = block(2, struct.pack("<HHIIII", 0, 0, 0, 3_000_000, 2, 9) + b"xy")
    file = section() + interface(ETHERNET) + enhanced(Packet(2.0, b"a")) + simple + old
    assert read(file)[0][1:] == [Frame(2, 2.0, ETHERNET, b"abcd", 4), Frame(3, 3.0, ETHERNET, b"xy", 9)]


@pytest.mark.parametrize(
    ("file", "count", "note"),
    [
        (pcap(PACKETS)[:-2], 1, "packet 2 (offset 43): 4 of 6 octets are there; the file was cut off"),
        (pcap(PACKETS)[:50], 1, "packet 2 (offset 43): the file ends in its header; it was cut off"),
        (
            pcap(PACKETS) + struct.pack("<IIII", 0, 0, 2**31, 2**31) + bytes(100),
            2,
            "packet 3 (offset 65): a size of 2147483648 octets cannot be; nothing after it is read",
        ),
        (pcapng(PACKETS)[:-2], 1, "offset 84: a block has 38 of 40 octets; the file was cut off"),
        (pcapng(PACKETS)[:-37], 1, "offset 84: the file ends in the head of a block; it was cut off"),
        (
            pcapng(PACKETS) + struct.pack("<II", 6, 13),
            2,
            "offset 124: a block of 13 octets cannot be; nothing after it is read",
        ),
        (
            pcapng(PACKETS)[:-4] + b"\x01\x01\x01\x01",
            1,
            "offset 84: a block whose two sizes differ; nothing after it is read",
        ),
        (section() + enhanced(PACKETS[0]), 0, "packet 1 (offset 28): its interface is not described"),
        (section() + interface(ETHERNET) + block(6, b"short"), 0, "packet 1 (offset 48): too short for a packet"),
        (section() + block(1, b"abcd"), 0, "offset 28: an interface that cannot be used"),
        (
            pcapng(PACKETS) + b"\x0a\x0d\x0d\x0a" + struct.pack("<I", 28) + bytes(20),
            2,
            "offset 124: a section without byte-order magic; nothing after it is read",
        ),
    ],
)
def test_broken_files_give_what_can_be_read_and_say_where(file: bytes, count: int, note: str) -> None:
    found, notes = read(file)
    assert found == [each._replace(number=at) for at, each in enumerate(SEEN[:count], 1)]
    assert notes == [note]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "not a pcap or pcapng file"),
        (b"MZ\x00\x00 something else", "not a pcap or pcapng file"),
        (pcap([])[:20], "the file ends in its header, after 20 of 24 octets"),
        (section()[:10], "the file ends in its first block"),
    ],
)
def test_nothing_to_be_read(file: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(file)


@pytest.mark.parametrize("seconds", [-(2**62), -10, 2**33, 2**62])
def test_pcapng_times_that_cannot_be(seconds: int) -> None:
    offset = struct.pack("<HHq", 14, 8, seconds)
    file = section() + interface(RAW) + interface(RAW, options=offset)
    file += enhanced(Packet(5.5, b"a")) + enhanced(Packet(6.25, b"b"), which=1)
    found, notes = read(file)
    assert found == [Frame(1, 5.5, RAW, b"a", 1)]
    assert [note.endswith("s is not a time; left out") for note in notes] == [True]
