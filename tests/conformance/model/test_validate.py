"""Traces held against the rules: those of the core agree; whatever is changed in one is found, with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
from typer.testing import CliRunner

from conformance.cli import DISAGREES, UNREADABLE, app
from conformance.model.validate import Disagreement, NotATrace, validate
from imc.service.spec_trace import Judged, SpecTrace, TraceOptions
from tests.conformance.model.walks import ROOMS, Question, ask, command_of, recorded, user

Record = dict[str, Any]


def write(questions: list[Question | None]) -> list[str]:
    """The lines that the daemon would write; None is where both rooms begin anew, unknown."""

    async def run(path: Path) -> None:
        trace = SpecTrace(TraceOptions(path=path, version="test", max_waiting=100_000), lambda: 7.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trace.run)
            for question in questions:
                if question is None:
                    for room in ROOMS:
                        trace.note_unknown(room)
                else:
                    trace.note(judged(question))
            nursery.cancel_scope.cancel()

    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        trio.run(run, path)
        return path.read_text().splitlines()


def judged(question: Question) -> Judged:
    size = len(question.text or "")
    sender, command = user(question.sender), command_of(question)
    return Judged(question.before, sender, command, size, question.context, question.policy, ask(question))


@cache
def walk() -> tuple[str, ...]:
    return tuple(write(recorded(100)))


def changed(change: Callable[[Record], None], where: Callable[[Record], Any]) -> tuple[list[str], int]:
    """The walk with its last record of a kind changed; and that record's line."""
    lines = list(walk())
    number = max(number for number, line in enumerate(lines) if where(json.loads(line)))
    record = json.loads(lines[number])
    change(record)
    lines[number] = json.dumps(record)
    return lines, number + 1


def test_what_the_core_decides_agrees() -> None:
    figures = validate(walk())
    questions = [one for one in recorded(100) if one is not None]
    assert figures.decisions == len(questions) > 1_000
    assert figures.rooms == {str(room) for room in ROOMS}
    assert len(figures.clauses) > 40
    assert figures.compared > 50
    assert (figures.starts, figures.missing, figures.torn) == (1, 0, 0)


def is_decision(**fields: Any) -> Callable[[Record], bool]:
    return lambda record: "n" in record and all(record.get(name) == value for name, value in fields.items())


def tells(record: Record) -> bool:
    return bool("n" in record and record["told"])


def is_written(record: Record) -> bool:
    return bool("n" in record and record["changes"])


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        (lambda one: one.update(status=202), is_decision(status=200), "status is 202, must be 200"),
        (lambda one: one.update(clause="R-JOIN-2"), is_decision(clause="R-JOIN-1"), "clause"),
        (lambda one: one.update(event="not-a-member"), is_decision(event="not-permitted"), "event"),
        (lambda one: one.update(answers=[]), is_decision(clause="R-HELP-1"), "answer"),
        (lambda one: one.update(answers=["help", "help"]), is_decision(clause="R-HELP-1"), "answer"),
        (lambda one: one["told"].popitem(), tells, "told"),
        (lambda one: one["told"].update(message=["sip:eve@imc.test"]), is_decision(command="leave"), "told"),
        (lambda one: next(iter(one["told"].values())).pop(), tells, "told"),
        (lambda one: one.update(changes=[]), is_written, "became"),
        (lambda one: one["changes"].append(["set", "sip:eve@imc.test", "owner"]), is_written, "became|follow"),
        (lambda one: one.update(changes=[["gone", "sip:zoe@imc.test"]]), is_decision(clause="R-JOIN-5"), "cannot go"),
        (lambda one: one.update(changes=[["created", False]]), is_decision(clause="R-JOIN-5"), "cannot follow"),
        (lambda one: one.update(n=one["n"] + 1), is_decision(), "missing"),
        (lambda one: one["given"].update(is_sender_room=True), is_decision(status=200), "status is 200, must be 403"),
        (lambda one: one.update(room="sip:chat-9@imc.test"), is_decision(), "missing"),
        (lambda one: one.update(actor="sip:zoe@imc.test"), is_decision(clause="R-LEAVE-1"), "must be"),
        (
            lambda one: one["snapshot"].update(is_private=not one["snapshot"]["is_private"]),
            lambda one: one.get("snapshot"),
            "R-DURABLE-3",
        ),
    ],
)  # fmt: skip
def test_a_change_is_found(change: Callable[[Record], None], where: Callable[[Record], bool], why: str) -> None:
    lines, number = changed(change, where)
    with pytest.raises(Disagreement, match=why) as caught:
        validate(lines)
    assert caught.value.line == number


