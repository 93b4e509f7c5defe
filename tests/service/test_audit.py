"""The audit (spec §22) and operators' calls (§21), from the method called to the database, without listeners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from imc.aor import Aor
from imc.app import Daemon
from imc.config import Settings
from imc.errors import RpcError, StoreUnavailable
from imc.manage.caller import Caller
from imc.manage.jsonrpc import FORBIDDEN, Call
from imc.manage.methods import Methods
from imc.manage.options import ManageOptions
from imc.service.audit import DAY, Audit, AuditOptions
from imc.service.inbound import Act
from imc.store.audit import AuditFilter
from imc.store.ops import PutAudit
from imc.store.options import StoreOptions
from imc.store.reader import StoreReader
from imc.store.store import Store
from imc.store.writer import Writer

ROOM = "sip:chat-x@imc.test"
SETTINGS = Settings.model_validate({"imc": {"domains": ["imc.test"]}})


class Stage:
    """A daemon without listeners, and who calls it."""

    def __init__(self, daemon: Daemon, store: Store) -> None:
        self.daemon = daemon
        self.store = store
        self.methods = Methods(daemon.manager, ManageOptions(listen="", default_domain="imc.test"))
        self.call = self.by("admin")

    def by(self, role: str) -> Call:
        return self.methods.by(Caller("olga", role, "page"))

    async def say(self, who: str, words: str) -> int:
        """As a user would by SIP."""
        return await self.daemon.manager.run_command(f"sip:{who}@imc.test", ROOM, words, "text/plain")

    def rows(self, **wanted: Any) -> list[PutAudit]:
        """The oldest first."""
        return self.store.audit_rows(AuditFilter(**wanted), 1000)[::-1]

    def seen(self, **wanted: Any) -> list[tuple[str, str, str, str, str]]:
        return [(one.actor, one.via, one.act, one.user, one.result) for one in self.rows(**wanted)]


@asynccontextmanager
async def operated(folder: Path, settings: Settings = SETTINGS) -> AsyncIterator[Stage]:
    with Store.open(StoreOptions(url="sqlite:///imc.db", base=folder, is_exclusive=True)) as store:
        daemon = Daemon(settings, store)
        async with daemon.offline():
            yield Stage(daemon, store)


async def test_each_change_of_a_room_has_its_row(tmp_path: Path) -> None:
    """R-AUDIT-1: who did it, and about whom; what changed nothing, and what was said, has none."""
    async with operated(tmp_path) as on:
        for who, words in (
            ("alice", "#create private"),
            ("alice", "#invite bob"),
            ("bob", "#accept"),
            ("alice", "#modify bob admin"),
            ("alice", "#modify bob admin"),  # so already
            ("carol", "#join"),  # refused
            ("bob", "a secret"),
            ("alice", "#set keep 7"),
            ("alice", "#members"),
            ("alice", "#invite dave"),
            ("dave", "#reject"),
            ("alice", "#remove bob"),
            ("alice", "#leave"),
        ):
            await on.say(who, words)
        alice, bob, dave = (f"sip:{name}@imc.test" for name in ("alice", "bob", "dave"))
        assert on.seen(room=ROOM) == [
            (alice, "sip", "create", alice, "200 R-CREATE-1"),
            (alice, "sip", "invite", bob, "200 R-INVITE-1"),
            (bob, "sip", "accept", bob, "200 R-ACCEPT-1"),
            (alice, "sip", "modify", bob, "200 R-MODIFY-1"),
            (alice, "sip", "set", "", "200 R-SET-1"),
            (alice, "sip", "invite", dave, "200 R-INVITE-1"),
            (dave, "sip", "reject", dave, "200 R-REJECT-1"),
            (alice, "sip", "remove", bob, "200 R-REMOVE-1"),
            (alice, "sip", "leave-and-destroy", "", "200 R-LEAVE-2"),
        ]
        details = [one.detail for one in on.rows(room=ROOM)]
        assert details[0] == '{"private":true}'
        assert details[3] == '{"role":"admin"}'
        assert details[4] == '{"keep":7}'
        assert details[7] == '{"was":"admin"}'
        assert not any("secret" in one for one in details)
        assert [one.id for one in on.rows()] == sorted({one.id for one in on.rows()})


async def test_what_was_not_committed_has_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-AUDIT-1."""
    async with operated(tmp_path) as on:
        await on.say("alice", "#create")

        def fail(groups: list[object], guards: object = None) -> list[StoreUnavailable]:
            return [StoreUnavailable("gone")] * len(groups)

        with monkeypatch.context() as patch:
            patch.setattr(on.store, "stage_groups", lambda _groups: None)
            patch.setattr(on.store, "commit_groups", fail)
            await on.say("bob", "#join")
        assert [act for _, _, act, _, _ in on.seen()] == ["create"]
        await on.say("bob", "#join")
        assert [act for _, _, act, _, _ in on.seen()] == ["create", "join"]


