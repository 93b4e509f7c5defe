"""The clauses of spec/sip.md: cited by the code that keeps each, and named by a test."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "spec" / "sip.md").read_text()
_KEEPERS = {
    "sip": ("imc/sip",),
    "transport": ("imc/transport",),
    "delivery": ("imc/delivery",),
    "registrar": ("imc/registrar",),
    "identity": ("imc/service/identity.py", "imc/service/accounts.py", "imc/sip/digest.py"),
    "service": ("imc/service", "imc/loop.py", "imc/app.py"),
}
_CLAUSE = re.compile(rf"^\*\*(S-[A-Z]+-\d+)\*\* (?:MUST|SHOULD), ({'|'.join(_KEEPERS)})\.", re.MULTILINE)
_ID = re.compile(r"\bS-[A-Z]+-\d+\b")
CLAUSES = dict(_CLAUSE.findall(SPEC))


@cache
def cited(*places: str) -> set[str]:
    """The clauses named in these files and folders, but for this one."""
    files: list[Path] = []
    for place in places:
        path = ROOT / place
        files += path.rglob("*.py") if path.is_dir() else [path]
    return {one for path in files if path != Path(__file__) for one in _ID.findall(path.read_text())}


def test_every_clause_stands_once_and_says_who_keeps_it() -> None:
    ids = re.findall(r"^\*\*(S-[A-Z]+-\d+)\*\*", SPEC, re.MULTILINE)
    assert len(ids) == len(set(ids))
    assert set(ids) == set(CLAUSES)
    assert set(_ID.findall(SPEC)) == set(CLAUSES)


def test_clauses_are_numbered_without_gaps() -> None:
    by_topic: dict[str, list[int]] = {}
    for clause in CLAUSES:
        topic, _, number = clause.rpartition("-")
        by_topic.setdefault(topic, []).append(int(number))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_topic.values())


def test_nothing_cites_a_clause_that_is_not_there() -> None:
    models = {one for path in (ROOT / "spec").glob("*.pml") for one in _ID.findall(path.read_text())}
    assert cited("imc", "tests", "spec") | models <= set(CLAUSES)


@pytest.mark.parametrize("clause", sorted(CLAUSES))
def test_a_clause_is_cited_by_the_code_that_keeps_it(clause: str) -> None:
    assert clause in cited(*_KEEPERS[CLAUSES[clause]])


@pytest.mark.parametrize("clause", sorted(CLAUSES))
def test_a_clause_is_named_by_a_test(clause: str) -> None:
    assert clause in cited("tests")
