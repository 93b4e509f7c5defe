from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from conformance import drivers
from conformance.cli import app
from conformance.drivers.core import CoreDriver
from conformance.suite.case import Case
from conformance.suite.conversation import CannotStart, Options, Target
from conformance.suite.verdict import RunVerdict


def imc_conformance(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def core(*arguments: str | Path) -> Result:
    return imc_conformance("run", "--target", "core", *arguments)


def profile(folder: Path, text: str = "") -> Path:
    path = folder / "mine.toml"
    path.write_text(f'target = "core"\n{text}')
    return path


# --- list -------------------------------------------------------------------------------------------------------------


def test_a_list_of_cases() -> None:
    listed = imc_conformance("list", "R-JOIN-5")
    assert listed.exit_code == 0
    lines = listed.output.splitlines()
    assert lines
    assert all("  R-JOIN-5  must  " in line for line in lines)
    assert len(imc_conformance("list").output.splitlines()) > 400


def test_a_list_without_some() -> None:
    slow = imc_conformance("list", "slow").output.splitlines()
    chosen = imc_conformance("list", "invite", "--not", "slow", "--not", "R-INVITE-1").output.splitlines()
    assert slow
    assert chosen
    assert not set(slow) & set(chosen)
    assert not any("R-INVITE-1 " in line for line in chosen)
    assert imc_conformance("list", "slow", "--not", "slow").exit_code == 2


def test_a_list_for_programs() -> None:
    rows = json.loads(imc_conformance("list", "join/*", "--json").output)
    assert {tuple(row) for row in rows} == {("id", "clause", "level", "title", "tags", "requires")}
    assert all(row["id"].startswith("join/") for row in rows)


# --- run --------------------------------------------------------------------------------------------------------------


def test_a_run_with_all_its_files(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("run.json", "run.xml", "run.html")]
    done = core("R-JOIN-1", "--json", paths[0], "--junit", paths[1], "--html", paths[2])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].endswith("as declared")
    run = RunVerdict.from_json(paths[0].read_text())
    assert (run.target, run.profile) == ("core", "core")
    assert {each.clause for each in run.cases} == {"R-JOIN-1"}
    assert ET.parse(paths[1]).getroot().tag == "testsuites"
    assert "R-JOIN-1" in paths[2].read_text()


DEVIATION = '[[deviation]]\ncase = "join/*"\nreason = "r"\n'


def test_a_deviation_that_is_gone(tmp_path: Path) -> None:
    done = core("join", "--profile", profile(tmp_path, DEVIATION))
    assert done.exit_code == 1
    assert "deviation-gone" in done.output


def test_only_the_first_that_fails(tmp_path: Path) -> None:
    done = core("join", "--profile", profile(tmp_path, DEVIATION), "--fail-fast")
    assert done.exit_code == 1
    last = done.output.splitlines()[-1]
    assert re.fullmatch(r"\d+ cases: (.*, )?1 deviation-gone, [1-9]\d* not played: 1 not as declared", last), last
    assert last.startswith(f"{len(imc_conformance('list', 'join').output.splitlines())} cases")


def test_a_deviation_of_no_case_is_told(tmp_path: Path) -> None:
    done = core("R-JOIN-5", "--profile", profile(tmp_path, DEVIATION.replace("join", "jion")))
    assert done.exit_code == 0
    assert "imc-conformance: mine: deviation: jion/* is no case" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "'nothing' is no case, glob, family, tag, nor clause of one"),
        (["--target", "asterisk"], "no target 'asterisk'"),
        (["--profile", "nobody"], "nobody: no such profile"),
        (["--target", "sip:127.0.0.1", "--users", "nowhere.toml"], "nowhere.toml: No such file"),
        (["--target", "sips:127.0.0.1"], "only sip: URIs"),
        (["--users", "u.toml"], "--users is for --target sip:HOST:PORT"),
        (["--domain", "example.com"], "--domain is for --target sip:HOST:PORT"),
        (["--target", "imc", "--manager", "m@example.com"], "--manager is for --target sip:HOST:PORT"),
        (["--target", "kamailio", "--as-outbound-proxy", "127.0.0.1:9"], "--as-outbound-proxy is for --target sip:"),
        (["--target", "opensips", "--room-prefix", "r-"], "--room-prefix is for --target sip:HOST:PORT"),
        (["--transport", "sctp"], "sctp"),
        (["--jobs", "0"], "greater than or equal to 1"),
        (["R-JOIN-5", "--json", "/nowhere/run.json"], "/nowhere/run.json: there is no such folder"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    done = core(*arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_a_profile_of_another_target_is_told(tmp_path: Path) -> None:
    path = profile(tmp_path)
    assert "this profile is of" not in core("R-JOIN-5", "--profile", path).output
    path.write_text('target = "kamailio"\n')
    assert (
        "imc-conformance: mine: this profile is of the target kamailio, not core"
        in core("R-JOIN-5", "--profile", path).output
    )


@pytest.mark.parametrize(
    ("declared", "is_told"),
    [("kamailio", False), ("sip:127.0.0.1:1", False), ("sip:127.0.0.1:2", True)],
)
def test_a_profile_of_another_address_is_told(tmp_path: Path, declared: str, is_told: bool) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'target = "{declared}"\n')
    done = core("--target", "sip:127.0.0.1:1;transport=tcp", "R-JOIN-5", "--profile", path)
    assert done.exit_code == 3
    assert ("this profile is of the target" in done.output) is is_told


class Absent(CoreDriver):
    def why_not(self) -> str | None:
        return "it is not installed"


class Broken(CoreDriver):
    @asynccontextmanager
    async def open(self, options: Options, cases: Sequence[Case]) -> AsyncIterator[Target]:
        raise CannotStart("it ended with 1")
        yield


@pytest.mark.parametrize(("name", "words"), [("Absent", "it is not installed"), ("Broken", "it ended with 1")])
def test_a_server_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    monkeypatch.setitem(drivers._DRIVERS, "core", f"{__name__}:{name}")
    done = core("R-JOIN-5")
    assert done.exit_code == 3
    assert words in done.output