async def test_an_operators_acts(tmp_path: Path) -> None:
    """R-ADMIN-1, R-AUDIT-2: one row each, with who called; also where it was refused."""
    async with operated(tmp_path) as on:
        assert await on.call("imc.create_room", [ROOM, "alice", "yes"]) == {
            "status": 200,
            "changed": True,
            "clause": "R-ADMIN-1",
        }
        await on.call("imc.add", [ROOM, "bob"])
        await on.call("imc.set_role", [ROOM, "bob", "admin"])
        unchanged: Any = await on.call("imc.set_role", [ROOM, "bob", "admin"])
        assert unchanged["changed"] is False
        await on.call("imc.set_room", [ROOM, "keep", "5"])
        await on.call("imc.set_room", [ROOM, "private", "no"])
        await on.call("imc.invite", [ROOM, "carol"])
        await on.call("imc.remove", [ROOM, "bob"])
        with pytest.raises(RpcError, match="403 last-owner"):
            await on.call("imc.remove", [ROOM, "alice"])
        found: Any = await on.call("imc.room", [ROOM])
        assert (found["private"], found["owners"], found["members"], found["invited"]) == (
            False,
            ["sip:alice@imc.test"],
            1,
            1,
        )
        await on.call("imc.destroy_room", [ROOM])
        assert on.store.load_room(Aor("chat-x", "imc.test")) is None
        seen = on.seen(room=ROOM)
        assert {(actor, via) for actor, via, *_ in seen} == {("olga", "page")}
        assert [(act, result) for _, _, act, _, result in seen] == [
            ("create", "200 R-ADMIN-1"),
            ("add", "200 R-ADMIN-5"),
            ("modify", "200 R-MODIFY-1"),
            ("imc.set_role", "200"),
            ("set", "200 R-SET-1"),
            ("privacy", "200 R-ADMIN-6"),
            ("invite", "200 R-INVITE-1"),
            ("remove", "200 R-ADMIN-1"),
            ("imc.remove", seen[8][4]),
            ("destroy", "200 R-ADMIN-1"),
        ]
        assert seen[8][4].startswith("500 403 last-owner")


async def test_whoever_may_not_leaves_a_trace(tmp_path: Path) -> None:
    """R-AUDIT-2: a refusal by role too; a look leaves none."""
    async with operated(tmp_path) as on:
        with pytest.raises(RpcError, match="needs the role operator") as refused:
            await on.by("viewer")("imc.create_room", [ROOM, "alice"])
        assert refused.value.code == FORBIDDEN
        await on.by("viewer")("imc.rooms", [])
        assert [(act, result) for _, _, act, _, result in on.seen()] == [
            ("imc.create_room", "403 imc.create_room needs the role operator")
        ]


async def test_acting_as_a_user(tmp_path: Path) -> None:
    """R-ADMIN-7: with the user's rights, and the words for the operator."""
    async with operated(tmp_path) as on:
        await on.say("alice", "#create private")
        refused: Any = await on.call("imc.run", ["bob", ROOM, "#members"])
        assert (refused["status"], refused["clause"], refused["event"]) == (404, "R-HIDE-1", "room-not-found")
        assert refused["answers"] == [{"event": "room-not-found", "text": "There is no room chat-x@imc.test."}]
        done: Any = await on.call("imc.run", ["alice", ROOM, "#invite bob"])
        assert (done["status"], done["code"]) == (200, 1)
        assert [one["event"] for one in done["answers"]] == ["invitation-sent"]
        said: Any = await on.call("imc.run", ["alice", ROOM, "hush hush"])
        assert (said["status"], said["answers"]) == (202, [])
        rows = on.rows(actor="olga")
        assert [(one.act, one.user) for one in rows] == [
            ("imc.run", "sip:bob@imc.test"),
            ("invite", "sip:bob@imc.test"),
            ("imc.run", "sip:alice@imc.test"),
        ]
        assert '"as":"sip:alice@imc.test"' in rows[1].detail
        assert not any("hush" in one.detail for one in rows)


