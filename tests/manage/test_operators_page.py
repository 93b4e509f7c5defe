"""The operators' page by HTTP: sessions, CSRF, roles, throttling, headers; every method for every role."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from imc.errors import StoreUnavailable
from imc.manage.caller import ROLES
from imc.manage.registry import Kind, Method, describe
from tests.manage.fakes import PASSWORD, FakeManager, FakeOperators, make_options, request, serving

FOREIGN = "https://evil.example.com"
PROXY = "https://ops.example.com"


class Browser(httpx.AsyncClient):
    """Sends what a browser would; ``csrf`` is the token of the last log-in."""

    csrf = ""
    origin = ""

    async def ask(self, path: str, content: object, **headers: str) -> httpx.Response:
        given = {"Origin": self.origin, "Content-Type": "application/json", "X-CSRF-Token": self.csrf, **headers}
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        return await self.post(f"/operate/{path}", content=raw, headers={k: v for k, v in given.items() if v != "-"})

    async def login(self, name: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
        answer = await self.ask("login", {"name": name, "password": password}, **headers)
        if answer.status_code == 200:
            self.csrf = answer.json()["csrf"]
        return answer

    async def rpc(self, method: str, *params: object, **headers: str) -> httpx.Response:
        return await self.ask("rpc", request(method, *params), **headers)

    async def check_in(self, is_in: bool = True) -> None:
        assert (await self.rpc("core.version")).status_code == (200 if is_in else 401)


@asynccontextmanager
async def _served(manager: FakeManager | None = None, **changes: Any) -> AsyncIterator[Browser]:
    options = make_options(**{"listen": "127.0.0.1:0", "allowed_origins": (PROXY,), **changes})
    with trio.fail_after(60):
        async with serving(manager or FakeManager(), options) as bound:
            host, port = bound.http[0]
            async with Browser(base_url=f"http://{host}:{port}", timeout=20, trust_env=False) as browser:
                browser.origin = f"http://{host}:{port}"
                yield browser


# --- log-in -----------------------------------------------------------------------------------------------------------


async def test_log_in_and_out() -> None:
    manager = FakeManager()
    async with _served(manager) as browser:
        before = (await browser.ask("session", {})).json()
        assert before == {"name": None, "has_operators": True}
        await browser.check_in(False)
        answer = await browser.login("operator")
        assert answer.json() == {"name": "operator", "role": "operator", "csrf": browser.csrf}
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("imc-operator=")
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
        assert browser.csrf not in cookie
        await browser.check_in()
        assert (await browser.ask("session", {})).json() == answer.json()
        assert (await browser.ask("logout", {}, **{"X-CSRF-Token": "guess"})).status_code == 403
        await browser.check_in()
        old = dict(browser.cookies)
        answer = await browser.ask("logout", {})
        assert answer.status_code == 200
        assert answer.headers["set-cookie"].startswith("imc-operator=; ")
        await browser.check_in(False)
        browser.cookies.update(old)
        await browser.check_in(False)
        assert manager.operations.notes == [
            ("operator", "page", "page.login", "200"),
            ("operator", "page", "page.logout", "200"),
        ]


async def test_a_wrong_password_and_an_unknown_name_are_answered_alike() -> None:
    manager = FakeManager()
    async with _served(manager) as browser:
        wrong, unknown = await browser.login("viewer", "guess"), await browser.login("nobody")
        assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
        assert wrong.json() == {"error": "Name or password is wrong"}
        assert "set-cookie" not in wrong.headers
        assert set(wrong.headers) == set(unknown.headers)
        assert manager.operations.notes == [("", "page", "page.login", "401")] * 2  # the name may be a password


async def test_whoever_tries_too_often_has_to_wait() -> None:
    async with _served() as browser:
        for _ in range(10):
            assert (await browser.login("viewer", "guess")).status_code == 401
        answer = await browser.login("viewer")
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert (await browser.login("operator")).status_code == 200  # another account is not meant
        for number in range(10):
            assert (await browser.login(f"nobody-{number}", "guess")).status_code == 401
        assert (await browser.login("admin")).status_code == 429  # that address is
        proxied = {"Origin": PROXY, "X-Forwarded-For": "203.0.113.9, 192.0.2.1"}
        assert (await browser.login("admin", **proxied)).status_code == 200
        forged = {"X-Forwarded-For": "192.0.2.1"}  # not by a proxy
        assert (await browser.login("admin", **forged)).status_code == 429


async def test_right_passwords_are_not_counted() -> None:
    async with _served() as browser:
        for _ in range(25):
            assert (await browser.login("viewer")).status_code == 200


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"name": "viewer"}', b'{"name": 1, "password": "x"}', b"[" * 9_000, b"\xff"]
)
async def test_a_log_in_that_is_none(content: bytes) -> None:
    async with _served() as browser:
        assert (await browser.ask("login", content)).status_code == 400


async def test_a_body_that_is_too_long() -> None:
    async with _served(max_request=2_000) as browser:
        assert (await browser.ask("login", b" " * 3_000)).status_code == 413


async def test_a_session_is_another_one_after_each_log_in() -> None:
    async with _served() as browser:
        await browser.login("viewer")
        first = dict(browser.cookies)
        await browser.login("viewer")
        assert dict(browser.cookies) != first
        browser.cookies.update(first)
        await browser.check_in(False)


@pytest.mark.parametrize("change", ["role", "password", "gone"])
async def test_a_session_ends_with_its_operators_role(change: str) -> None:
    manager = FakeManager()
    async with _served(manager) as browser:
        await browser.login("admin")
        await browser.check_in()
        if change == "role":
            await manager.operators.set_role("admin", "viewer")
        elif change == "password":
            await manager.operators.set_password("admin", "another one")
        else:
            await manager.operators.remove("admin")
        await browser.check_in(False)


async def test_a_database_that_is_away_lets_nobody_in() -> None:
    manager = FakeManager()
    async with _served(manager) as browser:
        await browser.login("admin")
        manager.operators.failure = StoreUnavailable("secret://password@host")
        for answer in (await browser.rpc("core.version"), await browser.login("admin")):
            assert answer.status_code == 503
            assert "secret" not in answer.text
        manager.operators.failure = None
        await browser.check_in()


# --- other pages ------------------------------------------------------------------------------------------------------

FORGED: list[tuple[dict[str, str], int]] = [
    ({}, 200),
    ({"Content-Type": "application/json; charset=utf-8"}, 200),
    ({"X-CSRF-Token": "-"}, 403),
    ({"X-CSRF-Token": ""}, 403),
    ({"X-CSRF-Token": "guess"}, 403),
    ({"Origin": FOREIGN}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "-"}, 403),
    ({"Origin": "http://evil.example.com:80", "Host": "evil.example.com:80"}, 403),  # DNS rebinding
    ({"Origin": "http://192.0.2.7:8060", "Host": "192.0.2.7:8060"}, 403),  # no TLS
    ({"Origin": "http://127.0.0.1.evil.example.com", "Host": "127.0.0.1.evil.example.com"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ({"Content-Type": "-"}, 415),
    ({"Content-Encoding": "gzip"}, 415),
    ({"Cookie": "imc-operator=guess"}, 401),
    ({"Authorization": "Bearer whatever"}, 200),  # says nothing here
]


async def test_forged_requests() -> None:
    manager = FakeManager()
    async with _served(manager) as browser:
        await browser.login("admin")
        for headers, status in FORGED:
            before = len(manager.commands)
            answer = await browser.rpc("imc.manager", "alice", "chat-w", "#destroy", **headers)
            assert answer.status_code == status, headers
            assert len(manager.commands) - before == (status == 200), headers
            await browser.check_in()


async def test_a_foreign_page_cannot_log_anybody_in() -> None:
    async with _served() as browser:
        assert (await browser.login("viewer", Origin=FOREIGN)).status_code == 403
        assert (await browser.login("viewer", Origin="-")).status_code == 403


async def test_behind_a_proxy_with_tls_the_cookie_is_its_own() -> None:
    async with _served() as browser:
        cookie = (await browser.login("viewer", Origin=PROXY)).headers["set-cookie"]
        assert cookie.startswith("__Host-imc-operator=")
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")
        token = cookie.partition("=")[2].partition(";")[0]
        jar = {"Origin": PROXY, "Cookie": f"__Host-imc-operator={token}"}
        assert (await browser.rpc("core.version", **jar)).status_code == 200
        # without TLS it is no session, nor is one that could have been set without it one with
        assert (await browser.rpc("core.version", Cookie=f"__Host-imc-operator={token}")).status_code == 401
        jar = {"Origin": PROXY, "Cookie": f"imc-operator={token}"}
        assert (await browser.rpc("core.version", **jar)).status_code == 401


async def test_the_bearer_token_of_programs_is_no_way_in_and_the_session_none_to_rpc() -> None:
    async with _served(token="t0ken") as browser:
        assert (await browser.rpc("core.version", Authorization="Bearer t0ken")).status_code == 401
        await browser.login("viewer")
        await browser.check_in()
        answer = await browser.post("/RPC", json=request("core.version"), headers={"X-CSRF-Token": browser.csrf})
        assert answer.status_code == 401


async def test_headers_of_every_answer() -> None:
    async with _served() as browser:
        answers = [
            await browser.get("/operate/"),
            await browser.get("/operate/app.js"),
            await browser.get("/operate/views/rooms.js"),
            await browser.get("/operate/nothing"),
            await browser.get("/operate/../RPC"),
            await browser.get("/operate", follow_redirects=False),
            await browser.login("viewer", "guess"),
            await browser.login("viewer"),
            await browser.rpc("core.version"),
            await browser.rpc("core.version", Origin=FOREIGN),
            await browser.ask("session", {}),
        ]
        for answer in answers[:4] + answers[5:]:
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), answer.url
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "access-control-allow-origin" not in answer.headers
        assert [answer.status_code for answer in answers[:6]] == [200, 200, 200, 404, 405, 308]
        assert answers[5].headers["location"] == "/operate/"
        for answer in answers[6:]:
            assert answer.headers["cache-control"] == "no-store"
        for path in ("rpc", "login", "logout", "session"):
            assert (await browser.get(f"/operate/{path}")).status_code in (404, 405)


async def test_the_page_has_nothing_inline() -> None:
    async with _served() as browser:
        page = (await browser.get("/operate/")).text
        assert "<style" not in page
        assert " style=" not in page
        assert "onclick" not in page
        assert page.count("<script") == page.count('<script type="module" src=') == 1


# --- calls ------------------------------------------------------------------------------------------------------------


def arguments_of(entry: Method) -> dict[str, object]:
    """Something that can be read, for each parameter that has to be given."""
    texts = {Kind.ROOM: "chat-w", Kind.USER: "alice", Kind.TEXT: "x", Kind.NAMES: ["all"]}
    return {param.name: texts[param.kind] for param in entry.params if param.is_required}


async def test_every_method_for_every_role() -> None:
    manager = FakeManager()
    async with _served(manager) as browser:
        for role in ROLES:
            manager.operators = FakeOperators()
            await browser.login(role)
            for entry in describe():
                call = {"jsonrpc": "2.0", "id": 1, "method": entry.name, "params": arguments_of(entry)}
                answer = await browser.ask("rpc", call)
                error = answer.json().get("error", {})
                is_refused = error.get("code") == 403
                assert is_refused == (ROLES.index(role) < ROLES.index(entry.role)), (role, entry.name, error)
                if is_refused:
                    assert error["message"] == f"{entry.name} needs the role {entry.role}"


async def test_who_may_what() -> None:
    """The table of docs/how-to/operators-page.md: what is not named here is for admins."""
    found = {entry.name: entry.role for entry in describe()}
    acts = {name for name, role in found.items() if role == "operator"}
    sees = {name for name, role in found.items() if role == "viewer"}
    assert {"imc.destroy_room", "imc.remove", "imc.set_role", "imc.outbox_retry", "imc.outbox_drop", "imc.kick"} <= acts
    for name in ("imc.forget", "imc.reload", "imc.run", "imc.manager", "imc.user_add", "imc.operator_add"):
        assert found[name] == "admin"
    assert not any(not entry.is_reading for entry in describe() if entry.name in sees)


async def test_what_was_done_is_noted_by_name() -> None:
    manager = FakeManager()
    async with _served(manager) as browser:
        await browser.login("viewer")
        await browser.rpc("imc.outbox_drop", "alice")
        await browser.login("operator")
        await browser.rpc("imc.outbox_drop", "alice")
        notes = [note for note in manager.operations.notes if note[2] == "imc.outbox_drop"]
        assert [(who, via) for who, via, _, _ in notes] == [("viewer", "page"), ("operator", "page")]
        assert notes[0][3].startswith("403 ")
        assert notes[1][3] == "200"


async def test_a_batch_and_what_is_no_call() -> None:
    async with _served() as browser:
        await browser.login("viewer")
        calls = [request("core.version", request_id=1), request("imc.forget", "a", request_id=2)]
        batch = await browser.ask("rpc", calls)
        assert [item.get("error", {}).get("code") for item in batch.json()] == [None, 403]
        assert (await browser.ask("rpc", b"{")).json()["error"]["code"] == -32700
        call = request("core.version")
        del call["id"]
        assert (await browser.ask("rpc", call)).status_code == 204


async def test_looking_on() -> None:
    manager = FakeManager()
    manager.traffic.hit("room_rate", "sip:chat-w@imc.test")
    async with _served(manager) as browser:
        await browser.login("viewer")
        found = (await browser.rpc("imc.samples")).json()["result"]
        row = dict(zip(("time", *found["names"]), found["rows"][-1], strict=True))
        assert row["active_rooms"] == 2
        assert found["names"][:-3] == found["counters"] + found["gauges"]
        later = (await browser.rpc("imc.samples", str(row["time"] + 1e9))).json()["result"]["rows"]
        assert len(later) == 1
        hits = (await browser.rpc("imc.hits")).json()["result"]
        assert hits["totals"] == {"room_rate": 1}
        assert hits["hits"][0]["who"] == "sip:chat-w@imc.test"
        assert (await browser.rpc("imc.traffic")).json()["result"] == {"senders": [], "rooms": []}
        for method, params in (("imc.samples", ["nan"]), ("imc.traffic", ["x"]), ("imc.hits", ["x"])):
            assert (await browser.rpc(method, *params)).json()["error"]["code"] == -32602


async def test_what_the_page_asks_by_itself_keeps_nobody_logged_in() -> None:
    async with _served(session_idle=0.2) as browser:
        await browser.login("viewer")
        with trio.fail_after(20):
            while (await browser.rpc("core.version", **{"X-Automatic": "1"})).status_code == 200:
                pass
        await browser.check_in(False)
