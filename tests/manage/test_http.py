from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from imc.errors import ConfigError, ListenError
from imc.manage.http import HttpListener
from imc.manage.methods import Methods
from imc.manage.options import check_listen, is_loopback, parse_listen
from imc.manage.server import run, supervise
from tests.manage.fakes import FakeManager, make_options, request, serving

ROOM = "sip:chat-w@imc.test"


class Caller(httpx.AsyncClient):
    """Speaks to the served address; `/RPC` where no other path is given."""

    address: tuple[str, int]

    async def rpc(self, value: object = None, /, path: str = "/RPC", **more: Any) -> httpx.Response:
        if value is not None:
            more["json"] = value
        return await self.post(path, **more)

    async def check_alive(self) -> None:
        answer = await self.rpc(request("core.version"))
        assert (answer.status_code, answer.json()["id"]) == (200, 1)


@asynccontextmanager
async def _served(manager: FakeManager | None = None, **changes: Any) -> AsyncIterator[Caller]:
    options = make_options(**{"listen": "127.0.0.1:0", **changes})
    with trio.fail_after(30):
        async with serving(manager or FakeManager(), options) as bound:
            host, port = bound.http[0]
            url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            async with Caller(base_url=url, timeout=20, trust_env=False) as caller:
                caller.address = (host, port)
                yield caller


@pytest.mark.parametrize("path", ["/RPC", "/rpc"])
async def test_a_call(path: str) -> None:
    async with _served() as caller:
        answer = await caller.rpc(request("imc.list_members", ROOM), path=path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert answer.json()["result"]["count"] == 3
        batch = await caller.rpc([request("core.version", request_id=id_) for id_ in (1, 2)])
        assert [item["id"] for item in batch.json()] == [1, 2]


async def test_a_notification_has_no_content() -> None:
    manager = FakeManager()
    async with _served(manager) as caller:
        call = request("imc.manager", "sip:alice@imc.test", ROOM, "#members")
        del call["id"]
        answer = await caller.rpc(call)
        assert (answer.status_code, answer.content) == (204, b"")
        assert len(manager.commands) == 1


ERRORS_OF_JSON_RPC_ARE_200: list[tuple[bytes, int]] = [
    (b"", -32700),
    (b"{", -32700),
    (b"\xff", -32700),
    (b"[" * 60_000, -32700),
    (b"[]", -32600),
    (json.dumps([request("core.version")] * 51).encode(), -32600),
    (json.dumps(request("nothing")).encode(), -32601),
    (json.dumps(request("imc.members", 7)).encode(), -32602),
    (json.dumps(request("imc.list_members", "sip:none@imc.test")).encode(), 500),
]


async def test_errors_of_json_rpc_are_200() -> None:
    async with _served() as caller:
        for body, code in ERRORS_OF_JSON_RPC_ARE_200:
            answer = await caller.rpc(content=body)
            assert answer.status_code == 200
            assert answer.json()["error"]["code"] == code
            await caller.check_alive()


ONLY_POST_TO_RPC: list[tuple[str, str, int]] = [
    ("GET", "/RPC", 405),
    ("GET", "/rpc", 405),
    ("HEAD", "/RPC", 405),
    ("PUT", "/RPC", 405),
    ("OPTIONS", "/RPC", 405),
    ("POST", "/", 404),
    ("GET", "/", 404),
    ("POST", "/RPC/", 404),
    ("POST", "/Rpc", 404),
    ("POST", "/RPC/../rpc2", 404),
]


async def test_only_post_to_rpc() -> None:
    async with _served() as caller:
        for method, path, status in ONLY_POST_TO_RPC:
            answer = await caller.request(method, path, json=request("core.version"))
            assert answer.status_code == status
            if status == 405:
                assert answer.headers["allow"] == "POST"
            await caller.check_alive()


HEADERS: list[tuple[dict[str, str], int]] = [
    ({"Content-Type": "application/json; charset=UTF-8"}, 200),
    ({"Content-Type": "application/json-rpc"}, 200),
    ({"Content-Type": "application/vnd.api+json"}, 200),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 200),
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ({"Content-Type": "text/xml"}, 415),
    ({"Content-Type": "application/json; charset=utf-16"}, 415),
    ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:8060"}, 403),
    ({"Origin": "https://chat.example.com"}, 200),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "none"}, 200),
    ({"Host": "evil.example"}, 403),
    ({"Host": "evil.example:8060"}, 403),
    ({"Host": "127.0.0.1.evil.example"}, 403),
    ({"Host": "chat.example.com"}, 200),
    ({"Host": "localhost"}, 200),
    ({"Host": "LOCALHOST:8060"}, 200),
    ({"Host": "[::1]:8060"}, 200),
    ({"Host": "192.0.2.7"}, 200),
]


