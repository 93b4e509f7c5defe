"""JUnit XML: its schema, what each outcome becomes, and what is hostile."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from conformance.report.junit import render
from conformance.suite.verdict import RunVerdict
from tests.conformance.report.samples import HOSTILE_SHOWN, case, every_outcome, hostile, run

# element: attributes that must be, that may be; children in their order, how many of each ("?", "*")
SCHEMA: dict[str, tuple[set[str], set[str], str]] = {
    "testsuites": (set(), {"name", "tests", "failures", "errors", "time"}, "(testsuite )*"),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"skipped", "time", "timestamp", "hostname"},
        "(properties )?(testcase )*",
    ),
    "properties": (set(), set(), "(property )+"),
    "property": ({"name", "value"}, set(), ""),
    "testcase": ({"name"}, {"classname", "time"}, "(skipped )?(error )*(failure )*(system-out )*"),
    "skipped": (set(), {"message"}, ""),
    "error": (set(), {"message", "type"}, ""),
    "failure": (set(), {"message", "type"}, ""),
    "system-out": (set(), set(), ""),
}
"""What the two schemas in use (of Jenkins' xUnit plugin, and the older one) both allow of what is written."""


def _hold_against_schema(element: ET.Element) -> None:
    must, may, children = SCHEMA[element.tag]
    assert must <= set(element.keys()) <= must | may
    assert re.fullmatch(children, "".join(f"{child.tag} " for child in element))
    if element.get("time") is not None:
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", element.get("time", ""))
    for child in element:
        _hold_against_schema(child)


def _outcomes(written: str) -> dict[str, list[str]]:
    return {each.get("name", ""): [child.tag for child in each] for each in ET.fromstring(written).iter("testcase")}


@pytest.mark.parametrize("runs", [[every_outcome()], [hostile(), every_outcome()], [run()], []])
@pytest.mark.parametrize("is_strict", [False, True])
def test_it_is_as_the_schemas_say(runs: list[RunVerdict], is_strict: bool) -> None:
    _hold_against_schema(ET.fromstring(render(runs, is_strict=is_strict)))


def test_what_each_outcome_becomes() -> None:
    assert _outcomes(render([every_outcome()])) == {
        "invite/passes": [],
        "invite/fails": ["failure", "system-out"],
        "invite/wish": ["skipped", "system-out"],
        "join/declared": ["system-out"],
        "join/gone": ["failure", "system-out"],
        "join/broken": ["error", "system-out"],
        "join/lacks": ["skipped"],
    }


def test_strict_makes_a_should_case_a_failure() -> None:
    assert _outcomes(render([every_outcome()], is_strict=True))["invite/wish"] == ["failure", "system-out"]


def test_counts_of_a_suite_and_of_all() -> None:
    root = ET.fromstring(
        render([every_outcome(), run(case("a/b", "error"), target="sip:chat.example.com", version="")])
    )
    first, second = root
    assert first.attrib == {
        "name": "imc 0.1.0",
        "tests": "7",
        "failures": "2",
        "errors": "1",
        "skipped": "2",
        "time": "12.346",
        "timestamp": "2026-11-23T07:20:00+00:00",
        "hostname": "build-7",
    }
    assert second.get("name") == "sip:chat.example.com"
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "time")} == {
        "tests": "8",
        "failures": "2",
        "errors": "2",
        "time": "24.691",
    }


def test_what_a_failure_tells() -> None:
    root = ET.fromstring(render([every_outcome()]))
    found = {each.get("name"): each for each in root.iter("testcase")}
    failed = found["invite/fails"]
    assert failed.get("classname") == "imc.invite"
    failure = failed.find("failure")
    assert failure is not None
    assert failure.attrib == {"message": "R-INVITE-1: status 403, not 200", "type": "failed"}
    assert failure.text == "Title of invite/fails\nstep 1: status 403, not 200"
    assert "    0.000     |------>|    MESSAGE #invite rita\n" in failed.findtext("system-out", "")
    wish = found["invite/wish"].find("skipped")
    assert wish is not None
    assert wish.get("message") == "R-INVITE-1: should: status 403, not 200"
    lacks = found["join/lacks"].find("skipped")
    assert lacks is not None
    assert (lacks.get("message"), lacks.text) == ("R-MSG-10: It has no #modify.", None)


def test_a_reason_of_several_lines() -> None:
    told = case("a/b", "failed", why="status 403, not 200\nrita got nothing\nthe server ended")
    (failure,) = ET.fromstring(render([run(told)])).iter("failure")
    assert failure.get("message") == "R-INVITE-1: status 403, not 200"
    assert failure.text == "Title of a/b\nrita got nothing\nthe server ended\nstep 1: status 403, not 200"


def test_properties_tell_deviations_and_should_cases() -> None:
    root = ET.fromstring(render([every_outcome()]))
    assert {each.get("name"): each.get("value") for each in root.iter("property")} == {
        "target": "imc",
        "version": "0.1.0",
        "profile": "imc",
        "format": "imc-conformance 1",
        "should:invite/wish": "status 403, not 200",
        "deviates:join/declared": "It knows no ranks. https://example.org/a#b",
    }


def test_full_stops_make_no_packages() -> None:
    root = ET.fromstring(render([run(case("rfc4475/3.1.1.1-wsinv", "passed"), target="sip:chat.example.com")]))
    assert [each.get("classname") for each in root.iter("testcase")] == ["sip:chat_example_com.rfc4475"]
    root = ET.fromstring(render([run(case("alone", "passed"))]))
    assert [each.get("classname") for each in root.iter("testcase")] == ["imc.cases"]


def test_what_is_hostile_is_text() -> None:
    written = render([hostile()])
    written.encode()
    assert "]]>" not in written
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]", written) is None
    root = ET.fromstring(written)
    assert {each.get("message") for each in root.iter("failure")} == {f"{HOSTILE_SHOWN}-1: {HOSTILE_SHOWN}"}
    assert all(HOSTILE_SHOWN in (each.text or "") for each in root.iter("failure"))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e300])
def test_times_that_the_schema_would_refuse(seconds: float) -> None:
    root = ET.fromstring(render([run(case("a/b", "passed", seconds=seconds), seconds=seconds)]))
    assert [each.get("time") for each in root.iter() if each.get("time")] == ["0.000"] * 3
