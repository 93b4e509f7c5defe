"""`imc-conformance load`: what it refuses, its exit statuses, and what it writes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conformance.cli import app
from conformance.load import servers


def load(*args: str) -> Result:
    return CliRunner().invoke(app, ["load", *args])


def test_works_are_listed() -> None:
    found = load("--works")
    assert found.exit_code == 0
    assert "fan-out-1000    30 texts to a room of 1000\n" in found.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["dance"], "no work dance; there are fan-out-100"),
        (["fan-out-100", "--target", "opensips"], "imc, kamailio or sip:HOST:PORT"),
        (["--target", "sip:192.0.2.1:5060"], "--i-may-load-this-server"),
        (["--target", "imc", "--vs", "sip:192.0.2.1"], "--i-may-load-this-server"),
        (["--target", "sip:127.0.0.1:99999"], "127.0.0.1:99999"),
        (["--target", "imc", "--vs", "imc"], "another server"),
        (["--pid", "1"], "--pid is for a target that runs already"),
        (["--target", "sip:127.0.0.1:5060", "--pid", "4194305"], "no such process"),
        (["--target", "sip:127.0.0.1:5060", "--reach", "proxy"], "--sink-port"),
        (["--reach", "registrar", "--sink-port", "5070"], "--sink-port is for --reach proxy"),
        (["--target", "sip:127.0.0.1:5060", "fan-out-10000"], "to fill the rooms by joins"),
        (["fan-out-100", "--users", "100000", "--messages", "100000"], "is the most"),
        (["small-rooms", "--users", "2"], "needs 5 users"),
        (["commands", "--user-prefix", "a b"], "a prefix has letters"),
        (["--users", "1"], "Invalid value"),
        (["--password-file", "/dev/null"], "--password-file is for a server that runs already"),
        (["--target", "sip:127.0.0.1:5060", "--password-file", "/dev/null"], "the first line is empty"),
        (["--target", "sip:127.0.0.1:5060", "--password-file", "/nowhere"], "No such file"),
    ],
)
def test_wrong_usage(args: list[str], said: str) -> None:
    found = load(*args)
    assert found.exit_code == 2, found.output
    assert said in found.stderr


def test_a_target_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "ANSWERS_WITHIN", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        found = load("commands", "--target", f"sip:127.0.0.1:{deaf.getsockname()[1]}")
    assert found.exit_code == 3
    assert "does not answer OPTIONS" in found.stderr


def test_a_run(tmp_path: Path) -> None:
    file = tmp_path / "load.json"
    found = load("fan-out-100", "--users", "20", "--messages", "5", "--repeat", "2", "--json", str(file))
    assert found.exit_code == 0, found.output
    assert "fan-out-100: 5 texts to a room of 20" in found.stdout
    assert "fan-out-100: imc, 2 of 2" in found.stderr
    (work,) = json.loads(file.read_text())["works"]
    assert [run["deliveries"] for run in work["runs"]["imc"]] == [95, 95]


def test_json_on_stdout_is_nothing_but_json() -> None:
    found = load("commands", "--users", "5", "--messages", "5", "--repeat", "1", "--json", "-")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["works"][0]["name"] == "commands"


def test_a_file_that_cannot_be_written_is_told_beforehand(tmp_path: Path) -> None:
    found = load("commands", "--json", str(tmp_path))
    assert found.exit_code == 2
    assert "Is a directory" in found.stderr
    assert "1 of 2" not in found.stderr
