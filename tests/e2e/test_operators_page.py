"""The operators' page of a running daemon, in a real browser: what operators do there is what SIP users hear."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from imc.store.operators import Operator
from tests.e2e.operate_page import Page
from tests.e2e.stage import Stage, open_store, settings, stage

ROOM = "sip:chat-x@example.com"
HOSTILE = "sip:chat-%3Cimg/src%3Dx/onerror%3Dalert(1)%3E@example.com"
AGENT = "<img src=x onerror=alert(1)>"
PASSWORDS = {"olga": "correct horse", "otto": "battery staple", "vera": "only looking"}
ROLES = {"olga": "admin", "otto": "operator", "vera": "viewer"}
# What a page could send: with the cookie, since a port makes another origin, but no other site.
CALL = """(async () => {
  const post = (path, body, headers = {}) => fetch(path, {
    method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json', ...headers },
  }).then((answer) => answer.json());
  const { csrf } = await post('session', {});
  return post('rpc', { jsonrpc: '2.0', id: 1, method: METHOD, params: PARAMS }, { 'X-CSRF-Token': csrf });
})()"""
EVIL = """<!doctype html><title>evil</title><script>
const call = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'imc.destroy_room', params: ['ROOM'] });
const tries = [];
for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded'])
  for (const mode of ['cors', 'no-cors', 'same-origin'])
    for (const path of ['operate/rpc', 'RPC'])
      tries.push(fetch('TARGET' + path, {
        method: 'POST', mode, credentials: 'include', body: call, headers: { 'Content-Type': type },
      }).then((answer) => answer.type === 'opaque' ? '' : answer.text(), () => ''));
tries.push(fetch('TARGET' + 'operate/session', { method: 'POST', mode: 'cors', credentials: 'include', body: '{}' })
  .then((answer) => answer.text(), () => ''));
Promise.all(tries).then((said) => { document.title = 'done ' + said.join(''); });
</script>
<form method="post" enctype="text/plain" action="TARGEToperate/rpc" target="frame">
<input name='{"jsonrpc": "2.0", "id": 1, "method": "imc.destroy_room", "params": ["ROOM"], "x": "' value='"}'></form>
<iframe name="frame"></iframe><iframe src="TARGEToperate/"></iframe>"""


class Operated:
    """A stage whose operators' page is at ``url``."""

    def __init__(self, on: Stage) -> None:
        self.on = on
        ((host, port),) = on.daemon.managed.http
        self.origin = f"http://{host}:{port}/"
        self.url = f"{self.origin}operate/"

    async def say(self, user: str, text: str, room: str = ROOM) -> None:
        assert (await self.on.clients[user].message(room, text)).status in (200, 202), text

    async def enter(self, page: Page, name: str, view: str = "overview") -> None:
        """Log in, and see a page."""
        await page.goto(f"{self.url}#{view}")
        await page.fill("[name=name]", name)
        await page.fill("[name=password]", PASSWORDS[name])
        await page.click("text=Log in")
        await page.wait("main .view")

    async def is_room(self, room: str = ROOM) -> bool:
        return any(str(one.room) == room for one in await self.on.daemon.manager.list_rooms())


@asynccontextmanager
async def operated(folder: Path, *users: str, flags: tuple[str, ...] = ()) -> AsyncIterator[Operated]:
    """A daemon with an operator of each role, and these users."""
    config = settings(folder, "manage.listen=127.0.0.1:0", *flags)
    await trio.to_thread.run_sync(_add_operators, config)
    async with stage(config) as on:
        for user in users:
            await on.client(user)
        yield Operated(on)


def _add_operators(config: Any) -> None:
    with open_store(config) as store:
        for name, password in PASSWORDS.items():
            store.add_operator(Operator.from_password(name, ROLES[name], password, 1.0))


