"""Every clause of the specification is cited by code that keeps it, and by a test, a cell or a step that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rooms.status_table import CELLS, VARIANTS
from tests.rooms.test_clauses import CLAUSES

ROOT = Path(__file__).parents[1]
_ID = re.compile(r"\bR-[A-Z]+-\d+\b")
_THIS = Path(__file__)


def cited(*folders: str) -> set[str]:
    """The clauses that sources name."""
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*.py") if path != _THIS)
    return {one for path in paths for one in _ID.findall(path.read_text(encoding="utf-8"))}


IN_CODE = cited("imc")
IN_TESTS = cited("tests")
IN_CELLS = {cell.clause for cell in (*CELLS, *VARIANTS)}
IN_WALKS = set(_ID.findall((ROOT / "spec" / "traces" / "classes.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("clause", sorted(CLAUSES))
def test_a_clause_is_cited_by_code(clause: str) -> None:
    assert clause in IN_CODE


@pytest.mark.parametrize("clause", sorted(CLAUSES))
def test_a_clause_has_a_case(clause: str) -> None:
    assert clause in IN_TESTS | IN_CELLS | IN_WALKS


def test_tests_name_no_clause_that_is_not_there() -> None:
    assert set(CLAUSES) >= IN_TESTS | IN_CELLS | IN_WALKS


def test_what_the_core_keeps_is_in_the_walks_or_named_by_its_tests() -> None:
    """The clauses of the core that are no outcome of a request: of texts, words, limits and invariants."""
    core = {clause for clause, keeper in CLAUSES.items() if keeper == "core"}
    assert core - IN_WALKS <= cited("tests/rooms", "tests/conformance")
