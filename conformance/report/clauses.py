"""An index of the clauses of a specification: what each says, which cases and tests hold it, and which code keeps it.

It is read from a source tree: ``spec/room.md`` and ``spec/sip.md``, and the ids that ``imc/`` and ``tests/`` name; and
from the suite's own cases. `page` is docs/reference/clauses.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from conformance.suite.selection import all_cases

PAGES = ("room", "sip")
CODE, TESTS = "imc", "tests"
_FEW = 6  # cases of a family that are named one by one
_CLAUSE = re.compile(
    r"^\*\*(?P<id>[RS]-[A-Z]+-\d+)\*\* (?:(?P<level>MUST|SHOULD), )?(?P<keeper>[a-z]+)\. (?P<text>.*)$", re.DOTALL
)
_ID = re.compile(r"\b[RS]-[A-Z]+-\d+\b")
_END = re.compile(r"(?<=[.:])\s+(?=[\"*`A-Z]|$)")
_ABOUT = re.compile(r"\s(?:\*Source\*|K|Reason):")
_HEAD = """\
# Clauses

This page is made from the specification and the code by `imc-conformance clauses .`; a test fails where it is stale.

Each clause with its first sentence, the cases of `imc-conformance run` that hold a server to it, the tests that name
it, and the modules that say that they keep it. `imc-conformance run R-INVITE-3` plays the cases of one clause.
"""


class NoSource(Exception):
    """The folder has no specification in it."""


@dataclass(frozen=True, slots=True)
class Clause:
    """``keeper`` is the part that keeps it; ``text`` its first sentence; ``section`` the heading over it."""

    id: str
    page: str
    section: str
    level: str
    keeper: str
    text: str


def read(root: Path) -> list[Clause]:
    """Those of a source tree, in their order. NoSource."""
    found: list[Clause] = []
    for page in PAGES:
        path = root / "spec" / f"{page}.md"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise NoSource(f"{path}: {error.strerror}") from None
        section = ""
        for paragraph in re.split(r"\n{2,}|\n(?=\*\*[RS]-)", text):
            if paragraph.startswith("## "):
                section = paragraph.removeprefix("## ").partition("\n")[0]
            elif match := _CLAUSE.match(paragraph):
                told = _first_sentence(match["text"])
                found.append(Clause(match["id"], page, section, match["level"] or "", match["keeper"], told))
    return found


def _first_sentence(text: str) -> str:
    """Without source, reason, and what others do."""
    plain = _ABOUT.split(" ".join(text.split()))[0]
    return _END.split(plain)[0].strip()


def cited(root: Path, folder: str) -> dict[str, list[str]]:
    """The files of a folder that name each clause."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / folder).rglob("*.py")):
        for one in sorted(set(_ID.findall(path.read_text(encoding="utf-8")))):
            found.setdefault(one, []).append(path.relative_to(root).as_posix())
    return found


def page(root: Path) -> str:
    """The whole page. NoSource; BadCase of the suite."""
    clauses = read(root)
    code, tests = cited(root, CODE), cited(root, TESTS)
    cases: dict[str, list[str]] = {}
    for case in all_cases():
        cases.setdefault(case.clause, []).append(case.id)
    parts = [_HEAD]
    place = ("", "")
    for clause in clauses:
        if place != (clause.page, clause.section):
            place = (clause.page, clause.section)
            parts.append(f"\n## {'Rooms' if clause.page == 'room' else 'SIP'}: {clause.section}\n")
        parts.append(_entry(clause, cases.get(clause.id, ()), tests.get(clause.id, ()), code.get(clause.id, ())))
    return "".join(parts)


def _entry(clause: Clause, cases: Iterable[str], tests: Iterable[str], code: Iterable[str]) -> str:
    level = f"{clause.level}, {clause.keeper}" if clause.level else clause.keeper
    lines = [f"\n[{clause.id}](../../spec/{clause.page}.md#{clause.id.lower()}) {level}. {clause.text}\n"]
    for title, names in (("Cases", _cases(cases)), ("Tests", list(tests)), ("Code", list(code))):
        if names:
            lines.append(f"- {title}: {', '.join(f'`{name}`' if ' ' not in name else name for name in names)}\n")
    lines.insert(1, "\n")
    return "".join(lines)


def _cases(ids: Iterable[str]) -> list[str]:
    """Their ids; of a family with many only how many."""
    ids = list(ids)
    counts = Counter(one.partition("/")[0] for one in ids)
    few = [one for one in ids if counts[one.partition("/")[0]] <= _FEW]
    return [*few, *(f"{count} of `{family}/`" for family, count in counts.items() if count > _FEW)]
