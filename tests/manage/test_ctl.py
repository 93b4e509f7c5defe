from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imc.manage import binrpc
from imc.manage.binrpc import Kind
from imc.manage.options import ManageOptions
from tests.manage.fakes import FakeManager, make_options, serving

ROOM = "sip:chat-w@imc.test"
MEMBERS = {
    "room": ROOM,
    "members": ["sip:alice@imc.test", "sip:adam@imc.test", "sip:mary@imc.test"],
    "count": 3,
}


@asynccontextmanager
async def _served(tmp_path: Path, manager: FakeManager | None = None, **changes: Any) -> AsyncIterator[ManageOptions]:
    options = make_options(ctl=str(tmp_path / "ctl"), **changes)
    with trio.fail_after(20):
        async with serving(manager or FakeManager(), options) as bound:
            assert bound.ctl == options.ctl
            yield options
    assert not (tmp_path / "ctl").exists()


class Caller:
    """What kamcmd does, and what it would never do."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = bytearray()

    async def send(self, *values: object, cookie: bytes = b"\x11\x22\x33\x44") -> None:
        await self.stream.send_all(binrpc.packet(Kind.CALL, cookie, values))

    async def packet(self) -> binrpc.Packet | None:
        while (found := binrpc.take(self._buffer, 2**20)) is None:
            data = await self.stream.receive_some(65536)
            if not data:
                assert not self._buffer
                return None
            self._buffer += data
        return found

    async def results(self) -> list[Any]:
        found = await self.packet()
        assert found is not None
        assert found.kind is Kind.REPLY
        return binrpc.read(found.body)

    async def fault(self) -> list[Any]:
        found = await self.packet()
        assert found is not None
        assert found.kind is Kind.FAULT
        return binrpc.read(found.body)

    async def ask(self, *values: object) -> list[Any]:
        await self.send(*values)
        return await self.results()


@asynccontextmanager
async def _caller(options: ManageOptions) -> AsyncIterator[Caller]:
    assert options.ctl is not None
    async with await trio.open_unix_socket(options.ctl) as stream:
        yield Caller(stream)


async def test_several_calls_a_connection(tmp_path: Path) -> None:
    async with _served(tmp_path) as options, _caller(options) as caller:
        assert (tmp_path / "ctl").stat().st_mode & 0o777 == 0o600
        assert await caller.ask("imc.list_members", ROOM) == [MEMBERS]
        assert await caller.ask("imc.room_active", ROOM) == [1]
        assert await caller.ask("imc.room_active", "chat-none") == [0]
        assert await caller.ask("imc.list_rooms") == [
            {"room": "sip:chat-s@imc.test", "members": 1, "owner": "sip:olga@imc.test"},
            {"room": "sip:chat-w@imc.test", "members": 3, "owner": "sip:alice@imc.test"},
        ]


async def test_packets_in_pieces_and_together(tmp_path: Path) -> None:
    async with _served(tmp_path) as options, _caller(options) as caller:
        cookies = [b"\x01", b"\x01\x02", b"\x01\x02\x03", b"\x01\x02\x03\x04"]
        data = b"".join(binrpc.packet(Kind.CALL, cookie, ["core.version"]) for cookie in cookies)
        for at in range(0, len(data), 7):
            await caller.stream.send_all(data[at : at + 7])
        for cookie in cookies:
            packet = await caller.packet()
            assert packet is not None
            assert packet.cookie == cookie


async def test_parameters_are_texts(tmp_path: Path) -> None:
    manager = FakeManager()
    async with _served(tmp_path, manager) as options, _caller(options) as caller:
        assert await caller.ask("imc.manager", "a", 5, 2.5, b"octets") == [1]
        assert await caller.ask("imc.manager", {"from": -5, "to": "b", "body": b"c"}) == [1]
        assert await caller.ask("stats.fetchn", {"name": ["imc:"]}) == [{"imc.active_rooms": 2}]
    assert manager.commands == [("a", "5", "2.5", "octets"), ("-5", "b", "c", "text/plain")]


async def test_who_called_is_noted(tmp_path: Path) -> None:
    manager = FakeManager()
    async with _served(tmp_path, manager) as options, _caller(options) as caller:
        await caller.ask("imc.forget", "mary")
    ((actor, via, act, result),) = manager.operations.notes
    assert actor.startswith("uid=")
    assert (via, act, result) == ("ctl", "imc.forget", "200")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (["no.such"], [500, "command no.such not found"]),
        (["imc.list_members", "sip:none@imc.test"], [500, "Room not found"]),
        (["imc.list_members"], [500, "No room name"]),
        (["imc.list_members", "."], [500, "Empty room name"]),
        (["imc.list_rooms", "x"], [400, "Invalid params: 0 at most: imc.list_rooms"]),
        (["imc.members", {"a": "b"}], [400, "Invalid params: unknown name 'a': imc.members room"]),
        (["imc.members", ["b"]], [400, "Invalid params: room: a string is needed"]),
        (["imc.members", b"\xff"], [400, "Bad packet: octets that are not UTF-8"]),
        ([], [400, "Bad packet: the first value is not the name of a method"]),
        ([5], [400, "Bad packet: the first value is not the name of a method"]),
    ],
)
async def test_faults_leave_the_connection_open(values: list[object], fault: list[object], tmp_path: Path) -> None:
    async with _served(tmp_path) as options, _caller(options) as caller:
        await caller.send(*values)
        assert await caller.fault() == fault
        assert await caller.ask("imc.room_active", ROOM) == [1]


async def test_an_answer_longer_than_kamcmd_reads(tmp_path: Path) -> None:
    manager = FakeManager()
    room, members = next(iter(manager.rooms.items()))
    manager.rooms = {room._replace(user=f"chat-{number}"): members for number in range(3_000)}
    async with _served(tmp_path, manager) as options, _caller(options) as caller:
        await caller.send("imc.list_rooms")
        assert await caller.fault() == [
            500, "The answer has more than 131072 bytes, and kamcmd takes no more: use JSON-RPC",
        ]  # fmt: skip
        assert await caller.ask("imc.room_active", "chat-7") == [1]


@pytest.mark.parametrize(
    ("data", "cookie", "text"),
    [
        (b'{"jsonrpc": "2.0"}', b"\0", "not BINRPC"),
        (b"\xa1\x23", b"\0", "neither a call nor a reply nor a fault"),
        (b"\xa1\x0f\xff\xff\xff\xff\x01\x02\x03\x04", b"\x01\x02\x03\x04", "longer than 1000 bytes"),
        (b"\xa1\x04\x03\xff\x09" + b"x" * 1_023, b"\x09", "longer than 1000 bytes"),
    ],
)
async def test_what_has_no_end_ends_the_connection_only(data: bytes, cookie: bytes, text: str, tmp_path: Path) -> None:
    async with _served(tmp_path, max_request=1_000) as options:
        async with _caller(options) as caller:
            await caller.stream.send_all(data)
            packet = await caller.packet()
            assert packet is not None
            assert (packet.kind, packet.cookie) == (Kind.FAULT, cookie)
            assert binrpc.read(packet.body) == [400, f"Bad packet: {text}"]
            with contextlib.suppress(trio.BrokenResourceError):  # unread octets make a reset of the end
                assert await caller.packet() is None
        async with _caller(options) as caller:
            assert await caller.ask("imc.room_active", ROOM) == [1]


async def test_connections_are_bounded(tmp_path: Path) -> None:
    async with _served(tmp_path, max_connections=1) as options:
        async with _caller(options) as one:
            assert await one.ask("imc.room_active", ROOM) == [1]
            async with _caller(options) as two:
                assert await two.fault() == [500, "Too many connections"]
                assert await two.packet() is None
            assert await one.ask("imc.room_active", ROOM) == [1]
        while True:  # the place becomes free as soon as the server has seen the end
            async with _caller(options) as three:
                await three.send("imc.room_active", ROOM)
                packet = await three.packet()
                if packet is not None and packet.kind is Kind.REPLY:
                    break


async def test_an_idle_connection_and_a_slow_packet_are_ended(tmp_path: Path) -> None:
    async with _served(tmp_path, idle_timeout=0.1, read_timeout=0.1) as options:
        async with _caller(options) as caller:
            assert await caller.packet() is None
        async with _caller(options) as caller:
            await caller.ask("core.version")
            await caller.stream.send_all(b"\xa1\x03")
            assert await caller.packet() is None


async def test_a_caller_that_does_not_read_is_ended(tmp_path: Path) -> None:
    async with _served(tmp_path, write_timeout=0.1) as options, _caller(options) as caller:
        calls = binrpc.packet(Kind.CALL, b"\0", ["system.listMethods"]) * 1_000
        sent = 0
        with contextlib.suppress(trio.BrokenResourceError):
            while sent < 100_000_000:
                await caller.stream.send_all(calls)
                sent += len(calls)
        assert sent < 100_000_000
        async with _caller(options) as other:
            assert await other.ask("imc.room_active", ROOM) == [1]


async def test_a_caller_that_goes_away_meanwhile(tmp_path: Path) -> None:
    manager = FakeManager()
    manager.hold = trio.Event()
    async with _served(tmp_path, manager) as options:
        async with _caller(options) as caller:
            await caller.send("imc.list_rooms")
            while not manager.waiting:
                await trio.lowlevel.checkpoint()
        manager.hold.set()
        async with _caller(options) as caller:
            assert await caller.ask("imc.room_active", ROOM) == [1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60) | st.just(b"\xa1\x03\x04abcd\x21x\0"), max_size=4))
async def test_no_bytes_end_the_listener(tmp_path: Path, chunks: list[bytes]) -> None:
    async with _served(tmp_path) as options:
        async with _caller(options) as caller:
            with contextlib.suppress(trio.BrokenResourceError):
                for chunk in chunks:
                    await caller.stream.send_all(chunk)
                await caller.stream.send_eof()
                while await caller.packet() is not None:
                    pass
        async with _caller(options) as caller:
            assert await caller.ask("imc.room_active", ROOM) == [1]


KAMCMD: list[tuple[list[str], str]] = [
    (
        ["imc.list_rooms"],
        "{\n\troom: sip:chat-s@imc.test\n\tmembers: 1\n\towner: sip:olga@imc.test\n}\n"
        "{\n\troom: sip:chat-w@imc.test\n\tmembers: 3\n\towner: sip:alice@imc.test\n}\n",
    ),
    (
        ["imc.list_members", ROOM],
        "{\n\troom: sip:chat-w@imc.test\n\tmembers: {\n\t\tsip:alice@imc.test\n\t\tsip:adam@imc.test\n"
        "\t\tsip:mary@imc.test\n\t}\n\tcount: 3\n}\n",
    ),
    (["imc.room_active", ROOM], "1\n"),
    (["imc.room_active", "chat-none"], "0\n"),
    (["imc.room_active", "1234"], "0\n"),
    (["imc.room_active", "s:1234"], "0\n"),
    (["stats.fetch", "imc:"], "{\n\timc.active_rooms: 2\n}\n"),
    (["stats.fetchn", "all"], "{\n\timc.active_rooms: 2\n\tsip.requests: 7\n}\n"),
    (["imc.manager", "a", "b", "zwölf", "text/plain"], "-130\n"),
    (["no.such"], "error: 500 - command no.such not found\n"),
    (["imc.list_members", "sip:none@imc.test"], "error: 500 - Room not found\n"),
    (["imc.list_members"], "error: 500 - No room name\n"),
    (["imc.list_rooms", "x"], "error: 400 - Invalid params: 0 at most: imc.list_rooms\n"),
]
needs_kamcmd = pytest.mark.skipif(shutil.which("kamcmd") is None, reason="kamcmd is not installed")


async def _kamcmd(options: ManageOptions, *words: str, typed: bytes = b"", scheme: str = "unix:") -> str:
    done = await trio.run_process(
        ["kamcmd", "-s", f"{scheme}{options.ctl}", *words],
        stdin=typed,
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout.decode()


@needs_kamcmd
async def test_kamailios_own_tool(tmp_path: Path) -> None:
    """`kamcmd` of Debian's package, unchanged. A fault ends it with a status of its own, so only its words are read."""
    manager = FakeManager()
    manager.code = -130
    async with _served(tmp_path, manager) as options:
        for words, expected in KAMCMD:
            assert await _kamcmd(options, *words) == expected, words
        methods = (await _kamcmd(options, "system.listMethods")).splitlines()
        assert "imc.list_rooms" in methods
        assert methods == sorted(methods)
        for scheme in ("unix:", "unixs:", ""):
            assert (await _kamcmd(options, "core.version", scheme=scheme)).startswith("imc (Python 3.")
    assert manager.commands == [("a", "b", "zwölf", "text/plain")]