async def test_headers() -> None:
    async with _served(allowed_origins=("https://Chat.example.com",)) as caller:
        for headers, status in HEADERS:
            body = json.dumps(request("core.version")).encode()
            answer = await caller.rpc(content=body, headers={"Content-Type": "application/json", **headers})
            assert answer.status_code == status
            assert answer.json()["jsonrpc"] == "2.0"
            assert ("result" in answer.json()) == (status == 200)


TOKEN: list[tuple[str | bytes | None, int]] = [
    ("Bearer sesame-sesame", 200),
    ("bearer  sesame-sesame", 200),
    ("Bearer sesame", 401),
    ("Bearer", 401),
    ("Bearer sésame".encode(), 401),
    ("Basic sesame-sesame", 401),
    ("sesame-sesame", 401),
    (None, 401),
]


async def test_token() -> None:
    async with _served(token="sesame-sesame") as caller:
        for authorization, status in TOKEN:
            headers: dict[str, Any] = {"Host": "imc.example.com"}  # whoever has the token may call it what he likes
            if authorization is not None:
                headers["Authorization"] = authorization
            answer = await caller.rpc(request("core.version"), headers=headers)
            assert answer.status_code == status
            assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_a_body_too_large() -> None:
    async with _served(max_request=1000) as caller:
        declared = await caller.rpc(content=b"x" * 1001)
        assert declared.status_code == 413

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"x" * 400

        chunked = await caller.rpc(content=chunks())
        assert chunked.status_code == 413
        assert chunked.json()["error"]["code"] == -32600
        padded = json.dumps(request("core.version")).encode().ljust(1000)
        assert (await caller.rpc(content=padded)).status_code == 200


async def _wait_until(is_so: Callable[[], bool]) -> None:
    """For what happens in the server's thread, and wakes nobody here."""
    while not is_so():  # noqa: ASYNC110
        await trio.sleep(0.001)


async def _raw(caller: Caller, *chunks: bytes) -> bytes:
    """What comes back until the server closes."""
    async with await trio.open_tcp_stream(*caller.address) as stream:
        try:
            for chunk in chunks:
                await stream.send_all(chunk)
            return b"".join([data async for data in stream])
        except trio.BrokenResourceError:
            return b""


A_REQUEST_THAT_NEVER_ENDS_IS_GIVEN_UP: list[list[bytes]] = [
    [],
    [b"POST /RPC HT"],
    [b"POST /RPC HTTP/1.1\r\nHost: x\r\n"],
    [b"POST /RPC HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{"],
    [b"POST /RPC HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}", b"POST /RPC"],
]


async def test_a_request_that_never_ends_is_given_up() -> None:
    async with _served(read_timeout=0.3, idle_timeout=1) as caller:
        for chunks in A_REQUEST_THAT_NEVER_ENDS_IS_GIVEN_UP:
            answer = await _raw(caller, *chunks)
            assert answer.startswith(b"HTTP/1.1 ") == any(b"\r\n\r\n" in chunk for chunk in chunks)
            await caller.check_alive()


