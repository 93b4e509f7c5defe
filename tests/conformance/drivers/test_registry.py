from __future__ import annotations

from pathlib import Path

import pytest

from conformance.drivers import NoDriver, driver, names


@pytest.mark.parametrize("name", [each for each in names() if each != "sip"])
def test_each_has_its_name_and_says_what_it_is(name: str) -> None:
    found = driver(name)
    assert found.name == name
    assert found.describe()


@pytest.mark.parametrize("uri", ["sip:192.0.2.1:5060", "sips:chat.example.com"])
def test_a_uri_is_an_external_server(uri: str) -> None:
    assert driver(uri).describe()


def test_no_such_driver() -> None:
    with pytest.raises(NoDriver, match=r"'asterisk'; there are core, imc, kamailio, opensips, sip:HOST:PORT, PATH\.py"):
        driver("asterisk")


_FILE = """
from conformance.drivers.external import ExternalDriver
from conformance.suite.conversation import Driver

class Ours(ExternalDriver):
    name = "ours"
"""


def test_a_driver_in_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "ours.py"
    path.write_text(_FILE)
    assert driver(str(path)).name == "ours"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("class", "SyntaxError"),
        ("from conformance.drivers.external import ExternalDriver", "it must define one Driver, and has 0"),
        (_FILE + "class Second(Ours): pass", "it must define one Driver, and has 2"),
    ],
)
def test_a_file_without_one(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "ours.py"
    path.write_text(text)
    with pytest.raises(NoDriver, match=problem):
        driver(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoDriver, match="no such file"):
        driver(str(tmp_path / "ours.py"))
