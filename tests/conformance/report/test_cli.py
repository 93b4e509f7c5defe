"""`imc-conformance report` and `diff`."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conformance.cli import app
from conformance.report.json import write
from conformance.suite.verdict import RunVerdict
from tests.conformance.report.samples import case, every_outcome, run

RUNNER = CliRunner()


def _file(folder: Path, name: str, verdict: RunVerdict) -> str:
    write(verdict, folder / name)
    return str(folder / name)


def test_text_is_printed_where_nothing_is_asked_for(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["report", _file(tmp_path, "a.json", every_outcome())])
    assert result.exit_code == 0
    assert result.stdout.startswith("imc 0.1.0, profile imc,")
    assert "invite/fails  failed" in result.stdout


def test_files_are_written_and_text_only_if_asked_for(tmp_path: Path) -> None:
    files = [_file(tmp_path, "a.json", every_outcome()), _file(tmp_path, "b.json", run(target="kamailio"))]
    page, junit = tmp_path / "a.html", tmp_path / "a.xml"
    args = ["report", *files, "--html", str(page), "--junit", str(junit)]
    result = RUNNER.invoke(app, args)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "<title>Conformance: imc 0.1.0, kamailio 0.1.0</title>" in page.read_text(encoding="utf-8")
    assert ET.parse(junit).getroot().get("failures") == "2"
    assert RUNNER.invoke(app, [*args, "--text", "--strict"]).stdout.startswith("imc 0.1.0")
    assert ET.parse(junit).getroot().get("failures") == "3"


@pytest.mark.parametrize("args", [["report", "none.json"], ["diff", "none.json", "none.json"]])
def test_a_file_that_cannot_be_read(args: list[str]) -> None:
    result = RUNNER.invoke(app, args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "imc-conformance: none.json: No such file or directory\n"


@pytest.mark.parametrize("option", ["--html", "--junit"])
def test_a_file_that_cannot_be_written(tmp_path: Path, option: str) -> None:
    file = _file(tmp_path, "a.json", run())
    result = RUNNER.invoke(app, ["report", file, option, str(tmp_path / "none" / "x")])
    assert result.exit_code == 2
    assert result.stderr == f"imc-conformance: {tmp_path}/none/x: No such file or directory\n"


def test_without_jinja2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "conformance.report.html", raising=False)
    monkeypatch.delattr("conformance.report.html", raising=False)
    file = _file(tmp_path, "a.json", run())
    result = RUNNER.invoke(app, ["report", file, "--html", str(tmp_path / "a.html")])
    assert result.exit_code == 2
    assert "pip install 'imc[conformance]'" in result.stderr
    assert RUNNER.invoke(app, ["report", file]).exit_code == 0


def test_diff_says_1_where_something_is_worse(tmp_path: Path) -> None:
    good = _file(tmp_path, "a.json", run(case("a/b", "passed")))
    bad = _file(tmp_path, "b.json", run(case("a/b", "failed")))
    worse, better, same = (RUNNER.invoke(app, ["diff", *pair]) for pair in ((good, bad), (bad, good), (bad, bad)))
    assert [each.exit_code for each in (worse, better, same)] == [1, 0, 0]
    assert worse.stdout.endswith("1 worse, 0 better, 0 otherwise, 0 as before.\n")
    assert same.stdout.endswith("0 worse, 0 better, 0 otherwise, 1 as before.\n")


def test_a_terminal_that_has_few_characters(tmp_path: Path) -> None:
    file = _file(tmp_path, "a.json", run(case("a/b", "failed", why="Zoë")))
    result = CliRunner(charset="ascii").invoke(app, ["report", file])
    assert result.exit_code == 0
    assert "Zo\\xeb" in result.stdout
