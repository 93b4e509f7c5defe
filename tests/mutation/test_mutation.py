"""Some of the mutants, and that the tables are whole again after each; `make mutation` tries them all."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from imc.rooms import machine
from imc.rooms.permissions import PERMISSIONS
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.page import PAGE
from tests.mutation.suites import Suite, classes

EVERY = list(mutants())
SOME = EVERY[::3]


@pytest.fixture(scope="module")
def tour() -> Suite:
    return classes()


def test_the_tour_of_classes_kills_whatever_is_a_change(tour: Suite) -> None:
    survivors = [mutant.name for mutant in SOME if not mutant.equivalent and not tour.kills(mutant)]
    assert survivors == []


def test_what_is_said_to_be_no_change_is_none(tour: Suite) -> None:
    killed = [mutant.name for mutant in SOME if mutant.equivalent and tour.kills(mutant)]
    assert killed == []


def test_every_cell_is_changed() -> None:
    kinds = Counter(mutant.kind for mutant in EVERY)
    assert len({mutant.name for mutant in EVERY}) == len(EVERY)
    assert kinds["permission"] == 15 * 5 * 32
    assert kinds["clause"] == kinds["row deleted"] == len(machine.ROWS)
    assert kinds["condition dropped"] == sum(len(row.conditions) for row in machine.ROWS)
    assert kinds["effect dropped"] == sum(len(row.effects) for row in machine.ROWS)
    assert kinds["dest"] + kinds["dest of a refusal"] == 6 * len(machine.ROWS)


def test_the_page_is_of_these_mutants() -> None:
    """The rates themselves take `make mutation`, which writes them."""
    changed = Counter(mutant.kind for mutant in EVERY if not mutant.equivalent)
    rates, _, _ = PAGE.read_text(encoding="utf-8").partition("## Survivors")
    stated = dict(re.findall(r"^\| ([a-z ]+) \| (\d+) \|", rates, re.MULTILINE))
    assert stated == {kind: str(count) for kind, count in {**changed, "all": changed.total()}.items()}


def test_the_tables_are_as_they_were_afterwards() -> None:
    def tables() -> object:
        return machine.ROWS, machine.MACHINE, dict(PERMISSIONS)

    def during(mutant: Mutant) -> object:
        with mutant.in_force():
            return tables()

    intact = tables()
    for mutant in (EVERY[0], EVERY[-1]):
        assert during(mutant) != intact
        assert tables() == intact
