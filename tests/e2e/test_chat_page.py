"""The chat page that imc serves, in a real browser: people in two windows, and one with baresip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon, running
from tests.e2e.baresip import Baresip
from tests.e2e.chat_page import Chromium
from tests.e2e.user_agent import Account

DOMAIN = "example.com"
USERS = {"alice": "wonderland", "bob": "b0b-s3cret", "carol": "c4rol"}
CONFIG = f"""
[imc]
domains = ["{DOMAIN}"]
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "ws:127.0.0.1:0"]
[manage]
listen = ""
"""


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    users = {f"sip:{user}@{DOMAIN}": password for user, password in USERS.items()}
    with running(tmp_path_factory.mktemp("imc"), CONFIG, users) as found:
        yield found


def url(daemon: Daemon) -> str:
    ip, port = daemon.address("ws")
    return f"http://{ip}:{port}/"


def account(daemon: Daemon, user: str) -> Account:
    return Account(user=user, domain=DOMAIN, password=USERS[user], server=daemon.address("udp"))


async def test_two_browsers_and_a_phone_talk(tmp_path: Path, daemon: Daemon) -> None:
    room = f"sip:chat-lobby@{DOMAIN}"
    async with Chromium.running(tmp_path) as browser:
        alice, bob = await browser.tab("alice", url(daemon)), await browser.tab("bob", url(daemon))
        await alice.enter("alice", USERS["alice"])
        await bob.enter("bob", USERS["bob"])
        await alice.create("lobby", is_private=True)
        await alice.invite("bob")
        await bob.see("#room-lists", "Invitations")
        await bob.do("click", {"css": "#room-lists button", "text": "chat-lobby"})
        await bob.see("#gate", f"alice@{DOMAIN} invites you")
        await bob.click("Accept")
        await bob.see("#entry-form")
        await alice.see("#log .notice", f"bob@{DOMAIN} has joined the room")
        await alice.say("hello bob")
        await alice.see("#log .talk.own.accepted", "hello bob")
        await bob.see("#log .talk.theirs", "hello bob")
        async with Baresip.running(tmp_path, account(daemon, "carol"), room) as carol:
            await carol.wait_registered()
            await alice.invite("carol")
            await carol.wait_text(r"[^\n]*#accept[^\n]*")
            await carol.say("#accept")
            await alice.see("#log .notice", f"carol@{DOMAIN} has joined the room")
            await carol.say("good morning")
            for tab in (alice, bob):
                await tab.see("#log .talk.theirs", "good morning")
            await bob.say("grüße: €")
            await carol.wait_text(r"\[bob\]: grüße: €")
            await alice.see("#log .talk.theirs", "grüße: €")
            await carol.quit()
        assert await alice.talk() == ["hello bob", "good morning", "grüße: €"]
        assert await alice.texts("#log .sender") == ["carol", "bob"]
        for tab in (alice, bob):
            await tab.is_clean()