def test_a_line_that_is_missing_is_found() -> None:
    """A decision that is missing between two of the same room, with a snapshot after it or without."""
    for is_read in (False, True):
        records = [SNAPSHOT, *(help_by("sip:ann@imc.test", number) for number in (1, 2, 3))]
        if is_read:
            records.insert(3, SNAPSHOT)
        assert validate(rendered([*header(), *records])).decisions == 3
        del records[2]
        with pytest.raises(Disagreement, match="missing before n = 3"):
            validate(rendered([*header(), *records]))


SNAPSHOT = {"room": "sip:chat-1@imc.test", "snapshot": None}


def help_by(actor: str, number: int) -> Record:
    return {
        "n": number, "policy": 1, "room": "sip:chat-1@imc.test", "actor": actor, "command": "help", "given": {},
        "status": 200, "clause": "R-HELP-1", "event": "", "changes": [], "answers": ["help"], "told": {},
    }  # fmt: skip


def header() -> list[Record]:
    records = [json.loads(line) for line in walk()]
    return [records[0], next(one for one in records if one.get("policy") == 1 and "n" not in one)]


def rendered(records: list[Record]) -> list[str]:
    return [json.dumps(record) for record in records]


def test_a_room_without_an_owner_is_found() -> None:
    orphan = {"is_private": False, "members": {"sip:ann@imc.test": ["member"]}}
    with pytest.raises(Disagreement, match="R-INV-1"):
        validate(rendered([*header(), SNAPSHOT | {"snapshot": orphan}]))


def test_an_older_serial_is_found() -> None:
    """Spec R-INVITE-5: a late failure of the first invitation would withdraw the second."""
    people = {"sip:ann@imc.test": ["owner"], "sip:bob@imc.test": ["invited", "sip:ann@imc.test", 7]}
    invite = {
        "n": 1, "policy": 1, "room": "sip:chat-1@imc.test", "actor": "sip:ann@imc.test", "command": "invite",
        "subject": "sip:bob@imc.test", "given": {"serial": 7}, "status": 200, "clause": "R-INVITE-2", "event": "",
        "changes": [["set", "sip:bob@imc.test", "invited", "sip:ann@imc.test", 6]], "answers": ["invitation-sent"],
        "told": {"invitation": ["sip:bob@imc.test"]},
    }  # fmt: skip
    before = [*header(), SNAPSHOT | {"snapshot": {"is_private": False, "members": people}}]
    invite["given"] = {"serial": 6}
    with pytest.raises(Disagreement, match="serial 6 is not greater than 7"):
        validate(rendered([*before, invite]))
    invite |= {"given": {"serial": 8}, "changes": [["set", "sip:bob@imc.test", "invited", "sip:ann@imc.test", 8]]}
    assert validate(rendered([*before, invite])).decisions == 1


def test_after_a_gap_an_unknown_commit_or_a_kill_rooms_are_taken_as_they_are_found() -> None:
    found = SNAPSHOT | {"snapshot": {"is_private": False, "members": {"sip:ann@imc.test": ["owner"]}}}
    for between in ({"gap": 3}, {"room": "sip:chat-1@imc.test", "unknown": "commit failed"}, header()[0]):
        figures = validate(rendered([*header(), SNAPSHOT, between, found]))
        assert (figures.snapshots, figures.compared) == (2, 0)
    assert validate(rendered([*header(), SNAPSHOT, {"gap": 3}])).missing == 3


def test_after_an_end_in_order_rooms_are_as_they_were_left() -> None:
    """Spec R-DURABLE-3, R-INV-8."""
    found = SNAPSHOT | {"snapshot": {"is_private": False, "members": {"sip:ann@imc.test": ["owner"]}}}
    with pytest.raises(Disagreement, match="R-DURABLE-3"):
        validate(rendered([*header(), SNAPSHOT, {"end": True}, *header(), found]))


