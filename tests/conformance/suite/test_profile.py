from __future__ import annotations

from pathlib import Path

import pytest

from conformance.drivers import driver, names
from conformance.suite.profile import BadProfile, load_profile, profiles
from conformance.suite.selection import all_cases

TEXT = """
target = "other"
lacks = [{ feature = "modify", reason = "none", link = "https://example.org/" }]
[events]
help = ['Commands.*']
[[deviation]]
case = "remove/admin-removes-admin"
reason = "an admin removes anyone"
seen = { step = 1, status = 200 }
[[deviation]]
case = "remove/*"
reason = "otherwise"
"""


def profile(folder: Path, text: str) -> str:
    path = folder / "other.toml"
    path.write_text(text)
    return str(path)


def test_a_profile(tmp_path: Path) -> None:
    one = load_profile(profile(tmp_path, TEXT))
    assert (one.name, one.target) == ("other", "other")
    lack = one.lack({"modify", "add"})
    assert lack is not None
    assert lack.reason == "none"
    assert one.lack({"add"}) is None
    first = one.deviation_of("remove/admin-removes-admin")
    assert first is not None
    assert first.seen is not None
    assert (first.seen.step, first.seen.status) == (1, 200)
    second = one.deviation_of("remove/member")
    assert second is not None
    assert second.reason == "otherwise"
    assert one.deviation_of("leave/member") is None
    assert one.unused(["remove/member"]) == ["remove/admin-removes-admin"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("target = ", "other.toml: Invalid value"),
        ("", "other.toml: target: Field required"),
        ('target = "x"\nlack = 1', "other.toml: lack: Extra inputs"),
        ('target = "x"\nlacks = [{ feature = "wings", reason = "r" }]', "other.toml: lacks.1.feature: Input should be"),
        ('target = "x"\nlacks = [{ feature = "add", reason = "" }]', "other.toml: lacks.1.reason: String should have"),
        ('target = "x"\n[events]\nhelp = ["("]', "other.toml: events: help: '('"),
        ('target = "x"\n[events]\nhelpp = ["x"]', "other.toml: events: 'helpp' is no event"),
        (
            'target = "x"\n[events]\nhelp = ["x"]\nlacks = [{ feature = "add", reason = "r" }]',
            "other.toml: events: lacks is no event; put its line before [events]",
        ),
        ('target = "x"\n[[deviation]]\ncase = "x"', "other.toml: deviation.1.reason: Field required"),
        (TEXT.replace("lacks = [", 'lacks = [{ feature = "modify", reason = "r" }, '), "lacks: modify twice"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadProfile) as caught:
        load_profile(profile(tmp_path, text))
    assert words in str(caught.value)


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(BadProfile, match=r"nobody: no such profile; there are .*imc"):
        load_profile("nobody")


@pytest.mark.parametrize("name", profiles())
def test_those_that_come_with_the_suite(name: str) -> None:
    """Their deviations are of cases that there are, and their drivers too."""
    one = load_profile(name)
    assert one.target in names()
    assert one.unused(case.id for case in all_cases()) == []


@pytest.mark.parametrize("name", ["imc", "core"])
def test_the_profile_of_a_driver(name: str) -> None:
    assert driver(name).profile == name


def test_imc_deviates_only_from_what_should_be() -> None:
    one = load_profile("imc")
    assert [case.id for case in all_cases() if case.level == "must" and one.deviation_of(case.id) is not None] == []
