from __future__ import annotations

import time
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.replay import streams
from conformance.replay.containers import Frame
from conformance.replay.packets import Packets, Segment
from conformance.replay.recording import Notes, Recorded
from conformance.replay.streams import Splitter
from tests.conformance.replay.pcaps import ACK, FIN, RAW, SYN, Packet, messages_of, pcap, tcp
from tests.conformance.replay.talks import request

FIRST, SECOND, THIRD = (request(body=text, transport="TCP", branch=f"z9hG4bK{text}") for text in ("one", "two", "3"))
STREAM = FIRST + b"\r\n\r\n" + SECOND + THIRD
START = 4_294_967_000  # so that numbers turn over


def cut(*places: int) -> list[tuple[int, bytes]]:
    """(sequence number, octets) of the stream cut at these places."""
    return [(START + a, STREAM[a:b]) for a, b in pairwise([0, *places, len(STREAM)])]


def play(segments: list[tuple[int, bytes]], *, has_syn: bool = True) -> tuple[list[Recorded], list[str]]:
    packets = [tcp(b"", START - 1, SYN)] if has_syn else []
    packets += [tcp(data, seq) for seq, data in segments]
    return messages_of(pcap([Packet(float(at), each) for at, each in enumerate(packets)], RAW))


def bodies(found: list[Recorded]) -> list[bytes]:
    return [each.data.rpartition(b"\r\n")[2] for each in found]


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=20, unique=True).map(sorted))
def test_however_it_is_cut(places: list[int]) -> None:
    found, notes = play(cut(*places))
    assert ([each.data for each in found], notes) == ([FIRST, SECOND, THIRD], [])


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_whatever_order(order: tuple[int, ...]) -> None:
    parts = cut(100, 400, 700)
    found, notes = play([parts[at] for at in order])
    assert ([each.data for each in found], notes) == ([FIRST, SECOND, THIRD], [])


def test_a_message_has_the_time_and_place_of_its_last_octet() -> None:
    found, _ = play(cut(10, len(FIRST), len(FIRST) + 100))
    assert [(each.at, each.where) for each in found] == [(2.0, "packet 3"), (4.0, "packet 5"), (4.0, "packet 5")]


def test_repeated_and_overlapping_segments_count_once_and_the_first_version_holds() -> None:
    a, b, c = cut(200, 500)
    again = (a[0] + 150, STREAM[150:300])
    other = (a[0], b"X" * 200)
    found, notes = play([a, a, again, other, b, (START + 100, STREAM[100:600]), c, b])
    assert ([each.data for each in found], notes) == ([FIRST, SECOND, THIRD], [])


def test_a_gap_costs_what_was_begun_and_no_more() -> None:
    lost = len(FIRST) + 50
    parts = cut(len(FIRST), lost, lost + 60)
    found, notes = play([parts[0], parts[1], parts[3]])
    assert bodies(found) == [b"one", b"3"]
    assert notes == [
        "packet 4: 60 octets before it were not captured (192.0.2.7:40001 > 192.0.2.1:5060); "
        "reading goes on at the next message"
    ]


def test_a_connection_that_began_before_the_capture() -> None:
    found, notes = play(cut(100)[1:], has_syn=False)
    assert bodies(found) == [b"two", b"3"]
    assert notes == ["packet 1: the connection 192.0.2.7:40001 > 192.0.2.1:5060 began before the capture"]


def test_a_message_that_does_not_end() -> None:
    found, notes = play([(START, STREAM[:-1])])
    assert bodies(found) == [b"one", b"two"]
    assert notes == ["192.0.2.7:40001 > 192.0.2.1:5060: the last message is not whole; it is left out"]


def test_what_is_no_message_is_left_out_up_to_the_next_one() -> None:
    wrong = FIRST.replace(b"Content-Length: 3", b"Content-Length: x")
    found, notes = play([(START, wrong + b"\r\n" + SECOND)])
    assert bodies(found) == [b"two"]
    assert notes == ["packet 2: not a message of a stream (Bad Content-Length); left out up to the next one"]


def test_a_body_may_hold_a_start_line() -> None:
    inner = request(transport="TCP", body="OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\nend")
    found, notes = play([(START, inner + SECOND)])
    assert ([each.data for each in found], notes) == ([inner, SECOND], [])


def test_ports_that_are_used_again() -> None:
    packets = [
        tcp(b"", 99, SYN),
        tcp(FIRST, 100),
        tcp(b"", 100 + len(FIRST), FIN),
        tcp(b"", 4999, SYN),
        tcp(SECOND, 5000),
    ]
    found, notes = messages_of(pcap([Packet(float(at), each) for at, each in enumerate(packets)], RAW))
    assert (bodies(found), notes) == ([b"one", b"two"], [])


