from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imc.manage.options import ManageOptions
from tests.manage.fakes import FakeManager, make_options, request, serving

ROOM = "sip:chat-w@imc.test"


@asynccontextmanager
async def _served(tmp_path: Path, manager: FakeManager | None = None, **changes: Any) -> AsyncIterator[ManageOptions]:
    options = make_options(socket=str(tmp_path / "rpc.sock"), **changes)
    with trio.fail_after(20):
        async with serving(manager or FakeManager(), options) as bound:
            assert bound.socket == options.socket
            yield options
    assert not (tmp_path / "rpc.sock").exists()


class Caller:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, value: object) -> None:
        await self.stream.send_all(json.dumps(value).encode() + b"\n")

    async def line(self) -> Any:
        while b"\n" not in self._buffer:
            data = await self.stream.receive_some(65536)
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    async def ask(self, value: object) -> Any:
        await self.send(value)
        return await self.line()


@asynccontextmanager
async def _caller(options: ManageOptions) -> AsyncIterator[Caller]:
    assert options.socket is not None
    async with await trio.open_unix_socket(options.socket) as stream:
        yield Caller(stream)


async def test_several_calls_a_connection(tmp_path: Path) -> None:
    async with _served(tmp_path) as options, _caller(options) as caller:
        assert (tmp_path / "rpc.sock").stat().st_mode & 0o777 == 0o600
        first = await caller.ask(request("imc.list_members", ROOM))
        assert first["result"]["count"] == 3
        await caller.stream.send_all(b"\n\r\n")
        await caller.send({"jsonrpc": "2.0", "method": "imc.list_rooms"})
        batch = [request("imc.room_active", ROOM, request_id=id_) for id_ in ("a", "b")]
        assert [item["id"] for item in await caller.ask(batch)] == ["a", "b"]


async def test_lines_in_pieces_and_together(tmp_path: Path) -> None:
    async with _served(tmp_path) as options, _caller(options) as caller:
        data = b"".join(json.dumps(request("core.version", request_id=id_)).encode() + b"\n" for id_ in range(3))
        for at in range(0, len(data), 50):
            await caller.stream.send_all(data[at : at + 50])
        assert [(await caller.line())["id"] for _ in range(3)] == [0, 1, 2]


async def test_the_last_line_need_not_be_ended(tmp_path: Path) -> None:
    async with _served(tmp_path) as options, _caller(options) as caller:
        await caller.stream.send_all(json.dumps(request("core.version")).encode())
        await caller.stream.send_eof()
        assert (await caller.line())["id"] == 1
        assert await caller.line() is None


@pytest.mark.parametrize(
    ("line", "code"),
    [(b"rubbish", -32700), (b"\xff\x00", -32700), (b"[" * 9999, -32700), (b"[]", -32600), (b"{}", -32600)],
)
async def test_bad_calls_leave_the_connection_open(line: bytes, code: int, tmp_path: Path) -> None:
    async with _served(tmp_path) as options, _caller(options) as caller:
        await caller.stream.send_all(line + b"\n")
        assert (await caller.line())["error"]["code"] == code
        assert (await caller.ask(request("core.version")))["id"] == 1


@pytest.mark.parametrize("end", [b"\n", b""])
async def test_a_line_too_long_ends_the_connection_only(end: bytes, tmp_path: Path) -> None:
    async with _served(tmp_path, max_request=1000) as options:
        async with _caller(options) as caller:
            await caller.stream.send_all(b"x" * 1001 + end)
            assert (await caller.line())["error"]["code"] == -32600
            assert await caller.line() is None
        async with _caller(options) as caller:
            assert (await caller.ask(request("core.version")))["id"] == 1


async def test_connections_are_bounded(tmp_path: Path) -> None:
    async with _served(tmp_path, max_connections=2) as options:
        async with _caller(options) as one, _caller(options) as two:
            for caller in (one, two):
                assert (await caller.ask(request("core.version")))["id"] == 1
            async with _caller(options) as three:
                assert (await three.line())["error"]["message"] == "Too many connections"
                assert await three.line() is None
            assert (await one.ask(request("core.version")))["id"] == 1
        while True:  # the places become free as soon as the server has seen both ends
            async with _caller(options) as four:
                if "result" in await four.ask(request("core.version")):
                    break


async def test_an_idle_connection_and_a_slow_line_are_ended(tmp_path: Path) -> None:
    async with _served(tmp_path, idle_timeout=0.1, read_timeout=0.1) as options:
        async with _caller(options) as caller:
            assert await caller.line() is None
        async with _caller(options) as caller:
            await caller.ask(request("core.version"))
            await caller.stream.send_all(b"{")
            assert await caller.line() is None


async def test_a_caller_that_does_not_read_is_ended(tmp_path: Path) -> None:
    async with _served(tmp_path, write_timeout=0.1) as options, _caller(options) as caller:
        batch = json.dumps([request("system.listMethods")] * 50).encode() + b"\n"
        sent = 0
        with contextlib.suppress(trio.BrokenResourceError):
            while sent < 100_000_000:
                await caller.stream.send_all(batch)
                sent += len(batch)
        assert sent < 100_000_000
        async with _caller(options) as other:
            assert (await other.ask(request("core.version")))["id"] == 1


async def test_calls_of_many_connections_at_once(tmp_path: Path) -> None:
    manager = FakeManager()
    manager.hold = trio.Event()
    answers: list[Any] = []

    async with _served(tmp_path, manager) as options, trio.open_nursery() as nursery:

        async def ask(number: int) -> None:
            async with _caller(options) as caller:
                answers.append((await caller.ask(request("imc.list_rooms", request_id=number)))["id"])

        for number in range(20):
            nursery.start_soon(ask, number)
        while manager.waiting < 20:
            await trio.lowlevel.checkpoint()
        async with _caller(options) as caller:  # is served although twenty calls wait
            assert (await caller.ask(request("imc.room_active", ROOM)))["result"] is True
        manager.hold.set()
    assert sorted(answers) == list(range(20))


async def test_a_caller_that_goes_away_meanwhile(tmp_path: Path) -> None:
    manager = FakeManager()
    manager.hold = trio.Event()
    async with _served(tmp_path, manager) as options:
        async with _caller(options) as caller:
            await caller.send(request("imc.list_rooms"))
            while not manager.waiting:
                await trio.lowlevel.checkpoint()
        manager.hold.set()
        async with _caller(options) as caller:
            assert (await caller.ask(request("core.version")))["id"] == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60), max_size=4))
async def test_no_bytes_end_the_listener(tmp_path: Path, chunks: list[bytes]) -> None:
    async with _served(tmp_path) as options:
        async with _caller(options) as caller:
            for chunk in chunks:
                await caller.stream.send_all(chunk)
            await caller.stream.send_eof()
            while await caller.line() is not None:
                pass
        async with _caller(options) as caller:
            assert (await caller.ask(request("core.version")))["id"] == 1
