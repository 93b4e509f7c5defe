"""Models and code are kept together: the rows are the code's, and every mistake that must be found can be made.

The searches themselves need spin and are run by `spec/check_lanes.py` (`make spec`).
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from imc.sip.transactions import CLIENT, SERVER, T1
from tests.spec.test_sip_clauses import CLAUSES

SPEC = Path(__file__).parents[2] / "spec"


def load(name: str) -> Any:
    """A module of spec/, which is no package: what is there runs without imc being installed."""
    sys.path.insert(0, str(SPEC))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SPEC))


rows, mutants, checker = load("lane_rows"), load("lane_mutants"), load("check_lanes")
MODELS = {name: (SPEC / name).read_text() for name in (mutants.TRANSACTION, mutants.LANE)}


def test_the_models_rows_are_those_of_the_code() -> None:
    """`python spec/check_lanes.py --write-rows` writes them; then the models have to be checked again."""
    assert (SPEC / rows.FILE).read_text() == rows.generated()


def test_every_row_is_in_the_file_once() -> None:
    text = (SPEC / rows.FILE).read_text()
    assert len(rows.read_rows()) == sum(map(len, CLIENT.values())) + sum(map(len, SERVER.values()))
    for row in rows.read_rows():
        inline = text.partition(f"inline {row.side}_{row.event.lower()}(x) {{")[2].partition("\n}")[0]
        assert inline.count(f"{row.side}_state[x] == {row.side[0].upper()}_{row.state} ->") == 1


def test_a_duration_that_is_no_multiple_of_t1_cannot_be_modelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imc.sip.transactions.TIMER_K", 1.5 * T1)
    with pytest.raises(ValueError, match="TIMER_K"):
        rows.read_durations()


def test_both_models_use_the_rows_and_define_each_action() -> None:
    actions = {f"{row.side[0]}_{action.lower()}" for row in rows.read_rows() for action in row.actions}
    for text in MODELS.values():
        assert f'#include "{rows.FILE}"' in text
        assert set(re.findall(r"^inline ([cs]_\w+)\(x\)", text, re.MULTILINE)) == actions


def test_the_properties_are_those_of_the_models_and_mean_clauses() -> None:
    asserted = {name for text in MODELS.values() for name in re.findall(r"assert\([^;]*?\bp_(\w+)\)", text)}
    assert asserted | {"row"} == set(mutants.PROPERTIES)
    assert {clause for clause, _ in mutants.PROPERTIES.values()} <= set(CLAUSES)


@pytest.mark.parametrize(
    "mutant", [*mutants.MUTANTS, *mutants.LIMITS, *checker.without_an_action()], ids=lambda m: m.name
)
def test_every_mistake_can_be_made(mutant: Any) -> None:
    """Each changes the model that is searched for it, and nothing that the changes look for has moved."""
    before = {**MODELS, rows.FILE: rows.generated()}
    files = dict(before)
    for change in mutant.changes:
        change(files)
    assert files != before
    assert mutant.by in {*mutants.PROPERTIES, ""}


def test_every_property_is_shown_to_matter() -> None:
    assert {mutant.by for mutant in mutants.MUTANTS} == set(mutants.PROPERTIES)


def test_what_is_harmless_is_an_action_of_a_row() -> None:
    assert set(mutants.HARMLESS) <= {(*row.key, action) for row in rows.read_rows() for action in row.actions}


@pytest.mark.parametrize(
    ("report", "refuted"),
    [
        ("State-vector 52 byte, depth reached 9, errors: 0\n", ""),
        ("pan:1: assertion violated ((handed<=1)||p_once) (at depth 9)\n errors: 1", "once"),
        ("pan:1: assertion violated p_row (at depth 9)\ninvalid end states +\n errors: 1", "row"),
        ("pan:1: invalid end state (at depth 9)\n errors: 1", "progress"),
        ("pan:1: acceptance cycle (at depth 9)\n errors: 1", "progress"),
    ],
)
def test_reading_what_a_search_says(report: str, refuted: str) -> None:
    assert checker._refuted(report) == refuted


def test_a_search_that_did_not_end_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="did not end"):
        checker._refuted("pan: reached -DMEMLIM bound\nWarning: Search not completed\ninvalid end states +\nerrors: 0")