def test_both_directions_are_apart() -> None:
    back = tcp(SECOND, 7, source=("192.0.2.1", 5060), target=("192.0.2.7", 40001))
    packets = [tcp(FIRST[:50], 1), back, tcp(FIRST[50:], 51)]
    found, _ = messages_of(pcap([Packet(float(at), each) for at, each in enumerate(packets)], RAW))
    assert [(str(each.source), each.data) for each in found] == [
        ("192.0.2.1:5060", SECOND),
        ("192.0.2.7:40001", FIRST),
    ]


def test_what_waits_for_a_gap_is_bounded() -> None:
    """A gap is given up when too much waits behind it, not only at the end."""
    size = 60_000
    packets = [tcp(b"", 0, SYN), tcp(FIRST, 1)]
    at = 1 + len(FIRST) + 100
    for _ in range(20):
        packets.append(tcp(b"\r\n" * (size // 2), at))
        at += size
    packets.append(tcp(SECOND, at))
    found, notes = messages_of(pcap([Packet(float(at), each) for at, each in enumerate(packets)], RAW))
    assert bodies(found) == [b"one", b"two"]
    assert len(notes) == 1


def test_flows_are_bounded() -> None:
    packets = [tcp(FIRST[:100], 1, source=("192.0.2.7", port)) for port in range(1024, 1024 + 5000)]
    packets += [tcp(FIRST[100:], 101, source=("192.0.2.7", 1024 + 4999))]
    found, _ = messages_of(pcap([Packet(1.0, each) for each in packets], RAW))
    assert bodies(found) == [b"one"]


def test_holes_without_end_cost_little() -> None:
    """Every second octet is missing: as many segments wait as may."""
    packets = [tcp(b"", 0, SYN), tcp(FIRST, 1)]
    packets += [tcp(b"x", 1 + len(FIRST) + 1 + 2 * at) for at in range(16_000)]
    packets += [tcp(SECOND, 1 + len(FIRST) + 32_000)]
    began = time.process_time()
    found, _ = messages_of(pcap([Packet(float(at), each) for at, each in enumerate(packets)], RAW))
    assert bodies(found) == [b"one", b"two"]
    assert time.process_time() - began < 8


@pytest.mark.parametrize("is_begun", [True, False])
def test_what_waits_is_bounded_in_all_connections(monkeypatch: pytest.MonkeyPatch, is_begun: bool) -> None:
    """Messages that were begun, and segments behind a hole: those unused for longest are given up, and go on."""
    monkeypatch.setattr(streams, "_MAX_KEPT", 10 * (1000 + streams._SEGMENT))
    long = request(transport="TCP", body="x" * 1000)
    ports = range(1024, 1024 + 40)
    notes = Notes()
    held = streams.Streams(notes)
    packets = Packets(notes)

    def take(data: bytes, seq: int, port: int, flags: int = ACK) -> list[bytes]:
        frame = Frame(1, 1.0, RAW, tcp(data, seq, flags, source=("192.0.2.7", port)), 0)
        segment = packets.take(frame._replace(size=len(frame.data)))
        assert isinstance(segment, Segment)
        return bodies(list(held.take(segment)))

    for port in ports:
        take(b"", 0, port, SYN)
        if is_begun:
            take(long[:1000], 1, port)
        else:
            assert take(SECOND, 1 + len(FIRST), port) in ([], [b"two"])
        assert held._size <= streams._MAX_KEPT
        assert held._size == sum(each.kept for each in held._directions.values())
    lost = [note for note in notes if "no room for more that is not whole" in note]
    assert lost[0].startswith("192.0.2.7:1024 > ")
    if is_begun:
        assert take(long[1000:], 1001, ports[-1]) == [b"x" * 1000]
        assert take(long[1000:] + THIRD, 1001, ports[0]) == [b"3"]
    else:
        assert take(FIRST, 1, ports[-1]) == [b"one", b"two"]
        assert take(THIRD, 1 + len(FIRST + SECOND), ports[0]) == [b"3"]
    assert list(held.finish()) == [] or not is_begun
    assert held._size == 0


@given(st.binary(max_size=400), st.integers(1, 50))
def test_a_splitter_finds_a_message_behind_anything(before: bytes, size: int) -> None:
    splitter = Splitter()
    data = before + b"\r\n\r\n" + FIRST
    found = [item for at in range(0, len(data), size) for item in splitter.feed(data[at : at + size])]
    assert found[-1:] == [FIRST]
    assert splitter.kept == 0