async def test_log_in_and_look_on(tmp_path: Path) -> None:
    async with operated(tmp_path, "alice", "bob") as on, Page.running(tmp_path) as page:
        await on.say("alice", "#create")
        await on.say("bob", "#join")
        await page.goto(on.url)
        await page.wait("[name=name]")
        await page.check_accessible()
        await page.fill("[name=name]", "vera")
        await page.fill("[name=password]", "wrong horse")
        await page.click("text=Log in")
        await page.wait("text=Name or password is wrong")
        (problem,) = await page.problems()
        assert "401" in problem  # the console's own line for an answer that is none
        await page.screenshot("operate-login")
        await on.enter(page, "vera")
        for number in range(30):
            await on.say("alice", f"text {number}")
        await page.until("Number(document.querySelector('[data-series=messages]')?.dataset.most) > 0")
        await page.until("Number(document.querySelector('[data-series=delivered]')?.dataset.most) > 0")
        await page.until("document.querySelector('[data-plot=\"Rooms\"] [data-series=rooms]').dataset.last === '1'")
        await page.check_accessible()
        await page.screenshot("operate-overview", full=True)
        for view, text in (
            ("Rooms", ROOM),
            ("Traffic", "sip:alice@example.com"),
            ("Outbox", "Nothing waits"),
            ("Limits", "sender_rate"),
            ("Users", "sip:bob@example.com"),
        ):
            await page.click(f"nav >> text={view}")
            await page.wait(f"main >> text={text} >> nth=0")
            await page.check_accessible()
            await page.screenshot(f"operate-{view.lower()}", full=True)
            assert "text 29" not in await page.text("main")  # what is said stays in the room
        await page.click("text=Log out")
        await page.wait("text=You are logged out.")
        assert await page.problems() == []


async def test_a_viewer_cannot_act_not_even_by_hand(tmp_path: Path) -> None:
    async with operated(tmp_path, "alice") as on, Page.running(tmp_path) as page:
        await on.say("alice", "#create")
        await on.enter(page, "vera", f"rooms/{ROOM}")
        await page.wait("td >> text=sip:alice@example.com")
        assert await page.do("count", selector="main button") == 0
        assert await page.do("count", selector="nav a >> text=Operators") == 0
        for method, params in (
            ("imc.destroy_room", [ROOM]),
            ("imc.remove", [ROOM, "alice"]),
            ("imc.outbox_drop", ["all"]),
            ("imc.operator_role", ["vera", "admin"]),
            ("imc.operators", []),
        ):
            answer = await page.evaluate(CALL.replace("METHOD", repr(method)).replace("PARAMS", json.dumps(params)))
            assert answer["error"]["code"] == 403, method
        assert await on.is_room()
        assert await page.problems() == []


async def test_an_operator_ends_a_room_and_everybody_hears(tmp_path: Path) -> None:
    async with operated(tmp_path, "alice", "bob") as on, Page.running(tmp_path) as page:
        await on.say("alice", "#create")
        await on.say("bob", "#join")
        await on.on.settle()
        await on.enter(page, "otto", "rooms")
        await page.fill("[name=search]", "CHAT-X")
        await page.do("press", key="Enter")
        await page.click(f"text={ROOM}")
        await page.wait("td >> text=sip:bob@example.com")
        await page.screenshot("operate-room", full=True)
        await page.click("[aria-label='Role of sip:bob@example.com']")
        await page.do("choose", selector="dialog [name=role]", value="admin")
        await page.check_accessible()
        await page.click("dialog >> text=Change")
        await page.wait(".role-admin")
        await page.click("text=Destroy the room…")
        assert await page.evaluate("document.querySelector('dialog .danger').disabled")
        await page.screenshot("operate-destroy")
        await page.fill("[name=confirm]", ROOM)
        await page.click("dialog .danger")
        await page.wait("text=No such room.")
        assert not await on.is_room()
        heard = await on.on.settle(("alice", "bob"))
        for user in ("alice", "bob"):
            assert "room-destroyed" in [one.event for one in heard[user]], user
        await page.click("nav >> text=Audit")
        await page.fill("[name=caller]", "otto")
        await page.do("press", key="Enter")
        await page.wait("td >> text=destroy >> nth=0")
        await page.until("[...document.querySelectorAll('tbody tr')].every((row) => row.cells[1].innerText === 'otto')")
        assert ROOM in await page.text("tbody")
        saved = [json.loads(line) for line in (await page.do("download", selector="text=Save as a file")).splitlines()]
        assert {row["caller"] for row in saved} == {"otto"}
        assert {"destroy", "page.login"} <= {row["act"] for row in saved}
        await page.fill("[name=caller]", "")
        await page.do("press", key="Enter")
        await page.wait("td >> text=sip:alice@example.com >> nth=0")
        await page.check_accessible()
        await page.screenshot("operate-audit", full=True)
        assert await page.problems() == []


