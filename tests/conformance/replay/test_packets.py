from __future__ import annotations

import struct

import pytest

from conformance.replay.recording import Address
from tests.conformance.replay.pcaps import (
    CLIENT,
    CLIENT6,
    ETHERNET,
    LOOP,
    NULL,
    RAW,
    SERVER,
    SERVER6,
    SLL,
    SLL2,
    Packet,
    fragments,
    framed,
    ip,
    messages_of,
    pcap,
    tcp,
    udp,
)
from tests.conformance.replay.talks import request

MESSAGE = request(body="hello")
LONG = request(body="0123456789" * 300)


@pytest.mark.parametrize("link", [ETHERNET, RAW, NULL, LOOP, SLL, SLL2])
@pytest.mark.parametrize("addresses", [(CLIENT, SERVER), (CLIENT6, SERVER6)])
def test_link_layers(link: int, addresses: tuple[str, str]) -> None:
    packet = udp(MESSAGE, (addresses[0], 5062), (addresses[1], 5060))
    (found,), notes = messages_of(pcap([Packet(7.5, framed(packet, link))], link))
    assert (found.at, found.transport, found.data) == (7.5, "udp", MESSAGE)
    assert (found.source, found.target) == (Address(addresses[0], 5062), Address(addresses[1], 5060))
    assert (found.where, notes) == ("packet 1", [])


@pytest.mark.parametrize("link", [ETHERNET, SLL, SLL2])
@pytest.mark.parametrize("vlans", [1, 2])
def test_vlan_tags(link: int, vlans: int) -> None:
    (found,), notes = messages_of(pcap([Packet(1.0, framed(udp(MESSAGE), link, vlans=vlans))], link))
    assert (found.data, notes) == (MESSAGE, [])


@pytest.mark.parametrize("addresses", [(CLIENT, SERVER), (CLIENT6, SERVER6)])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 1, 2, 0]])
def test_fragments_in_any_order(addresses: tuple[str, str], order: list[int]) -> None:
    parts = fragments(udp(LONG, (addresses[0], 5062), (addresses[1], 5060)), 1400)
    assert len(parts) == 3
    (found,), notes = messages_of(pcap([Packet(at, parts[at]) for at in order], RAW))
    assert (found.data, notes) == (LONG, [])


def test_a_fragment_that_is_missing() -> None:
    parts = fragments(udp(LONG), 1400)
    found, notes = messages_of(pcap([Packet(1.0, parts[0]), Packet(2.0, parts[2]), Packet(3.0, udp(MESSAGE))], RAW))
    assert [each.data for each in found] == [MESSAGE]
    assert notes == ["packet 1: a fragmented datagram of which not all fragments were captured"]


def test_fragments_are_bounded() -> None:
    """Of a thousand datagrams that never become whole, only so many are kept; a whole one still comes."""
    first = fragments(udp(LONG), 1400)[0]
    packets = [Packet(1.0, first[:4] + struct.pack("!H", number) + first[6:]) for number in range(1000)]
    whole = [Packet(2.0, part[:4] + struct.pack("!H", 5000) + part[6:]) for part in fragments(udp(LONG), 1400)]
    found, notes = messages_of(pcap(packets + whole, RAW))
    assert [each.data for each in found] == [LONG]
    assert notes[-1] == "and 800 more"


def test_what_the_capture_cut_off_is_left_out() -> None:
    packet = udp(MESSAGE)
    found, notes = messages_of(pcap([Packet(1.0, packet[:100], len(packet)), Packet(2.0, udp(MESSAGE))], RAW))
    assert [each.data for each in found] == [MESSAGE]
    assert notes == ["packet 1: the capture has only the first 72 octets; left out"]


def test_what_is_no_sip_says_nothing() -> None:
    others = [
        udp(b"\x00\x01 something"),
        udp(b""),
        ip(b"\x08\x00\x00\x00", 1, CLIENT, SERVER),
        tcp(b"GET / HTTP/1.1\r\n\r\n", 1),
    ]
    assert messages_of(pcap([Packet(1.0, framed(each, ETHERNET)) for each in others])) == ([], [])
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    assert messages_of(pcap([Packet(1.0, arp)])) == ([], [])


def test_padding_of_short_frames_is_no_body() -> None:
    (found,), _ = messages_of(pcap([Packet(1.0, framed(udp(MESSAGE), ETHERNET) + bytes(20))]))
    assert found.data == MESSAGE


def test_an_unknown_link_type_is_told_once() -> None:
    packets = [Packet(1.0, udp(MESSAGE)), Packet(2.0, udp(MESSAGE))]
    assert messages_of(pcap(packets, 147)) == (
        [],
        ["packet 1: link type 147 is not known; its packets are left out"],
    )


def test_a_packet_that_cannot_be_decoded() -> None:
    broken = ip(b"", 6, CLIENT, SERVER)
    assert messages_of(pcap([Packet(1.0, broken)], RAW)) == ([], ["packet 1: cannot be decoded (NeedData)"])
