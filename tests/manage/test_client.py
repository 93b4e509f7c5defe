from __future__ import annotations

import io
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from imc.aor import Aor
from imc.errors import ConfigError, RpcError, Unreachable
from imc.manage import client
from tests.manage.fakes import CHAT, FakeManager, Member, make_options, serving

ROOM = "sip:chat-w@imc.test"


@pytest.mark.parametrize(
    ("listen", "path", "endpoint"),
    [
        ("127.0.0.1:8060", None, "http://127.0.0.1:8060/RPC"),
        ("0.0.0.0:8060", None, "http://127.0.0.1:8060/RPC"),
        ("[::]:8060", None, "http://[::1]:8060/RPC"),
        ("localhost:8060", None, "http://localhost:8060/RPC"),
        ("127.0.0.1:8060", "/run/imc.sock", "unix:/run/imc.sock"),
        ("", "/run/imc.sock", "unix:/run/imc.sock"),
    ],
)
def test_endpoint_of(listen: str, path: str | None, endpoint: str) -> None:
    assert client.endpoint_of(listen, path) == endpoint


def test_no_endpoint() -> None:
    with pytest.raises(Unreachable, match="takes no calls"):
        client.endpoint_of("")
    with pytest.raises(ConfigError):
        client.endpoint_of("nonsense")


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        ([], []),
        (["sip:chat-1@imc.test", "7", "true", "null", '"7"', "[1]"], ["sip:chat-1@imc.test", 7, True, None, "7", [1]]),
        (["{bad", "", "#join", "NaN", "-Infinity", "1e999"], ["{bad", "", "#join", "NaN", "-Infinity", "1e999"]),
        (['{"room": "chat-1"}'], {"room": "chat-1"}),
        (['{"room": "chat-1"}', "x"], [{"room": "chat-1"}, "x"]),
        (["[" * 100_000], ["[" * 100_000]),
    ],
)
def test_params_of(arguments: list[str], params: Any) -> None:
    assert client.params_of(arguments) == params


@asynccontextmanager
async def _endpoints(tmp_path: Path, manager: FakeManager | None = None, **changes: Any) -> AsyncIterator[list[str]]:
    options = make_options(listen="127.0.0.1:0", socket=str(tmp_path / "sock"), **changes)
    with trio.fail_after(20):
        async with serving(manager or FakeManager(), options) as bound:
            host, port = bound.http[0]
            yield [f"unix:{bound.socket}", str(bound.socket), f"http://{host}:{port}/RPC", f"http://{host}:{port}"]


async def _call(*arguments: Any, **named: Any) -> Any:
    return await trio.to_thread.run_sync(partial(client.call, *arguments, **named))


async def test_call(tmp_path: Path) -> None:
    async with _endpoints(tmp_path) as endpoints:
        for endpoint in endpoints:
            assert (await _call(endpoint, "imc.list_members", [ROOM]))["count"] == 3
            assert await _call(endpoint, "imc.room_active", {"room": "chat-none"}, 5.0) is False
            with pytest.raises(RpcError, match="Room not found") as caught:
                await _call(endpoint, "imc.list_members", ["chat-none"])
            assert caught.value.code == 500


async def test_a_long_answer(tmp_path: Path) -> None:
    manager = FakeManager()
    manager.rooms = {Aor(f"chat-{number}", "imc.test"): [] for number in range(5000)}
    async with _endpoints(tmp_path, manager) as endpoints:
        for endpoint in endpoints[1:3]:
            assert len(await _call(endpoint, "imc.list_rooms", [])) == 5000


async def test_token(tmp_path: Path) -> None:
    async with _endpoints(tmp_path, token="sesame") as (_, _, url, _):
        assert await _call(url, "imc.room_active", [ROOM], token="sesame") is True
        for token in (None, "wrong"):
            with pytest.raises(RpcError, match="A bearer token is needed"):
                await _call(url, "imc.room_active", [ROOM], token=token)


async def test_no_answer_in_time(tmp_path: Path) -> None:
    manager = FakeManager()
    manager.hold = trio.Event()
    async with _endpoints(tmp_path, manager) as endpoints:
        for endpoint in endpoints[1:3]:
            with pytest.raises(Unreachable, match=r"no answer within 0\.1 s"):
                await _call(endpoint, "imc.list_rooms", [], 0.1)
        manager.hold.set()


