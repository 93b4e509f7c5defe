"""The trace of decisions: what a record says, what is dropped and said to be, and what a new file begins with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from immutables import Map

from imc.aor import Aor
from imc.errors import ConfigError
from imc.rooms import Context, Policy, Role, Room, decide, decide_message, member, parse_command
from imc.rooms.commands import WithdrawInvitation
from imc.rooms.decide import decide_undelivered
from imc.service.spec_trace import MAX_NAMED, Judged, SpecTrace, TraceOptions, digest

ROOM = Aor("chat-x", "imc.test")
ALICE, BOB = Aor("alice", "imc.test"), Aor("bob", "imc.test")
POLICY = Policy(manager=Aor("chat-manager", "imc.test"), domains=("imc.test",), room_pattern="chat-*")


def judged(room: Room | None, sender: Aor, text: str, policy: Policy = POLICY, **context: Any) -> Judged:
    circumstances = Context(**context)
    if not text.startswith("#"):
        said = decide_message(room, sender, policy, to=ROOM, size=len(text), context=circumstances)
        return Judged(room, sender, None, len(text), circumstances, policy, said)
    command = parse_command(text, ROOM, policy)
    return Judged(
        room, sender, command, len(text), circumstances, policy, decide(room, command, sender, policy, circumstances)
    )


def founded(name: str = ROOM.user) -> Room:
    """A room of alice's."""
    return Room(Aor(name, ROOM.host), False, Map({ALICE: member(Role.OWNER)}))


async def written(path: Path, *records: Judged, **options: Any) -> list[dict[str, Any]]:
    trace = SpecTrace(TraceOptions(path=path, version="1", **options), lambda: 7.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trace.run)
        for record in records:
            trace.note(record)
        nursery.cancel_scope.cancel()
    return read(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


async def test_a_file_has_a_header_the_policy_the_room_and_the_decision(tmp_path: Path) -> None:
    first = judged(None, ALICE, "#create private", rooms_owned=2)
    second = judged(first.decision.room, ALICE, "#invite bob", serial=5)
    records = await written(tmp_path / "trace", first, second)
    assert records[0] == {"time": 7.0, "trace": "imc spec trace 1", "version": "1"}
    assert records[1] == {
        "time": 7.0,
        "policy": 1,
        "create_on_join": True,
        "check_on_create": False,
        "owner_leave": "destroy",
        "add_requires_consent": True,
        "room_pattern": "chat-*",
        "domains": ["imc.test"],
        "manager": "sip:chat-manager@imc.test",
        "max_members": 10_000,
        "max_rooms_per_owner": 1_000,
        "max_rooms": 1_000_000,
        "max_text": 65_536,
    }
    assert records[2] == {"time": 7.0, "room": str(ROOM), "snapshot": None}
    assert records[3] == {
        "time": 7.0,
        "n": 1,
        "policy": 1,
        "room": str(ROOM),
        "actor": str(ALICE),
        "command": "create",
        "is_private": True,
        "given": {"rooms_owned": 2},
        "status": 200,
        "clause": "R-CREATE-1",
        "event": "",
        "changes": [["created", True], ["set", str(ALICE), "owner"]],
        "answers": ["room-created"],
        "told": {},
    }
    assert records[4]["changes"] == [["set", str(BOB), "invited", str(ALICE), 5]]
    assert records[4]["told"] == {"invitation": [str(BOB)]}
    assert (records[4]["n"], records[4]["subject"]) == (2, str(BOB))
    assert records[5:] == [{"time": 7.0, "end": True}]


async def test_each_kind_of_request(tmp_path: Path) -> None:
    room = founded()
    failed = WithdrawInvitation(room=ROOM, user=BOB, inviter=ALICE, serial=9)
    found = await written(
        tmp_path / "trace",
        judged(room, ALICE, "hello"),
        judged(room, BOB, "hello"),
        judged(room, ALICE, "#modify bob admin"),
        judged(room, ALICE, "#invite <bob", is_automatic=True),
        Judged(room, ALICE, failed, 0, Context(), POLICY, decide_undelivered(room, failed, POLICY)),
    )
    said, unheard, modify, malformed, late = found[3:8]
    assert (said["command"], said["size"], said["status"], said["told"]) == ("message", 5, 202, {})
    assert (unheard["status"], unheard["event"], unheard["answers"]) == (403, "not-a-member", [])
    assert (modify["subject"], modify["role"], modify["event"]) == (str(BOB), "admin", "user-not-in-room")
    assert (malformed["command"], malformed["why"], malformed["by"]) == ("malformed", "bad-address", "R-ADDR-2")
    assert (malformed["given"], malformed["answers"]) == ({"is_automatic": True}, [])
    assert (late["command"], late["serial"], late["clause"]) == ("undelivered", 9, "R-INVITE-5")


async def test_a_room_that_was_read_again_is_told_of_again(tmp_path: Path) -> None:
    room = founded()
    same = Room(room.aor, room.is_private, room.members)
    found = await written(tmp_path / "trace", judged(room, ALICE, "#help"), judged(same, ALICE, "#help"))
    kinds = ["snapshot" if "snapshot" in one else one.get("n") for one in found[2:-1]]
    assert kinds == ["snapshot", 1, "snapshot", 2]
    assert found[2]["snapshot"] == {"is_private": False, "members": {str(ALICE): ["owner"]}}


async def test_another_policy_is_told_of_once(tmp_path: Path) -> None:
    other = replace(POLICY, create_on_join=False)
    found = await written(
        tmp_path / "trace", *(judged(None, ALICE, "#join", policy) for policy in (POLICY, other, POLICY, other))
    )
    assert [one["policy"] for one in found if "n" in one] == [1, 2, 1, 2]
    assert [one["create_on_join"] for one in found if "create_on_join" in one] == [True, False]


async def test_many_recipients_are_a_number_and_a_digest(tmp_path: Path) -> None:
    people = [Aor(f"u{number:03}", "imc.test") for number in range(MAX_NAMED + 2)]
    room = founded()
    for one in people:
        room = Room(ROOM, False, room.members.set(one, member(Role.MEMBER)))
    found = await written(tmp_path / "trace", judged(room, ALICE, "hello"))
    names = sorted(map(str, people))
    assert found[3]["told"] == {"message": {"count": MAX_NAMED + 2, "sha256": digest(names)}}


async def test_beyond_its_bound_records_are_dropped_and_counted_where_they_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    trace = SpecTrace(TraceOptions(path=path, version="1", max_waiting=2), lambda: 7.0)
    record = judged(None, ALICE, "#help")
    for _ in range(5):
        trace.note(record)
    assert trace.statistics() == {"trace_waiting": 2, "trace_dropped": 3}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trace.run)
        with trio.fail_after(5):
            while trace.statistics()["trace_waiting"]:
                await trio.lowlevel.checkpoint()
        trace.note(record)
        nursery.cancel_scope.cancel()
    found = read(path)
    assert [one.get("gap") for one in found] == [None] * 5 + [3, None, None, None]
    assert "snapshot" in found[6]  # after a gap nothing is known
    assert found[-1] == {"time": 7.0, "end": True}