@needs_kamcmd
async def test_kamailios_own_tool_with_a_prompt(tmp_path: Path) -> None:
    async with _served(tmp_path) as options:
        typed = b"imc.room_active chat-w\nno.such\nimc.list_members chat-s\nquit\n"
        said = await _kamcmd(options, typed=typed)
        found = [said.index(text) for text in ("\n1\n", "error: 500 - command no.such not found", "sip:olga@imc.test")]
        assert found == sorted(found)


@needs_kamcmd
async def test_all_values_as_kamcmd_prints_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result: list[Any] = [
        None, True, 0, -5, 2**31 - 1, 2**31, -(2**40), 2.5, -2.5, 1_700_000_000.123, 0.12345,
        "", "é", "x" * 300, {}, {"a": [], "b": {"c": [1, {"d": ["e"]}]}},
    ]  # fmt: skip
    expected = (
        "\n1\n0\n-5\n2147483647\n2147483648\n-1099511627776\n2.500000\n-2.500000\n1700000000.123000\n0.12345\n"
        "\né\n" + "x" * 300 + "\n{\n}\n"
        "{\n\ta: {\n\t}\n\tb: {\n\t\tc: {\n\t\t\t1\n\t\t\t{\n\t\t\t\td: {\n"
        "\t\t\t\t\te\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n}\n"
    )

    async def call(*_: object) -> object:
        return result

    monkeypatch.setattr("imc.manage.methods.Methods.call", call)
    async with _served(tmp_path) as options:
        assert await _kamcmd(options, "x") == expected
        for octets, is_read in ((131_059, True), (131_060, False)):  # of the text and its NUL; 13 beside them
            result[:] = ["x" * (octets - 1)]
            said = await _kamcmd(options, "x")
            assert said == ("x" * (octets - 1) + "\n" if is_read else said)
            assert said.startswith("error: 500 - The answer has more than") is not is_read