async def test_nobody_there(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with pytest.raises(Unreachable, match="No such file"):
        await _call(f"unix:{path}", "core.version", [])
    with socket.socket(socket.AF_UNIX) as dead, socket.socket() as unused:
        dead.bind(str(path))
        unused.bind(("127.0.0.1", 0))
        for endpoint in (f"unix:{path}", f"http://127.0.0.1:{unused.getsockname()[1]}/RPC"):
            with pytest.raises(Unreachable, match="Connection refused"):
                await _call(endpoint, "core.version", [])


@pytest.mark.parametrize(
    ("endpoint", "match"),
    [
        ("http://127.0.0.1:port/RPC", "Port could not be cast"),
        ("x" * 300, "too long"),
    ],
)
def test_bad_endpoints(endpoint: str, match: str) -> None:
    with pytest.raises(Unreachable, match=match):
        client.call(endpoint, "core.version", [])


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot Found", "(404 Not Found)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "(200 OK)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]", "(200 OK)"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"error": {"code": "x"}}', "(200 OK)"),
        (b"what?\r\n\r\n", "what?"),
        (b"", "closed connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "IncompleteRead|no JSON-RPC"),
    ],
)
async def test_answers_that_are_no_json_rpc(reply: bytes, status: str) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(reply)
        await stream.send_eof()
        while await stream.receive_some():
            pass

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/RPC"
            with pytest.raises(Unreachable) as caught:
                await _call(url, "core.version", [])
            assert any(part in str(caught.value) for part in status.split("|"))
            nursery.cancel_scope.cancel()


# What the command line shows


async def _shown(function: Any, *arguments: Any, **named: Any) -> str:
    file = io.StringIO()
    await trio.to_thread.run_sync(partial(function, *arguments, file=file, **named))
    return file.getvalue()


async def test_rooms(tmp_path: Path) -> None:
    async with _endpoints(tmp_path) as (endpoint, *_):
        shown = await _shown(client.rooms, endpoint, is_json=False)
        assert [line.split() for line in shown.splitlines()] == [
            ["Room", "Members", "Owner", "Kind"],
            ["sip:chat-s@imc.test", "1", "sip:olga@imc.test", "private"],
            ["sip:chat-w@imc.test", "3", "sip:alice@imc.test", "public"],
        ]
        assert json.loads(await _shown(client.rooms, endpoint, is_json=True)) == [
            {"room": "sip:chat-s@imc.test", "members": 1, "owner": "sip:olga@imc.test", "private": True},
            {"room": "sip:chat-w@imc.test", "members": 3, "owner": "sip:alice@imc.test", "private": False},
        ]


async def test_members(tmp_path: Path) -> None:
    async with _endpoints(tmp_path) as (endpoint, *_):
        shown = await _shown(client.members, endpoint, "chat-w", is_json=False)
        assert [line.split() for line in shown.splitlines()] == [
            ["User", "Role"],
            ["sip:alice@imc.test", "owner"],
            ["sip:adam@imc.test", "admin"],
            ["sip:mary@imc.test", "member"],
            ["sip:ivan@imc.test", "invited"],
        ]
        as_json = json.loads(await _shown(client.members, endpoint, ROOM, is_json=True))
        assert as_json == {
            "room": ROOM,
            "members": ["sip:alice@imc.test", "sip:adam@imc.test", "sip:mary@imc.test"],
            "count": 3,
            "roles": {
                "sip:alice@imc.test": "owner",
                "sip:adam@imc.test": "admin",
                "sip:mary@imc.test": "member",
                "sip:ivan@imc.test": "invited",
            },
        }
        for is_json in (True, False):
            with pytest.raises(RpcError, match="Room not found"):
                await _shown(client.members, endpoint, "chat-none", is_json=is_json)


async def test_long_addresses_are_not_broken_for_a_program(tmp_path: Path) -> None:
    manager = FakeManager()
    manager.rooms[CHAT] = [Member(Aor("x" * 60, "y" * 60 + ".test"), "owner")]
    async with _endpoints(tmp_path, manager) as (endpoint, *_):
        shown = await _shown(client.members, endpoint, "chat-w", is_json=False)
        assert f"sip:{'x' * 60}@{'y' * 60}.test  owner" in shown


def test_a_terminal_gets_no_markup_and_no_control_characters() -> None:
    file = io.StringIO()
    rows = [{"user": "sip:[bold]a\x1b[31m\u202eb\n@imc.test", "role": "[red]owner"}]
    client.show_table(client.members_table(rows), file)
    assert file.getvalue().splitlines()[1].strip() == "sip:[bold]a�[31m�b�@imc.test  [red]owner"


def test_a_terminal_gets_a_table_as_wide_as_it_is() -> None:
    master, slave = os.openpty()
    try:
        with open(slave, "w", closefd=False) as file:
            rows = [{"room": f"sip:{'x' * 90}@imc.test", "members": 1, "owner": "sip:a@imc.test", "private": True}]
            client.show_table(client.rooms_table(rows), file)
        lines = os.read(master, 65536).decode().splitlines()
    finally:
        os.close(master)
        os.close(slave)
    assert len(lines) > 2
    assert "".join(lines).count("x") == 90
