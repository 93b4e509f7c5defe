"""The page: one file of HTML that needs no other, runs no script and loads nothing.

Whatever comes from outside passes `plain.visible` and jinja2's autoescape, and the page's Content-Security-Policy
allows its own style sheet alone. jinja2 is of the extra "conformance": without it the import of this module fails.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from conformance.report.drawing import Drawing, lay_out
from conformance.report.plain import Piece, pieces, visible
from conformance.report.text import headline, remarks
from conformance.suite.conversation import Arrow
from conformance.suite.verdict import CaseVerdict, RunVerdict

KINDS = {
    "failed": ("✗", "failed"),
    "error": ("!", "error"),
    "gone": ("↺", "deviation gone"),
    "should": ("△", "should: failed"),
    "deviates": ("≠", "deviates"),
    "skipped": ("–", "skipped"),
    "passed": ("✓", "passed"),
}
"""What a case came to as the page tells it, the gravest first: a sign and a word."""
TOLD = frozenset(("failed", "error", "gone", "should", "deviates"))
"""What is shown with steps, ladder and bytes."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one case with the server of column ``column``."""

    column: int
    verdict: CaseVerdict
    kind: str
    anchor: str

    @property
    def href(self) -> str | None:
        return safe_link(self.verdict.link)

    @property
    def is_open(self) -> bool:
        return self.kind in ("failed", "error", "gone")

    @property
    def headline(self) -> str:
        return headline(self.verdict)

    @property
    def remarks(self) -> str:
        """What neither the headline nor the steps tell of the reason."""
        return "\n".join(line for line in remarks(self.verdict) if line != self.headline)

    def drawing(self) -> Drawing | None:
        return lay_out(self.verdict.ladder)

    def messages(self) -> list[tuple[int, Arrow, list[Piece]]]:
        """Number of the arrow, from 1; the arrow; its bytes."""
        found = enumerate(self.verdict.ladder, 1)
        return [(number, arrow, pieces(arrow.data)) for number, arrow in found if arrow.data is not None]


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case with its results, by column; None where that run does not have it."""

    verdict: CaseVerdict
    anchor: str
    results: list[Result | None]

    @property
    def told(self) -> list[Result]:
        return [result for result in self.results if result and result.kind in TOLD]

    @property
    def kind(self) -> str:
        """The gravest of its results."""
        return _gravest(result.kind for result in self.results if result)


@dataclass(frozen=True, slots=True)
class ClauseView:
    name: str
    anchor: str
    cases: list[CaseView] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The gravest of its cases."""
        return _gravest(case.kind for case in self.cases)

    @property
    def quoted(self) -> list[tuple[str, str, list[CaseView]]]:
        """Its words, each with the gravest of the cases that quote them, and these."""
        found: dict[str, list[CaseView]] = {}
        for case in self.cases:
            found.setdefault(case.verdict.quotation, []).append(case)
        return [(quotation, _gravest(case.kind for case in cases), cases) for quotation, cases in found.items()]

    def cell(self, column: int) -> list[tuple[str, int, str]]:
        """Kind, how often, and the anchor of the first such case."""
        found = [result for case in self.cases if (result := case.results[column])]
        counts = Counter(result.kind for result in found)
        firsts = {result.kind: result.anchor for result in reversed(found)}
        return [(kind, counts[kind], firsts[kind]) for kind in KINDS if counts[kind]]


@dataclass(frozen=True, slots=True)
class Column:
    """A run. ``skipped``: reason, where it is told, how many."""

    run: RunVerdict
    name: str
    counts: dict[str, int]
    skipped: list[tuple[str, str | None, int]]

    @property
    def failing(self) -> int:
        return len(self.run.failing())

    def bar(self) -> list[tuple[str, float, float]]:
        """Kind, from where and how wide, in thousandths."""
        total = sum(self.counts.values())
        found, at = [], 0.0
        for kind in reversed(KINDS):
            width = 1000 * self.counts[kind] / total if total else 0.0
            if width:
                found.append((kind, round(at, 1), round(width, 1)))
            at += width
        return found


def render(runs: Sequence[RunVerdict]) -> str:
    """The page."""
    template = _environment().get_template("report.html.j2")
    style = (files("conformance.report") / "templates" / "report.css").read_text(encoding="utf-8")
    families = _families(runs)
    columns = [_column(run) for run in runs]
    return template.render(columns=columns, families=families, kinds=KINDS, style=_Style(style), digest=_digest(style))


def kind_of(case: CaseVerdict) -> str:
    if case.level == "should" and case.outcome in ("failed", "error"):
        return "should"
    return {"deviation-gone": "gone"}.get(case.outcome, case.outcome)


def safe_link(link: str) -> str | None:
    """The link, where following it can do no more than load a page."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    return link if parts.scheme in ("http", "https") and parts.netloc and link.isprintable() else None


def _gravest(kinds: Iterable[str]) -> str:
    found = set(kinds)
    return next(kind for kind in KINDS if kind in found)


def _column(run: RunVerdict) -> Column:
    counts = Counter(kind_of(case) for case in run.cases)
    reasons = Counter((case.why, safe_link(case.link)) for case in run.cases if case.outcome == "skipped")
    skipped = [(why, link, number) for (why, link), number in reasons.most_common()]
    name = f"{run.target} {run.version}".strip() or "?"
    return Column(run, name, {kind: counts[kind] for kind in KINDS}, skipped)


def _families(runs: Sequence[RunVerdict]) -> list[tuple[str, list[ClauseView]]]:
    """Clauses by what stands before their number, in natural order, each with its cases in the order of the runs."""
    anchors: dict[str, int] = {}
    by_id = [{case.id: case for case in run.cases} for run in runs]
    clauses: dict[str, ClauseView] = {}
    for name in dict.fromkeys(case.id for run in runs for case in run.cases):
        first = next(cases[name] for cases in by_id if name in cases)
        anchor = _anchor("case-" + name, anchors)
        results = [_result(column, cases.get(name), anchor) for column, cases in enumerate(by_id)]
        if first.clause not in clauses:
            clauses[first.clause] = ClauseView(first.clause, _anchor("clause-" + first.clause, anchors))
        clauses[first.clause].cases.append(CaseView(first, anchor, results))
    families: dict[str, list[ClauseView]] = {}
    for name in sorted(clauses, key=_natural):
        families.setdefault(re.sub(r"[-. §]*[0-9][0-9.]*$", "", name) or name, []).append(clauses[name])
    return list(families.items())


def _result(column: int, case: CaseVerdict | None, anchor: str) -> Result | None:
    if case is None:
        return None
    kind = kind_of(case)
    return Result(column, case, kind, f"{anchor}_{column + 1}" if kind in TOLD else anchor)


def _anchor(text: str, taken: dict[str, int]) -> str:
    """An id that no other element of the page has: what is made of it elsewhere has an underscore."""
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")
    taken[slug] = taken.get(slug, 0) + 1
    return slug if taken[slug] == 1 else f"{slug}--{taken[slug]}"


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]{1,9})", text)]


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("conformance.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class _Style:
    """Our own style sheet: the one thing that goes to the page as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __html__(self) -> str:
        return self._text


def _shown(value: object) -> object:
    """What every expression of the template passes, before it is escaped."""
    return value if hasattr(value, "__html__") else visible(str(value), keep="\n")


def _digest(style: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
