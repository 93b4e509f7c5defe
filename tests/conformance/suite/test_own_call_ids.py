"""Matching: copies have Call-IDs of their own (spec R-MSG-4), and what stands in a body in an order."""

from __future__ import annotations

import pytest

from conformance.suite.conversation import Delivery
from conformance.suite.matching import Wanted, compare, shared_call_ids

ROOM = "chat-a@example.com"


def delivery(recipient: str, event: str = "message", *, call_id: str | None = None, body: str = "hello") -> Delivery:
    return Delivery(
        recipient=recipient,
        sender_uri=f"sip:{ROOM}",
        to_uri=f"sip:{recipient}@example.com",
        display=None,
        content_type="text/plain",
        body=body.encode(),
        event=event,
        in_reply_to=None,
        headers=() if call_id is None else (("call-id", call_id),),
    )


def test_copies_with_call_ids_of_their_own() -> None:
    got = {"alice": [delivery("alice", call_id="1"), delivery("alice", call_id="2")], "mary": [delivery("mary")]}
    assert shared_call_ids(got, {"sent"}) == []


def test_a_copy_with_the_senders_call_id() -> None:
    got = {"alice": [delivery("alice", call_id="sent")]}
    assert shared_call_ids(got, {"sent"}) == ["alice: message: its Call-ID is the sender's, and must be its own"]


def test_two_copies_with_one_call_id() -> None:
    got = {"alice": [delivery("alice", call_id="1")], "mary": [delivery("mary", call_id="1")]}
    assert shared_call_ids(got, set()) == ["mary: message: its Call-ID is that of alice's copy"]


def test_the_same_copy_again_is_no_other() -> None:
    """Sent again after a crash (spec S-LANE-7)."""
    got = {"alice": [delivery("alice", call_id="1"), delivery("alice", call_id="1")]}
    assert shared_call_ids(got, set()) == []


def test_what_is_relayed_keeps_what_it_has() -> None:
    assert shared_call_ids({"alice": [delivery("alice", "relayed", call_id="sent")]}, {"sent"}) == []


@pytest.mark.parametrize(
    ("sequence", "missing"),
    [((), ""), (("a", "b", "c"), ""), (("b", "a"), "'a'"), (("a", "a"), "'a'"), (("a", "x", "c"), "'x'")],
)
def test_what_stands_in_a_body_in_an_order(sequence: tuple[str, ...], missing: str) -> None:
    wanted = Wanted(event="member-list", senders=frozenset((ROOM,)), sequence=sequence)
    problems = compare("alice", "alice@example.com", [wanted], [delivery("alice", "member-list", body="a b c")])
    assert len(problems) == bool(missing)
    assert all(f"{missing} must be in it" in each for each in problems)
