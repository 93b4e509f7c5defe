"""What is shown can be read again; the reference in docs/ is that of the code."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from imc.config import Loader, Settings
from imc.config.render import reference, show, toml_value

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_the_reference_in_the_documentation_is_not_stale() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "run: make reference"


def test_every_setting_is_described() -> None:
    for name, section in Settings.model_fields.items():
        assert section.annotation is not None
        for key, field in section.annotation.model_fields.items():
            assert (field.description or "").endswith("."), f"{name}.{key}"


def test_what_is_shown_is_what_holds(tmp_path: Path) -> None:
    first = tmp_path / "first.toml"
    first.write_text(
        "[imc]\ndb_url = 'mysql://u:p@h/d'\nextra_hdrs = \"X: é\\r\\n\"\noutbound_proxy = 'sip:a'\n"
        "[manage]\ntoken = 'x'\n[sip]\nmessage_deadline = 7.5"
    )
    loader = Loader(first)
    settings = loader.load()
    second = tmp_path / "second.toml"
    second.write_text(show(settings, loader, with_secrets=True))
    assert Loader(second).load() == settings


def test_secrets_are_masked(tmp_path: Path) -> None:
    file = tmp_path / "imc.toml"
    file.write_text("[imc]\ndb_url = 'mysql://u:geheim@h/d'\n[manage]\ntoken = 'geheim'\n")
    loader = Loader(file)
    text = show(loader.load(), loader)
    assert "geheim" not in text
    assert f'db_url = "mysql://u:***@h/d"  # {file}:2' in text
    assert f'token = "***"  # {file}:4' in text
    assert "# socket is not set  # default" in text


SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(), st.floats(allow_nan=False, allow_infinity=False)
)


@given(st.one_of(SCALARS, st.lists(SCALARS)))
def test_toml_values(value: Any) -> None:
    assert tomllib.loads(f"a = {toml_value(value)}") == {"a": value}
