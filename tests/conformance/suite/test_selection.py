from __future__ import annotations

import pytest

from conformance.suite.case import Case
from conformance.suite.selection import AnyCase, NothingSelected, all_cases, needs, select

CASES: list[AnyCase] = [
    Case.model_validate({
        "id": name, "clause": clause, "quotation": "q", "level": level, "title": "t", "tags": tags,
        "requires": ["modify"], "step": [{"do": "kill"}],
    })
    for name, clause, level, tags in (
        ("join/public", "R-JOIN-1", "must", ["join", "slow"]),
        ("join/private", "R-JOIN-4", "must", ["join"]),
        ("leave/owner", "R-LEAVE-2", "should", []),
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("selectors", "chosen"),
    [
        ([], [0, 1, 2]),
        (["join/private"], [1]),
        (["leave/owner", "join/public"], [0, 2]),
        (["join/*"], [0, 1]),
        (["*/p*"], [0, 1]),
        (["join"], [0, 1]),
        (["slow"], [0]),
        (["R-JOIN-4"], [1]),
        (["R-*"], None),
        (["should"], [2]),
        (["join", "nothing"], None),
    ],
)
def test_selectors(selectors: list[str], chosen: list[int] | None) -> None:
    if chosen is None:
        with pytest.raises(NothingSelected, match=f"'{selectors[-1]}'".replace("*", r"\*")):
            select(CASES, selectors)
    else:
        assert select(CASES, selectors) == [CASES[number] for number in chosen]


@pytest.mark.parametrize(
    ("selectors", "without", "chosen"),
    [
        ([], ["slow"], [1, 2]),
        (["join"], ["slow"], [1]),
        ([], ["join", "should"], "no case is left"),
        (["leave/owner"], ["fast"], "'fast' is no case"),
    ],
)
def test_without(selectors: list[str], without: list[str], chosen: list[int] | str) -> None:
    if isinstance(chosen, str):
        with pytest.raises(NothingSelected, match=chosen):
            select(CASES, selectors, without)
    else:
        assert select(CASES, selectors, without) == [CASES[number] for number in chosen]


def test_what_is_needed() -> None:
    assert needs(CASES[0]) == {"modify", "restart"}


def test_all_have_ids_of_their_own() -> None:
    ids = [case.id for case in all_cases()]
    assert len(set(ids)) == len(ids)
