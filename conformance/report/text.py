"""Runs as plain text: what each came to, and every case that did not pass with its steps and its ladder."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from conformance.report import ladder
from conformance.report.plain import visible
from conformance.suite.verdict import OUTCOMES, CaseVerdict, RunVerdict

WIDTH = 100


def render(runs: Sequence[RunVerdict]) -> str:
    """Runs one after the other, lines ended by ``\\n``."""
    return "\n".join(_run(run) for run in runs)


def heading(run: RunVerdict) -> str:
    """The server and when, on one line."""
    server = f"{run.target} {run.version}".strip()
    return visible(f"{server}, profile {run.profile or '-'}, {run.began}, {run.seconds:.1f} s on {run.host}")


def count(run: RunVerdict, not_played: int = 0) -> str:
    """How many cases came to what, on one line; ``not_played`` were chosen, and the run ended before them."""
    counts = run.counts()
    parts = [f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome]]
    if not_played:
        parts.append(f"{not_played} not played")
    return f"{len(run.cases) + not_played} cases: {', '.join(parts)}" if parts else "no cases"


def skipped(run: RunVerdict) -> list[tuple[str, list[str]]]:
    """Each reason with the ids of the cases that were skipped for it, the most frequent first."""
    found: dict[str, list[str]] = {}
    for case in run.cases:
        if case.outcome == "skipped":
            found.setdefault(case.why, []).append(case.id)
    return sorted(found.items(), key=lambda each: -len(each[1]))


def headline(case: CaseVerdict) -> str:
    """In one line, why it came to that; "" where it passed."""
    problems = (problem for step in case.steps for problem in step.problems)
    return next((line for text in (case.why, *problems) for line in text.splitlines()), "")


def remarks(case: CaseVerdict) -> list[str]:
    """What of the reason the steps do not tell anyway, line by line."""
    told = {line for step in case.steps for problem in step.problems for line in problem.splitlines()}
    return [line for line in case.why.splitlines() if line not in told]


def case_text(case: CaseVerdict) -> str:
    """A case with its quotation, reason, steps and ladder."""
    lines = [visible(f"{case.id}  {case.outcome}  ({case.clause}, {case.level})"), *_wrapped(case.title, "  ")]
    if case.quotation:
        lines += _wrapped(f"“{case.quotation}”", "  ")
    for remark in remarks(case):
        lines += _wrapped(remark, "  ")
    if case.link:
        lines.append("  " + visible(case.link))
    for step in case.steps:
        lines += _wrapped(f"{step.number}. {step.words}", "  ", "     ")
        if step.problems:
            lines += _wrapped(f"expected  {step.expected}", "     ", " " * 15)
            lines += _wrapped(f"seen      {step.seen}", "     ", " " * 15)
        for problem in step.problems:
            lines += _wrapped(f"! {problem}", "     ", " " * 7)
    text = "".join(line + "\n" for line in lines)
    drawn = ladder.draw(case.ladder, width=WIDTH - 2)
    return text + ("\n" + textwrap.indent(drawn, "  ") if drawn else "")


def _run(run: RunVerdict) -> str:
    shown = [case for case in run.cases if case.outcome not in ("passed", "skipped")]
    lines = [heading(run), count(run)]
    for why, ids in skipped(run):
        lines += _wrapped(f"skipped {len(ids)}: {why}", "  ", "    ")
    return "".join(line + "\n" for line in lines) + "".join("\n" + case_text(case) for case in shown)


def _wrapped(text: str, indent: str, further: str | None = None) -> list[str]:
    """Line by line, as the text has them."""
    found = []
    for number, line in enumerate(text.splitlines()):
        first = further or indent if number else indent
        found += textwrap.wrap(
            visible(line),
            WIDTH,
            initial_indent=first,
            subsequent_indent=further or indent,
            break_on_hyphens=False,
        )
    return found
