"""RUN.json: written, read, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.report.json import NotARun, read, write
from tests.conformance.report.samples import HOSTILE, case, every_outcome, hostile, run


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    write(every_outcome(), file)
    assert read(file) == every_outcome()


def test_octets_that_are_no_text_come_back(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    write(hostile(), file)
    assert [arrow.data for arrow in read(file).cases[0].ladder] == [arrow.data for arrow in hostile().cases[0].ladder]


def test_half_a_surrogate_pair_is_read_as_its_escape(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    write(run(case("a/b", "failed", why=HOSTILE)), file)
    assert read(file).cases[0].why == HOSTILE.replace("\ud800", "\\ud800")


def _written(**changes: Any) -> str:
    data = json.loads(run(case("a/b", "passed")).to_json())
    for key, value in changes.items():
        place, _, name = key.rpartition("__")
        (data["cases"][0] if place else data)[name] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[]", "no verdict of the format imc-conformance 1"),
        ('{"format": "imc-conformance 2"}', "no verdict of the format imc-conformance 1"),
        (_written(extra=1), "unexpected keyword argument 'extra'"),
        (_written(seconds="soon"), "seconds: Input should be a valid number"),
        (_written(case__id=7), "cases.0.id: Input should be a valid string"),
        (_written(case__outcome="fine"), "outcome 'fine'"),
        (_written(case__ladder=[{"at": 0, "source": "a", "target": "b", "summary": None, "data": None}]), "summary"),
        (_written(case__ladder=[{"at": 0, "source": "a", "target": "b", "summary": "", "data": {}}]), "base64"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_run(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(NotARun) as raised:
        read(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert why in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotARun, match="No such file"):
        read(tmp_path / "none.json")
    file = tmp_path / "latin.json"
    file.write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(NotARun, match="no UTF-8 at octet 7"):
        read(file)
