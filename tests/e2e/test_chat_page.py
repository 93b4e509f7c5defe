"""The chat page that imc serves, in a real browser: people in two windows, and one with baresip."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon, running
from tests.e2e.baresip import Baresip
from tests.e2e.chat_page import Chromium
from tests.e2e.program import Program, free_port, home_of
from tests.e2e.user_agent import Account
from tests.transport.secure import Authority

DOMAIN = "example.com"
USERS = {"alice": "wonderland", "bob": "b0b-s3cret", "carol": "c4rol"}
# what Chromium says of a WebSocket to a server that is down
UNREACHABLE = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "WebSocket connection to")
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
            await bob.say("grüße: € 😀")
            await carol.wait_text(r"\[bob\]: grüße: €")
            await alice.see("#log .talk.theirs", "grüße: € 😀")
            await carol.quit()
        assert await alice.talk() == ["hello bob", "good morning", "grüße: € 😀"]
        assert await alice.texts("#log .sender") == ["carol", "bob"]
        for tab in (alice, bob):
            await tab.is_clean()


LOOKS = (("alice", "light"), ("bob", "dark"))


async def test_what_roles_permit_is_offered_and_done(tmp_path: Path, daemon: Daemon) -> None:
    async with Chromium.running(tmp_path) as browser:
        alice, bob = [await browser.tab(name, url(daemon), height=620, scheme=scheme) for name, scheme in LOOKS]
        await alice.see("#login-form")
        await alice.shot("chat-page-log-in")
        await alice.enter("alice", USERS["alice"])
        await bob.enter("bob", USERS["bob"])
        await alice.create("garden")
        await alice.create("kitchen", is_private=True)
        await bob.click("Join by name")
        await bob.fill("Name or address of the room", "garden")
        await bob.do("click", {"css": "dialog button.primary"})
        await bob.see("#room-name", "chat-garden")
        await bob.say("Has anybody seen my watering can?")
        await alice.see(".count", "1")  # while another room is open
        await alice.do("title", value="(1) imc")
        await alice.invite("bob")
        await bob.see("#room-lists", "Invitations")
        await bob.shot("chat-page-invitation")
        await alice.do("click", {"css": "#room-lists button", "text": "chat-garden"})
        await alice.do("title", value="imc")
        await alice.say("It is behind the shed: https://example.com/map")
        await bob.see("#log a[href='https://example.com/map']")
        await bob.say("Thank you! Who waters the beans on Saturday?")
        await alice.see("#log .talk.theirs", "waters the beans")
        await alice.say("I can, after lunch.")
        await bob.see("#log .talk.theirs", "after lunch")
        await alice.see("#members li", "bob")
        await alice.fill("Message", "And on Sunday")
        await bob.see("#typing", "alice is typing")
        await alice.shot("chat-page-room")
        await alice.fill("Message", "")
        await bob.gone("#typing", "alice is typing")

        await alice.click("Change the role of bob")
        await alice.do("select", {"css": "dialog select"}, value="admin")
        await alice.click("Change", exact=True)
        await alice.see("#members li", "admin")
        await bob.see("#room-about", "you are admin")
        await bob.click("People")
        await bob.see("#room-actions button", "Invite")
        await bob.gone("#room-actions button", "Close the room")
        await alice.click("Remove bob")
        await alice.see("dialog", "Remove bob?")
        await alice.press("Escape")
        await alice.gone("dialog")
        await alice.click("Remove bob")
        await alice.click("Remove", exact=True)
        await bob.see("#gate", "You are not in this room.")
        await alice.gone("#members li", "bob")
        await bob.do("click", {"css": "#room-lists button", "text": "chat-kitchen"})
        await bob.click("Decline")
        await bob.gone("#room-lists button", "chat-kitchen")
        await alice.click("Close the room")
        await alice.do("click", {"css": "dialog button.danger"})
        await alice.see("#no-room")
        await alice.do("click", {"css": "#room-lists button", "text": "chat-kitchen"})
        await alice.see("#log .notice", f"bob@{DOMAIN} has declined the invitation")
        await bob.do("run", value="dispatchEvent(new Event('focus'))")
        await bob.gone("#room-lists button", "chat-garden")
        for tab in (alice, bob):
            await tab.is_clean()


async def test_who_may_not_log_in_is_told(tmp_path: Path, daemon: Daemon) -> None:
    async with Chromium.running(tmp_path) as browser:
        tab = await browser.tab("alice", url(daemon))
        for user, password in (("alice", "guess"), ("nobody", "x"), ("alice", "")):
            await tab.log_in(user, password)
            await tab.see("#login-error", "Wrong name or password.")
            assert await tab.do("focused") == "login-password"
        await tab.log_in("not a name", "x")
        await tab.see("#login-error", "That is not a name.")
        await tab.enter("alice", USERS["alice"])
        kept = await tab.do("run", value="JSON.stringify([localStorage, sessionStorage])")
        assert USERS["alice"] not in kept
        await tab.click("Log out")
        await tab.see("#login-form")
        assert await tab.do("run", value="Object.keys(localStorage)") == ["imc-name"]
        assert await tab.do("run", value="document.getElementById('login-user').value") == "alice"
        await tab.is_clean()


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>document.title = 'taken'</script>",
    "javascript:alert(1) data:text/html,<b>x</b>",
    'https://example.com/"onmouseover="alert(1)',
    "\u202etxt.exe \u2066abc",
    "x" * 5000,
    "a\u0000b",
    "[bob]: I am bob\n[alice]: and I am alice",
    "*** notice: you were removed ***",
]


async def test_hostile_texts_are_texts(tmp_path: Path, daemon: Daemon) -> None:
    async with Chromium.running(tmp_path) as browser:
        alice, bob = await browser.tab("alice", url(daemon)), await browser.tab("bob", url(daemon))
        await alice.enter("alice", USERS["alice"])
        await bob.enter("bob", USERS["bob"])
        await alice.create("lobby")
        await bob.click("Join by name")
        await bob.fill("Name or address of the room", "chat-lobby")
        await bob.do("click", {"css": "dialog button.primary"})
        await bob.see("#entry-form")
        for text in HOSTILE:
            await bob.say(text)
        await bob.say("that was all")
        await alice.see("#log .talk.theirs", "that was all")
        shown = await alice.talk()
        assert len(shown) == len(HOSTILE) + 1
        for text, seen in zip(HOSTILE, shown, strict=False):
            assert seen.replace("\ufffd", "").replace("\x00", "") == text.replace("\x00", ""), text
        assert await alice.texts("#log .sender") == ["bob"]
        markup = "document.querySelectorAll('#log img, #log script, #log b, #log [onmouseover]').length"
        assert await alice.do("run", value=markup) == 0
        links = "[...document.querySelectorAll('#log a')].map((one) => one.href)"
        assert await alice.do("run", value=links) == ["https://example.com/"]
        width = "document.documentElement.scrollWidth <= innerWidth && log.scrollWidth <= log.clientWidth"
        assert await alice.do("run", value=width)
        assert await alice.do("run", value="document.title") == "imc"
        for tab in (alice, bob):
            await tab.is_clean()


async def test_what_became_of_a_message(tmp_path: Path, daemon: Daemon) -> None:
    async with Chromium.running(tmp_path) as browser:
        alice, bob = await browser.tab("alice", url(daemon)), await browser.tab("bob", url(daemon))
        await alice.enter("alice", USERS["alice"])
        await bob.enter("bob", USERS["bob"])
        await alice.create("lobby")
        await alice.invite("bob")
        await bob.do("click", {"css": "#room-lists button", "text": "chat-lobby"})
        await bob.click("Accept")
        await bob.see("#entry-form")
        await bob.do("run", value="window.seen = false, document.hasFocus = () => window.seen")
        await alice.click("Ask whether it was read")
        await alice.say("did you see this?")
        await bob.see("#log .talk.theirs", "did you see this?")
        await alice.see("#log .talk.delivered .mark", "delivered")
        await bob.do("run", value="window.seen = true, dispatchEvent(new Event('focus'))")
        await alice.see("#log .talk.displayed .mark", "read")
        assert await bob.talk() == ["did you see this?"]
        await bob.say("yes")
        await alice.see("#log .talk.theirs", "yes")
        await alice.say("#set nonsense 5")  # commands by hand, and the server's answer
        await alice.see("#log .notice", "That cannot be set.")
        await alice.say("#members")
        await alice.see("#log .notice", "*alice@example.com (owner)")
        for tab in (alice, bob):
            await tab.is_clean()


async def test_nothing_is_lost_or_doubled_when_the_daemon_is_killed(tmp_path: Path, daemon: Daemon) -> None:
    ip, port = daemon.address("ws")
    async with Chromium.running(tmp_path) as browser:
        alice, bob = await browser.tab("alice", url(daemon)), await browser.tab("bob", url(daemon))
        await alice.enter("alice", USERS["alice"])
        await bob.enter("bob", USERS["bob"])
        await alice.create("lobby")
        await alice.invite("bob")
        await bob.do("click", {"css": "#room-lists button", "text": "chat-lobby"})
        await bob.click("Accept")
        await bob.see("#entry-form")
        await alice.say("before")
        await bob.see("#log .talk.theirs", "before")
        daemon.kill()
        for tab in (alice, bob):
            await tab.see("#connection.offline")
        await alice.say("meanwhile, by alice")
        await bob.say("meanwhile, by bob")
        await alice.see("#log .talk.waiting", "meanwhile, by alice")
        daemon.config.write_text(daemon.config.read_text().replace("ws:127.0.0.1:0", f"ws:{ip}:{port}"))
        daemon.start()
        for tab in (alice, bob):
            await tab.see("#connection.online")
        await alice.see("#log .talk.theirs", "meanwhile, by bob")
        await bob.see("#log .talk.theirs", "meanwhile, by alice")
        await alice.say("after")
        await bob.see("#log .talk.theirs", "after")
        for tab in (alice, bob):
            said = await tab.talk()
            assert sorted(said) == sorted(set(said)) == ["after", "before", "meanwhile, by alice", "meanwhile, by bob"]
        # another browser of hers has it from the room's history
        third = await browser.tab("alice again", url(daemon))
        await third.enter("alice", USERS["alice"])
        await third.do("click", {"css": "#room-lists button", "text": "chat-lobby"})
        await third.see("#log .talk.own", "after")
        assert sorted(await third.talk()) == sorted(said)
        await third.is_clean()
        for tab in (alice, bob):
            await tab.is_clean(*UNREACHABLE)


async def test_by_keyboard_alone(tmp_path: Path, daemon: Daemon) -> None:
    async with Chromium.running(tmp_path) as browser:
        tab = await browser.tab("alice", url(daemon))
        await tab.see("#login-form")
        assert await tab.do("focused") == "login-user"
        await tab.do("type", value="alice")
        await tab.press("Tab")
        await tab.do("type", value=USERS["alice"])
        await tab.press("Enter")
        await tab.see("#connection.online")
        assert await tab.do("focused") == "new-room"
        await tab.press("Enter")
        await tab.see("dialog")
        await tab.do("type", value="lobby")
        await tab.press("Enter")
        await tab.see("#room-name", "chat-lobby")
        await tab.see("#entry-form")
        assert await tab.do("focused") == "entry"
        await tab.do("type", value="one")
        await tab.press("Shift+Enter")
        await tab.do("type", value="two")
        await tab.press("Enter")
        await tab.see("#log .talk.own.accepted")
        assert await tab.talk() == ["one\ntwo"]
        await tab.see("#members, #show-people")
        await tab.do("run", value="document.getElementById('show-people').focus()")
        await tab.press("Enter")
        await tab.see("#people")
        assert await tab.do("focused") == "hide-people"
        await tab.press("Escape")
        await tab.gone("#people")
        assert await tab.do("focused") == "show-people"
        await tab.is_clean()


SMALL = """
[...document.querySelectorAll('button, input:not([type=checkbox]), textarea')]
    .filter((one) => one.offsetParent && (one.offsetHeight < 44 || one.offsetWidth < 44)).length
