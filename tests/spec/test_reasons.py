"""Every clause says why: the source document's words, Kamailio's record, a section of an RFC, or a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SPEC = Path(__file__).parents[2] / "spec"
_CLAUSE = re.compile(r"^\*\*([RS]-[A-Z]+-\d+)\*\* (.*?)(?=^\*\*[RS]-|^## |^Side by side|\Z)", re.MULTILINE | re.DOTALL)
_WHY = re.compile(r"\*Source\*: \"|\*Source\* |\bReason(?: for [^:]+)?: |\bK(?: \([^)]+\))?: |\bRFC \d{4}")
CLAUSES = {
    clause: (page, " ".join(text.split()))
    for page in ("room.md", "sip.md")
    for clause, text in _CLAUSE.findall((SPEC / page).read_text(encoding="utf-8"))
}


def test_all_clauses_are_read() -> None:
    text = "".join((SPEC / page).read_text(encoding="utf-8") for page in ("room.md", "sip.md"))
    assert len(CLAUSES) == len(re.findall(r"^\*\*[RS]-[A-Z]+-\d+\*\*", text, re.MULTILINE)) > 190


@pytest.mark.parametrize("page", ["room.md", "sip.md"])
def test_every_clause_has_a_source_a_reason_or_a_record(page: str) -> None:
    assert [clause for clause, (where, text) in CLAUSES.items() if where == page and not _WHY.search(text)] == []
