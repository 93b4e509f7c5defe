"""Byte-exact cases as data: what a file may hold, and what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.suite.case import BadCase
from conformance.suite.wire_case import WIRE_FOLDER, Expect, load_wire, schema

GOOD = """
[[case]]
id = "some/7-thing"
rfc = 3261
section = "7"
title = "t"
says = "s"
split = ["whole", "bytes"]
[[case.step]]
message = "OPTIONS"
expect = { status = 200 }
[[case.step]]
again = 1
expect = { status = [200, "silence"], tcp = "closed", same_as = 1 }
"""


def write(folder: Path, text: str, name: str = "some.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_case(tmp_path: Path) -> None:
    (case,) = load_wire([write(tmp_path, GOOD)])
    assert (case.family, case.clause, case.level) == ("some", "RFC 3261 §7", "must")
    assert case.variants == [("udp", "whole"), ("tcp", "whole"), ("tcp", "bytes")]
    assert not case.needs_mate
    assert case.step[0].expect.status == (200,)
    assert case.step[1].expect.allowed("udp") == (200, "silence")
    assert case.step[1].expect.allowed("tcp") == ("closed",)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("rfc = 3261", "rfc = 3261\nnew = 1", "new: Extra inputs"),
        ("again = 1", "again = 2", "step 2 names step 2"),
        ("same_as = 1", "same_as = 3", "step 2 names step 3"),
        ("again = 1", 'again = 1\nmessage = "x"', "one of message, base64, again"),
        ('message = "OPTIONS"\n', "", "one of message, base64, again"),
        ("status = 200", 'status = "sometimes"', "step 1: expect.status"),
        ("status = 200", "status = []", "step 1: expect.status"),
        ("status = 200", 'status = 200, headers = { To = "(" }', "missing \\)"),
        ("some/7-thing", "other/7-thing", "begins with some/"),
        ("some/7-thing", "no family", "id: String should match"),
        ("rfc = 3261", 'rfc = 3261\nrequires = ["luck"]', "requires.1: Input should be"),
        ("[[case]]", "[[case", "some.toml"),
    ],
)
def test_what_is_wrong(tmp_path: Path, old: str, new: str, why: str) -> None:
    with pytest.raises(BadCase, match=why):
        load_wire([write(tmp_path, GOOD.replace(old, new, 1))])


def test_two_of_one_id(tmp_path: Path) -> None:
    with pytest.raises(BadCase, match="another of this id"):
        load_wire([write(tmp_path, GOOD + GOOD)])


def test_the_schema_is_that_of_the_models() -> None:
    assert json.loads((WIRE_FOLDER / "schema.json").read_text()) == schema()


def test_one_status_stands_for_a_list() -> None:
    expect = Expect.model_validate({"status": "silence", "headers": {"To": "x", "Via": ["y", "z"]}})
    assert (expect.status, expect.headers) == (("silence",), {"To": ("x",), "Via": ("y", "z")})
