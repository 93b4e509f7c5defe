from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from conformance.suite.conversation import Arrow
from conformance.suite.verdict import OUTCOMES, BadVerdict, CaseVerdict, Outcome, RunVerdict, StepSeen


def case(outcome: Outcome = "failed", **more: Any) -> CaseVerdict:
    given: dict[str, Any] = {
        "id": "join/one", "clause": "R-JOIN-1", "level": "must", "title": "t", "tags": ["join"], "why": "so",
        "steps": [StepSeen(number=1, words="w", expected="200", seen="403", problems=["p"], status=403)],
        "ladder": [
            Arrow(at=0.5, source="alice", target="server", summary="s", data=b"MESSAGE \xc3\xa4"),
            Arrow(at=0.6, source="server", target="alice", summary="s", data=b"\xff\x00"),
            Arrow(at=0.7, source="server", target="server", summary="killed"),
        ],
    }  # fmt: skip
    return CaseVerdict(outcome=outcome, **{**given, **more})


def run(*cases: CaseVerdict) -> RunVerdict:
    return RunVerdict(
        target="imc",
        version="1",
        profile="imc",
        began="2026-11-23T07:00:00+00:00",
        seconds=1.5,
        host="h",
        cases=[*cases],
    )


def test_there_and_back() -> None:
    one = run(case(), case("passed", ladder=[], steps=[]))
    assert RunVerdict.from_json(one.to_json()) == one


def test_octets_that_are_no_text_are_told_as_base64() -> None:
    ladder = json.loads(run(case()).to_json())["cases"][0]["ladder"]
    assert [each["data"] for each in ladder] == ["MESSAGE ä", {"base64": "/wA="}, None]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "imc-conformance 2"}', '{"format": "imc-conformance 1"}', '"imc-conformance 1"'],
)
def test_what_is_no_run(text: str) -> None:
    with pytest.raises(BadVerdict):
        RunVerdict.from_json(text)


@pytest.mark.parametrize(("name", "value"), [("outcome", "fine"), ("steps", [{"n": 1}]), ("ladder", [{}]), ("x", 1)])
def test_a_case_that_is_otherwise(name: str, value: object) -> None:
    data = json.loads(run(case()).to_json())
    data["cases"][0][name] = value
    with pytest.raises(BadVerdict, match="not as the format imc-conformance 1 has it"):
        RunVerdict.from_json(json.dumps(data))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_makes_a_run_fail(outcome: Outcome) -> None:
    is_bad = outcome in ("failed", "error", "deviation-gone")
    must, should = case(outcome), case(outcome, level="should")
    assert must.is_bad is is_bad
    assert must.fails_run() is is_bad
    assert should.fails_run() is (outcome == "deviation-gone")
    assert should.fails_run(is_strict=True) is is_bad
    assert run(must, should).failing() == [each for each in (must, should) if each.fails_run()]
    assert run(must, replace(must)).counts() == {outcome: 2}
