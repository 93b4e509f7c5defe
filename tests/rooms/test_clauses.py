"""The clauses of spec/room.md and the code that cites them: none unknown, none that nobody keeps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imc.rooms.machine import ROWS
from imc.rooms.outcome import REFUSALS
from imc.rooms.permissions import PERMISSIONS
from imc.rooms.replies import EVENTS

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "spec" / "room.md").read_text()
_CLAUSE = re.compile(r"^\*\*(R-[A-Z]+-\d+)\*\* (?:MUST, |SHOULD, )?(core|service|store|delivery|sip)\.", re.MULTILINE)
_ID = re.compile(r"\bR-[A-Z]+-\d+\b")
CLAUSES = dict(_CLAUSE.findall(SPEC))


def cited(folder: str) -> set[str]:
    return {one for path in (ROOT / folder).rglob("*.py") for one in _ID.findall(path.read_text())}


def test_every_clause_stands_once_and_says_who_keeps_it() -> None:
    ids = re.findall(r"^\*\*(R-[A-Z]+-\d+)\*\*", SPEC, re.MULTILINE)
    assert len(ids) == len(set(ids))
    assert set(ids) == set(CLAUSES)
    assert set(_ID.findall(SPEC)) == set(CLAUSES)


def test_code_cites_no_clause_that_is_not_there() -> None:
    assert cited("imc") <= set(CLAUSES)
    assert {row.clause for row in ROWS} <= set(CLAUSES)
    assert {permission.clause for permission in PERMISSIONS.values()} <= set(CLAUSES)


@pytest.mark.parametrize("clause", sorted(clause for clause, keeper in CLAUSES.items() if keeper == "core"))
def test_a_clause_of_the_core_is_cited_by_its_code(clause: str) -> None:
    assert clause in cited("imc/rooms") | set(_ID.findall((ROOT / "imc" / "aor.py").read_text()))


def test_the_events_are_those_of_the_clauses() -> None:
    """Spec R-NOTICE-1, R-NOTICE-2."""
    text = SPEC[SPEC.index("**R-NOTICE-1**") : SPEC.index("**R-NOTICE-3**")]
    assert set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", text)) == EVENTS
    assert set(REFUSALS) < EVENTS


def test_the_statuses_of_refusals_are_those_of_the_clause() -> None:
    text = SPEC[SPEC.index("Its event is one of:") : SPEC.index("**R-NOTICE-3**")]
    stated: dict[str, int] = {}
    for group, status in re.findall(r"((?:\s*`[a-z-]+`,?)+)\s*\((\d{3})\)", text):
        stated |= dict.fromkeys(re.findall(r"`([a-z-]+)`", group), int(status))
    assert stated == REFUSALS