async def test_what_could_not_be_written_is_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "trace"
    trace = SpecTrace(TraceOptions(path=path, version="1"), lambda: 7.0)
    with pytest.raises(ConfigError, match="trace-spec"):
        trace.probe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trace.run)
        trace.note(judged(None, ALICE, "#help"))
        with trio.fail_after(5):
            while not trace.statistics()["trace_dropped"]:
                await trio.lowlevel.checkpoint()
        path.parent.mkdir()
        trace.probe()
        trace.note(judged(None, ALICE, "#help"))
        nursery.cancel_scope.cancel()
    found = read(path)
    assert "trace" in found[0]
    assert found[1] == {"time": 7.0, "gap": 1}
    assert [one["n"] for one in found if "n" in one] == [1]


async def test_a_failed_commit_makes_the_room_unknown(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    trace = SpecTrace(TraceOptions(path=path, version="1"), lambda: 7.0)
    for _ in range(2):
        trace.note(judged(founded(), ALICE, "#help"))
        trace.note_unknown(ROOM)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trace.run)
        nursery.cancel_scope.cancel()
    found = read(path)[2:]
    assert ["snapshot" in one for one in found] == [True, False, False, True, False, False, False]
    assert [one.get("unknown") for one in found] == [None, None, "commit failed", None, None, "commit failed", None]


async def test_moved_away_it_begins_a_file_that_stands_alone(tmp_path: Path) -> None:
    path, moved = tmp_path / "trace", tmp_path / "trace.1"
    trace = SpecTrace(TraceOptions(path=path, version="1"), lambda: 7.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trace.run)
        trace.note(judged(None, ALICE, "#help"))
        with trio.fail_after(5):
            while not (path.exists() and "R-HELP-1" in path.read_text()):
                await trio.lowlevel.checkpoint()
        path.rename(moved)
        trace.note(judged(None, ALICE, "#help"))
        nursery.cancel_scope.cancel()
    for one in (moved, path):
        found = read(one)
        assert "trace" in found[0]
        assert "create_on_join" in found[1]
        assert "snapshot" in found[2]
        assert found[3]["clause"] == "R-HELP-1"


async def test_rooms_that_are_remembered_are_bounded(tmp_path: Path) -> None:
    rooms = [founded(f"chat-{number}") for number in range(3)]
    records = []
    for room in (*rooms, rooms[0]):
        command = parse_command("#members", room.aor, POLICY)
        decision = decide(room, command, ALICE, POLICY)
        records.append(Judged(room, ALICE, command, 0, Context(), POLICY, decision))
    found = await written(tmp_path / "trace", *records, max_rooms=2)
    assert sum("snapshot" in one for one in found) == 4
