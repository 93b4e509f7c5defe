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

MUTANTS = room_mutants.mutants()


def test_there_are_enough() -> None:
    assert len(MUTANTS) >= 25
    assert sum(bool(mutant.kamailio) for mutant in MUTANTS) >= 14


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_fits(mutant: Any) -> None:
    (file,) = re.findall(r"^\+\+\+ b/(\S+)$", mutant.patch, re.MULTILINE)
    text = (SPEC / file).read_text()
    assert room_mutants.patched(text, mutant.patch) != text
    room_quint.run_of(mutant.run)
    assert f'"{mutant.law}"' in (SPEC / "room_laws.qnt").read_text() + (SPEC / "room_server.qnt").read_text()


def test_a_patch_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="there 0 times"):
        room_mutants.patched("a\nb\n", "@@ -1,2 +1,2 @@\n a\n-c\n+d\n")
    with pytest.raises(ValueError, match="there 2 times"):
        room_mutants.patched("a\na\n", "@@ -1 +1 @@\n-a\n+b\n")
