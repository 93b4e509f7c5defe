from __future__ import annotations

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
    with pytest.raises(NoDriver, match="no target 'asterisk'; there are core, imc, kamailio, opensips, sip:HOST:PORT"):
        driver("asterisk")
