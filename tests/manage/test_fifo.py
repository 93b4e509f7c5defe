from __future__ import annotations

import errno
import json
import os
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
from trio.testing import wait_all_tasks_blocked

from imc.errors import ListenError
from imc.manage.fifo import Replies
from tests.manage.fakes import FakeManager, make_options, request, serving

ROOM = "sip:chat-w@imc.test"
ROOMS_REPLY = (
    b"200 OK\n"
    b"ROOM::  URI=sip:chat-s@imc.test MEMBERS=1 OWNER=sip:olga@imc.test\n"
    b"ROOM::  URI=sip:chat-w@imc.test MEMBERS=3 OWNER=sip:alice@imc.test\n"
    b"\n"
)


class Fifo:
    """The caller's side: what a shell script does with mkfifo, echo and cat."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "imc.fifo"
        self.replies = directory / "replies"

    def write(self, data: bytes) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            assert os.write(fd, data) == len(data)
        finally:
            os.close(fd)

    def make_reply(self, name: str) -> int:
        os.mkfifo(self.replies / name)
        return os.open(self.replies / name, os.O_RDONLY | os.O_NONBLOCK)

    async def read(self, fd: int) -> bytes:
        """Until the writer closes."""
        await trio.lowlevel.wait_readable(fd)  # before the first writer comes a read would give the end of the file
        async with trio.lowlevel.FdStream(fd) as stream:
            return b"".join([data async for data in stream])

    async def ask(self, data: bytes, name: str = "reply") -> bytes:
        fd = self.make_reply(name)
        self.write(data)
        answer = await self.read(fd)
        os.unlink(self.replies / name)
        return answer

    async def ask_json(self, method: str, *params: object, **more: object) -> Any:
        call = {**request(method, *params), "reply_name": "reply", **more}
        return json.loads(await self.ask(json.dumps(call).encode() + b"\n"))

    async def check_alive(self) -> None:
        assert await self.ask(b":imc_list_rooms:alive\n\n", "alive") == ROOMS_REPLY


@asynccontextmanager
async def _served(tmp_path: Path, manager: FakeManager | None = None, **changes: Any) -> AsyncIterator[Fifo]:
    fifo = Fifo(tmp_path)
    fifo.replies.mkdir(exist_ok=True)
    options = make_options(**{"fifos": (str(fifo.path),), "fifo_reply_dir": str(fifo.replies), **changes})
    with trio.fail_after(20):
        async with serving(manager or FakeManager(), options) as bound:
            assert bound.fifos == options.fifos
            yield fifo
    assert not fifo.path.exists()


async def test_the_line_format(tmp_path: Path) -> None:
    async with _served(tmp_path) as fifo:
        assert fifo.path.stat().st_mode & 0o777 == 0o600
        assert await fifo.ask(b":imc_list_rooms:reply\n\n") == ROOMS_REPLY
        members = await fifo.ask(b":imc_list_members:reply\nsip:chat-w@imc.test\n\n")
        assert members.startswith(
            b"200 OK\nROOM:: sip:chat-w@imc.test NR_OF_MEMBERS=3\n\tMEMBER:: sip:alice@imc.test\n"
        )
        assert await fifo.ask(b":imc_list_members:reply\nsip:none@imc.test\n\n") == b"404 Room not found\n\n"
        assert await fifo.ask(b":nothing:reply\n\n") == b"500 command 'nothing' not available\n\n"


async def test_json_on_the_same_fifo(tmp_path: Path) -> None:
    async with _served(tmp_path) as fifo:
        answer = await fifo.ask_json("imc.list_members", ROOM)
        assert answer["result"]["count"] == 3
        await fifo.check_alive()
        pretty = json.dumps({**request("core.version"), "reply_name": "reply"}, indent=4).encode()
        assert json.loads(await fifo.ask(pretty))["id"] == 1
        error = await fifo.ask_json("imc.list_members", "sip:none@imc.test")
        assert error == {"jsonrpc": "2.0", "error": {"code": 500, "message": "Room not found"}, "id": 1}
        batch = [{**request("core.version", request_id=2), "reply_name": "reply"}, request("nothing")]
        answers = json.loads(await fifo.ask(json.dumps(batch).encode()))
        assert [answer["id"] for answer in answers] == [2, 1]


async def test_two_fifos(tmp_path: Path) -> None:
    paths = (str(tmp_path / "imc.fifo"), str(tmp_path / "mi.fifo"))
    async with _served(tmp_path, fifos=paths) as fifo:
        await fifo.check_alive()
        fifo.path = tmp_path / "mi.fifo"
        await fifo.check_alive()
        assert (await fifo.ask_json("core.version"))["id"] == 1
    assert not (tmp_path / "mi.fifo").exists()


async def test_no_reply_where_none_is_wanted(tmp_path: Path) -> None:
    manager = FakeManager()
    async with _served(tmp_path, manager) as fifo:
        command = ["sip:alice@imc.test", ROOM, "#members"]
        fifo.write(b":imc_manager:\n" + "\n".join(command).encode() + b"\n\n")
        fifo.write(json.dumps(request("imc.manager", *command)).encode())
        fifo.write(json.dumps({"jsonrpc": "2.0", "method": "imc.manager", "params": command}).encode())
        await fifo.check_alive()
        assert manager.commands == [("sip:alice@imc.test", ROOM, "#members", "text/plain")] * 3
        assert os.listdir(fifo.replies) == []


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (b'{"jsonrpc": "2.0", "method": core, "reply_name": "reply", "id": 1}\n', -32700),
        (b'{"reply_name": "reply", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "reply_name" : "reply", "method": "core.vers\n', -32700),
        (b'{"jsonrpc": "2.0", "reply_name": "reply", "method": "core.version"', -32700),
        (b'{"reply_name": "reply", "x": "' + b"x" * 1000 + b'"}', -32700),
        (b'{"reply_name": "reply", "x": ' + b"[" * 300 + b"]" * 300 + b"}", -32600),
        (b":imc_list_rooms:reply\n", b"400 parse error: cut off before its end\n\n"),
        (b":imc_list_members:reply\nchat-w", b"400 parse error: cut off before its end\n\n"),
        (b":imc_list_members:reply\n" + b"x" * 1000 + b"\n\n", b"400 parse error: too large\n\n"),
        (
            b":imc_list_members:reply\n:imc_list_rooms:\n\n",
            b"400 parse error: another call began before the empty line\n\n",
        ),
        (b':imc_list_members:reply\n"open\n\n', None),
        (b":imc_list_members:reply\n\xff\n\n", None),
    ],
)
async def test_bad_calls_are_answered_and_end_nothing(call: bytes, answer: int | bytes | None, tmp_path: Path) -> None:
    async with _served(tmp_path, max_request=900) as fifo:
        got = await fifo.ask(call)
        await wait_all_tasks_blocked()
        if isinstance(answer, int):
            assert json.loads(got)["error"]["code"] == answer
        else:
            assert got.startswith(b"400 parse error: ")
            assert answer in (None, got)
        await fifo.check_alive()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\n",
        b"rubbish",
        b"\x00\xff\n",
        b"}\n",
        b":\n\n",
        b"::\n\n",
        b":x\n\n",
        b"::reply\n\n",
        b"{" * 500,
        b'{"',
        b":x:",
    ],
)
async def test_rubbish_is_skipped(rubbish: bytes, tmp_path: Path) -> None:
    async with _served(tmp_path) as fifo:
        fifo.write(rubbish)
        await fifo.check_alive()


async def test_a_call_that_never_ends_is_given_up(tmp_path: Path) -> None:
    async with _served(tmp_path, read_timeout=0.1) as fifo:
        reader = fifo.make_reply("reply")
        writer = os.open(fifo.path, os.O_WRONLY | os.O_NONBLOCK)  # held open: there is no end of file to see
        try:
            os.write(writer, b":imc_list_rooms:reply\n")
            assert await fifo.read(reader) == b"400 parse error: cut off before its end\n\n"
            await fifo.check_alive()
        finally:
            os.close(writer)


@pytest.mark.parametrize(
    "name", ["../reply", "/tmp/reply", "..", ".", "a/b", "a..b", ".hidden", "-x", "a b", "", "\\x", "x" * 129, "é"]
)
async def test_only_bare_names_are_replied_to(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "reply"
    os.mkfifo(outside)
    reader = os.open(outside, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with _served(tmp_path) as fifo:
            fifo.write(f":imc_list_rooms:{name}\n\n".encode())
            fifo.write(json.dumps({**request("core.version"), "reply_name": name}).encode())
            await fifo.check_alive()
            with pytest.raises(BlockingIOError):  # nobody has opened it, nothing is in it
                _read_or_empty(reader)
    finally:
        os.close(reader)


def _read_or_empty(fd: int) -> None:
    if os.read(fd, 1) == b"":  # a FIFO without writers is at its end at once
        raise BlockingIOError(errno.EAGAIN, "empty")


async def test_links_and_plain_files_are_not_replied_to(tmp_path: Path) -> None:
    async with _served(tmp_path) as fifo:
        (fifo.replies / "file").write_text("precious")
        os.mkfifo(tmp_path / "elsewhere")
        reader = os.open(tmp_path / "elsewhere", os.O_RDONLY | os.O_NONBLOCK)
        (fifo.replies / "soft").symlink_to(tmp_path / "elsewhere")
        (fifo.replies / "hard").hardlink_to(tmp_path / "elsewhere")
        for name in ("file", "soft", "hard"):
            fifo.write(f":imc_list_rooms:{name}\n\n".encode())
        await fifo.check_alive()
        assert (fifo.replies / "file").read_text() == "precious"
        with pytest.raises(BlockingIOError):
            _read_or_empty(reader)
        os.close(reader)


async def test_readers_that_never_come_delay_nobody_and_are_bounded(tmp_path: Path) -> None:
    async with _served(tmp_path, max_connections=4, reply_wait=5.0) as fifo:
        os.mkfifo(fifo.replies / "unread")
        for _ in range(3):
            fifo.write(b":imc_list_rooms:unread\n\n")
        began = trio.current_time()
        await fifo.check_alive()  # has the fourth place
        for _ in range(20):
            fifo.write(b":imc_list_rooms:unread\n\n")
        assert trio.current_time() - began < 5.0


async def test_a_reader_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    async with _served(tmp_path, reply_wait=10.0) as fifo:
        fifo.write(b":imc_list_rooms:late\n\n")
        await fifo.check_alive()
        assert await fifo.read(fifo.make_reply("late")) == ROOMS_REPLY


async def test_a_reader_that_does_not_read_is_given_up(tmp_path: Path) -> None:
    manager = FakeManager()
    room, members = next(iter(manager.rooms.items()))
    manager.rooms = {room._replace(user=f"chat-{number}"): members for number in range(3000)}
    async with _served(tmp_path, manager, write_timeout=0.2, max_connections=1) as fifo:
        reader = fifo.make_reply("slow")  # a pipe holds 64 kB, the answer has 200
        fifo.write(b":imc_list_rooms:slow\n\n")
        while True:  # the one place for waiting replies becomes free again
            with trio.move_on_after(1.0):
                answer = await fifo.ask(b":version:reply\n\n")
                break
            os.unlink(fifo.replies / "reply")
        assert answer.startswith(b"200 OK\nServer:: ")
        os.close(reader)


async def test_a_long_reply_arrives_whole(tmp_path: Path) -> None:
    manager = FakeManager()
    room, members = next(iter(manager.rooms.items()))
    manager.rooms = {room._replace(user=f"chat-{number:05}"): members for number in range(10_000)}
    async with _served(tmp_path, manager) as fifo:
        answer = await fifo.ask_json("imc.list_rooms")
        assert len(answer["result"]) == 10_000


async def test_replies_of_one_name_come_in_order(tmp_path: Path) -> None:
    async with _served(tmp_path) as fifo:
        calls = [{**request("core.version", request_id=number), "reply_name": "reply"} for number in range(10)]
        reader = fifo.make_reply("reply")
        keeper = os.open(fifo.replies / "reply", os.O_WRONLY)  # so that the end of one reply is not the end of all
        fifo.write(b"".join(json.dumps(call).encode() for call in calls))
        await trio.lowlevel.wait_readable(reader)
        async with trio.lowlevel.FdStream(reader) as stream:
            received = b""
            while received.count(b"\n") < 10:
                received += await stream.receive_some()
        os.close(keeper)
        assert [json.loads(line)["id"] for line in received.splitlines()] == list(range(10))


async def test_a_fifo_that_was_removed_is_made_again(tmp_path: Path) -> None:
    async with _served(tmp_path) as fifo:
        writer = os.open(fifo.path, os.O_WRONLY | os.O_NONBLOCK)
        fifo.path.unlink()
        os.close(writer)  # wakes the reader: the last writer is gone
        await wait_all_tasks_blocked()
        await fifo.check_alive()


async def test_no_directory_for_replies(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="fifo_reply_dir"):
        Replies(make_options(fifo_reply_dir=str(tmp_path / "none")))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([b":imc_list_rooms:x\n", b"\n\n", b'{"a":', b"}", b'"']), max_size=8
    )
)
async def test_no_bytes_end_the_listener(tmp_path: Path, chunks: list[bytes]) -> None:
    async with _served(tmp_path, reply_wait=0.01) as fifo:
        for chunk in chunks:
            fifo.write(chunk)
        await wait_all_tasks_blocked()
        await fifo.check_alive()


@pytest.mark.skipif(shutil.which("kamctl") is None, reason="kamctl is not installed")
async def test_kamailios_own_tool(tmp_path: Path) -> None:
    """`kamctl rpc` of Debian's package, unchanged; its reply FIFOs are in $CHROOT_DIR/tmp."""
    (tmp_path / "tmp").mkdir()
    async with _served(tmp_path, fifo_reply_dir=str(tmp_path / "tmp")) as fifo:
        environment = {**os.environ, "CTLENGINE": "RPCFIFO", "RPCFIFOPATH": str(fifo.path), "CHROOT_DIR": str(tmp_path)}
        for method, params, expected in [
            ("imc.list_rooms", [], "sip:olga@imc.test"),
            ("imc.list_members", [ROOM], "sip:mary@imc.test"),
            ("imc.list_members", ["sip:none@imc.test"], "Room not found"),
            ("stats.get_statistics", ["imc:"], "imc:active_rooms = 2"),
        ]:
            done = await trio.run_process(
                ["kamctl", "rpc", method, *params],
                env=environment,
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
            )
            assert expected in done.stdout.decode()
