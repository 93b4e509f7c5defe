"""Messages to a list of recipients (spec/sip.md, S-LIST)."""

from __future__ import annotations

from pathlib import Path

from conformance.agent.client import SipClient
from imc.sip.message import Response
from tests.e2e.stage import Stage, settings, stage
from tests.service.test_recipient_list import listed, multipart

ROOM = "sip:chat-x@example.com"
MANAGER = "sip:chat-manager@example.com"
TEXT = b"Content-Type: text/plain;charset=utf-8\r\n\r\nlunch?"


async def send(client: SipClient, *entries: str, to: str = MANAGER, parts: tuple[bytes, ...] = (TEXT,)) -> Response:
    return await client.message(
        to,
        multipart(*parts, listed(*entries)),
        content_type='multipart/mixed;boundary="b 1"',
        headers=[("Require", "recipient-list-message"), ("Subject", "x")],
    )


async def members(on: Stage, *names: str) -> list[SipClient]:
    found = []
    for name in names:
        client = await on.client(name)
        assert (await client.message(ROOM, "#join")).status == 200
        found.append(client)
    await on.settle()
    return found


async def test_each_on_the_list_gets_it_from_the_sender(tmp_path: Path) -> None:
    """S-LIST-1, S-LIST-4."""
    async with stage(settings(tmp_path)) as on:
        alice, bob, carol, dave = await members(on, "alice", "bob", "carol", "dave")
        assert (await send(alice, bob.address, carol.address, bob.address)).status == 202
        for client in (bob, carol):
            got = await client.wait_message(sender=alice.address)
            assert (got.text, got.request.headers.get("Content-Type")) == ("lunch?", "text/plain;charset=utf-8")
            assert str(got.request.to.uri) == client.address
            assert got.request.headers.get("Subject") == "x"
            assert "Require" not in got.request.headers
        assert await on.settle() == {"alice": [], "bob": [], "carol": [], "dave": []}
        tagged = (f"{bob.address} cp:copyControl='to'", f"{dave.address} cp:copyControl='bcc'")
        assert (await send(alice, *tagged)).status == 202
        for client in (bob, dave):
            got = await client.wait_message(sender=alice.address)
            assert got.request.content_type is not None
            assert got.request.content_type.essence == "multipart/mixed"
            assert (bob.address in got.text, dave.address in got.text) == (True, False)


async def test_nothing_without_consent(tmp_path: Path) -> None:
    """S-LIST-2: one who shares no room, or has left it, or is invited only, and nobody gets anything."""
    async with stage(settings(tmp_path)) as on:
        alice, bob, carol = await members(on, "alice", "bob", "carol")
        eve = await on.client("eve")
        assert (await alice.message(ROOM, "#invite eve")).status == 200
        await on.settle()
        refused = await send(alice, bob.address, eve.address, "sip:nobody@example.com")
        assert refused.status == 470
        assert refused.headers.get("Permission-Missing") == "<sip:eve@example.com>, <sip:nobody@example.com>"
        assert (await send(eve, alice.address)).status == 470
        assert (await carol.message(ROOM, "#leave")).status == 200
        await on.settle()
        assert (await send(alice, bob.address, carol.address)).status == 470
        assert await on.settle() == {"alice": [], "bob": [], "carol": [], "eve": []}
        assert (await send(alice, alice.address, bob.address)).status == 202
        assert (await alice.wait_message(sender=alice.address)).text == "lunch?"


async def test_where_and_how_many(tmp_path: Path) -> None:
    """S-LIST-1, S-LIST-3."""
    async with stage(settings(tmp_path, "limits.max_list_recipients=2")) as on:
        alice, bob, carol = await members(on, "alice", "bob", "carol")
        for to in (ROOM, bob.address):
            elsewhere = await send(alice, bob.address, to=to)
            assert (elsewhere.status, elsewhere.headers.get("Unsupported")) == (420, "recipient-list-message")
        assert (await send(alice, alice.address, bob.address, carol.address)).status == 413
        assert (await send(alice, "tel:+1")).status == 400
        options = await alice.request("OPTIONS", "sip:example.com")
        assert "recipient-list-message" in options.headers.values("Supported")
        assert await on.settle() == {"alice": [], "bob": [], "carol": []}
    async with stage(settings(tmp_path, "limits.max_list_recipients=0")) as on:
        alice = await on.client("alice")
        assert (await send(alice, alice.address)).status == 420


async def test_each_recipient_counts(tmp_path: Path) -> None:
    """S-LIST-3, R-LIMIT-4."""
    async with stage(settings(tmp_path, "limits.sender_burst=7", "limits.sender_rate=0.001")) as on:
        alice, bob, carol, _ = await members(on, "alice", "bob", "carol", "dave")
        assert (await send(alice, bob.address, carol.address, "sip:dave@example.com")).status == 202
        refused = await send(alice, bob.address, carol.address, "sip:dave@example.com")
        assert refused.status == 503


async def test_who_is_away_gets_it_later(tmp_path: Path) -> None:
    """S-LIST-1: 202 is a promise."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await members(on, "alice", "bob")
        assert (await bob.register(expires=0)).status == 200
        assert (await send(alice, bob.address)).status == 202
        assert (await bob.register()).status == 200
        assert (await bob.wait_message(sender=alice.address)).text == "lunch?"


async def test_too_long_for_one(tmp_path: Path) -> None:
    """S-LIST-1: 413 rather than a promise that cannot be kept."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await members(on, "alice", "bob")
        long = (b"Content-Type: text/plain\r\n\r\n" + b"x" * 3_000,)
        assert (await send(alice, bob.address, parts=long)).status == 413
        assert await on.settle() == {"alice": [], "bob": []}
