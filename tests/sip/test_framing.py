from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc.errors import BadMessage
from imc.sip.framing import Ping, StreamFramer
from imc.sip.message import Request, Response, parse_message
from tests import strategies as sip

MAX = 400
Outcome = tuple[list[bytes | Ping], int | None]


def cut(pieces: Iterable[bytes], max_message: int = MAX) -> Outcome:
    """What comes out of a stream in these pieces, and the status of the fault that ends it."""
    framer = StreamFramer(max_message)
    items: list[bytes | Ping] = []
    for piece in pieces:
        try:
            for item in framer.feed(piece):
                items.append(item)  # noqa: PERF402  what came before a fault counts
        except BadMessage as exc:
            return items, exc.status
    return items, None


def text(*headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join(("MESSAGE sip:a@b SIP/2.0", *headers)).encode() + b"\r\n\r\n" + body


SHORT = text("Content-Length: 0")
HELLO = text("l:5", body=b"hello")
BINARY = text("CONTENT-LENGTH  : \t 8 ", "To: x", body=b"\r\n\r\n\0\xff\r\n")
FOLDED = text("Subject: Content-Length: 7", " Content-Length: 9", "Content-Length:", "  2", body=b"ab")
TWICE = text("Content-Length: 2", "l: 02", body=b"ab")

CASES: list[tuple[bytes, Outcome]] = [
    (b"", ([], None)),
    (SHORT, ([SHORT], None)),
    (HELLO, ([HELLO], None)),
    (BINARY, ([BINARY], None)),
    (FOLDED, ([FOLDED], None)),
    (TWICE, ([TWICE], None)),
    (HELLO + BINARY + SHORT, ([HELLO, BINARY, SHORT], None)),
    # RFC 5626 §4.4.1
    (b"\r\n\r\n", ([Ping.PING], None)),
    (b"\r\n\r\n" * 3, ([Ping.PING] * 3, None)),
    (b"\r\n", ([], None)),
    (b"\r\n\r\n" + HELLO + b"\r\n\r\n" + SHORT, ([Ping.PING, HELLO, Ping.PING, SHORT], None)),
    # RFC 3261 §7.5
    (b"\r\n" + HELLO + b"\r\n" + SHORT + b"\r\n", ([HELLO, SHORT], None)),
    (b"\r\n\r\n\r\n" + SHORT, ([Ping.PING, SHORT], None)),
    # not whole
    (HELLO[:-1], ([], None)),
    (SHORT + HELLO[:10], ([SHORT], None)),
    # faults: what was whole comes out first, and nothing after
    (SHORT + text() + SHORT, ([SHORT], 400)),
    (text("Content-Length: -1"), ([], 400)),
    (text("Content-Length: five"), ([], 400)),
    (text("Content-Length:"), ([], 400)),
    (text("Content-Length: 1 2"), ([], 400)),
    (text("Content-Length: 1", " 2"), ([], 400)),
    (text("Content-Length: 1,1"), ([], 400)),
    (text("Content-Length: ٣"), ([], 400)),
    (text("Content-Length: 2147483648"), ([], 413)),
    (text("Content-Length: 4294967296"), ([], 400)),
    (text("Content-Length: " + "9" * 100), ([], 400)),
    (text("Content-Length: 2", "l: 3", body=b"abc"), ([], 400)),
    (text("l: 2", "X: y", "Content-Length: x", body=b"abc"), ([], 400)),
    (text("Content-Length: 2\r", body=b"ab"), ([], 400)),
    (text("X-Content-Length: 2", body=b"ab"), ([], 400)),
    (b"\rX", ([], 400)),
    (SHORT + b"\r\n\rX", ([SHORT], 400)),
    (text(f"Content-Length: {MAX}"), ([], 413)),
    (text("X: " + "x" * MAX, "Content-Length: 0"), ([], 413)),
    (HELLO + b"x" * (MAX + 1), ([HELLO], 413)),
]
IDS = [repr(data[-40:]) for data, _ in CASES]


@pytest.mark.parametrize(("data", "outcome"), CASES, ids=IDS)
def test_a_stream_whole(data: bytes, outcome: Outcome) -> None:
    assert cut([data]) == outcome


@pytest.mark.parametrize(("data", "outcome"), CASES, ids=IDS)
def test_a_stream_at_every_split_point(data: bytes, outcome: Outcome) -> None:
    for at in range(len(data) + 1):
        assert cut([data[:at], data[at:]]) == outcome, at


@pytest.mark.parametrize(("data", "outcome"), CASES, ids=IDS)
def test_a_stream_byte_by_byte(data: bytes, outcome: Outcome) -> None:
    assert cut(data[at : at + 1] for at in range(len(data))) == outcome


@settings(max_examples=30)
@given(st.lists(sip.messages, max_size=3), st.lists(st.integers(0, 4000), max_size=6))
def test_any_messages_in_any_pieces(messages: list[Request | Response], cuts: list[int]) -> None:
    whole = [message.render() for message in messages]
    stream = b"".join(whole)
    points = [0, *sorted(min(point, len(stream)) for point in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(points)]
    assert cut(pieces, 100_000) == (whole, None)
    assert [parse_message(data, is_datagram=False) for data in whole] == messages


ROUGH = st.lists(
    st.sampled_from((SHORT, HELLO, BINARY, b"\r\n", b"\r", b"\n", b"l:1\r\n", b"Content-Length: ", b"3", b" "))
    | st.binary(max_size=8),
    max_size=10,
).map(b"".join)


@given(ROUGH, st.integers(0, 200))
def test_what_comes_out_does_not_depend_on_the_pieces(data: bytes, at: int) -> None:
    whole = cut([data])
    assert cut([data[:at], data[at:]]) == whole
    assert cut(data[at : at + 1] for at in range(len(data))) == whole


def test_nothing_comes_out_after_a_fault() -> None:
    # spec S-READ-3
    framer = StreamFramer(MAX)
    with pytest.raises(BadMessage):
        list(framer.feed(text()))
    with pytest.raises(BadMessage):
        list(framer.feed(SHORT))


@pytest.mark.parametrize(
    ("data", "is_mid_message"),
    [
        (b"", False), (b"\r", False), (b"\r\n", False), (b"\r\n\r", False), (b"\r\n\r\n", False), (b"\r\nM", True),
        (b"M", True), (SHORT[:-1], True), (SHORT, False), (SHORT + b"M", True), (HELLO[:-1], True),
        (HELLO + b"\r\n", False),
    ],
)  # fmt: skip
def test_whether_a_message_has_begun(data: bytes, is_mid_message: bool) -> None:
    for size in (1, 2, len(data) or 1):
        framer = StreamFramer(MAX)
        for at in range(0, len(data), size):
            list(framer.feed(data[at : at + size]))
        assert framer.is_mid_message is is_mid_message


def test_octets_are_not_searched_twice() -> None:
    """The work for a head in single octets is counted: each search starts where the last one ended."""

    class Counting(bytearray):
        work = 0

        def find(self, sub: bytes, start: int = 0) -> int:  # type: ignore[override]
            Counting.work += len(self) - start
            return super().find(sub, start)

    framer = StreamFramer(100_000)
    framer._buffer = Counting()
    for _ in range(20_000):
        list(framer.feed(b"x"))
    assert Counting.work <= 4 * 20_000


def test_what_is_kept_is_bounded() -> None:
    framer = StreamFramer(MAX)
    for _ in range(MAX):
        assert list(framer.feed(b"x")) == []
    with pytest.raises(BadMessage):
        list(framer.feed(b"x"))
    assert len(framer._buffer) == MAX + 1


def test_a_fault_leaves_no_garbage() -> None:
    framer = StreamFramer(100)
    for _ in range(2):
        with pytest.raises(BadMessage, match="Missing Content-Length"):
            list(framer.feed(b"x\r\n\r\n"))
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            framer = StreamFramer(100)
            for _ in range(2):
                with contextlib.suppress(BadMessage):
                    list(framer.feed(b"x\r\n\r\n"))
        assert gc.collect() < 100
    finally:
        gc.enable()
