"""Jobs: their form in the outbox comes back whole, and copies sent again after a crash carry the same ids."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.delivery.job import Dispatch, Job, lane_tag, pack_recipients, restore

USERS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()&=+$,;?/", min_size=1, max_size=12)
AORS = st.builds(Aor, USERS, st.sampled_from(["example.com", "[2001:db8::1]", "10.0.0.1"]))
DISPATCHES = st.builds(
    Dispatch,
    kind=st.sampled_from(["message", "invitation", "member-joined"]),
    sender=AORS,
    display=st.none() | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=8),
    recipients=st.lists(AORS, max_size=5, unique=True).map(tuple),
    content_type=st.sampled_from(["text/plain", "message/cpim", "text/plain;charset=utf-8"]),
    body=st.binary(max_size=40),
    headers=st.sampled_from([(), (("IMC-Event", "message"), ("In-Reply-To", "abc@host"))]),
    wants_result=st.booleans(),
    context=st.dictionaries(st.sampled_from(["inviter", "serial"]), st.text(max_size=5)),
)


@given(st.lists(DISPATCHES, min_size=1, max_size=4))
def test_the_outbox_row_gives_the_same_job(dispatches: list[Dispatch]) -> None:
    job = Job("abc123", 1234.5, tuple(dispatches), is_durable=True)
    again = restore("abc123", 1234.5, job.payload(), job.recipients())
    assert again.payload() == job.payload()
    assert again.recipients() == job.recipients()
    assert [(d.call_base, d.shared) for d in again.dispatches] == [(d.call_base, d.shared) for d in job.dispatches]
    assert [d.recipients for d in again.dispatches] == [d.recipients for d in job.dispatches]


def test_only_those_who_are_left_come_back() -> None:
    people = tuple(Aor(f"u{n}", "example.com") for n in range(3))
    dispatch = Dispatch(
        kind="message", sender=people[0], display=None, recipients=people, content_type="text/plain", body=b"hi"
    )
    job = Job("a", 1.0, (dispatch,))
    again = restore("a", 1.0, job.payload(), pack_recipients([people[2:]]))
    assert again.dispatches[0].recipients == people[2:]


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown format 99"):
        restore("a", 1.0, json.dumps({"format": 99}).encode() + b"\n", b"")


def test_a_display_name_is_quoted() -> None:
    dispatch = Dispatch(
        kind="message",
        sender=Aor("chat-1", "h"),
        display='a"b\\c',
        recipients=(),
        content_type="text/plain",
        body=b"",
    )
    Job("a", 1.0, (dispatch,))
    assert b'From: "a\\"b\\\\c" <sip:chat-1@h>;tag=a\r\n' in dispatch.shared


def test_lane_tags_tell_recipients_apart() -> None:
    assert lane_tag(Aor("a", "h")) != lane_tag(Aor("b", "h"))
    assert lane_tag(Aor("a", "h")) == lane_tag(Aor("a", "h"))
