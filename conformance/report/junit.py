"""JUnit XML, for CI: a testsuite for each run, a testcase for each case.

It keeps to what both the schema of Jenkins' xUnit plugin and the older one that pytest's documentation shows allow: so
properties belong to the testsuite, and their names tell the case. How outcomes are mapped is in
docs/reference/conformance.md.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

from conformance.report.plain import visible
from conformance.report.text import case_text, headline, remarks
from conformance.suite.verdict import CaseVerdict, RunVerdict

_ELEMENTS = {"failed": "failure", "deviation-gone": "failure", "error": "error", "skipped": "skipped"}


def render(runs: Sequence[RunVerdict], *, is_strict: bool = False) -> str:
    """The document. With ``is_strict`` a should-case that failed is a failure; else it is told as skipped."""
    root = ET.Element("testsuites", name="imc-conformance")
    suites = [_suite(run, is_strict) for run in runs]
    root.extend(suites)
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in suites)))
    root.set("time", _time(sum(run.seconds for run in runs)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(run: RunVerdict, is_strict: bool) -> ET.Element:
    suite = ET.Element("testsuite", name=visible(f"{run.target} {run.version}".strip()))
    properties = ET.SubElement(suite, "properties")
    facts = [("target", run.target), ("version", run.version), ("profile", run.profile), ("format", run.format)]
    for name, value in [*facts, *_remarks(run.cases)]:
        ET.SubElement(properties, "property", name=visible(name), value=visible(value))
    suite.extend(_testcase(run, case, is_strict) for case in run.cases)
    kinds = [_element(case, is_strict) for case in run.cases]
    counts = {"tests": len(kinds), "failures": kinds.count("failure"), "errors": kinds.count("error")}
    for key, number in {**counts, "skipped": kinds.count("skipped")}.items():
        suite.set(key, str(number))
    suite.set("time", _time(run.seconds))
    suite.set("timestamp", visible(run.began))
    suite.set("hostname", visible(run.host))
    return suite


def _remarks(cases: Iterable[CaseVerdict]) -> Iterable[tuple[str, str]]:
    """What a testcase's own elements do not tell: declared deviations, and should-cases that failed."""
    for case in cases:
        if case.outcome == "deviates":
            yield f"deviates:{case.id}", " ".join(filter(None, (case.why, case.link)))
        elif case.level == "should" and case.outcome in ("failed", "error"):
            yield f"should:{case.id}", headline(case)


def _testcase(run: RunVerdict, case: CaseVerdict, is_strict: bool) -> ET.Element:
    family = case.id.rpartition("/")[0] or "cases"
    # Jenkins takes what stands before the last full stop for a package.
    where = f"{run.target.replace('.', '_')}.{family.replace('.', '_')}"
    element = ET.Element("testcase", name=visible(case.id), classname=visible(where), time=_time(case.seconds))
    kind = _element(case, is_strict)
    if kind:
        message = headline(case) or case.outcome
        if kind == "skipped" and case.outcome != "skipped":
            message = f"should: {message}"
        result = ET.SubElement(element, kind, message=visible(f"{case.clause}: {message}"))
        if kind != "skipped":
            result.set("type", case.outcome)  # the older schema does not know it for skipped
        if case.outcome != "skipped":
            result.text = visible(_details(case), keep="\n")
    if case.outcome not in ("passed", "skipped"):
        ET.SubElement(element, "system-out").text = visible(case_text(case), keep="\n")
    return element


def _element(case: CaseVerdict, is_strict: bool) -> str | None:
    """The element that tells the outcome; None for what CI has to take as passed."""
    kind = _ELEMENTS.get(case.outcome)
    is_wish = case.level == "should" and case.outcome in ("failed", "error")
    return "skipped" if is_wish and not is_strict else kind


def _details(case: CaseVerdict) -> str:
    lines = [case.title, *remarks(case)]
    for step in case.steps:
        lines += [f"step {step.number}: {problem}" for problem in step.problems]
    return "\n".join(lines)


def _time(seconds: float) -> str:
    """The schema takes no sign, no exponent and no nan."""
    return f"{seconds:.3f}" if 0 <= seconds < 1e9 else "0.000"
