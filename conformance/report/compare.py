"""Two runs, case by case: what came to be worse, better or otherwise.

How good an outcome is for the server, the best first: the clause is kept (passed, or a deviation went away), it
deviates as declared, not known (skipped, or not in that run), failed, error. Where both are equally good, a case is
otherwise if its outcome is, or if it was skipped for another reason, or failed at other steps or with other statuses.
Words are not compared: addresses in them are new in each run. What failed and is not known any more is otherwise too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from conformance.report.plain import visible
from conformance.report.text import count, heading, headline
from conformance.suite.verdict import CaseVerdict, RunVerdict

Change = Literal["worse", "better", "otherwise"]
CHANGES: tuple[Change, ...] = ("worse", "better", "otherwise")
_KEPT, _DEVIATES, _NOT_KNOWN, _FAILED, _ERROR = range(5)
_RANK = {"passed": _KEPT, "deviates": _DEVIATES, "skipped": _NOT_KNOWN, "failed": _FAILED, "error": _ERROR}


@dataclass(frozen=True, slots=True)
class Difference:
    """A case that is not as before; None where the run does not have it."""

    change: Change
    before: CaseVerdict | None
    after: CaseVerdict | None

    @property
    def case(self) -> CaseVerdict:
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """``same`` is the number of cases that are as before."""

    before: RunVerdict
    after: RunVerdict
    differences: tuple[Difference, ...]
    same: int

    @property
    def is_worse(self) -> bool:
        return any(each.change == "worse" for each in self.differences)


def compare(before: RunVerdict, after: RunVerdict) -> Comparison:
    """The worse first, each kind in the order of the later run; what only the earlier run has comes last."""
    old = {case.id: case for case in before.cases}
    new = {case.id: case for case in after.cases}
    found: list[Difference] = []
    for name in {**new, **old}:
        change = _change(old.get(name), new.get(name))
        if change:
            found.append(Difference(change, old.get(name), new.get(name)))
    found.sort(key=lambda each: CHANGES.index(each.change))
    return Comparison(before, after, tuple(found), len({**new, **old}) - len(found))


def render(comparison: Comparison) -> str:
    """As text, lines ended by ``\\n``."""
    lines = []
    for sign, run in (("A", comparison.before), ("B", comparison.after)):
        lines += [f"{sign}  {heading(run)}", f"   {count(run)}"]
    for each in comparison.differences:
        case = each.case
        words = f"{_word(each.before)} -> {_word(each.after)}"
        lines.append(visible(f"{each.change:<9}  {case.id}  ({case.clause}, {case.level})  {words}"))
        why = headline(each.after) if each.after else ""
        if why:
            lines.append(f"{'':<9}  {visible(why)}")
    counts = Counter(each.change for each in comparison.differences)
    lines.append(", ".join(f"{counts[change]} {change}" for change in CHANGES) + f", {comparison.same} as before.")
    return "".join(line + "\n" for line in lines)


def _change(before: CaseVerdict | None, after: CaseVerdict | None) -> Change | None:
    old, new = _rank(before), _rank(after)
    if new > old:
        return "worse"
    if new < old:
        return "otherwise" if new == _NOT_KNOWN else "better"
    return "otherwise" if _gist(before) != _gist(after) else None


def _rank(case: CaseVerdict | None) -> int:
    if case is None:
        return _NOT_KNOWN
    if case.outcome == "deviation-gone":  # kept, or broken in another way than declared
        return _FAILED if any(step.problems for step in case.steps) else _KEPT
    return _RANK[case.outcome]


def _gist(case: CaseVerdict | None) -> object:
    """What does not change from run to run by itself."""
    if case is None:
        return None
    if case.outcome == "passed":
        return case.outcome
    if case.outcome == "skipped":
        return case.outcome, case.why
    return case.outcome, [(step.number, step.status) for step in case.steps if step.problems]


def _word(case: CaseVerdict | None) -> str:
    return case.outcome if case else "not run"
