"""A browser in a room: JsSIP in Chromium over WSS, beside programs over TLS and UDP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.daemon import Daemon, running
from tests.e2e.baresip import Baresip
from tests.e2e.browser import PAGE, Browser
from tests.e2e.sipsak import sipsak_message
from tests.e2e.user_agent import Account, meet, registered
from tests.transport.secure import Authority

DOMAIN = "example.com"
PASSWORDS = {"alice": "wonderland", "bob": "b0b-s3cret"}
ROOM = f"sip:chat-1@{DOMAIN}"
CONFIG = """
[imc]
domains = ["example.com"]
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "wss:127.0.0.1:0"]
[tls]
certificate = "{certificate}"
[websocket]
allowed_origins = ["{page}"]
[auth]
mode = "digest"
[manage]
listen = ""
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return Authority(tmp_path).issue("localhost")


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Daemon]:
    users = {f"sip:{user}@{DOMAIN}": password for user, password in PASSWORDS.items()}
    config = CONFIG.format(certificate=certificate, page=PAGE)
    with running(tmp_path_factory.mktemp("imc"), config, users) as found:
        yield found


def account(daemon: Daemon, user: str, transport: str, password: str | None = None) -> Account:
    password = PASSWORDS[user] if password is None else password
    server = daemon.address(transport)
    return Account(user=user, domain=DOMAIN, password=password, server=server, transport=transport)


async def test_a_browser_and_a_phone_meet(tmp_path: Path, daemon: Daemon, certificate: Path) -> None:
    browser = partial(Browser.running, certificate=certificate)
    alice = browser(tmp_path, account(daemon, "alice", "wss"), ROOM)
    bob = Baresip.running(tmp_path, account(daemon, "bob", "udp"), ROOM)
    async with registered(alice, bob) as (first, second):
        await meet(first, second)
        await first.say("grüße aus dem Browser")
        await second.wait_text(r"\[alice\]: grüße aus dem Browser")
        await second.say("und zurück: €")
        await first.wait_text(r"\[bob\]: und zurück: €")
        await first.quit()
        await second.quit()


async def test_a_page_that_is_closed_is_no_contact_any_more(tmp_path: Path, daemon: Daemon, certificate: Path) -> None:
    # spec S-OUT-3
    bob = account(daemon, "bob", "udp")
    to_alice = partial(sipsak_message, bob, f"sip:alice@{DOMAIN}")
    async with Browser.running(tmp_path, account(daemon, "alice", "wss"), ROOM, certificate=certificate) as page:
        await page.wait_registered()
        assert (await to_alice("here?")).status == 200
        await page.wait_text("here", sender=f"sip:bob@{DOMAIN}")
        await page.leave()
        while (await to_alice("gone?")).status == 200:
            pass
        assert (await to_alice("gone?")).status == 404


async def test_a_wrong_password_and_a_page_of_another_origin(tmp_path: Path, daemon: Daemon, certificate: Path) -> None:
    # spec S-WS-2
    wrong = account(daemon, "alice", "wss", "guess")
    async with Browser.running(tmp_path, wrong, ROOM, certificate=certificate, name="wrong") as page:
        await page.wait_refused(401)
    right = account(daemon, "alice", "wss")
    evil = Browser.running(tmp_path, right, ROOM, certificate=certificate, page="https://evil.example.com", name="evil")
    async with evil as page:
        await page.wait_closed()
        assert "registered" not in page.program.output


async def test_a_server_with_another_key_is_not_talked_to(tmp_path: Path, daemon: Daemon, certificate: Path) -> None:
    """So the browser does verify."""
    folder = tmp_path / "other"
    folder.mkdir()
    other = Authority(folder).issue("localhost")
    async with Browser.running(tmp_path, account(daemon, "alice", "wss"), ROOM, certificate=other) as page:
        await page.wait_closed()
        assert "registered" not in page.program.output
