"""The log as a use case: in the transaction of the decision, in the room's order (spec R-HISTORY-1, -2, -6, -7, -8)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing

from imc.errors import StoreUnavailable
from imc.rooms.commands import parse_command
from imc.rooms.decide import decide
from imc.rooms.settings import RoomSettings
from imc.service.history import is_kept, said, wanted
from imc.service.inbound import Inbound, Outcome
from imc.store.messages import MessageRow
from imc.store.writer import WriterOptions
from tests.service.test_rooms import OTHER, POLICY, ROOM, WALL, Play, play, user

ALICE = user("alice")


def log(on: Play, room: object = ROOM) -> list[tuple[int, str, bytes]]:
    """What the database has: number, sender, body."""
    return [(one.seq, one.sender.user, one.body) for (aor, _), one in sorted(on.base.tables.log.items()) if aor == room]


def repeated(on: Play) -> list[str]:
    """The lines of what was repeated last, without their heads and times."""
    dispatch = [one for job in on.engine.jobs for one in job.dispatches if one.kind == "history"][-1]
    lines = dispatch.body.decode().split("\r\n")[1:]
    return [line.partition("]: ")[2] for line in lines]


async def test_what_is_said_is_in_the_log_when_it_is_answered() -> None:
    # spec R-HISTORY-1
    async with play() as on:
        await on.set_up("alice", "bob")
        assert (await on.send("alice", "one")).status == 202
        assert log(on) == [(1, "alice", b"one")]
        assert (await on.send("bob", "two")).status == 202
        assert log(on) == [(1, "alice", b"one"), (2, "bob", b"two")]
        entry = on.base.tables.log[ROOM, 2]
        assert (entry.type, entry.created) == ("text/plain", WALL)


async def test_alone_in_a_room_one_is_kept_too() -> None:
    async with play() as on:
        await on.set_up("alice")
        assert (await on.send("alice", "to myself")).status == 202
        assert log(on) == [(1, "alice", b"to myself")]


async def test_what_is_refused_is_not_kept() -> None:
    async with play() as on:
        await on.set_up("alice")
        assert (await on.send("rita", "let me in")).status == 403
        assert log(on) == []


async def test_many_at_once_have_numbers_in_their_order() -> None:
    # spec R-HISTORY-2
    async with play() as on:
        await on.set_up("alice", "bob")
        names = [on.post("alice" if number % 2 else "bob", f"text {number}") for number in range(50)]
        for name in names:
            assert (await on.wait(name)).status == 202
        assert [(seq, body) for seq, _, body in log(on)] == [
            (number + 1, f"text {number}".encode()) for number in range(50)
        ]


async def test_a_commit_that_fails_takes_its_number_with_it() -> None:
    # spec R-HISTORY-2, R-DURABLE-2
    async with play() as on:
        await on.set_up("alice", "bob")
        await on.send("alice", "one")
        on.base.errors = [StoreUnavailable("gone")]
        assert (await on.send("alice", "lost")).status == 503
        assert (await on.send("alice", "two")).status == 202
        assert [(seq, body) for seq, _, body in log(on)] == [(1, b"one"), (2, b"two")]


async def test_written_all_the_same_its_number_is_not_used_again() -> None:
    """The database died between the commit and its answer: the room and its number are read again."""
    async with play() as on:
        await on.set_up("alice", "bob")
        on.base.errors = [StoreUnavailable("gone")]
        on.base.is_written_all_the_same = True
        assert (await on.send("alice", "one")).status == 503
        on.base.is_written_all_the_same = False
        assert (await on.send("alice", "two")).status == 202
        assert [(seq, body) for seq, _, body in log(on)] == [(1, b"one"), (2, b"two")]


async def test_a_writer_that_takes_no_more_leaves_the_number_free() -> None:

    async with play(writer=WriterOptions(max_waiting=1)) as on:
        await on.set_up("alice", "bob")
        on.base.gate = trio.Event()
        first = on.post("alice", "one")
        await trio.testing.wait_all_tasks_blocked()
        second, third = on.post("alice", "two"), on.post("alice", "three")
        assert (await on.wait(third)).status == 503
        on.base.gate.set()
        assert [(await on.wait(name)).status for name in (first, second)] == [202, 202]
        assert (await on.send("alice", "four")).status == 202
        assert [(seq, body) for seq, _, body in log(on)] == [(1, b"one"), (2, b"two"), (3, b"four")]


async def test_a_new_room_begins_with_one() -> None:
    # spec R-HISTORY-2
    async with play() as on:
        await on.set_up("alice")
        await on.send("alice", "one")
        await on.send("alice", "two")
        names = [on.post("alice", text) for text in ("#destroy", "#create", "anew")]
        assert [(await on.wait(name)).status for name in names] == [200, 200, 202]
        assert log(on) == [(1, "alice", b"anew")]


async def test_what_is_still_with_the_writer_is_repeated_too() -> None:
    # spec R-HISTORY-8
    async with play() as on:
        await on.set_up("alice", "bob")
        on.base.gate = trio.Event()
        names = [on.post("alice", text) for text in ("one", "two", "#history", "three")]
        await trio.testing.wait_all_tasks_blocked()
        assert on.outcomes.keys().isdisjoint(names)
        on.base.gate.set()
        assert [(await on.wait(name)).status for name in names] == [202, 202, 200, 202]
        assert repeated(on) == ["one", "two"]
        assert [line for line in on.log if line in ("alice = 202", "alice = 200", "alice <- history")] == [
            "alice = 202", "alice = 202", "alice = 200", "alice <- history", "alice = 202"
        ]  # fmt: skip


async def test_other_rooms_go_on_while_one_is_read() -> None:
    async with play() as on:
        await on.set_up("alice", "bob")
        assert (await on.send("bob", "#create", OTHER)).status == 200
        await on.send("alice", "one")
        on.base.gate = trio.Event()
        reading = on.post("alice", "#history")
        on.post("bob", "#members", OTHER)
        await trio.testing.wait_all_tasks_blocked()
        assert reading not in on.outcomes
        assert on.log[-1] == "bob <- member-list"
        on.base.gate.set()
        assert (await on.wait(reading)).status == 200


async def test_a_refused_history_reads_nothing() -> None:
    async with play() as on:
        await on.set_up("alice")
        on.base.gate = trio.Event()
        assert (await on.send("alice", "#history 0")).status == 400


async def test_what_was_said_is_repeated_to_whoever_joins_and_no_more() -> None:
    # spec R-HISTORY-7, R-HISTORY-8
    async with play() as on:
        await on.set_up("alice")
        assert (await on.send("alice", "#set replay 2")).status == 200
        for text in ("one", "two", "three"):
            await on.send("alice", text)
        on.log.clear()
        names = [on.post("rita", "#join"), on.post("alice", "four")]
        assert [(await on.wait(name)).status for name in names] == [200, 202]
        assert repeated(on) == ["two", "three"]
        assert [line for line in on.log if line.startswith("rita")] == [
            "rita = 200", "rita <- member-joined", "rita <- history", "rita <- message"
        ]  # fmt: skip


async def test_settings_are_kept_with_the_room() -> None:
    # spec R-SET-1, R-SET-3
    async with play() as on:
        await on.set_up("alice")
        assert (await on.send("alice", "#set keep 5")).status == 200
        assert on.base.tables.settings == {ROOM: RoomSettings(keep=5)}
        before = len(on.base.batches)
        assert (await on.send("alice", "#set keep 5")).status == 200
        assert len(on.base.batches) == before
        slot = on.shards.slot(ROOM)
        slot.void()
        assert (await on.send("alice", "#set")).status == 200
        assert slot.room is not None
        assert slot.room.settings == RoomSettings(keep=5)


async def test_a_setting_that_is_not_committed_is_not_in_force() -> None:
    async with play() as on:
        await on.set_up("alice")
        on.base.errors = [StoreUnavailable("gone")]
        assert (await on.send("alice", "#set keep 5")).status == 503
        assert (await on.send("alice", "#set keep default")).status == 200
        assert on.base.tables.settings == {}


async def test_no_more_than_is_kept_is_repeated() -> None:
    # spec R-HISTORY-6
    async with play() as on:
        await on.set_up("alice")
        for text in ("one", "two", "three"):
            await on.send("alice", text)
        assert (await on.send("alice", "#set keep 1")).status == 200
        assert (await on.send("alice", "#history")).status == 200
        assert repeated(on) == ["three"]
        assert (await on.send("alice", "#set keep 0")).status == 200
        assert (await on.send("alice", "four")).status == 202
        assert len(log(on)) == 3
        old = on.base.tables.log[ROOM, 3]
        on.base.tables.log[ROOM, 3] = replace(old, created=WALL - 31 * 86_400)
        await on.send("alice", "#set keep default")
        await on.send("alice", "#history")
        assert repeated(on) == ["one", "two"]


async def test_switched_off_nothing_is_kept() -> None:
    async with play() as on:
        await on.set_up("alice")
        on.rooms.policy = replace(POLICY, is_log_kept=False)
        assert (await on.send("alice", "one")).status == 202
        assert log(on) == []


# --- pieces -----------------------------------------------------------------------------------------------------------


def inbound(kind: str = "text/plain", **headers: str) -> Inbound:
    def answer(_outcome: Outcome) -> None: ...

    return Inbound(
        sender=ALICE,
        to=ROOM,
        content_type=kind,
        body=b"x",
        call_id="x",
        is_automatic=False,
        headers=tuple(headers.items()),
        answer=answer,
    )


@pytest.mark.parametrize(
    ("one", "is_so"),
    [
        (inbound(), True),
        (inbound(Expires="60"), True),
        (inbound(Expires="0"), False),
        (inbound(Expires=" 00 "), False),
        (inbound(Expires=""), True),
        (inbound("application/im-iscomposing+xml"), False),
        (inbound("message/imdn+xml"), True),
    ],
)
def test_what_may_be_kept(one: Inbound, is_so: bool) -> None:
    # spec R-HISTORY-1
    assert is_kept(one) is is_so


@pytest.mark.parametrize(
    ("kind", "body", "text", "essence"),
    [
        ("", b"hello", "hello", "text/plain"),
        ("text/plain;charset=iso-8859-1", b"\xe9", "é", "text/plain"),
        ("text/plain", b"\xff", None, ""),
        ("image/png", b"\x89PNG", None, "image/png"),
        ("nonsense", b"x", None, ""),
        ("message/cpim", b"From: <im:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nhello", "hello", "text/plain"),
        ("message/cpim", b"From: <im:a@b>\r\n\r\nContent-Type: image/png\r\n\r\n\x89", None, "message/cpim"),
        ("message/cpim", b"broken", None, ""),
    ],
)
def test_a_row_as_it_is_repeated(kind: str, body: bytes, text: str | None, essence: str) -> None:
    found = said(MessageRow(1, ALICE, kind, body, WALL, len(body)))
    assert (found.text, found.type, found.size) == (text, essence, len(body))


def test_a_refusal_wants_nothing_repeated() -> None:

    assert wanted(decide(None, parse_command("#history", ROOM, POLICY), ALICE, POLICY)) is None
