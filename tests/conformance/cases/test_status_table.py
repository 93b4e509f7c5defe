"""``cases/status.toml`` is the whole status table of spec/room.md §12, and says what it says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from conformance.suite.case import load
from conformance.suite.table import Row, Table

ROOT = Path(__file__).parents[3]
PATH = ROOT / "conformance" / "cases" / "status.toml"
TABLE = Table.model_validate(tomllib.loads(PATH.read_text(encoding="utf-8")))
COLUMNS = ("owner", "admin", "member", "invited", "outsider")
INSIDE = 4

ROWS = {
    "create, join": {"create", "join"},
    "invite, add X new or invited": {"invite-new", "invite-invited", "add-new", "add-invited"},
    "invite, add X already in": {"invite-member", "add-member"},
    "accept, reject": {"accept", "reject"},
    "remove X member or invited": {"remove-member", "remove-invited"},
    "remove X admin": {"remove-admin"},
    "remove X owner": {"remove-owner"},
    "remove X not in the room": {"remove-outsider"},
    "remove oneself": {"remove-oneself"},
    "leave": {"leave"},
    "destroy": {"destroy"},
    "members": {"members"},
    "history, set without an option": {"history", "settings"},
    "set an option": {"set", "set-unchanged"},
    "modify X in the room": {"modify-member", "modify-invited", "modify-oneself"},
    "modify X not in the room": {"modify-outsider"},
    "rooms, help": {"rooms", "help"},
    "malformed": {"malformed"},
    "room message": {"message"},
}


class Line(NamedTuple):
    """A line of the specification's table: what it is about, and its cells by standing."""

    about: str
    cells: dict[str, str]


def lines() -> list[Line]:
    text = (ROOT / "spec" / "room.md").read_text(encoding="utf-8")
    section = text.partition("## 12 ")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [Line(about, dict(zip(COLUMNS, rest, strict=True))) for about, *rest in cells]


LINES = {line.about: line for line in lines()}


def statuses(text: str) -> set[int]:
    return {int(status) for status in re.findall(r"\b[1-6]\d\d\b", text)}


def test_every_line_has_its_rows() -> None:
    found: dict[str, set[str]] = {about: set() for about in LINES}
    for row in TABLE.row:
        found[row.line].add(row.id)
    assert found == ROWS


@pytest.mark.parametrize("row", TABLE.row, ids=lambda row: row.id)
def test_a_row_says_what_the_line_says(row: Row) -> None:
    cells = LINES[row.line].cells
    for standing in COLUMNS[:INSIDE]:
        assert getattr(row, standing).status in statuses(cells[standing]), standing
    public, _, private = cells["outsider"].partition("/")
    assert row.outsider.status in statuses(public)
    assert row.hidden.status in statuses(private or public)


@pytest.mark.parametrize("row", TABLE.row, ids=lambda row: row.id)
def test_where_there_is_no_room(row: Row) -> None:
    """Spec R-HIDE-1."""
    expected = {"create": 200, "join": 200, "rooms": 200, "help": 200, "malformed": 400}.get(row.id, 404)
    assert row.none.status == expected


@pytest.mark.parametrize("row", TABLE.row, ids=lambda row: row.id)
def test_whoever_sends_a_command_is_answered_and_a_text_is_not(row: Row) -> None:
    """Spec R-ANSWER-2, R-MSG-1, R-MSG-2."""
    for standing, sender in TABLE.senders.items():
        assert (sender in getattr(row, standing).gets) == (row.id != "message"), standing


@pytest.mark.parametrize("row", TABLE.row, ids=lambda row: row.id)
def test_a_refusal_tells_nobody_else(row: Row) -> None:
    """Spec R-NOTICE-2; R-JOIN-4 is the exception."""
    for standing, sender in TABLE.senders.items():
        cell = getattr(row, standing)
        if cell.status >= 300:
            others = {event for name, event in cell.gets.items() if name != sender}
            assert others == ({"join-attempted"} if cell.clause == "R-JOIN-4" else set()), standing


def test_each_cell_is_a_case() -> None:
    cases = load(PATH)
    expected = {
        f"status/{row.id}.{who}.{kind}"
        for row in TABLE.row
        for who, kind in [
            *((standing, kind) for standing in COLUMNS for kind in ("public", "private")),
            ("outsider", "no-room"),
        ]
    }
    assert {case.id for case in cases} == expected
