"""Two runs: what is worse, better and otherwise."""

from __future__ import annotations

import pytest

from conformance.report.compare import compare, render
from conformance.suite.verdict import CaseVerdict, Outcome
from tests.conformance.report.samples import case, every_outcome, hostile, run

COLUMNS: tuple[Outcome | None, ...] = (
    "passed", "deviates", "skipped", None, "failed", "error", "deviation-gone",
)  # fmt: skip
TABLE = """
                passed  deviates  skipped  None    failed     error  deviation-gone
passed          =       worse     worse    worse   worse      worse  otherwise
deviates        better  =         worse    worse   worse      worse  better
skipped         better  better    =        =       worse      worse  better
None            better  better    =        =       worse      worse  better
failed          better  better    other    other   =          worse  better
error           better  better    other    other   better     =      better
deviation-gone  other   worse     worse    worse   worse      worse  =
""".replace("otherwise", "other").split()  # fmt: skip


@pytest.mark.parametrize("row", range(7))
@pytest.mark.parametrize("column", range(7))
def test_each_outcome_against_each(row: int, column: int) -> None:
    before, after = COLUMNS[row], COLUMNS[column]
    expected = TABLE[7 + 8 * row + 1 + column]
    if {before, after} == {"skipped", None}:
        expected = "other"  # equally unknown, but not the same
    runs = [run(*([case("a/b", outcome)] if outcome else [])) for outcome in (before, after)]
    found = compare(*runs)
    kinds = [each.change.removesuffix("wise") for each in found.differences]
    assert kinds == ([] if expected == "=" else [expected])
    assert found.same == (1 if expected == "=" and (before or after) else 0)
    assert found.is_worse == (expected == "worse")


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        (case("a/b", "failed", why="chat-1"), case("a/b", "failed", why="chat-2"), True),
        (case("a/b", "failed", status=403), case("a/b", "failed", status=404), False),
        (case("a/b", "failed", status=403), case("a/b", "failed", steps=[]), False),
        (case("a/b", "passed", status=200), case("a/b", "passed", status=202), True),
        (case("a/b", "skipped", why="no #modify"), case("a/b", "skipped", why="no restart"), False),
    ],
)
def test_equally_good_and_yet_otherwise(before: CaseVerdict, after: CaseVerdict, is_same: bool) -> None:
    found = compare(run(before), run(after))
    assert [each.change for each in found.differences] == ([] if is_same else ["otherwise"])


def test_a_deviation_that_went_away_by_failing_otherwise_is_no_better() -> None:
    gone = case("a/b", "deviation-gone", problems=["status 500, not 200"])
    assert compare(run(case("a/b", "deviates")), run(gone)).is_worse


def test_the_worse_come_first() -> None:
    before = run(case("a/1", "failed"), case("a/2", "passed"), case("a/3", "passed"), case("a/4", "passed"))
    after = run(case("a/1", "passed"), case("a/2", "failed", why="Two\nlines"), case("a/4", "passed"))
    assert render(compare(before, after)) == (
        "A  imc 0.1.0, profile imc, 2026-11-23T07:20:00+00:00, 12.3 s on build-7\n"
        "   4 cases: 3 passed, 1 failed\n"
        "B  imc 0.1.0, profile imc, 2026-11-23T07:20:00+00:00, 12.3 s on build-7\n"
        "   3 cases: 2 passed, 1 failed\n"
        "worse      a/2  (R-INVITE-1, must)  passed -> failed\n"
        "           Two\n"
        "worse      a/3  (R-INVITE-1, must)  passed -> not run\n"
        "better     a/1  (R-INVITE-1, must)  failed -> passed\n"
        "2 worse, 1 better, 0 otherwise, 1 as before.\n"
    )


def test_what_is_hostile_is_an_escape() -> None:
    written = render(compare(every_outcome(), hostile()))
    assert written.replace("\n", "").isprintable()
