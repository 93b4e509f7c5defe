"""message/cpim on its way through a room: what is right keeps its octets, what is not is put right or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.errors import BadMessage
from imc.service.cpim import address_of, in_room, parse_cpim

ROOM = Aor("chat-x", "example.com")
ALICE = Aor("alice", "example.com")
WALL = 1_700_000_000.7
INNER = "Content-Type: text/plain; charset=iso-8859-1\r\nContent-ID: <1>\r\n\r\n[bob]: h\xe9\r\n\r\nend\x00".encode(
    "latin-1"
)


def relayed(*lines: str, inner: bytes = INNER, label: str = "alice") -> list[str]:
    """The wrapper's lines in the room's copy; the content is as it was."""
    message = parse_cpim("\r\n".join(lines).encode() + b"\r\n\r\n" + inner)
    head, _, content = in_room(message, sender=ALICE, label=label, room=ROOM, wall=WALL).render().partition(b"\r\n\r\n")
    assert content == inner
    return head.decode().split("\r\n")


@pytest.mark.parametrize(
    "who",
    [
        "<sip:alice@example.com>",
        "<im:alice@EXAMPLE.com>",
        "alice <sips:alice@example.com>",
        '"alice" <pres:alice@example.com>',
    ],
)
def test_what_is_right_keeps_its_octets(who: str) -> None:
    """R-MSG-12."""
    lines = [
        "NS: x <urn:x>", f"From: {who}", "To: <im:chat-x@example.com>", "cc: <im:bob@example.com>",
        "DateTime: 2026-01-01T00:00:00+01:00", "Subject:;lang=fr \u00e9t\u00e9 \\u0007", "x.Y: z", "Unknown: a: b",
    ]  # fmt: skip
    assert relayed(*lines) == lines


@pytest.mark.parametrize(
    "who",
    [
        "<sip:bob@example.com>",
        "Bob <sip:alice@example.com>",
        '"bob" <im:alice@example.com>',
        "<tel:+1>",
        "alice",
        "<sip:alice@example.com> <sip:bob@example.com>",
    ],
)
def test_from_is_the_sender(who: str) -> None:
    """R-MSG-12: whatever the member wrote."""
    lines = relayed(f"From: {who}", "To: <sip:chat-x@example.com>", "DateTime: 2026-01-01T00:00:00Z", "Subject: s")
    assert lines == [
        'From: "alice" <sip:alice@example.com>',
        "To: <sip:chat-x@example.com>",
        "DateTime: 2026-01-01T00:00:00Z",
        "Subject: s",
    ]


def test_what_is_missing_is_added_and_what_is_twice_falls_away() -> None:
    """R-MSG-12."""
    truth = ['From: "alice" <sip:alice@example.com>', "To: <sip:chat-x@example.com>", "DateTime: 2023-11-14T22:13:20Z"]
    assert relayed("Subject: s") == [*truth, "Subject: s"]
    assert (
        relayed("From: <im:bob@example.com>", "From: <im:alice@example.com>", "To: <im:a@b>", "To: <im:c@d>") == truth
    )
    assert relayed("To: <im:c@d>", "Subject: s") == [*truth[:2], truth[2], "Subject: s"]


def test_notifications_come_by_the_room() -> None:
    """R-MSG-13: IMDN-Record-Route, at the top, where they are asked for (RFC 5438 §8)."""
    head = ["From: <sip:alice@example.com>", "To: <sip:chat-x@example.com>", "DateTime: 2026-01-01T00:00:00Z"]
    head.append("NS: i <urn:ietf:params:imdn>")
    asked = [*head, "i.Message-ID: m1", "i.Disposition-Notification: positive-delivery, display"]
    assert relayed(*asked) == [*asked, "i.IMDN-Record-Route: <sip:chat-x@example.com>"]
    assert relayed(*head, "i.Message-ID: m1") == [*head, "i.Message-ID: m1"]
    other = "i.IMDN-Record-Route: <sip:store.example.com>"
    assert relayed(*asked, other) == [*asked, "i.IMDN-Record-Route: <sip:chat-x@example.com>", other]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"From: <im:a@b>\r\nContent-Type: text/plain\r\n",
        b"\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"From <im:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"From:  \x07\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"From: <im:a@b>\r\n folded\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"From: <im:a@b>\nSubject: x\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"Subject: \xff\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"Subject: x\r\n\r\nx",
        b"Subject: x\r\n\r\nContent-Type: text\r\n\r\nx",
        b"from: <im:bob@example.com>\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"FROM: <im:bob@example.com>\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"NS: <urn:other>\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"NS: x <urn:ietf:params:cpim-headers:>\r\nx.From: <im:b@c>\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"NS: x\r\n\r\nContent-Type: text/plain\r\n\r\nx",
        b"Subject: x\r\n" * 65 + b"\r\nContent-Type: text/plain\r\n\r\nx",
    ],
)  # fmt: skip
def test_what_is_none_is_refused(body: bytes) -> None:
    """R-MSG-12."""
    with pytest.raises(BadMessage):
        parse_cpim(body)


def test_what_is_wrapped() -> None:
    body = b"Subject: x\r\n\r\ncontent-type: multipart/mixed;\r\n boundary=b\r\nX: y\r\n\r\n--b\r\n"
    message = parse_cpim(body)
    assert message.content_type.essence == "multipart/mixed"
    assert message.payload == b"--b\r\n"
    assert message.render() == body


@pytest.mark.parametrize(
    ("uri", "aor"),
    [
        ("sip:alice@example.com;gr=x", ALICE),
        (" im:%61lice@example.com", ALICE),
        ("tel:+1", None),
        ("alice@example.com", None),
        ("sip:example.com", None),
        ("sip:a b@example.com", None),
    ],
)
def test_addresses(uri: str, aor: Aor | None) -> None:
    assert address_of(uri) == aor


_LINES = st.sampled_from([
    "From: <sip:alice@example.com>", "From: Bob <im:bob@example.com>", "from: <im:bob@example.com>", "To: <im:x@y>",
    "To: <im:chat-x@example.com>", "NS: imdn <urn:ietf:params:imdn>", "NS: <urn:x>", "imdn.Message-ID: 1",
    "imdn.Disposition-Notification: display", "DateTime: x", 'From:;lang=de "b\\"" <im:bob@example.com>', "",
    "Subject: s",
    "Require: From", "NS: y <urn:ietf:params:cpim-headers:>", "y.From: <im:bob@example.com>", "From: \u2028<im:b@c>",
])  # fmt: skip


@given(st.lists(_LINES | st.text(max_size=20), max_size=8), st.binary(max_size=40))
def test_whatever_is_written_the_speaker_is_the_sender(lines: list[str], tail: bytes) -> None:
    """R-MSG-12: it is refused, or read by anyone it names the sender and the room, once."""
    body = "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\nContent-Type: text/plain\r\n\r\n" + tail
    try:
        message = parse_cpim(body)
    except BadMessage:
        return
    sent = in_room(message, sender=ALICE, label="alice", room=ROOM, wall=WALL).render()
    again = parse_cpim(sent)
    assert again.content == message.content
    found = [line for line in sent.partition(b"\r\n\r\n")[0].split(b"\r\n") if line.lower().startswith(b"from:")]
    assert len(found) == 1
    assert found[0].endswith(b"<sip:alice@example.com>")
    assert b"bob" not in found[0].lower()
    assert [line.split(b"<")[1].rstrip(b">") in (b"sip:chat-x@example.com", b"im:chat-x@example.com")
            for line in sent.split(b"\r\n\r\n")[0].split(b"\r\n") if line.startswith(b"To:")] == [True]  # fmt: skip
    once = in_room(again, sender=ALICE, label="alice", room=ROOM, wall=WALL)
    assert [header for header in once.headers if header[0] == "From"] == [h for h in again.headers if h[0] == "From"]
