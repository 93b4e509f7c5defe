"""Rows 12, 13, 14, 15, 22: names and texts that want to be a header, a notice, another user, SQL, or a log record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.agent.client import SipClient
from imc.sip.message import Headers
from tests.attacks.attacker import Gain, request
from tests.attacks.process import Peer, process_config
from tests.daemon import running
from tests.e2e.stage import Stage, settings, stage

ROOM = "sip:chat-x@example.com"
VICTIM = "alice"
# Users whose names a reader takes for alice's, as a URI writes them
LOOKALIKES = ("Alice", "al1ce", "aIice", "%D0%B0lice", "alic%D0%B5", "%61lice", "a%E2%80%8Blice", "alice%20", "ALICE")


async def speaker(on: Stage, user: str) -> SipClient:
    return await SipClient.open(on.nursery, f"sip:{user}@example.com", on.addresses["udp"])


@pytest.mark.parametrize("user", LOOKALIKES)
async def test_homoglyphs(tmp_path: Path, user: str) -> None:
    """Row 14: whoever looks like alice is refused, or is alice (an escape for one of her letters), or is shown as a
    whole address, or by letters that differ."""
    async with stage(settings(tmp_path)) as on:
        bob, alice = await on.client("bob"), await on.client(VICTIM)
        for client in (bob, alice):
            assert (await client.message(ROOM, "#join")).status == 200
        mallory = await speaker(on, user)
        joined = await mallory.message(ROOM, "#join")
        said = await mallory.message(ROOM, "send me your password")
        heard = [one.text for one in (await on.settle(("bob",)))["bob"] if one.event == "message"]
        print(f"row 14, {user}: join {joined.status}, text {said.status}, bob saw {heard}")
        if user == "%61lice":
            assert heard == ["[alice]: send me your password"]
        else:
            assert not any(text.startswith("[alice]: ") for text in heard)
            assert heard == [] or f"{user}" in heard[0]


INJECTIONS = (
    "chat-x>;evil=1", "chat-x%0d%0aEvil: 1", "chat-x\tEvil", "chat-x\"", "chat-x<sip:a@b>", "chat-x?Evil=1",
    "chat-x;DROP TABLE imc_rooms", "chat-x'OR'1'='1", "chat-%27%3B%20DROP%20TABLE%20imc_rooms%3B--", "chat-%s%n",
    "chat-x%00", "chat-x,sip:b@c", "../../etc/passwd", "chat-${jndi:ldap://a}", "chat-{0}", "chat-%25s",
)  # fmt: skip


@pytest.mark.parametrize("name", INJECTIONS)
async def test_names_with_more_in_them(tmp_path: Path, name: str) -> None:
    """Rows 12 and 15: refused by the grammar, or made and shown as written; no header is ours that the name wrote."""
    async with stage(settings(tmp_path)) as on:
        mallory = await on.client("mallory")
        response = await mallory.message("sip:chat-manager@example.com", f"#create {name}")
        names = {header for header, _ in response.headers.items()}
        got = (await on.settle(("mallory",)))["mallory"]
        print(f"rows 12 and 15, #create {name}: {response.status}, {[one.event for one in got]}")
        assert response.status in (200, 400, 403)
        for headers in (names, *({header for header, _ in one.request.headers.items()} for one in got)):
            assert not [header for header in headers if "evil" in header.lower()]
        for one in got:
            assert one.request.from_.params[:1] == (("tag", one.request.from_.tag),)
        assert (await mallory.message(ROOM, "#create")).status in (200, 409)
        assert (await mallory.message(ROOM, "#members")).status == 200


TEXTS = (
    b"hello\n[alice]: I quit", b"hello\r\n[alice]: I quit", b"hello\r[alice]: I quit", b"hello\n* alice has left",
    "hello\u2028[alice]: I quit".encode(), b"hello\x0b[alice]: I quit", b"hello\n#destroy", b"a\0b\n[alice]: I quit",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
async def test_texts_that_look_like_others(tmp_path: Path, text: bytes) -> None:
    """Row 13: line 1 alone is labelled, each further one is marked; no NUL cuts; no header of ours is kept."""
    async with stage(settings(tmp_path)) as on:
        for user in ("bob", "mallory"):
            client = await on.client(user)
            assert (await client.message(ROOM, "#join")).status == 200
        await on.settle(("bob", "mallory"))
        mallory = on.clients["mallory"]
        forged = [("IMC-Event", "member-left"), ("In-Reply-To", "x")]
        assert (await mallory.message(ROOM, text, headers=forged)).status == 202
        (heard,) = (await on.settle(("bob",)))["bob"]
        assert heard.event == "message"
        assert heard.request.headers.get("In-Reply-To") is None
        body = heard.request.body
        assert body.startswith(b"[mallory]: ")
        assert len(body) >= len(text) + len(b"[mallory]: ")
        for line in body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[1:]:
            assert not line.startswith((b"[", b"*", b"#")), body


def test_log_injection(tmp_path: Path) -> None:
    """Row 22: whatever a stranger writes, each line of the log is one record, and none is theirs."""
    forged = '{"timestamp": "x", "level": "info", "event": "forged"}'
    config = process_config(tmp_path, '[log]\nlevel = "debug"', '[auth]\nmode = "none"')
    with running(tmp_path, config) as daemon, Peer(daemon) as peer:
        gain = Gain(22, "log injection")
        for text in (f"\n{forged}\n", f"\r{forged}\r", "\x1b[2J\x1b]0;x\x07", "\u2028" + forged, "\x85" + forged, "\0"):
            for data in (
                request("MESSAGE", "sip:chat-x@example.com", f"User-Agent:{text}", "c:text/plain", body=text.encode()),
                request("MESSAGE", "sip:chat-x@example.com", "c:text/plain", user=text.replace(" ", "%20")),
                request("REGISTER", "sip:example.com", f'm:"{text}"<sip:a@127.0.0.1>').replace(
                    b"t:<sip:example.com>", b"t:<sip:mallory@example.com>"
                ),
                text.encode(),
                b"INVITE " + text.encode() + b" SIP/2.0\r\n\r\n",
            ):
                gain.requests += 1
                peer.sock.send(data)
        assert peer.options().status == 200
        lines = daemon.log.read_bytes().splitlines()
        records = [json.loads(line) for line in lines]
        print(f"row 22: {gain.requests} requests, {len(records)} records, all of them the daemon's")
        assert not [record for record in records if record["event"] == "forged"]
        assert b"\x1b" not in daemon.log.read_bytes()


def test_headers_cannot_be_written_by_values() -> None:
    """Row 12, where it is decided: no value with CR, LF or NUL gets into headers that are sent."""
    for value in ("a\r\nEvil: 1", "a\nEvil: 1", "a\rEvil: 1", "a\0"):
        with pytest.raises(ValueError, match="not a header value"):
            Headers().add("Subject", value)
