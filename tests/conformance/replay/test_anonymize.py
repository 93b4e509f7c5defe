"""No name survives, and what is left still replays."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.replay import trace
from conformance.replay.anonymize import BEGINNING, anonymize
from conformance.replay.pseudonyms import Pseudonyms
from conformance.replay.read import read_from
from conformance.replay.recording import Address, Recording
from conformance.replay.script import build
from imc.sip.message import Request, Response
from tests.conformance.replay.live import recorded_talk, replayed, served
from tests.conformance.replay.planted import HEADERS, NAMES, TEXTS, messages, spelled
from tests.conformance.replay.talks import ALICE, SERVER, asked, recorded, recording, request


@pytest.mark.parametrize("line", HEADERS)
@pytest.mark.parametrize("way", range(3))
def test_no_name_survives_in_a_header(line: str, way: int) -> None:
    """Each alone, in a message that is whole: it is not left out."""
    names = [spelled(name, way) for name in NAMES]
    data = request(body="hello").decode()
    header = line.format(*names)
    name = header.partition(":")[0]
    lines = [each for each in data.split("\r\n") if each.partition(":")[0] != name]
    method = "MESSAGE"
    if name == "CSeq":
        method = header.split()[-1]
        lines[0] = lines[0].replace("MESSAGE", method)
    clean, notes = anonymize(recording(recorded("\r\n".join([lines[0], header, *lines[1:]]).encode())))
    assert notes == []
    assert survivors(written(clean)) == []


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", ["text/plain", "message/cpim", "application/json"])
def test_no_name_survives_in_a_body(text: str, kind: str) -> None:
    data = request(body=text.format(*NAMES), headers=f"Content-Type: {kind}\r\n", sender=NAMES[0])
    clean, notes = anonymize(recording(recorded(data)))
    assert notes == []
    assert survivors(written(clean)) == []


def written(clean: Recording) -> bytes:
    head = trace.head(server=clean.server, is_anonymous=clean.is_anonymous)
    return head + b"".join(map(trace.render, clean.messages))


def survivors(text: bytes) -> list[str]:
    plain = text.decode("utf-8", "surrogateescape").lower()
    return [name for name in NAMES if name.lower() in plain]


@given(st.lists(messages(), min_size=1, max_size=4))
@settings(max_examples=400)
def test_no_name_survives(data: list[bytes]) -> None:
    sides = [Address(NAMES[6], 5060), Address(NAMES[7], 5060)]
    given_ = recording(*(recorded(each, sides[at % 2], sides[1 - at % 2], float(at)) for at, each in enumerate(data)))
    clean, notes = anonymize(given_)
    text = written(clean)
    assert survivors(text) == []
    assert survivors("\n".join(notes).encode()) == []
    if clean.messages:
        again = read_from(io.BytesIO(text), "clean")
        assert again.is_anonymous
        assert len(again.messages) == len(clean.messages) == len(data) - len(notes)
        for each in again.messages:
            assert isinstance(each.message, (Request, Response))


def test_what_a_message_becomes() -> None:
    """One of each: what is kept, and what stands for the rest."""
    room = "sip:chat-lunch@example.com"
    text = "#invite sip:Bob@example.com;user=phone chat-lunch"
    invite = request(uri=room, body=text, branch="z9hG4bKa", call_id="x@y")
    notice = request(
        uri="sip:alice@192.0.2.7:5062;ob",
        sender="chat-lunch",
        to="sip:alice@example.com",
        branch="z9hG4bKb",
        call_id="z",
        via=SERVER,
        headers="IMC-Event: invitation-sent\r\nIn-Reply-To: x@y\r\nUser-Agent: imc/0.1\r\nX-Site: Berlin\r\n",
        body="bob@example.com is asked. Bob, BOB!",
    )
    given_ = recording(*asked(1000.0, invite), recorded(notice, SERVER, ALICE, 1001.5))
    clean, notes = anonymize(given_, seed=1)
    assert notes == []
    first, answer, told = (each.message for each in clean.messages)
    assert isinstance(first, Request)
    assert (first.uri, first.body) == (
        "sip:chat-room1@host1.example",
        b"#invite sip:User3@host1.example;user=phone chat-room1",
    )
    assert isinstance(told, Request)
    assert told.headers.get("IMC-Event") == "invitation-sent"
    assert told.headers.get("In-Reply-To") == first.call_id == answer.call_id
    assert told.headers.get("User-Agent") == "imc/0.1"
    assert told.headers.get("X-Header-1") is not None
    assert str(told.from_.uri) == first.uri
    assert re.fullmatch(rb"user3@host1.example [a-z]{2} [a-z]{5}. User3, USER3!", told.body)
    assert [each.at - BEGINNING for each in clean.messages] == pytest.approx([0.0, 0.01, 1.5])
    assert clean.server == clean.messages[0].target == Address("192.0.2.2", 5060)


def test_a_seed_makes_it_repeatable_and_none_does_not() -> None:
    given_ = recording(recorded(request(body="some words of a text")))
    assert written(anonymize(given_, seed=3)[0]) == written(anonymize(given_, seed=3)[0])
    assert written(anonymize(given_)[0]) != written(anonymize(given_)[0])


def test_what_cannot_be_read_is_left_out() -> None:
    broken = recorded(request().replace(b"Call-ID: c1\r\n", b""))
    clean, notes = anonymize(recording(broken, recorded(request(), at=1.0)))
    assert len(clean.messages) == 1
    assert notes == ["at 0.0: left out, since it cannot be read whole (BadMessage)"]


def test_sizes_are_kept() -> None:
    """So that a text that was too long still is."""
    text = "Größe und ein sehr langes Wort: Donaudampfschifffahrt, 日本語"
    clean, _ = anonymize(recording(recorded(request(body=text))))
    assert len(clean.messages[0].message.body) == len(text.encode())
    binary = request(body="12345", headers="Content-Type: image/png\r\n").replace(b"12345", b"\xff\xfe\x00\x01\x02")
    clean, _ = anonymize(recording(recorded(binary)))
    assert clean.messages[0].message.body == b"xxxxx"


@given(st.text(max_size=60))
def test_words_are_consistent_and_keep_their_size(text: str) -> None:
    names = Pseudonyms(set(), seed=1)
    once = names.text(text)
    assert names.text(text) == once


def test_more_addresses_than_the_first_block_has() -> None:
    names = Pseudonyms(set(), seed=1)
    found = {names.host(f"10.{number // 256}.{number % 256}.1") for number in range(1000)}
    assert len(found) == 1000
    assert all(name.startswith(("192.0.2.", "198.51.100.", "203.0.113.", "198.18.")) for name in found)


@pytest.mark.parametrize("mode", ["none", "digest"])
async def test_it_still_replays(tmp_path: Path, mode: str) -> None:
    recorded_ = await recorded_talk(tmp_path / "one", mode=mode)
    clean, notes = anonymize(recorded_)
    text = written(clean)
    assert notes == []
    for name in ("alice", "bob", "example.com", "welcome", "thanks", "chat-a", "127.0.0.1"):
        assert name not in text.decode().lower()
    again = read_from(io.BytesIO(text), "clean")
    script = build(again)
    assert len(script.exchanges) == 10
    (domain,) = {each.users[0].partition("@")[2] for each in script.agents}
    async with served(tmp_path / "two") as on:
        played = await replayed(again, on, domains={domain: "example.com"})
    assert played.differences == []
    assert played.messages == 10
