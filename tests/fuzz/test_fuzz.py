"""The fixed part of fuzzing: seeds, mutations that are the same on every run, and all that was ever found."""

from __future__ import annotations

import pytest

from tests.fuzz import NAMES
from tests.fuzz.found import FOUND
from tests.fuzz.seeds import mutations, seeds
from tests.fuzz.targets import TARGETS

_COUNT = 2_000


@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    for data in seeds(target):
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_mutations(target: str) -> None:
    for data in mutations(target, _COUNT):
        TARGETS[target](data)


def test_all_have_a_name() -> None:
    assert tuple(TARGETS) == NAMES


def test_what_was_found() -> None:
    for target, data in FOUND:
        TARGETS[target](data)


def test_mutations_are_the_same_on_every_run() -> None:
    assert list(mutations("message", 20)) == list(mutations("message", 20))
    assert list(mutations("message", 20)) != list(mutations("message", 20, seed=2))
