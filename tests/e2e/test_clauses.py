"""Clauses of spec/room.md that no part keeps alone: one test each, over UDP."""

from __future__ import annotations

from pathlib import Path

import pytest

from imc.delivery.job import restore
from imc.sip.uri import SipUri
from imc.store.store import Store
from tests.e2e.stage import DOMAIN, Stage, open_store, settings, stage

ROOM = f"sip:chat-a@{DOMAIN}"
OTHER = f"sip:chat-b@{DOMAIN}"
COMPOSING = '<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state></isComposing>'


async def together(on: Stage) -> None:
    """alice's room, with bob in it."""
    alice, bob = await on.client("alice"), await on.client("bob")
    for client, text in ((alice, "#create"), (bob, "#join")):
        assert (await client.message(ROOM, text)).status == 200
    await on.settle()


async def rooms(on: Stage) -> set[str]:
    return {one.room.user for one in await on.daemon.manager.list_rooms()}


@pytest.mark.parametrize(
    ("uri", "to", "wanted"),
    [
        (OTHER, ROOM, "chat-a"),
        (OTHER, "sip:chat-c@elsewhere.test", "chat-b"),
        (f"sip:chat-manager@{DOMAIN}", ROOM, "chat-a"),
    ],
)
async def test_the_room_is_the_one_in_to_if_it_is_served(tmp_path: Path, uri: str, to: str, wanted: str) -> None:
    """Spec R-ADDR-3."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        headers = [("Content-Type", "text/plain")]
        assert (await alice.request("MESSAGE", uri, to=to, headers=headers, body=b"#create")).status == 200
        assert await rooms(on) == {wanted}


async def test_who_has_no_user_part_is_refused(tmp_path: Path) -> None:
    """Spec R-ADDR-5."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        response = await alice.message(ROOM, "#create", from_=f"sip:{DOMAIN}")
        assert response.status == 403
        assert response.headers.get("Warning") is not None
        assert await rooms(on) == set()


@pytest.mark.parametrize("content_type", [None, "text/plain", "TEXT/plain ; charset=us-ascii"])
async def test_plain_text_can_be_a_command(tmp_path: Path, content_type: str | None) -> None:
    """Spec R-CMD-7."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        headers = [] if content_type is None else [("Content-Type", content_type)]
        assert (await alice.request("MESSAGE", ROOM, headers=headers, body=b"#create")).status == 200


@pytest.mark.parametrize(
    "content_type", ["text/html", "multipart/mixed;boundary=x", "application/json", "text/plainer"]
)
async def test_nothing_else_is_a_command(tmp_path: Path, content_type: str) -> None:
    """Spec R-CMD-7, and R-MSG-5: it is a message, and keeps its bytes and its type."""
    async with stage(settings(tmp_path)) as on:
        await together(on)
        response = await on.clients["alice"].message(ROOM, "#destroy", content_type=content_type)
        assert response.status == 202
        copy = await on.clients["bob"].wait_message(event="message")
        assert (copy.text, copy.request.headers.get("Content-Type")) == ("#destroy", content_type)


async def test_a_copy_is_a_message_of_its_own(tmp_path: Path) -> None:
    """Spec R-MSG-4."""
    async with stage(settings(tmp_path)) as on:
        await together(on)
        carol = await on.client("carol")
        assert (await carol.message(ROOM, "#join")).status == 200
        await on.settle()
        headers = [("Content-Type", "text/plain")]
        sent = await on.clients["alice"].request("MESSAGE", ROOM, call_id="of-alice", headers=headers, body=b"hello")
        assert sent.status == 202
        copies = {user: await on.clients[user].wait_message(event="message") for user in ("bob", "carol")}
        for user, copy in copies.items():
            uri = copy.request.request_uri
            assert isinstance(uri, SipUri)
            assert (uri.user, str(copy.request.to.uri)) == (user, f"sip:{user}@{DOMAIN}")
            assert (copy.sender, copy.display, copy.text) == (ROOM, "alice", "[alice]: hello")
            assert copy.request.to.tag is None  # out of any dialog
        call_ids = {copy.request.call_id for copy in copies.values()} | {"of-alice"}
        assert len(call_ids) == 3


async def test_is_composing_is_not_stored(tmp_path: Path) -> None:
    """Spec R-MSG-10: what nobody has answered yet is kept over a restart, but for isComposing."""
    config = settings(tmp_path)
    async with stage(config) as on:
        await together(on)
        alice, bob = on.clients["alice"], on.clients["bob"]
        bob.answer = None  # away without a word
        composing = await alice.message(ROOM, COMPOSING, content_type="application/im-iscomposing+xml")
        text = await alice.message(ROOM, "hello")
        assert (composing.status, text.status) == (202, 202)
        assert (await bob.wait_message(event="message")).text == COMPOSING
    store = open_store(config)
    try:
        assert stored(store) == [b"[alice]: hello"]
    finally:
        store.close()


def stored(store: Store) -> list[bytes]:
    """The bodies in the outbox."""
    jobs = [restore(row.id, row.created, row.payload, row.recipients) for row in store.load_outbox(100)]
    return [dispatch.body for job in jobs for dispatch in job.dispatches if dispatch.kind == "message"]
