"""`imc-conformance scale`: what it refuses, its exit statuses, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conformance.cli import app
from conformance.load import scale as measuring
from conformance.load.scale import Series
from conformance.load.servers import CannotStart
from tests.conformance.load.test_scale import found, growth


def scale(*args: str) -> Result:
    return CliRunner().invoke(app, ["scale", *args])


def test_axes_are_listed() -> None:
    listed = scale("--axes")
    assert listed.exit_code == 0
    assert "members   Members of one room: 10, 100, 1,000, 10,000, 100,000 members\n" in listed.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["dance"], "no axis dance; there are rooms, memory, members, users"),
        (["--target", "sip:127.0.0.1:5060"], "a server that runs already cannot be given its rooms"),
        (["--vs", "opensips"], "opensips: imc or kamailio"),
        (["--vs", "imc"], "another server"),
        (["--sizes", "10,x"], "whole numbers from 10 to 1000000"),
        (["--sizes", "1"], "whole numbers from 10 to 1000000"),
        (["--sizes", "2000000"], "whole numbers from 10 to 1000000"),
        (["--quick", "--sizes", "10"], "--quick has its own sizes"),
        (["--json", "/nowhere/scale.json"], "/nowhere/scale.json: No such file"),
        (["--plots", "/dev/null/plots"], "/dev/null"),
        (["--from", "/nowhere.json"], "/nowhere.json: No such file"),
        (["rooms", "--from", "/dev/null"], "--from measures nothing"),
        (["--from", "/dev/null"], "/dev/null: "),
    ],
)
def test_wrong_usage(args: list[str], said: str) -> None:
    refused = scale(*args)
    assert refused.exit_code == 2, refused.output
    assert said in refused.stderr


def test_a_run(tmp_path: Path) -> None:
    file, plots = tmp_path / "scale.json", tmp_path / "plots"
    done = scale("members", "--quick", "--sinks", "1", "--json", str(file), "--plots", str(plots))
    assert done.exit_code == 0, done.output
    assert "members 30: imc, 1 of 1" in done.stderr
    assert "Members of one room: CPU time of each request, µs" in done.stdout
    assert [point["size"] for point in json.loads(file.read_text())["points"]] == [10, 30]
    drawn = {"members-answer", "members-bytes", "members-cpu", "members-memory", "members-slow", "members-start"}
    assert {path.name for path in plots.iterdir()} == {"figures.md", *(f"{name}.svg" for name in drawn)}


def test_figures_of_several_runs_as_one_page(tmp_path: Path) -> None:
    for name, series in (
        ("a", Series("rooms", 10, 10, 50, 0, {"imc": [found()]})),
        ("b", Series("rooms", 20, 20, 100, 0)),
    ):
        (tmp_path / name).write_text(json.dumps(growth(series).to_json()))
    done = scale("--from", str(tmp_path / "a"), "--from", str(tmp_path / "b"), "--plots", str(tmp_path / "plots"))
    assert done.exit_code == 1  # the second has nothing
    assert "| 20 | – | – |" in (tmp_path / "plots" / "figures.md").read_text()
    assert scale("--from", str(tmp_path / "a")).exit_code == 0


def test_a_server_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_: object, **__: object) -> None:
        raise CannotStart("it is not there")

    monkeypatch.setattr(measuring, "grow", cannot)
    failed = scale("--quick")
    assert failed.exit_code == 3
    assert "it is not there" in failed.stderr
