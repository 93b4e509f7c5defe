from __future__ import annotations

from pathlib import Path

import pytest

from conformance.suite.conversation import User
from conformance.suite.users import BadUsers, load_users

TEXT = """
alice = "sip:alice@EXAMPLE.com"
sentinel = { address = "s@example.com", password = "secret" }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "users.toml"
    path.write_text(text)
    return path


def test_a_file_of_users(tmp_path: Path) -> None:
    assert load_users(written(tmp_path, TEXT)) == {
        "alice": User(address="alice@example.com"),
        "sentinel": User(address="s@example.com", password="secret"),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alice =", "Invalid value"),
        ('alice = "alice@example.com"', "sentinel is missing"),
        (TEXT + 'marry = "m@example.com"', "marry: no such actor"),
        (TEXT + 'mary = "m"', "mary.address: not a complete address"),
        (TEXT + 'mary = { address = "m@example.com", pass = "x" }', "mary.pass: Extra inputs"),
        (TEXT + "mary = 1", 'mary: must be "user@host", or { address'),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadUsers) as caught:
        load_users(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(BadUsers, match=r"users\.toml: No such file"):
        load_users(tmp_path / "users.toml")


def test_lines_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text(
        "actor,address,password\nalice,alice@example.com,a secret\n\n"
        "mary , sip:mary@example.com\nsentinel,s@example.com,\n"
    )
    assert load_users(path) == {
        "alice": User(address="alice@example.com", password="a secret"),
        "mary": User(address="mary@example.com"),
        "sentinel": User(address="s@example.com"),
    }


def test_a_line_of_csv_without_an_address(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("sentinel,s@example.com\nalice\n")
    with pytest.raises(BadUsers, match="alice"):
        load_users(path)
