"""Rows 18 and 2: what an outsider learns of rooms that are private, and of accounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.agent.client import SipClient
from tests.e2e.stage import settings, stage

COMMANDS = (
    "hello", "#members", "#leave", "#accept", "#reject", "#destroy", "#invite bob", "#add bob", "#remove bob",
    "#modify bob admin", "#nonsense",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_private_room_and_no_room(tmp_path: Path, command: str) -> None:
    """Row 18: the same status, headers and words, whatever is asked; and nobody inside hears of it."""
    async with stage(settings(tmp_path)) as on:
        alice, mallory = await on.client("alice"), await on.client("mallory")
        await on.client("bob")
        assert (await alice.message("sip:chat-private@example.com", "#create private")).status == 200
        await on.settle(("alice",))
        found = []
        for room in ("chat-private", "chat-nothing"):
            response = await mallory.message(f"sip:{room}@example.com", command)
            got = [(one.event, one.text.replace(room, "ROOM")) for one in (await on.settle(("mallory",)))["mallory"]]
            ours = ("Via", "To", "Call-ID", "CSeq")
            fields = [
                (name, value.replace(room, "ROOM")) for name, value in response.headers.items() if name not in ours
            ]
            found.append((response.status, fields, got))
        print(f"row 18, {command}: {found[0][0]}, {[event for event, _ in found[0][2]]}")
        assert found[0] == found[1]
        assert (await on.settle(("alice", "bob"))) == {"alice": [], "bob": []}


async def test_guessing_names(tmp_path: Path) -> None:
    """Row 18: create and join cannot hide that a name is taken; so they have a rate, and guessing ends in 503."""
    async with stage(settings(tmp_path, "limits.founding_burst=20", "limits.founding_rate=0.001")) as on:
        mallory = await on.client("mallory")
        statuses = [
            (await mallory.message("sip:chat-manager@example.com", f"#join chat-guess{number}")).status
            for number in range(40)
        ]
        assert statuses == [200] * 20 + [503] * 20
        alice = await on.client("alice")
        assert (await alice.message("sip:chat-x@example.com", "#create")).status == 200


async def test_private_rooms_are_in_no_list(tmp_path: Path) -> None:
    async with stage(settings(tmp_path)) as on:
        alice, mallory = await on.client("alice"), await on.client("mallory")
        assert (await alice.message("sip:chat-secret@example.com", "#create private")).status == 200
        assert (await mallory.message("sip:chat-manager@example.com", "#rooms")).status == 200
        for one in (await on.settle(("mallory",)))["mallory"]:
            assert "secret" not in one.text


async def test_accounts_cannot_be_told(tmp_path: Path) -> None:
    """Row 2, spec S-AUTH-9: an account and none get the same answer to REGISTER and MESSAGE, without and with a wrong
    password, but for what differs from request to request."""
    async with stage(settings(tmp_path, mode="digest"), {"alice": "wonder"}) as on:
        found = []
        for user in ("alice", "nobody"):
            client = await SipClient.open(on.nursery, f"sip:{user}@example.com", on.addresses["udp"], password="wrong")
            answers = [await client.register(), await client.message("sip:chat-x@example.com", "hello")]
            found.append(
                [
                    (
                        response.status,
                        response.reason,
                        [name for name, _ in response.headers.items()],
                        len(response.body),
                    )
                    for response in answers
                ]
            )
        assert found[0] == found[1]