async def test_a_dead_letter_is_sent_again(tmp_path: Path) -> None:
    async with (
        operated(tmp_path, "alice", "bob", flags=("delivery.max_waiting=1",)) as on,
        Page.running(tmp_path) as page,
    ):
        await on.say("alice", "#create")
        await on.say("bob", "#join")
        assert (await on.on.clients["bob"].register(expires=0)).status == 200
        for number in range(3):
            await on.say("alice", f"text {number}")
        await on.enter(page, "otto", "outbox")
        await page.do("choose", selector="[name=state]", value="dead")
        await page.until("document.querySelectorAll('tbody tr').length === 2")
        await page.screenshot("operate-outbox-dead", full=True)
        await page.click("tbody tr:first-child >> text=Drop…")
        await page.click("dialog .danger")
        await page.wait("text=1 deleted.")
        await page.click("tbody >> text=Retry")
        await page.wait("text=1 put back.")
        assert (await on.on.clients["bob"].register()).status == 200
        heard = [await on.on.clients["bob"].wait_message(event="message") for _ in range(2)]
        assert [one.text for one in heard] == ["[alice]: text 0", "[alice]: text 2"]
        assert await page.problems() == []


async def test_limits_that_were_hit_and_hostile_names(tmp_path: Path) -> None:
    flags = ("limits.room_burst=2", "limits.room_rate=0.001")
    async with (
        operated(tmp_path, "alice", flags=flags) as on,
        Page.running(tmp_path, width=390, height=780, dark=True) as page,
    ):
        await on.say("alice", "#create", HOSTILE)
        for status in (202, 202, 503):
            assert (await on.on.clients["alice"].message(HOSTILE, "<b>bold</b>")).status == status
        await on.on.clients["alice"].register(headers=[("User-Agent", AGENT)])
        await on.enter(page, "otto", "users")
        await page.wait("main td >> text=<img src=x onerror=alert(1)>")
        await page.click("nav >> text=Limits")
        await page.wait("td >> text=room_rate >> nth=0")
        assert "img" in await page.text("tbody >> nth=0")
        for view in ("Rooms", "Traffic", "Audit"):
            await page.click(f"nav >> text={view}")
            await page.wait("main td >> text=img >> nth=0")
            assert await page.do("count", selector="main img") == 0
            # nothing is wider than the phone
            await page.screenshot(f"operate-phone-{view.lower()}")
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await page.check_accessible()
        await page.click("nav >> text=Overview")
        await page.wait("figure >> nth=0")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.screenshot("operate-phone-overview")
        assert await page.problems() == []


async def test_an_admin_makes_operators(tmp_path: Path) -> None:
    async with operated(tmp_path) as on, Page.running(tmp_path) as page:
        await on.enter(page, "olga", "operators")
        await page.click("text=Add an operator…")
        await page.fill("dialog [name=name]", "oskar")
        await page.fill("dialog [name=password]", "another one")
        await page.click("dialog >> text=Add >> nth=-1")
        await page.wait("td >> text=oskar")
        await page.check_accessible()
        await page.screenshot("operate-operators", full=True)
        await page.click("[aria-label='Role of olga']")
        await page.do("choose", selector="dialog [name=role]", value="viewer")
        await page.click("dialog >> text=Change")
        await page.wait("text=no admin would be left")
        await page.click("[aria-label='Password of olga']")
        await page.fill("dialog [name=password]", "a new password")
        await page.click("dialog >> text=Set")
        await page.wait("text=Your role or password was changed. Log in")
        assert all("401" in problem for problem in await page.problems())


async def test_a_page_of_another_origin_gets_nothing(tmp_path: Path) -> None:
    """Its requests have the cookie: another port is the same site. So it is Origin and CSRF token that hold."""
    async with (
        operated(tmp_path, "alice") as on,
        serving_page(EVIL.replace("TARGET", on.origin).replace("ROOM", ROOM)) as evil,
        Page.running(tmp_path) as page,
    ):
        await on.say("alice", "#create")
        await on.enter(page, "olga")
        await page.goto(evil)
        await page.until("document.title.startsWith('done')")
        assert await page.evaluate("document.title.trim()") == "done"
        await page.evaluate("document.forms[0].submit()")
        await page.goto(f"{on.url}#rooms")
        await page.wait(f"td >> text={ROOM}")  # still logged in, and the room is there
        problems = await page.problems()
        assert any(re.search("frame", problem) for problem in problems)  # frame-ancestors 'none'
        rows, _ = await on.on.daemon.manager.operations.audit(
            room=ROOM, user="", actor="olga", act="", since=None, until=None, before=None, limit=10
        )
        assert list(rows) == []


@asynccontextmanager
async def serving_page(page: str) -> AsyncIterator[str]:
    """A page at an origin of its own; its address."""
    body = page.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65_536)
            await stream.send_all(head.encode() + body)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()
