"""The room cases are cases of the specification: whole, verbatim, and none of its clauses is left out."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from conformance.suite.case import load_folder
from conformance.suite.schema import schema

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "conformance" / "cases"
CASES = load_folder(FOLDER)

NOT_FROM_OUTSIDE = {
    "R-HISTORY-9": "users are forgotten by a command of the operator's; tests/e2e/test_history.py does",
    "R-JUDGE-2": "that nothing else matters is a property of the function; tests/rooms and the models hold it",
    "R-ANSWER-5": "what imc_manager() returns is seen by a program in the server's process, not by a SIP client",
    "R-DURABLE-2": "a commit that fails needs a database that somebody breaks; tests/e2e/test_database_gone.py does",
    **dict.fromkeys(
        (f"R-ADMIN-{number}" for number in range(1, 8)),
        "operators act by the management interfaces; tests/rooms/test_operators.py, tests/e2e/test_operations.py do",
    ),
    **dict.fromkeys(
        (f"R-AUDIT-{number}" for number in range(1, 5)),
        "the audit is read by operators; tests/service/test_audit.py, tests/store/test_audit.py do",
    ),
}
SOURCE_EXAMPLES = (
    "#create {room} private", "#join", "#invite {rita.uri}", "#invite {rita.uri} {room.uri}", "#accept", "#reject",
    "#deny", "#remove {mary.uri}", "#exit", "#destroy", "#list",
)  # fmt: skip


def fold(text: str) -> str:
    return " ".join(text.split())


def clauses(path: Path) -> dict[str, str]:
    """The text of each clause, in one line. It ends where the next begins, or a section, or a table beside it."""
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        begin = re.match(r"\*\*([RS]-[A-Z]+-\d+)\*\* ", line)
        if begin is not None:
            lines = found[begin[1]] = []
        elif line.startswith(("## ", "Side by side")):
            lines = None
        if lines is not None:
            lines.append(line)
    return {clause: fold(" ".join(lines)) for clause, lines in found.items()}


ROOM = clauses(ROOT / "spec" / "room.md")
CLAUSES = ROOM | clauses(ROOT / "spec" / "sip.md")


def test_quotations_are_verbatim() -> None:
    wrong = {case.id: case.quotation for case in CASES if fold(case.quotation) not in CLAUSES[case.clause]}
    assert wrong == {}


def test_every_clause_that_shows_from_outside_has_a_case() -> None:
    assert {case.clause for case in CASES if case.clause.startswith("R-")} == set(ROOM) - set(NOT_FROM_OUTSIDE)


def test_every_must_has_a_must() -> None:
    demanded = {clause for clause, text in ROOM.items() if not text.startswith(f"**{clause}** SHOULD")}
    assert {case.clause for case in CASES if case.level == "must"} >= demanded - set(NOT_FROM_OUTSIDE)


def test_a_must_rests_on_a_must() -> None:
    wrong = [case.id for case in CASES if case.level == "must" and " SHOULD, " in CLAUSES[case.clause][:40]]
    assert wrong == []


@pytest.mark.parametrize("clause", sorted(NOT_FROM_OUTSIDE))
def test_what_does_not_show_from_outside_is_a_clause(clause: str) -> None:
    assert clause in ROOM


def test_no_two_cases_play_the_same() -> None:
    """But for the status table, whose cells stand for themselves, and the examples of the source document."""
    played = Counter(
        case.model_dump_json(include={"settings", "room", "users", "actors", "barrier", "step"})
        for case in CASES
        if case.family not in ("status", "source")
    )
    assert [text for text, count in played.items() if count > 1] == []


def test_the_examples_of_the_source_document_are_cases() -> None:
    examples = [case for case in CASES if "source-example" in case.tags]
    assert {case.family for case in examples} == {"source"}
    assert all(case.source for case in examples)
    sent = {step.text for case in examples for step in case.step}
    assert set(SOURCE_EXAMPLES) <= sent


def test_who_waits_for_silence_says_so() -> None:
    silent = {case.id for case in CASES for step in case.step if "silence" in step.answers.values()}
    killed = {case.id for case in CASES for step in case.step if step.do == "kill"}
    assert {case.id for case in CASES if "slow" in case.tags} == silent - killed


def test_the_schema_is_that_of_the_models() -> None:
    assert json.loads((FOLDER / "schema.json").read_text(encoding="utf-8")) == schema()
