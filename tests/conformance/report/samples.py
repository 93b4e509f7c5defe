"""Runs to report on."""

from __future__ import annotations

from typing import Any

from conformance.suite.conversation import Arrow
from conformance.suite.verdict import CaseVerdict, Outcome, RunVerdict, StepSeen

HOSTILE = "<script>alert(1)</script>]]>&amp;\"'{{ 7 * 7 }}\x00\x1b[2J\ud800\u202e\uffff</pre></title>--><!--"
HOSTILE_SHOWN = "<script>alert(1)</script>]]>&amp;\"'{{ 7 * 7 }}\\x00\\x1b[2J\\ud800\\u202e\\uffff</pre></title>--><!--"
HOSTILE_LINK = "https://example.org/\"><script>'"

LADDER = [
    Arrow(at=7.0, source="alice", target="server", summary="MESSAGE #invite rita", data=b"MESSAGE x\r\n\r\n#invite"),
    Arrow(at=7.01, source="server", target="server", summary="killed"),
    Arrow(at=7.02, source="server", target="alice", summary="403 Forbidden", data=b"SIP/2.0 403 Forbidden\r\n\r\n"),
]


def case(name: str, outcome: Outcome, **more: Any) -> CaseVerdict:
    """A case with a step and a ladder; ``problems`` and ``status`` are those of the step."""
    problems = more.pop("problems", ["status 403, not 200"] if outcome in ("failed", "deviates", "error") else [])
    step = StepSeen(
        number=1,
        words="alice → room: #invite rita",
        expected="200",
        seen="403",
        problems=problems,
        status=more.pop("status", 403),
    )
    defaults: dict[str, Any] = {
        "clause": "R-INVITE-1",
        "level": "must",
        "title": f"Title of {name}",
        "tags": ["invite"],
        "steps": [step],
        "ladder": LADDER,
        "seconds": 0.25,
        "quotation": "An owner invites.",
    }
    return CaseVerdict(id=name, outcome=outcome, **{**defaults, **more})


def run(*cases: CaseVerdict, **more: Any) -> RunVerdict:
    defaults: dict[str, Any] = {
        "target": "imc",
        "version": "0.1.0",
        "profile": "imc",
        "began": "2026-11-23T07:20:00+00:00",
        "seconds": 12.3456,
        "host": "build-7",
    }
    return RunVerdict(cases=list(cases), **{**defaults, **more})


def every_outcome() -> RunVerdict:
    return run(
        case("invite/passes", "passed"),
        case("invite/fails", "failed", why="status 403, not 200"),
        case("invite/wish", "failed", level="should", why="status 403, not 200"),
        case("join/declared", "deviates", clause="R-MSG-2", why="It knows no ranks.", link="https://example.org/a#b"),
        case("join/gone", "deviation-gone", clause="R-MSG-10", why="It passed, though declared."),
        case("join/broken", "error", clause="R-MSG-10", why="The server ended."),
        case("join/lacks", "skipped", clause="R-MSG-10", why="It has no #modify.", steps=[], ladder=[]),
    )


def hostile() -> RunVerdict:
    """Everything that can be a text is hostile, for each outcome."""
    arrows = [
        Arrow(at=1.0, source=HOSTILE, target="server", summary=HOSTILE, data=HOSTILE.encode("utf-8", "surrogatepass")),
        Arrow(at=2.0, source="server", target=HOSTILE * 20, summary=HOSTILE * 20, data=b"\xff\x00\r<b>\r\n" * 4000),
        Arrow(at=3.0, source=HOSTILE, target=HOSTILE, summary="", data=b""),
    ]
    step = StepSeen(number=1, words=HOSTILE, expected=HOSTILE, seen=HOSTILE, problems=[HOSTILE], status=None)
    outcomes: tuple[Outcome, ...] = ("passed", "failed", "skipped", "deviates", "deviation-gone", "error")
    links = ("javascript:alert(1)", f"https://example.org/{HOSTILE}", HOSTILE_LINK)
    cases = [
        CaseVerdict(
            id=f"{HOSTILE}/{outcome}/{number}",
            clause=f"{HOSTILE}-1",
            level="must",
            title=HOSTILE,
            tags=[HOSTILE],
            outcome=outcome,
            why=HOSTILE,
            link=link,
            steps=[step],
            ladder=arrows,
            quotation=HOSTILE,
        )
        for outcome in outcomes
        for number, link in enumerate(links)
    ]
    return run(*cases, target=HOSTILE, version=HOSTILE, profile=HOSTILE, began=HOSTILE, host=HOSTILE)