WHAT_IS_NO_HTTP: list[bytes] = [
    b"\x00\xff\r\n\r\n",
    b"GET\r\n\r\n",
    b"POST /RPC HTTP/1.1\r\n\r\n",
    b"POST /RPC HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /RPC HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /RPC HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /RPC HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /RPC HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 70_000,
    b"POST /%ff%00%zz HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
]


async def test_what_is_no_http() -> None:
    async with _served(read_timeout=0.5, idle_timeout=1) as caller:
        for chunk in WHAT_IS_NO_HTTP:
            answer = await _raw(caller, chunk)
            assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
            await caller.check_alive()


@settings(max_examples=3, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=60), max_size=4), min_size=10, max_size=20))
async def test_no_bytes_end_the_listener(connections: list[list[bytes]]) -> None:
    async with _served(read_timeout=0.05) as caller:
        async with trio.open_nursery() as nursery:
            for chunks in connections:
                nursery.start_soon(_raw, caller, b"POST /RPC HTTP/1.1\r\nHost: 127.0.0.1\r\n", *chunks)
        await caller.check_alive()


async def test_connections_are_bounded() -> None:
    async with _served(max_connections=3) as caller:
        streams = [await trio.open_tcp_stream(*caller.address) for _ in range(3)]
        fourth = await trio.open_tcp_stream(*caller.address)
        with contextlib.suppress(trio.BrokenResourceError):  # reset, or closed
            assert await fourth.receive_some() == b""
        for stream in (*streams, fourth):
            await stream.aclose()
        while True:  # the places become free as soon as the server has seen the ends
            try:
                await caller.check_alive()
            except httpx.TransportError:
                continue
            break


async def test_many_calls_at_once() -> None:
    manager = FakeManager()
    manager.hold = trio.Event()
    ids: list[int] = []
    async with _served(manager) as caller, trio.open_nursery() as nursery:

        async def ask(number: int) -> None:
            ids.append((await caller.rpc(request("imc.list_rooms", request_id=number))).json()["id"])

        for number in range(20):
            nursery.start_soon(ask, number)
        await _wait_until(lambda: manager.waiting == 20)
        await caller.check_alive()
        manager.hold.set()
    assert sorted(ids) == list(range(20))


async def test_a_caller_that_goes_away_meanwhile() -> None:
    manager = FakeManager()
    manager.hold = trio.Event()
    async with _served(manager) as caller:
        body = json.dumps(request("imc.list_rooms")).encode()
        head = f"POST /RPC HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        async with await trio.open_tcp_stream(*caller.address) as stream:
            await stream.send_all(head + body)
            await _wait_until(lambda: manager.waiting == 1)
        manager.hold.set()
        await caller.check_alive()


async def test_localhost_and_ipv6() -> None:
    async with _served(listen="localhost:0") as caller:
        await caller.check_alive()
    if socket.has_ipv6:
        async with _served(listen="[::1]:0") as caller:
            await caller.check_alive()


