"""The management interfaces of a running daemon: what they say is what SIP users see."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import uvicorn

from imc.aor import Aor
from imc.errors import RpcError, Unreachable
from imc.manage import client
from tests.e2e.process import config, served
from tests.e2e.stage import Stage, settings, stage

ROOM = "sip:chat-x@example.com"
BACK_WITHIN = 10.0


class Asked:
    """A stage whose daemon is asked by HTTP, unless another endpoint is named."""

    def __init__(self, on: Stage) -> None:
        self.on = on
        ((host, port),) = on.daemon.managed.http
        self.http = f"http://{host}:{port}/RPC"
        self.unix = f"unix:{on.daemon.managed.socket}"

    async def call(self, method: str, *params: Any, endpoint: str | None = None) -> Any:
        return await trio.to_thread.run_sync(partial(client.call, endpoint or self.http, method, list(params), 5.0))

    async def send(self, sender: str, text: str, room: str = ROOM, status: int = 200) -> None:
        assert (await self.on.clients[sender].message(room, text)).status == status, text

    async def active_rooms(self) -> int:
        """The statistic, which must be the number of rooms listed."""
        rooms = await self.call("imc.list_rooms")
        statistics = await self.call("stats.get_statistics", "imc:active_rooms")
        assert statistics == [f"imc:active_rooms = {len(rooms)}"]
        assert await self.call("stats.fetchn", "active_rooms", endpoint=self.unix) == {"imc.active_rooms": len(rooms)}
        return len(rooms)


@asynccontextmanager
async def asked(folder: Path, *names: str) -> AsyncIterator[Asked]:
    flags = ("manage.listen=127.0.0.1:0", f"manage.socket={folder}/sock", f"manage.fifos={folder}/fifo")
    async with stage(settings(folder, *flags, f"manage.fifo_reply_dir={folder}")) as on:
        for name in names:
            await on.client(name)
        yield Asked(on)


# --- what is listed ---------------------------------------------------------------------------------------------------


async def test_rooms_and_members_at_all_times(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice", "bob", "carol") as rpc:
        assert await rpc.call("imc.list_rooms") == []
        await rpc.send("alice", "#create private")
        assert await rpc.call("imc.list_rooms") == [{"room": ROOM, "members": 1, "owner": "sip:alice@example.com"}]
        await rpc.send("alice", "#invite bob")
        rows = await rpc.call("imc.rooms", endpoint=rpc.unix)
        assert rows == [{"room": ROOM, "members": 1, "owner": "sip:alice@example.com", "private": True}]
        members = await rpc.call("imc.members", ROOM)
        assert members == [
            {"user": "sip:alice@example.com", "role": "owner"},
            {"user": "sip:bob@example.com", "role": "invited"},
        ]
        assert await rpc.call("imc.room_member", ROOM, "bob@example.com") is False
        await rpc.send("bob", "#accept")
        await rpc.send("alice", "#modify bob admin")
        assert await rpc.call("imc.list_members", ROOM) == {
            "room": ROOM,
            "members": ["sip:alice@example.com", "sip:bob@example.com"],
            "count": 2,
        }
        assert await rpc.call("imc.room_member", "chat-x", "bob") is True
        await rpc.send("bob", "#leave")
        assert (await rpc.call("imc.list_members", ROOM))["count"] == 1
        assert await rpc.call("imc.room_active", ROOM) is True
        await rpc.send("alice", "#leave")
        assert await rpc.call("imc.list_rooms") == []
        assert await rpc.call("imc.room_active", ROOM) is False
        with pytest.raises(RpcError, match="Room not found"):
            await rpc.call("imc.list_members", ROOM)


async def test_active_rooms_is_right_at_all_times(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice", "bob") as rpc:
        rooms = [f"sip:chat-{number}@example.com" for number in range(3)]
        counts = [await rpc.active_rooms()]
        for sender, text, room, status in (
            ("alice", "#create", rooms[0], 200),
            ("alice", "#create", rooms[0], 200),  # there already
            ("bob", "#join", rooms[0], 200),
            ("bob", "#join", rooms[1], 200),  # a new one
            ("bob", "#create private", rooms[2], 200),
            ("alice", "#destroy", rooms[2], 404),
            ("bob", "#destroy", rooms[0], 403),
            ("alice", "#leave", rooms[0], 200),  # the last owner
            ("bob", "#destroy", rooms[1], 200),
            ("bob", "#leave", rooms[2], 200),
        ):
            await rpc.send(sender, text, room, status)
            counts.append(await rpc.active_rooms())
        assert counts == [0, 1, 1, 1, 2, 3, 3, 3, 2, 1, 0]


async def test_fifo_in_both_forms(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice") as rpc:
        await rpc.send("alice", "#create")
        line_form = f":imc_list_members:answer\n{ROOM}\n\n"
        document = {"jsonrpc": "2.0", "method": "imc.room_active", "params": [ROOM], "id": 1, "reply_name": "answer"}
        for call, wanted in ((line_form, "sip:alice@example.com"), (json.dumps(document) + "\n", '"result":true')):
            text = await trio.to_thread.run_sync(ask_fifo, tmp_path, call)
            assert wanted in text.replace(" ", ""), text


def ask_fifo(folder: Path, call: str) -> str:
    reply = folder / "answer"
    os.mkfifo(reply)
    try:
        descriptor = os.open(folder / "fifo", os.O_WRONLY)
        os.write(descriptor, call.encode())
        os.close(descriptor)
        return reply.read_text()
    finally:
        reply.unlink()


@pytest.mark.skipif(shutil.which("kamcmd") is None, reason="kamcmd is not installed")
async def test_kamcmd_where_nothing_else_listens(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, "manage.listen=", f"manage.ctl={tmp_path}/ctl")) as on:
        assert (await (await on.client("alice")).message(ROOM, "#create")).status == 200
        for words, wanted in (
            (["imc.list_rooms"], f"{{\n\troom: {ROOM}\n\tmembers: 1\n\towner: sip:alice@example.com\n}}\n"),
            (["imc.manager", "sip:bob@example.com", ROOM, "#join"], "1\n"),
            (["imc.room_member", ROOM, "bob"], "1\n"),
            (["imc.remove", ROOM, "nobody"], "error: 500 - "),
        ):
            done = await trio.run_process(
                ["kamcmd", "-s", f"unix:{tmp_path}/ctl", *words],
                capture_stdout=True, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
            assert done.stdout.decode().startswith(wanted), words


# --- commands ---------------------------------------------------------------------------------------------------------


async def test_manager_acts_as_the_user(tmp_path: Path) -> None:
    """With the rights of that user, its return code, and everybody told as if it had come by SIP."""
    async with asked(tmp_path, "alice", "bob") as rpc:
        for from_, to, body, code in (
            ("sip:alice@example.com", ROOM, "#create private", 1),
            ("bob", "chat-x", "#join", -40),
            ("bob", "chat-x", "hello", -200),
            ("alice", "chat-x", "#invite bob", 1),
            ("bob", "chat-x", "#accept", 1),
            ("bob", "chat-x", "#destroy", -110),
            ("alice", "chat-x", "hello", 1),
            ("alice", "chat-x", "#", -20),
            ("alice", "chat-x", "#nonsense", -130),
            ("alice", "bob", "hello", -1),  # to no room: that is not imc_manager()'s
            ("<>", "chat-x", "hello", -1),
        ):
            assert await rpc.call("imc.manager", from_, to, body) == code, body
        received = await rpc.on.settle()
        events = {user: [one.event for one in messages] for user, messages in received.items()}
        assert events == {
            "alice": [
                "room-created", "join-attempted", "invitation-sent", "member-joined", "empty-command",
                "unknown-command",
            ],
            "bob": ["private-room", "invitation", "member-joined", "not-permitted", "message"],
        }  # fmt: skip
        assert received["bob"][-1].text == "[alice]: hello"
        assert received["alice"][0].request.headers.get("In-Reply-To")


async def test_source_documents_functions(tmp_path: Path) -> None:
    """imc_manager(), imc_room_active(), imc_room_member() of the Python API, on the daemon object."""
    async with asked(tmp_path, "alice") as rpc:
        manager = rpc.on.daemon.manager
        assert await manager.imc_manager("alice@example.com", ROOM, "#create", "text/plain") == 1
        room, alice, bob = (Aor(name, "example.com") for name in ("chat-x", "alice", "bob"))
        assert await manager.imc_room_active(room) is True
        assert await manager.imc_room_active(bob) is False
        assert await manager.imc_room_member(room, alice) is True
        assert await manager.imc_room_member(room, bob) is False
        await rpc.on.clients["alice"].wait_message(event="room-created")


# --- HTTP dies --------------------------------------------------------------------------------------------------------


async def wait_http(rpc: Asked, *, is_back: bool) -> None:
    """Until HTTP answers, or does not any more."""
    with trio.fail_after(BACK_WITHIN):
        while True:
            try:
                await rpc.call("core.version")
            except Unreachable:
                if not is_back:
                    return
            else:
                if is_back:
                    return


async def test_http_dies_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    servers: list[uvicorn.Server] = []
    init = uvicorn.Server.__init__

    def remember(self: uvicorn.Server, *args: Any) -> None:
        init(self, *args)
        servers.append(self)

    monkeypatch.setattr(uvicorn.Server, "__init__", remember)
    async with asked(tmp_path, "alice", "bob") as rpc:
        await rpc.call("core.version")
        servers[-1].should_exit = True
        while servers[-1].started and len(servers) == 1:  # SIP goes on the while, and the Unix socket too
            await rpc.send("alice", "#join")
            assert await rpc.call("imc.room_active", ROOM, endpoint=rpc.unix) is True
        await rpc.send("bob", "#join")
        await wait_http(rpc, is_back=True)
        assert len(servers) == 2
        assert (await rpc.call("imc.list_members", ROOM))["count"] == 2


async def test_bad_calls_end_nothing(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice") as rpc:
        for method, params, code in (
            ("imc.nothing", [], -32601),
            ("imc.list_members", [], 500),
            ("imc.list_members", ["a", "b", "c"], -32602),
            ("imc.list_members", ["sip:"], 500),
            ("imc.manager", [], -32602),
        ):
            for endpoint in (rpc.http, rpc.unix):
                with pytest.raises(RpcError) as caught:
                    await rpc.call(method, *params, endpoint=endpoint)
                assert caught.value.code == code, method
        await rpc.send("alice", "#create")
        assert await rpc.active_rooms() == 1


# --- the command line -------------------------------------------------------------------------------------------------


async def test_command_line(tmp_path: Path) -> None:
    """`imc rooms`, `imc members`, `imc rpc` beside a daemon's process: by HTTP, by socket, and when nobody is there."""
    text = config().replace('listen = ""', f'listen = "127.0.0.1:0"\nsocket = "{tmp_path}/sock"')
    async with served(tmp_path, text) as on:

        async def imc(*args: str, status: int = 0) -> str:
            done = await trio.to_thread.run_sync(partial(on.daemon.imc, *args))
            assert done.returncode == status, done
            assert "Traceback" not in done.stderr
            return done.stdout if status == 0 else done.stderr

        for name in ("alice", "bob"):
            await on.client(name)
        assert (await on.clients["alice"].message(ROOM, "#create private")).status == 200
        assert (await on.clients["alice"].message(ROOM, "#invite bob")).status == 200
        rows = [line.split() for line in (await imc("rooms")).splitlines()]
        assert rows[-1] == [ROOM, "1", "sip:alice@example.com", "private"]
        assert [line.split() for line in (await imc("members", "chat-x")).splitlines()][-2:] == [
            ["sip:alice@example.com", "owner"],
            ["sip:bob@example.com", "invited"],
        ]
        assert json.loads(await imc("rooms", "--json"))[0]["private"] is True
        assert json.loads(await imc("members", "chat-x", "--json"))["count"] == 1
        assert json.loads(await imc("rpc", "imc.manager", "bob", "chat-x", "#accept")) == 1
        assert "Room not found" in await imc("members", "chat-y", status=1)
        (listening,) = (one["address"] for one in on.daemon.records() if one["event"] == "managing")
        on.daemon.env["IMC_MANAGE__LISTEN"] = listening.removeprefix("http:")
        on.daemon.env["IMC_MANAGE__SOCKET"] = ""
        assert json.loads(await imc("rpc", "imc.list_members", "chat-x"))["count"] == 2
        assert json.loads(await imc("rpc", "stats.fetchn", "active_rooms")) == {"imc.active_rooms": 1}
        assert await on.stop() == 0
        said = await imc("rooms", status=1)
        assert len(said.splitlines()) == 1
        assert "refused" in said


async def test_end_does_not_wait_for_http(tmp_path: Path) -> None:
    """A connection that is kept open does not keep the daemon."""
    text = config().replace('listen = ""', 'listen = "127.0.0.1:0"')
    async with served(tmp_path, text) as on:
        (listening,) = (one["address"] for one in on.daemon.records() if one["event"] == "managing")
        host, _, port = listening.removeprefix("http:").rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)):
            began = trio.current_time()
            assert await on.stop() == 0
            assert trio.current_time() - began < 5.0
