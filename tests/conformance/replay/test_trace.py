from __future__ import annotations

import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.replay import trace
from conformance.replay.read import read_from
from conformance.replay.recording import Address, Recorded, Recording, Unreadable
from tests.conformance.replay.pcaps import read_bytes
from tests.conformance.replay.talks import ALICE, SERVER, request, response

MESSAGE = request(body="hello")
MARK = b"@ 2026-05-01T12:00:00Z udp 192.0.2.7:5062 > 192.0.2.1:5060"


def test_what_is_written_is_read() -> None:
    messages = [
        Recorded(1777636800.125, "udp", ALICE, SERVER, MESSAGE, ""),
        Recorded(1777636801.0, "tcp", Address("2001:db8::1", 5060), ALICE, response(MESSAGE), ""),
    ]
    text = trace.head(server=SERVER, is_anonymous=True, comments=("of a test",))
    text += b"".join(map(trace.render, messages))
    found = read_bytes(text)
    assert [(each.at, each.transport, each.source, each.target, each.data) for each in found.messages] == [
        (each.at, each.transport, each.source, each.target, each.data) for each in messages
    ]
    assert (found.server, found.is_anonymous, list(found.notes)) == (SERVER, True, [])
    assert [each.where for each in found.messages] == ["line 6", "line 18"]


@given(st.binary(max_size=300))
def test_any_octets_come_back(body: bytes) -> None:
    head = request().partition(b"\r\n\r\n")[0].replace(b"Content-Length: 0", b"Content-Length: %d" % len(body))
    data = head + b"\r\n\r\n" + body
    text = trace.render(Recorded(1.5, "udp", ALICE, SERVER, data, ""))
    assert [each.data for each in read_bytes(text + text).messages] == [data, data]


def test_by_hand() -> None:
    """Line ends may be LF, Content-Length is added, what is a comment elsewhere is a command here."""
    text = b"""# a comment
@ 12.5 udp 192.0.2.7:5062 > 192.0.2.1:5060
MESSAGE sip:chat-a@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1
From: <sip:alice@example.com>;tag=1
To: <sip:chat-a@example.com>
Call-ID: 1
CSeq: 1 MESSAGE

#create
and more

@ 13 UDP 192.0.2.1:5060 > 192.0.2.7:5062
SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1
"""
    first, second = read_bytes(text).messages
    assert first.data.endswith(b"CSeq: 1 MESSAGE\r\nContent-Length: 16\r\n\r\n#create\nand more")
    assert (first.at, first.where, second.at, second.transport) == (12.5, "line 2", 13.0, "udp")
    assert second.data == (
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n"
    )


def test_by_hand_a_content_length_is_believed() -> None:
    text = MARK + b"\n" + MESSAGE + b" and what is beyond\n\n"
    assert [each.data for each in read_bytes(text).messages] == [MESSAGE]


SNGREP = b"""2026/05/01 12:00:00.250000 192.0.2.7:5062 -> 192.0.2.1:5060
MESSAGE sip:chat-a@example.com SIP/2.0
Via: SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK1
Content-Length: 5

hello

2026/05/01 12:00:00.500000 192.0.2.1:5060 -> 192.0.2.7:5062
SIP/2.0 200 OK
Via: SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK1
"""
NGREP = b"""interface: any
####
U 2026/05/01 12:00:00.250000 192.0.2.7:5062 -> 192.0.2.1:5060 #5
MESSAGE sip:chat-a@example.com SIP/2.0.
Via: SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK1.
Content-Length: 5.
.
hello

##
T 2026/05/01 12:00:00.500000 192.0.2.1:5060 -> 192.0.2.7:5062 [AP] #7
SIP/2.0 200 OK.
Via: SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK1.
.
"""


@pytest.mark.parametrize(("text", "transports"), [(SNGREP, ["tcp", "tcp"]), (NGREP, ["udp", "tcp"])])
def test_what_other_programs_print(text: bytes, transports: list[str]) -> None:
    first, second = read_bytes(text).messages
    via = b"Via: SIP/2.0/TCP 192.0.2.7:5062;branch=z9hG4bK1\r\n"
    assert first.data == b"MESSAGE sip:chat-a@example.com SIP/2.0\r\n" + via + b"Content-Length: 5\r\n\r\nhello"
    assert second.data == b"SIP/2.0 200 OK\r\n" + via + b"Content-Length: 0\r\n\r\n"
    assert [first.at, second.at] == [1777636800.25, 1777636800.5]
    assert [first.transport, second.transport] == transports
    assert (first.source, first.target) == (ALICE, SERVER)


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (
            MARK + b" 900\n" + MESSAGE,
            [f"line 1: {len(MESSAGE)} of 900 octets are there; the file was cut off"],
        ),
        (MARK + b" 99999999\n" + MESSAGE, ["line 1: 99999999 octets are too many for a message; left out"]),
        (MARK + b"\nno message\n", ["line 1: what follows is no SIP message; left out"]),
        (
            MARK.replace(b"2026-05-01T12:00:00Z", b"yesterday") + b"\n" + MESSAGE,
            ["line 1: Invalid isoformat string: 'yesterday'; the message is left out"],
        ),
        (
            MARK.replace(b":5060", b":99999") + b"\n" + MESSAGE,
            ["line 1: not a port: '192.0.2.1:99999'; the message is left out"],
        ),
        (b"@ udp what\n", ["line 1: begins like a message's mark and is none"]),
        (b"# server: nowhere\n", ["line 1: no port: 'nowhere'"]),
    ],
)
def test_what_is_wrong_is_told_and_the_rest_is_read(text: bytes, notes: list[str]) -> None:
    good = trace.render(Recorded(1.0, "udp", ALICE, SERVER, MESSAGE, ""))
    found = read_bytes(good + b"\n" + text)
    assert [each.data for each in found.messages] == [MESSAGE]
    lines = good.count(b"\n") + 1
    assert list(found.notes) == [note.replace("line 1:", f"line {lines + 1}:") for note in notes]


def test_nothing_in_it() -> None:
    for text, why in ((b"", "the file is empty"), (b"some text\n", "neither a capture nor a trace")):
        with pytest.raises(Unreadable, match=why):
            read_bytes(text)
    with pytest.raises(Unreadable, match="no SIP message") as caught:
        read_bytes(MARK + b"\nno message\n")
    assert "line 1: what follows is no SIP message" in str(caught.value)


def test_messages_are_in_the_order_of_their_times() -> None:
    late, early = (trace.render(Recorded(at, "udp", ALICE, SERVER, MESSAGE, "")) for at in (2.0, 1.0))
    assert [each.at for each in read_bytes(late + early).messages] == [1.0, 2.0]


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [b"@ ", b"\n", MARK, b" 12\n", MESSAGE, SNGREP, NGREP, b"# server: ", b"# anonymous: yes\n"]
            ),
        ),
        max_size=12,
    ).map(b"".join)
)
def test_nothing_but_unreadable_is_raised(text: bytes) -> None:
    recording = Recording("x")
    with suppress(Unreadable):
        recording = read_from(io.BytesIO(text), "x")
    for message in recording.messages:
        assert message.summary
