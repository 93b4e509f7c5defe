"""What is in a message: CPIM, IMDN, isComposing within it (R-MSG-10, R-MSG-12, R-MSG-13, R-ANSWER-4)."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.stage import Stage, settings, stage
from tests.service.test_reports import document

ROOM = "sip:chat-x@example.com"
ASKS = b"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: m1\r\nimdn.Disposition-Notification: positive-delivery\r\n"


async def three(on: Stage) -> None:
    for name in ("alice", "bob", "carol"):
        client = await on.client(name)
        assert (await client.message(ROOM, "#join")).status == 200
    await on.settle()


async def test_nobody_speaks_as_another_in_cpim(tmp_path: Path) -> None:
    """R-MSG-12."""
    async with stage(settings(tmp_path)) as on:
        await three(on)
        body = b"From: Alice <sip:alice@example.com>\r\nSubject: x\r\n\r\nContent-Type: text/plain\r\n\r\nI am Alice"
        assert (await on.clients["bob"].message(ROOM, body, content_type="message/cpim")).status == 202
        got = await on.clients["carol"].wait_message(event="message")
        lines = got.text.split("\r\n")
        assert lines[0] == "To: <sip:chat-x@example.com>"
        assert lines[1] == 'From: "bob" <sip:bob@example.com>'
        assert lines[2].startswith("DateTime: ")
        assert lines[3:] == ["Subject: x", "", "Content-Type: text/plain", "", "I am Alice"]
        refused = await on.clients["bob"].message(
            ROOM, b"from: <sip:alice@example.com>\r\n\r\nhi", content_type="message/cpim"
        )
        assert (refused.status, refused.headers.get("IMC-Event")) == (400, "text-refused")
        assert (await on.settle(("carol",)))["carol"] == []


async def test_a_notification_reaches_the_sender_alone(tmp_path: Path) -> None:
    """R-MSG-13: when both have reported it comes, as one; nobody else sees any of it."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice", takes_tcp=True)
        bob, carol = await on.client("bob"), await on.client("carol")
        for client in (alice, bob, carol):
            assert (await client.message(ROOM, "#join")).status == 200
        await on.settle()
        said = ASKS + b"\r\nContent-Type: text/plain\r\n\r\nhello"
        assert (await alice.message(ROOM, said, content_type="message/cpim")).status == 202
        got = await bob.wait_message(event="message")
        assert "imdn.IMDN-Record-Route: <sip:chat-x@example.com>" in got.text.split("\r\n")
        await carol.wait_message(event="message")
        for client in (bob, carol):
            report = document(recipient=client.address)
            assert (await client.message(ROOM, report, content_type="message/imdn+xml")).status == 202
        told = await alice.wait_message(event="report")
        assert told.sender == ROOM
        assert told.request.headers.get("Content-Type") == "message/cpim"
        assert [f"<recipient-uri>{client.address}" in told.text for client in (bob, carol)] == [True, True]
        assert await on.settle(("alice", "bob", "carol")) == {"alice": [], "bob": [], "carol": []}
        forged = document(recipient=alice.address)
        assert (await bob.message(ROOM, forged, content_type="message/imdn+xml")).status == 403
        stranger = await on.client("dave")
        assert (await stranger.message(ROOM, document(), content_type="message/imdn+xml")).status == 403
        assert await on.settle() == {"alice": [], "bob": [], "carol": [], "dave": []}  # R-ANSWER-4


async def test_is_composing_within_cpim(tmp_path: Path) -> None:
    """R-MSG-10: passed on, and never stored."""
    async with stage(settings(tmp_path)) as on:
        await three(on)
        carol = on.clients["carol"]
        assert (await carol.register(expires=0)).status == 200
        body = b"Subject: x\r\n\r\nContent-Type: application/im-iscomposing+xml\r\n\r\n<isComposing/>"
        assert (await on.clients["alice"].message(ROOM, body, content_type="message/cpim")).status == 202
        assert (await on.clients["bob"].wait_message(event="message")).text.endswith("<isComposing/>")
        assert (await carol.register()).status == 200
        assert (await on.settle(("carol",)))["carol"] == []
