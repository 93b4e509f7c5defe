"""The index of the clauses: each once, with a sentence, and with what holds it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from conformance.cli import app
from conformance.report.clauses import page, read
from tests.rooms.test_clauses import CLAUSES as ROOMS
from tests.spec.test_sip_clauses import CLAUSES as SIP

ROOT = Path(__file__).parents[3]


def test_each_clause_is_in_it_with_who_keeps_it() -> None:
    found = read(ROOT)
    assert {one.id: one.keeper for one in found} == {**ROOMS, **SIP}
    assert len(found) == len(ROOMS) + len(SIP)


def test_a_clause_is_told_by_its_first_sentence_alone() -> None:
    found = {one.id: one for one in read(ROOT)}
    assert found["R-CREATE-2"].text == (
        "With `check_on_create`, an existing room is refused with 403 to everyone, its members included."
    )
    assert found["R-CREATE-2"].section == "4 create"
    assert not [one for one in found.values() if one.text.endswith("Reason:") or not one.text]


def test_cases_tests_and_code_of_a_clause() -> None:
    entry = page(ROOT).partition("[R-INVITE-3]")[2].partition("\n[R-")[0]
    assert "`imc/rooms/machine.py`" in entry
    assert "of `status/`" in entry
    assert "Tests: `tests/" in entry


def test_a_folder_without_a_specification(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["clauses", str(tmp_path)])
    assert done.exit_code == 2
    assert "room.md" in done.output
