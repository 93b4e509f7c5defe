"""The wrong models fit the model that they are patches of. That they are refuted is shown by `make spec`."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

SPEC = Path(__file__).parents[2] / "spec"
sys.path.insert(0, str(SPEC))
room_mutants: Any = importlib.import_module("room_mutants")
room_quint: Any = importlib.import_module("room_quint")
murphi_mutants: Any = importlib.import_module("murphi_mutants")

MUTANTS = room_mutants.mutants()
MODEL = (SPEC / "room.m").read_text()


def test_there_are_enough() -> None:
    assert len(MUTANTS) >= 75
    assert sum(bool(mutant.kamailio) for mutant in MUTANTS) >= 14


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_fits(mutant: Any) -> None:
    (file,) = re.findall(r"^\+\+\+ b/(\S+)$", mutant.patch, re.MULTILINE)
    text = (SPEC / file).read_text()
    assert room_mutants.patched(text, mutant.patch) != text
    assert mutant.law in room_mutants.laws()[room_quint.run_of(mutant.run).main]


def test_each_law_has_a_mutant_that_it_must_refute() -> None:
    assert sum(map(len, room_mutants.laws().values())) > 60
    assert room_mutants.unwatched(MUTANTS) == {}


def test_a_law_without_a_mutant_is_found() -> None:
    assert room_mutants.unwatched([one for one in MUTANTS if one.law != "R-LIST-4"]) == {"room_all": {"R-LIST-4"}}


@pytest.mark.parametrize("mutant", murphi_mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_of_rumur_fits(mutant: Any) -> None:
    assert mutant.of(MODEL) != MODEL


def test_each_assertion_for_rumur_has_a_mutant() -> None:
    assert {mutant.law for mutant in murphi_mutants.MUTANTS} == murphi_mutants.asserted(MODEL)


def test_a_patch_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="there 0 times"):
        room_mutants.patched("a\nb\n", "@@ -1,2 +1,2 @@\n a\n-c\n+d\n")
    with pytest.raises(ValueError, match="there 2 times"):
        room_mutants.patched("a\na\n", "@@ -1 +1 @@\n-a\n+b\n")