def test_a_torn_line_is_passed_over_where_a_process_ended() -> None:
    whole = list(walk())
    assert validate([*whole, whole[3][:20]]).torn == 1
    assert validate([*whole[:9], whole[9][:20], *whole]).torn == 1
    with pytest.raises(NotATrace):
        validate([*whole[:9], whole[9][:20], *whole[10:]])


@pytest.mark.parametrize(
    "lines",
    [
        ["hello"],
        ['{"n": 1}'],
        ['{"trace": "imc spec trace 9"}'],
        ['{"trace": "imc spec trace 1"}', '{"n": 1}'],
        ['{"trace": "imc spec trace 1"}', '{"gap": "many"}'],
        ['{"trace": "imc spec trace 1"}', '{"room": "sip:a@b", "snapshot": {"members": 3}}'],
    ],
)
def test_what_is_no_trace_is_said_to_be_none(lines: list[str]) -> None:
    with pytest.raises(NotATrace):
        validate(lines)


def invitation(command: str, subject: str, clause: str, event: str, **more: Any) -> list[Record]:
    """A trace of one command about somebody, of a room in which bob is a member and carol is invited."""
    people = {
        "sip:ann@imc.test": ["owner"],
        "sip:bob@imc.test": ["member"],
        "sip:carol@imc.test": ["invited", "sip:ann@imc.test", 7],
    }
    asked = {
        "n": 1, "policy": 1, "room": "sip:chat-1@imc.test", "actor": "sip:ann@imc.test", "command": command,
        "subject": subject, "given": {"serial": 8}, "status": 403, "clause": clause, "event": event,
        "changes": [], "answers": [event], "told": {},
    } | more  # fmt: skip
    return [*header(), SNAPSHOT | {"snapshot": {"is_private": False, "members": people}}, asked]


TOO_MANY = ("R-LIMIT-4", "too-many-invitations")


@pytest.mark.parametrize("command", ["invite", "add"])
def test_too_many_invitations_are_refused(command: str) -> None:
    """Spec R-LIMIT-4; the graphs have no rates. Someone invited already counts like someone new."""
    for subject in ("sip:dan@imc.test", "sip:carol@imc.test"):
        assert validate(rendered(invitation(command, subject, *TOO_MANY))).clauses == {"R-LIMIT-4": 1}
        with pytest.raises(Disagreement, match='clause is "R-INVITE-3", must be "R-LIMIT-4"'):
            validate(rendered(invitation(command, subject, "R-INVITE-3", TOO_MANY[1])))


@pytest.mark.parametrize("command", ["invite", "add"])
def test_rates_are_looked_at_last(command: str) -> None:
    """Spec R-JUDGE-1: limits come behind the subject's standing, and behind what is a room."""
    with pytest.raises(Disagreement, match="must be") as caught:
        validate(rendered(invitation(command, "sip:bob@imc.test", *TOO_MANY)))
    assert '"R-INVITE-3"' in str(caught.value)
    with pytest.raises(Disagreement, match="must be") as caught:
        validate(rendered(invitation(command, "sip:chat-2@imc.test", *TOO_MANY, given={"is_target_room": True})))
    assert '"R-ADDR-8"' in str(caught.value)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_what_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text("\n".join(walk()))
    done = CliRunner().invoke(app, ["validate", str(path)])
    assert done.exit_code == 0
    assert "decisions on 2 rooms agree" in done.output
    as_json = CliRunner().invoke(app, ["validate", "--json", str(path), str(path)])
    data = json.loads(as_json.output)
    assert (data["agrees"], data["starts"], data["rooms"]) == (True, 2, 2)


def test_the_command_says_where_it_disagrees(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    lines, number = changed(lambda one: one.update(status=202), is_decision(status=200))
    path.write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["validate", str(path)])
    assert done.exit_code == DISAGREES
    assert done.output.startswith(f"{path}:{number}: ")
    data = json.loads(CliRunner().invoke(app, ["validate", "--json", str(path)]).output)
    assert (data["agrees"], data["where"]) == (False, f"{path}:{number}")


def test_the_command_says_what_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(b"\xff")
    for name in (path, tmp_path / "none"):
        done = CliRunner().invoke(app, ["validate", str(name)])
        assert done.exit_code == UNREADABLE
        assert str(name) in done.output
    assert CliRunner().invoke(app, ["validate"]).exit_code == UNREADABLE


def test_the_command_writes_the_tour(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["traces", str(tmp_path)])
    assert done.exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.json", "tour.json"]
