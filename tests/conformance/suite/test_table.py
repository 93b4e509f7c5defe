"""A table of cases: what a cell says, what becomes of a row, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.suite.case import BadCase, load
from conformance.suite.table import read_cell

GOOD = """
[room]
alice = "owner"
mary = "member"

[senders]
owner = "alice"
admin = "adam"
member = "mary"
invited = "ivan"
outsider = "rita"
hidden = "rita"
none = "rita"

[quotations]
R-LEAVE-1 = "A member leaves"

[[row]]
id = "leave-it"
line = "leave"
text = "#leave {self}"
room = { adam = "admin" }
requires = ["list"]
owner = "200 R-LEAVE-1 | alice mary room-destroyed"
admin = "200 R-LEAVE-1 | adam member-left"
member = "200 R-LEAVE-1 | mary alice member-left | adam help"
invited = "403 R-LEAVE-1"
outsider = "403 R-LEAVE-1"
hidden = "404 R-LEAVE-1"
none = "404 R-LEAVE-1"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "grid.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_cell() -> None:
    cell = read_cell("200 R-LEAVE-1 | mary alice member-left | adam help")
    assert (cell.status, cell.clause) == (200, "R-LEAVE-1")
    assert cell.gets == {"mary": "member-left", "alice": "member-left", "adam": "help"}
    assert read_cell("404 R-MSG-2").gets == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin"),
        ("200", "does not begin"),
        ("OK R-LEAVE-1", "does not begin"),
        ("200 R-LEAVE-1 mary", "does not begin"),
        ("200 R-LEAVE-1 | help", "nobody gets 'help'"),
        ("200 R-LEAVE-1 | ", "not enough values"),
        ("200 R-LEAVE-1 | mary help | mary member-left", "mary gets both help and member-left"),
    ],
)
def test_what_is_wrong_with_a_cell(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_cell(text)


def test_a_row_is_eleven_cases(tmp_path: Path) -> None:
    cases = {case.id: case for case in load(write(tmp_path, GOOD))}
    assert len(cases) == 11
    case = cases["grid/leave-it.member.private"]
    assert case.room is not None
    assert (case.room.kind, case.room.standings) == ("private", {"alice": "owner", "mary": "member", "adam": "admin"})
    (step,) = case.step
    assert (step.by, step.text, step.status) == ("mary", "#leave {mary}", (200,))
    assert {actor: [one.event for one in all_] for actor, all_ in step.gets.items()} == {
        "mary": ["member-left"],
        "alice": ["member-left"],
        "adam": ["help"],
    }
    assert (case.clause, case.quotation, case.requires) == ("R-LEAVE-1", "A member leaves", ("list",))
    assert cases["grid/leave-it.outsider.no-room"].room is None
    assert set(cases["grid/leave-it.outsider.no-room"].people) == {"alice", "mary", "rita"}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('none = "404', 'never = "404', "row.1.never: Extra inputs"),
        ('"404 R-LEAVE-1"\nnone', '"404 R-JOIN-1"\nnone', "quotations: there is none of 'R-JOIN-1'"),
        ('"403 R-LEAVE-1"', "403", "does not begin with a status"),
        ("adam help", "adam hlep", "step 1: gets.adam.*no event"),
        ("adam help", "adrian help", "no such actor: adrian"),
        ('requires = ["list"]', 'requires = ["luck"]', "requires"),
        ("[[row]]", "[[row", "grid.toml"),
    ],
)
def test_what_is_wrong_with_a_table(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(BadCase, match=why):
        load(write(tmp_path, GOOD.replace(old, new, 1)))
