from __future__ import annotations

from typing import Any

import pytest

from conformance.replay.compare import COMPARED, IGNORED, NAMES, Comparison
from conformance.replay.people import People
from conformance.replay.recording import Address
from conformance.replay.rename import Renaming
from conformance.replay.script import Script, build
from imc.sip.message import Response, parse_message
from tests.conformance.replay.talks import SERVER, asked, copy_for, recording, request, response

SENT = request(body="hello there", branch="z9hG4bK1")
NOTICE = copy_for("bob", "You are in.", branch="z9hG4bK2", call_id="m", headers="IMC-Event: member-joined\r\n")
COPY = copy_for("bob", "[alice]: hello there", branch="z9hG4bK3", call_id="n")


def script() -> Script:
    return build(recording(*asked(0.0, SENT, 202)))


def comparison(*ignored: str, is_anonymous: bool = False, **more: Any) -> Comparison:
    found = script()
    found.is_anonymous = is_anonymous
    return Comparison(found, Renaming(People(), SERVER, Address("127.0.0.1", 1), **more), ignored)


def parsed(data: bytes) -> Any:
    return parse_message(data, is_datagram=True)


def changed(data: bytes, old: bytes, new: bytes) -> Any:
    assert old in data
    return parsed(data.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        (b"branch=z9hG4bK2", b"branch=z9hG4bK9;received=192.0.2.1", []),
        (b"Call-ID: m", b"Call-ID: other", []),
        (b";tag=t1", b";tag=t9", []),
        (b"sip:bob@192.0.2.8:5064", b"sip:bob@127.0.0.1:9", []),
        (b"IMC-Event", b"User-Agent: x\r\nDate: y\r\nIMC-Event", []),
        (b"text/plain", b"TEXT/plain; Charset=UTF-8", []),
        (b"text/plain", b"text/html", ["Content-Type: text/html; recorded: text/plain"]),
        (b"sip:chat-a@example.com", b"sip:chat-b@example.com", [
            "From sip:chat-b@example.com; recorded: sip:chat-a@example.com",
        ]),
        (b"<sip:bob@example.com>", b"<sip:rob@example.com>", [
            "To sip:rob@example.com; recorded: sip:bob@example.com",
        ]),
        (b"From: <", b'From: "Room" <', ["display name 'Room'; recorded: none"]),
        (b"member-joined", b"already-joined", ["IMC-Event: already-joined; recorded: member-joined"]),
        (b"IMC-Event: member-joined\r\n", b"", ["IMC-Event: none; recorded: member-joined"]),
        (b"IMC-Event", b"In-Reply-To: x\r\nIMC-Event", ["In-Reply-To is there; recorded: none"]),
        (b"You are in.", b"You are out", ["body 'You are out'; recorded: 'You are in.'"]),
    ],
)  # fmt: skip
def test_messages(old: bytes, new: bytes, problems: list[str]) -> None:
    assert comparison().requests(parsed(NOTICE), changed(NOTICE, old, new)) == problems


@pytest.mark.parametrize(
    ("headers", "status", "problems"),
    [
        ("Server: x\r\nContact: <sip:a@b>;expires=3\r\nWarning: 399 x \"y\"\r\n", 200, []),
        ("", 403, ["403 OK; recorded: 200 OK"]),
        ("Allow: message, OPTIONS\r\n", 200, []),
        ("Allow: MESSAGE\r\n", 200, ["Allow: message; recorded: message, options"]),
    ],
)  # fmt: skip
def test_responses(headers: str, status: int, problems: list[str]) -> None:
    recorded = parsed(response(SENT, headers="Allow: OPTIONS, MESSAGE\r\n"))
    default = "" if "Allow" in headers else "Allow: OPTIONS, MESSAGE\r\n"
    seen = parsed(response(SENT, status, headers=default + headers))
    assert isinstance(seen, Response)
    assert comparison().responses(recorded, seen) == problems


def test_in_reply_to_is_of_the_request_that_stands_for_the_recorded_one() -> None:
    recorded = parsed(NOTICE.replace(b"IMC-Event", b"In-Reply-To: c1\r\nIMC-Event"))
    renaming = Renaming(People(), SERVER, SERVER)
    found = Comparison(script(), renaming)
    new = renaming.call_id("c1").encode()
    right = parsed(NOTICE.replace(b"IMC-Event", b"In-Reply-To: " + new + b"\r\nIMC-Event"))
    assert found.requests(recorded, right) == []
    assert found.requests(recorded, recorded) == ["In-Reply-To is of another request"]
    assert found.requests(recorded, parsed(NOTICE)) == ["In-Reply-To is not there"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_to_be_compared(name: str) -> None:
    other = NOTICE.replace(b"From: <", b'From: "Room" <').replace(b"You are in.", b"you are IN!")
    other = other.replace(b"text/plain", b"text/html").replace(b"member-joined", b"already-joined")
    other = other.replace(
        b"IMC-Event", b"In-Reply-To: x\r\nAllow: A\r\nUnsupported: a\r\nAccept: a/b\r\nMin-Expires: 1\r\nIMC-Event"
    )
    problems = comparison().requests(parsed(NOTICE), parsed(other))
    left = comparison(name.upper()).requests(parsed(NOTICE), parsed(other))
    assert len(problems) == len(NAMES)
    (gone,) = set(problems) - set(left)
    assert gone.lower().startswith(name.replace("-", " ") if name == "display-name" else name.lower())


def test_names_are_renamed_before() -> None:
    found = comparison(domains={"example.com": "test.example"})
    recorded = parsed(NOTICE.replace(b"You are in.", b"@example.com"))
    seen = parsed(NOTICE.replace(b"You are in.", b"@example.com").replace(b"example.com", b"test.example"))
    seen.body = b"@test.example"
    recorded.body = b"@example.com"
    assert found.requests(recorded, seen) == []


def test_of_an_anonymous_trace_only_what_a_client_said_is_compared() -> None:
    found = comparison(is_anonymous=True)
    assert found.requests(parsed(NOTICE), changed(NOTICE, b"You are in.", b"Du bist da!")) == []
    assert found.requests(parsed(COPY), parsed(COPY.replace(b"hello", b"HELLO"))) != []


def test_copies_and_notices_are_told_apart() -> None:
    found = comparison()
    other = COPY.replace(b"[alice]: ", b"<alice> :")
    assert found.is_copy_of_same(parsed(COPY), parsed(other))
    assert found.is_copy_of_same(parsed(NOTICE), changed(NOTICE, b"You are in.", b"Du bist da!"))
    assert not found.is_copy_of_same(parsed(COPY), parsed(NOTICE))
    assert not found.is_copy_of_same(parsed(NOTICE), parsed(COPY))


def test_the_tables_say_why() -> None:
    assert all(what and why for what, why in COMPARED + IGNORED)
