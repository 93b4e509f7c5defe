"""What came of a run: all that reports read, as JSON and back.

``format`` names the shape; a change that old readers cannot take raises its number.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from conformance.suite.conversation import Arrow

FORMAT = "imc-conformance 1"

Outcome = Literal["passed", "failed", "skipped", "deviates", "deviation-gone", "error"]
OUTCOMES: dict[Outcome, str] = {
    "passed": "all is as the clause says",
    "failed": "something is not as the clause says",
    "skipped": "the server lacks what the case requires",
    "deviates": "it failed, as the profile declares",
    "deviation-gone": "it passed, or failed in another way, though the profile declares a failure",
    "error": "the case could not be played to its end",
}


class BadVerdict(ValueError):
    """A text that is no run's verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSeen:
    """A step as it went. ``problems`` are empty where it went as expected. ``status`` is that of its final response."""

    number: int
    words: str
    expected: str
    seen: str
    problems: list[str] = field(default_factory=list)
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseVerdict:
    """``why``: what is wrong, in words; where it is declared or skipped, the profile's reason, with its ``link``."""

    id: str
    clause: str
    level: Literal["must", "should"]
    title: str
    tags: list[str]
    outcome: Outcome
    why: str = ""
    link: str = ""
    steps: list[StepSeen] = field(default_factory=list)
    ladder: list[Arrow] = field(default_factory=list)
    seconds: float = 0.0
    quotation: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether it makes a run fail, where its level is a must."""
        return self.outcome in ("failed", "deviation-gone", "error")

    def fails_run(self, *, is_strict: bool = False) -> bool:
        """Whether a run fails for it: a must-case that is bad, a deviation that went away; if strict a should-case."""
        return self.is_bad and (is_strict or self.level == "must" or self.outcome == "deviation-gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunVerdict:
    """``began`` in ISO 8601, ``host`` the machine that it ran on."""

    target: str
    version: str
    profile: str
    began: str
    seconds: float
    host: str
    cases: list[CaseVerdict]
    format: str = FORMAT

    def counts(self) -> Counter[Outcome]:
        return Counter(case.outcome for case in self.cases)

    def failing(self, *, is_strict: bool = False) -> list[CaseVerdict]:
        """What makes the run fail, see `CaseVerdict.fails_run`."""
        return [case for case in self.cases if case.fails_run(is_strict=is_strict)]

    def to_json(self) -> str:
        data = asdict(self)
        for case in data["cases"]:
            for arrow in case["ladder"]:
                arrow["data"] = _plain(arrow["data"])
        return json.dumps(data, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RunVerdict:
        """BadVerdict."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise BadVerdict(f"no JSON: {error}") from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise BadVerdict(f"no verdict of the format {FORMAT}")
        try:
            return cls(**{**data, "cases": [_case(each) for each in data["cases"]]})
        except (TypeError, KeyError, ValueError) as error:
            raise BadVerdict(f"not as the format {FORMAT} has it: {error}") from None


def _case(data: dict[str, Any]) -> CaseVerdict:
    if data["outcome"] not in OUTCOMES:
        raise ValueError(f"outcome {data['outcome']!r}")
    steps = [StepSeen(**each) for each in data["steps"]]
    return CaseVerdict(**{**data, "steps": steps, "ladder": [_arrow(each) for each in data["ladder"]]})


def _arrow(data: dict[str, Any]) -> Arrow:
    return Arrow(**{**data, "data": _bytes(data["data"])})


def _plain(data: bytes | None) -> str | dict[str, str] | None:
    """Text where it is UTF-8, else base64 in an object."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _bytes(data: str | dict[str, str] | None) -> bytes | None:
    if isinstance(data, dict):
        return base64.b64decode(data["base64"], validate=True)
    return None if data is None else data.encode()