"""


async def test_it_can_be_used_by_everybody(tmp_path: Path, daemon: Daemon) -> None:
    """The rules of axe-core: roles, names, labels, contrast; and on a phone every target is large enough."""
    async with Chromium.running(tmp_path) as browser:
        for user, scheme in (("alice", "light"), ("bob", "dark")):
            tab = await browser.tab(user, url(daemon), width=390, height=780, scheme=scheme, touch=True)
            await tab.see("#login-form")
            assert await tab.do("axe") == []
            await tab.enter(user, USERS[user])
            await tab.create(f"of-{user}")
            await tab.say("hello everybody")
            await tab.see("#log .talk.own.accepted")
            await tab.gone("#rooms")
            if scheme == "light":
                await tab.shot("chat-page-phone")
            await tab.say("#help")
            await tab.see("#log .notice", "Commands:")
            assert await tab.do("axe") == []
            assert await tab.do("run", value=SMALL) == 0
            assert await tab.do("run", value="document.documentElement.scrollWidth <= innerWidth")
            await tab.click("People")
            await tab.see("#members li", f"{user} (you)")
            assert await tab.do("axe") == []
            assert await tab.do("run", value=SMALL) == 0
            await tab.click("Close the list of people")
            await tab.click("Back to the rooms")
            await tab.see("#room-lists button", f"chat-of-{user}")
            assert await tab.do("axe") == []
            await tab.is_clean()


async def test_over_tls_and_after_a_reload(tmp_path: Path) -> None:
    """`wss:` by itself is all that a site needs; who wants to stays logged in while the tab is open."""
    folder = tmp_path / "imc"
    folder.mkdir()
    certificate = Authority(tmp_path).issue("localhost")
    config = CONFIG.replace("ws:127.0.0.1:0", "wss:127.0.0.1:0") + f"[tls]\ncertificate = '{certificate}'\n"
    with running(folder, config, {f"sip:alice@{DOMAIN}": USERS["alice"]}) as daemon:
        page = f"https://localhost:{daemon.address('wss')[1]}/"
        async with Chromium.running(tmp_path) as browser:
            tab = await browser.tab("alice", page, insecure=True)
            await tab.do("check", {"css": "[name=stay]"})
            await tab.enter("alice", USERS["alice"])
            await tab.create("lobby")
            await tab.say("hello")
            await tab.see("#log .talk.own.accepted", "hello")
            await tab.do("reload")
            await tab.see("#connection.online")
            await tab.do("click", {"css": "#room-lists button", "text": "chat-lobby"})
            await tab.see("#room-about", "1 person")
            assert await tab.talk() == ["hello"]
            await tab.is_clean()


async def test_the_demo_as_somebody_new_tries_it(tmp_path: Path) -> None:
    """`imc demo`, which is `make run`: the address and the passwords that it prints are all there is to know."""
    home, env = home_of(tmp_path, "demo")
    command = [sys.executable, "-m", "imc", "demo", "--dir", str(home / "run"), "--port", str(free_port())]
    async with Program.running(command, env=env, cwd=home) as demo, Chromium.running(tmp_path) as browser:
        page = (await demo.wait_output(r"^Chat here.*?(http://\S+/)$", within=30))[1]
        passwords = [
            (await demo.wait_output(rf"sip:{user}@127.0.0.1 +password (\S+)$"))[1] for user in ("alice", "bob")
        ]
        await demo.wait_output(r"\bready\b", within=30)
        alice, bob = await browser.tab("alice", page), await browser.tab("bob", page)
        await alice.enter("alice", passwords[0])
        await bob.enter("bob", passwords[1])
        await alice.create("lobby")
        await alice.say("Is anybody here?")
        await alice.see("#log .talk.accepted")
        await bob.do("run", value="dispatchEvent(new Event('focus'))")
        await bob.do("click", {"css": "#room-lists button", "text": "chat-lobby"})
        await bob.click("Join", exact=True)
        await bob.see("#log .talk.theirs", "Is anybody here?")  # from the history
        for tab in (alice, bob):
            await tab.is_clean()