async def test_no_secret_is_written_down(tmp_path: Path) -> None:
    """R-AUDIT-2."""
    async with operated(tmp_path) as on:
        await on.call("imc.user_add", ["zoe@imc.test", "t0p-s3cret"])
        assert on.seen() == [("olga", "page", "imc.user_add", "sip:zoe@imc.test", "200")]
        assert "t0p" not in repr(on.rows())
        listed: Any = await on.call("imc.users", [])
        assert listed == {"users": ["sip:zoe@imc.test"], "next": ""}


async def test_who_is_forgotten_stays_in_the_audit(tmp_path: Path) -> None:
    """R-AUDIT-4: and it is said how many rows those are."""
    async with operated(tmp_path) as on:
        await on.say("alice", "#create")
        await on.say("bob", "#join")
        done: Any = await on.call("imc.forget", ["bob@imc.test", "yes"])
        assert done["left"] == [ROOM]
        assert done["audit"] >= 1
        assert [(actor, act) for actor, _, act, _, _ in on.seen(user="sip:bob@imc.test")] == [
            ("sip:bob@imc.test", "join"),
            ("olga", "leave"),
            ("olga", "imc.forget"),
        ]


async def test_it_is_read_a_page_at_a_time(tmp_path: Path) -> None:
    async with operated(tmp_path) as on:
        await on.say("alice", "#create")
        for name in ("bob", "carol", "dave"):
            await on.say(name, "#join")
        found, after = [], ""
        while True:
            page: Any = await on.by("operator")("imc.audit", {"room": "chat-x", "limit": "2", "after": after})
            found += [one["act"] for one in page["rows"]]
            after = page["next"]
            if not after:
                break
        assert found == ["join", "join", "join", "create"]
        assert (await _acts(on, since="2001-01-01T00:00", until="2002-01-01")) == []
        assert (await _acts(on, caller="bob@imc.test")) == ["join"]
        for bad in ({"since": "yesterday"}, {"after": "x"}, {"room": "sip:@"}, {"limit": "many"}):
            with pytest.raises(RpcError):
                await on.call("imc.audit", bad)
        with pytest.raises(RpcError):
            await on.by("viewer")("imc.audit", [])


async def _acts(on: Stage, **wanted: str) -> list[str]:
    page: Any = await on.call("imc.audit", wanted)
    return [one["act"] for one in page["rows"]]


async def test_without_an_audit_there_are_no_rows(tmp_path: Path) -> None:
    settings = Settings.model_validate({"imc": {"domains": ["imc.test"]}, "audit": {"enabled": False}})
    async with operated(tmp_path, settings) as on:
        await on.say("alice", "#create")
        await on.call("imc.add", [ROOM, "bob"])
        assert on.rows() == []


async def test_the_table_is_bounded(tmp_path: Path) -> None:
    """R-AUDIT-3: by age and by number."""
    now = [1_700_000_000.0]
    options = AuditOptions(keep_days=10, max_rows=3)
    with Store.open(StoreOptions(url="sqlite:///imc.db", base=tmp_path, is_exclusive=True)) as store:
        writer = Writer(store)
        audit = Audit(store, StoreReader(), writer, options=lambda: options, wall=lambda: now[0], tag=7)

        async def add(count: int) -> None:
            for _ in range(count):
                await audit.note(Act(actor="olga", via="page", method="imc.reload"), "200")

        async def trimmed() -> int:
            while await audit.trim():
                pass
            return store.count_audit()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            assert await trimmed() == 0
            await add(3)
            assert await trimmed() == 3
            now[0] += 1
            await add(2)
            assert await trimmed() == 3
            now[0] += 10 * DAY - 0.5
            assert await trimmed() == 2
            now[0] += 1
            assert await trimmed() == 0
            now[0] -= 100 * DAY  # a clock that goes back: later rows come later all the same
            await add(1)
            nursery.cancel_scope.cancel()
        assert store.count_audit() == 1
