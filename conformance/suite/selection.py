"""Which cases there are, and which of them a run is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from conformance.suite.case import Case, load_folder
from conformance.suite.features import Feature
from conformance.suite.wire_case import WireCase, load_wire

CASES_FOLDER = Path(__file__).parent.parent / "cases"
AnyCase = Case | WireCase


class NothingSelected(ValueError):
    """A selector that fits no case, or selectors that leave none."""


def all_cases() -> list[AnyCase]:
    """Room cases by file, then byte-exact ones. BadCase."""
    return [*load_folder(CASES_FOLDER), *load_wire()]


def select(cases: Sequence[AnyCase], selectors: Iterable[str], without: Iterable[str] = ()) -> list[AnyCase]:
    """Those that any selector fits, in their order; without selectors all. None that ``without`` fits. NothingSelected.

    A selector is an id, a glob of ids, a family, a tag, a clause, or "must" or "should".
    """
    wanted, unwanted = list(selectors), _fitting(cases, without)
    chosen = _fitting(cases, wanted) if wanted else {case.id for case in cases}
    left = [case for case in cases if case.id in chosen - unwanted]
    if not left:
        raise NothingSelected("no case is left")
    return left


def _fitting(cases: Sequence[AnyCase], selectors: Iterable[str]) -> set[str]:
    """The ids of those that any selector fits. NothingSelected."""
    fitting: set[str] = set()
    for selector in selectors:
        found = {case.id for case in cases if _fits(case, selector)}
        if not found:
            raise NothingSelected(f"{selector!r} is no case, glob, family, tag, nor clause of one")
        fitting |= found
    return fitting


def needs(case: AnyCase) -> frozenset[Feature]:
    """The features that a server must have."""
    return case.needs if isinstance(case, Case) else frozenset(case.requires)


def _fits(case: AnyCase, selector: str) -> bool:
    tests: tuple[Callable[[], bool], ...] = (
        lambda: selector in (case.id, case.family, case.clause, case.level),
        lambda: selector in case.tags,
        lambda: fnmatchcase(case.id, selector),
    )
    return any(test() for test in tests)
