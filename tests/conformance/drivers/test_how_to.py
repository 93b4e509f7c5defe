"""docs/how-to/test-your-own-server.md, done as it says: its driver, with imc in the part of yourserver; its files."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conformance.cli import app
from conformance.drivers import imc
from conformance.suite.case import Case
from conformance.suite.profile import load_profile
from conformance.suite.selection import all_cases
from conformance.suite.users import load_users

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "test-your-own-server.md"
# Takes the arguments that the page gives yourserver, and is imc.
_YOURSERVER = """#!{python}
import json, os, sys
from conformance.drivers.imc import _Kind, config
port = int(sys.argv[2].rpartition(":")[2])
with open("imc.toml", "w") as file:
    file.write(config(_Kind(json.dumps(json.loads(sys.argv[4])), False, False), port))
os.execv(sys.executable, [sys.executable, "-m", "imc", "serve", "-c", "imc.toml"])
"""


def _blocks(language: str) -> list[str]:
    """The blocks of the page in that language, of lists too."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a new user sits, with a program ``yourserver`` on the path."""
    program = tmp_path / "bin" / "yourserver"
    program.parent.mkdir()
    program.write_text(_YOURSERVER.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_driver_of_the_page(folder: Path) -> None:
    (text,) = _blocks("python")
    (folder / "yourserver.py").write_text(text)
    (folder / "yourserver.toml").write_text('target = "yourserver"\n')
    cases = ["source/create-private", "join/create-on-join-off", "create/rooms-in-all", "durable/private-flag-killed"]
    done = CliRunner().invoke(app, ["run", "--target", "./yourserver.py", "--json", "run.json", *cases])
    assert done.exit_code == 0, done.output
    found = {case["id"]: case["outcome"] for case in json.loads((folder / "run.json").read_text())["cases"]}
    assert found == {**dict.fromkeys(cases, "passed"), "create/rooms-in-all": "skipped"}


def test_the_files_of_the_page(folder: Path) -> None:
    users, events, lacks, deviation = _blocks("toml")
    (folder / "users.toml").write_text(users)
    assert set(load_users(folder / "users.toml")) == {"alice", "adam", "mary", "ivan", "rita", "olga", "x1", "sentinel"}
    head, _, rest = events.partition("[events]")
    (folder / "yourserver.toml").write_text(f"{head}{lacks}[events]{rest}{deviation}")
    profile = load_profile("yourserver.toml")
    assert (len(profile.lacks), len(profile.events), len(profile.deviation)) == (1, 3, 1)
    assert tomllib.loads(users)["alice"]["address"] == "alice@example.com"


def test_the_commands_of_the_page_have_only_options_that_there_are() -> None:
    known = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    used = set(re.findall(r"(--[a-z-]+)", "\n".join(_blocks("sh"))))
    assert used
    assert {option for option in used if option not in known} == set()


def test_what_the_accounts_of_the_page_are_enough_for() -> None:
    cases = [each for each in all_cases() if isinstance(each, Case)]
    playable = [case for case in cases if set(case.people) <= set(tomllib.loads(_blocks("toml")[0]))]
    assert 0.9 < len(playable) / len(cases) < 1
    assert len([case for case in cases if case.users]) == 4


def test_what_it_counts_of_kamailio() -> None:
    profile = load_profile("kamailio-5.6")
    text = PAGE.read_text()
    assert len(profile.lacks) == 15
    assert "lacks fifteen features" in text
    assert f"words for {len(profile.events)} events" in text
    assert imc.DOMAIN in text
