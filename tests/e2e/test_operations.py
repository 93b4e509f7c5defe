"""What operators do by the management interfaces, and what the audit has of it, in a whole daemon."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from imc.errors import RpcError
from imc.manage import client
from imc.service.audit import DAY
from tests.e2e.stage import Stage, settings, stage

ROOM = "sip:chat-x@example.com"
ALICE, BOB, CAROL = (f"sip:{name}@example.com" for name in ("alice", "bob", "carol"))


class Asked:
    def __init__(self, on: Stage, folder: Path) -> None:
        self.on = on
        self.endpoint = f"unix:{folder}/sock"

    async def call(self, method: str, *params: Any) -> Any:
        return await trio.to_thread.run_sync(partial(client.call, self.endpoint, method, list(params), 5.0))

    async def refused(self, method: str, *params: Any) -> str:
        with pytest.raises(RpcError) as caught:
            await self.call(method, *params)
        return caught.value.message

    async def say(self, user: str, words: str) -> None:
        assert (await self.on.clients[user].message(ROOM, words)).status in (200, 202), words

    async def rows(self, **wanted: str) -> list[dict[str, Any]]:
        found = await trio.to_thread.run_sync(partial(client.call, self.endpoint, "imc.audit", wanted, 5.0))
        rows: list[dict[str, Any]] = found["rows"]  # type: ignore[index]
        return rows

    async def events(self, user: str) -> list[str | None]:
        return [one.event for one in (await self.on.settle((user,)))[user]]


@asynccontextmanager
async def asked(folder: Path, *users: str, flags: tuple[str, ...] = ()) -> AsyncIterator[Asked]:
    async with stage(settings(folder, f"manage.socket={folder}/sock", *flags)) as on:
        for user in users:
            await on.client(user)
        yield Asked(on, folder)


# spec R-ADMIN-1, R-ADMIN-2, R-ADMIN-6, R-AUDIT-1
async def test_an_operator_acts_and_people_hear(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice", "bob", "carol") as rpc:
        done = await rpc.call("imc.create_room", ROOM, ALICE, "yes")
        assert done == {"status": 200, "changed": True, "clause": "R-ADMIN-1"}
        assert await rpc.events("alice") == ["room-created"]
        await rpc.call("imc.add", ROOM, BOB)
        await rpc.call("imc.invite", ROOM, CAROL)
        assert "invitation" in await rpc.events("carol")
        await rpc.call("imc.set_role", ROOM, BOB, "owner")
        await rpc.call("imc.set_room", ROOM, "private", "no")
        await rpc.call("imc.set_room", ROOM, "replay", "3")
        assert {"role-changed", "privacy-changed", "setting-changed"} <= set(await rpc.events("bob"))
        found = await rpc.call("imc.room", ROOM)
        assert (found["private"], found["members"], found["invited"], found["settings"]["replay"]) == (False, 2, 1, 3)
        assert (await rpc.call("imc.set_room", ROOM, "private", "no"))["changed"] is False
        assert "Invalid params" in await rpc.refused("imc.set_room", ROOM, "replay", "many")
        await rpc.call("imc.remove", ROOM, ALICE)
        assert "403 last-owner" in await rpc.refused("imc.remove", ROOM, BOB)
        await rpc.call("imc.destroy_room", ROOM)
        assert "room-destroyed" in await rpc.events("bob")
        assert await rpc.call("imc.list_rooms") == []
        acts = [(row["act"], row["user"]) for row in await rpc.rows(room=ROOM)]
        for expected in (("create", ALICE), ("add", BOB), ("invite", CAROL), ("modify", BOB), ("privacy", "")):
            assert expected in acts
        assert acts[0] == ("destroy", "")
        assert ("imc.remove", BOB) in acts  # which was refused


# spec R-ADMIN-6
async def test_a_room_made_public_is_so_after_a_restart(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice", "bob") as rpc:
        await rpc.say("alice", "#create private")
        await rpc.say("alice", "#add bob")
        await rpc.say("bob", "#accept")
        await rpc.call("imc.set_room", ROOM, "private", "no")
    async with asked(tmp_path) as rpc:
        (room,) = await rpc.call("imc.rooms")
        assert (room["private"], room["members"]) == (False, 2)


# spec R-ADMIN-7, R-AUDIT-2
async def test_acting_as_a_user_is_no_way_around_the_rules(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice", "bob") as rpc:
        await rpc.say("alice", "#create")
        await rpc.on.settle()
        refused = await rpc.call("imc.run", BOB, ROOM, "#destroy")
        assert (refused["status"], refused["code"]) == (403, -110)
        listed = await rpc.call("imc.run", ALICE, ROOM, "#members")
        assert [one["event"] for one in listed["answers"]] == ["member-list"]
        assert (await rpc.call("imc.run", ALICE, ROOM, "a secret"))["status"] == 202
        assert await rpc.events("alice") == []  # the answers went to the caller
        rows = await rpc.rows(act="imc.run")
        assert {row["via"] for row in rows} == {"socket"}
        assert all(row["caller"].startswith("uid=") for row in rows)
        assert "secret" not in json.dumps(await rpc.rows())


# spec R-AUDIT-2
async def test_what_was_refused_is_noted_and_no_password(tmp_path: Path) -> None:
    async with asked(tmp_path) as rpc:
        assert await rpc.call("imc.user_add", ALICE, "geheim123") == {"user": ALICE, "served": True}
        await rpc.refused("imc.user_add", ALICE, "geheim123")
        assert "room" in await rpc.refused("imc.user_add", ROOM, "geheim123")
        assert await rpc.call("imc.users") == {"users": [ALICE], "next": ""}
        await rpc.call("imc.user_password", ALICE, "geheim456")
        await rpc.call("imc.user_remove", ALICE)
        rows = await rpc.rows(user=ALICE)
        assert [(row["act"], row["result"][:3]) for row in rows] == [
            ("imc.user_remove", "200"),
            ("imc.user_password", "200"),
            ("imc.user_add", "500"),
            ("imc.user_add", "200"),
        ]
        assert "geheim" not in json.dumps(await rpc.rows())


# spec R-AUDIT-3
async def test_rows_are_never_changed_and_go_by_age(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice") as rpc:
        await rpc.say("alice", "#create")
        engine = create_engine(f"sqlite:///{tmp_path}/imc.db")
        for statement in ("UPDATE imc_audit SET actor = 'nobody'", "DELETE FROM imc_audit"):
            with pytest.raises(DBAPIError, match="imc_audit"), engine.begin() as connection:
                connection.execute(text(statement))
        engine.dispose()
        audit = rpc.on.daemon._audit
        assert not await audit.trim()
        assert len(await rpc.rows()) == 1
        wall = audit._wall
        audit._wall = lambda: wall() + 366 * DAY
        await audit.trim()
        audit._wall = wall
        assert await rpc.rows() == []


# spec R-AUDIT-4
async def test_who_is_forgotten_stays_in_the_audit(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice") as rpc:
        await rpc.say("alice", "#create")
        done = await rpc.call("imc.forget", ALICE, "yes")
        assert done["audit"] >= 1
        assert {row["act"] for row in await rpc.rows(user=ALICE)} >= {"create", "imc.forget"}


async def test_the_daemon_itself(tmp_path: Path) -> None:
    async with asked(tmp_path, "alice") as rpc:
        status = await rpc.call("imc.status")
        assert (status["rooms"], status["users_registered"], status["contacts"]) == (0, 1, 1)
        (user,) = (await rpc.call("imc.registered"))["users"]
        assert (user["user"], user["contacts"][0]["transport"]) == (ALICE, "udp")
        before = await rpc.call("imc.set_limit", "room_burst", "7")
        assert (before["value"], before["before"]) == (7, 3_000)
        limits = {row["limit"]: row for row in await rpc.call("imc.limits")}
        assert limits["room_burst"]["value"] == 7
        for name, value in (
            ("room_burst", "none"),
            ("room_burst", "0"),
            ("nothing", "1"),
            ("max_list_recipients", "3"),
        ):
            await rpc.refused("imc.set_limit", name, value)
        assert "no configuration" in await rpc.refused("imc.reload")
        assert await rpc.call("imc.kick", ALICE) == 1
        assert (await rpc.call("imc.registered"))["users"] == []


async def test_rooms_are_found_page_by_page(tmp_path: Path) -> None:
    async with asked(tmp_path) as rpc:
        for number in range(5):
            await rpc.call("imc.create_room", f"chat-{'ab'[number % 2]}{number}", ALICE)
        first = await rpc.call("imc.find_rooms", "CHAT-A", "", "2")
        assert [one["room"] for one in first["rooms"]] == [f"sip:chat-a{number}@example.com" for number in (0, 2)]
        rest = await rpc.call("imc.find_rooms", "CHAT-A", first["next"], "2")
        assert ([one["room"] for one in rest["rooms"]], rest["next"]) == (["sip:chat-a4@example.com"], "")
        assert "next" in await rpc.refused("imc.find_rooms", "", "nonsense")
