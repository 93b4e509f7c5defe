"""The profiles that come with the suite, against the cases that there are."""

from __future__ import annotations

import pytest

from conformance.drivers import driver, names
from conformance.suite.profile import load_profile, profiles
from conformance.suite.selection import all_cases

IDS = [case.id for case in all_cases()]


@pytest.mark.parametrize("name", profiles())
def test_every_deviation_is_of_a_case(name: str) -> None:
    assert load_profile(name).unused(IDS) == []


@pytest.mark.parametrize("name", profiles())
def test_no_deviation_is_hidden_by_one_before_it(name: str) -> None:
    profile = load_profile(name)
    for deviation in profile.deviation:
        for glob in deviation.case:
            assert any(profile.deviation_of(case) is deviation for case in IDS if deviation.fits(case)), glob


@pytest.mark.parametrize("name", profiles())
def test_every_reason_is_a_sentence(name: str) -> None:
    profile = load_profile(name)
    reasons = [each.reason for each in profile.lacks] + [each.reason for each in profile.deviation]
    assert [each for each in reasons if not each.endswith(".")] == []


@pytest.mark.parametrize("name", [each for each in names() if each != "sip"])
def test_every_driver_of_ours_has_a_profile_of_its_name(name: str) -> None:
    found = driver(name).profile
    assert found is not None
    assert load_profile(found).target == name
