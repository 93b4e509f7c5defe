"""The runner of blocks sees what is wrong: else it would be of no use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import Block, fits
from tests.docs.forks import serving
from tests.docs.sandbox import Failed, Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    folder = tmp_path / "page"
    folder.mkdir()
    with serving(tmp_path / "forks"):
        yield Sandbox(folder, {"HERE": "there"}, {}, tmp_path / "forks")


def block(language: str, text: str) -> Block:
    return Block("page.md", 7, language, text, is_output=False)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "false\ntrue\n"),
        ("sh", "false | cat\n"),
        ("sh", "imc nonsense\n"),
        ("sh", "imc config check -c not-there.toml\n"),
        ("sh", "imc-conformance list --nonsense\n"),
        ("sh", "echo $not_set\n"),
        ("python", "import imc\nimc.nonsense\n"),
        ("toml", "[imc]\nnonsense = 1\n"),
        ("toml", "[sip]\nlisten = ['wss:192.0.2.1:443']\n"),
        ("console", "$ echo one\ntwo\n"),
        ("console", "$ echo one\none\n$ false\n"),
    ],
)
def test_what_fails_is_said_with_its_place(sandbox: Sandbox, language: str, text: str) -> None:
    with pytest.raises(Failed, match=r"^page\.md:7 "):
        sandbox.run(block(language, text))


def test_what_works(sandbox: Sandbox) -> None:
    assert sandbox.run(block("sh", "imc --version > version; wc -l < version\n")).strip() == "1"
    assert sandbox.run(block("sh", "printf 'a\\nb\\n' | tail -1; echo HERE\n")) == "b\nthere\n"
    assert sandbox.run(block("console", "$ printf 'one 2 3\\nfour\\n'\none  … 3\n…\n$ echo \\\nb\nb\n"))
    sandbox.run(block("toml", "[imc]\ndomains = ['example.com']\n"))


def test_shown_and_printed() -> None:
    assert fits("a  b\n", "a b \n")
    assert fits("a\n…\nz\n", "a\nz\n")
    assert fits("a\n…\nz\n", "a\nb\nc\nz\n")
    assert fits("a … z\n", "a 1, 2 z\n")
    assert not fits("a … z\n", "a\nz\n")
    assert not fits("a\n", "a\nb\n")
    assert not fits("a.b\n", "axb\n")
