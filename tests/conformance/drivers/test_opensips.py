"""What can be told of the OpenSIPS driver without OpenSIPS: Debian has no package of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.drivers import opensips
from conformance.drivers.imc_module import Setup
from conformance.drivers.opensips import OpensipsDriver, OpensipsTarget
from conformance.suite.case import Case
from conformance.suite.conversation import CannotStart, Lacks, Options
from conformance.suite.profile import load_profile

_OPTIONS = Options(profile=load_profile("opensips-3"))
_TARGET = OpensipsTarget(name="opensips", options=_OPTIONS, domain="example.com")


def _case(**settings: object) -> Case:
    return Case.model_validate({
        "id": "test/settings", "clause": "R-LIST-1", "quotation": "-", "level": "must", "title": "-",
        "settings": settings, "step": [{"do": "settle"}],
    })  # fmt: skip


async def test_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opensips, "find_binary", lambda name: None)
    assert "not installed" in (OpensipsDriver().why_not() or "")
    with pytest.raises(CannotStart, match="not installed"):
        async with OpensipsDriver().open(_OPTIONS, []):
            pass


def test_nothing_is_left_to_fill_in_in_its_configuration() -> None:
    text = _TARGET.config(Setup((("START_CHAR", "!"),)), Path("/folder"), 5070)
    assert not re.search(r"@[A-Z_]+@", text)
    assert "socket=udp:127.0.0.1:5070\n" in text
    assert 'modparam("imc", "db_url", "sqlite:///folder/database.sqlite")' in text
    assert 'modparam("imc", "outbound_proxy", "sip:127.0.0.1:5070")' in text
    assert 'modparam("imc", "imc_cmd_start_char", "!")' in text
    assert 'if ($rU =~ "^(chat\\-|chat\\-manager$)")' in text


def test_only_documented_parameters_are_settings() -> None:
    assert _TARGET.defines(_case(imc_cmd_start_char="!", create_on_join=True)) == {"START_CHAR": "!"}
    with pytest.raises(Lacks, match="create_on_join"):
        _TARGET.defines(_case(create_on_join=False))
    documented = {"db_url", "rooms_table", "members_table", "hash_size", "imc_cmd_start_char", "outbound_proxy"}
    assert set(re.findall(r'modparam\("imc", "(\w+)"', opensips.CONFIG.read_text())) <= documented