async def test_it_stops_while_a_call_is_served() -> None:
    manager = FakeManager()
    manager.hold = trio.Event()
    body = json.dumps(request("imc.list_rooms")).encode()
    async with _served(manager) as caller:
        stream = await trio.open_tcp_stream(*caller.address)
        await stream.send_all(b"POST /RPC HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await _wait_until(lambda: manager.waiting == 1)
    with trio.fail_after(1):
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 503 ")
    await stream.aclose()
    manager.hold.set()


async def _silent(address: tuple[str, int], request: bytes) -> trio.SocketStream:
    """A connection that sends a request many times over and reads nothing."""
    stream = await trio.open_tcp_stream(*address)
    with trio.move_on_after(5):
        await stream.send_all(request)
    return stream


async def test_who_does_not_read_keeps_nobody_out() -> None:
    async with _served(max_connections=4) as caller:
        ask = b"GET /operate/style.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 600
        held = [await _silent(caller.address, ask) for _ in range(4)]
        answer = await caller.get("/healthz")
        assert answer.status_code == 200
        for stream in held:
            await stream.aclose()


# The thread dies


@asynccontextmanager
async def _listening(**changes: Any) -> AsyncIterator[tuple[HttpListener, Caller]]:
    """As `run` serves it, but with the listener at hand."""
    options = make_options(listen="127.0.0.1:0", restart_delay=0.01, **changes)
    listener = await HttpListener.bind(Methods(FakeManager(), options), options)
    try:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(supervise, "http", listener.run, options)
                host, port = listener.addresses[0]
                async with Caller(base_url=f"http://{host}:{port}", timeout=20, trust_env=False) as caller:
                    caller.headers["Connection"] = "close"
                    yield listener, caller
                nursery.cancel_scope.cancel()
    finally:
        listener.close()


def _stop_loop(server: uvicorn.Server) -> None:
    """What a bug in the thread's own loop would do: it ends in the middle of everything."""
    loop: asyncio.AbstractEventLoop = server.servers[0].get_loop()
    loop.call_soon_threadsafe(loop.stop)


def _exit(server: uvicorn.Server) -> None:
    def leave() -> None:
        raise SystemExit(3)

    server.servers[0].get_loop().call_soon_threadsafe(leave)


def _is_replaced(listener: HttpListener, server: uvicorn.Server) -> bool:
    return listener.server is not server


def _return(server: uvicorn.Server) -> None:
    server.should_exit = True


@pytest.mark.parametrize("kill", [_stop_loop, _exit, _return])
async def test_a_dead_thread_is_replaced(kill: Any) -> None:
    async with _listening() as (listener, caller):
        for _ in range(3):
            await caller.check_alive()
            server = listener.server
            assert server is not None
            kill(server)
            await _wait_until(functools.partial(_is_replaced, listener, server))
            await caller.check_alive()  # waits in the queue of the socket, which never closed


async def test_the_rest_goes_on_while_the_thread_is_dead(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    died = threading.Event()

    def die(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        died.set()
        raise OSError("dead")

    monkeypatch.setattr(uvicorn.Server, "run", die)
    path = str(tmp_path / "rpc.sock")
    with trio.fail_after(10):
        async with serving(FakeManager(), make_options(listen="127.0.0.1:0", socket=path, restart_delay=60)):
            await _wait_until(died.is_set)
            async with await trio.open_unix_socket(path) as stream:
                await stream.send_all(json.dumps(request("core.version")).encode() + b"\n")
                assert json.loads(await stream.receive_some())["id"] == 1


# Addresses


@pytest.mark.parametrize(
    ("listen", "parts"),
    [("127.0.0.1:8060", ("127.0.0.1", 8060)), ("[::1]:0", ("::1", 0)), ("imc.example.com:80", ("imc.example.com", 80))],
)
def test_parse_listen(listen: str, parts: tuple[str, int]) -> None:
    assert parse_listen(listen) == parts


@pytest.mark.parametrize(
    "listen", ["8060", ":8060", "host", "host:", "host:x", "host:70000", "::1:80", "[a]:1", "h:²", "[]:1"]
)
def test_parse_listen_refuses(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"manage\.listen"):
        parse_listen(listen)


def test_only_loopback_needs_no_token() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LocalHost")] == [True] * 5
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.0.2.1", "localhost.evil.example", "imc"))
    check_listen(make_options(listen=""))
    check_listen(make_options(listen="0.0.0.0:80", token="sesame"))
    for token in (None, ""):
        with pytest.raises(ConfigError, match=r"needs manage\.token"):
            check_listen(make_options(listen="0.0.0.0:80", token=token))


async def test_an_address_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ListenError, match="Address already in use"):
            await run(FakeManager(), make_options(listen=listen))


async def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(ListenError, match="cannot listen on"):
        await run(FakeManager(), make_options(listen="192.0.2.1:0", token="sesame"))
    with pytest.raises(ListenError, match="cannot listen on"):
        await run(FakeManager(), make_options(listen="nowhere.invalid:0", token="sesame"))
