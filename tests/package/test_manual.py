"""Man pages and completion: as the code is, in order for who reads them, and of use in the shells themselves."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.program import need
from tests.package.harness import ROOT

_DOCS = ROOT / "docs"
_PAGES = sorted((_DOCS / "man").glob("*.[15]"))
# A line as typed, and what completes it.
_LINES = [
    ("imc us", "user"),
    ("imc user re", "remove"),
    ("imc serve --trace-", "--trace-spec"),
    ("imc-conformance val", "validate"),
    ("imc-replay anon", "anonymize"),
]


def _output(command: list[str], **more: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **more}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stderr == ""
    return done.stdout


def test_no_file_is_stale() -> None:
    files = runpy.run_path(str(_DOCS / "man" / "write.py"))["files"]()
    assert len(files) == 13
    assert [path for path, text in files.items() if not path.is_file() or path.read_text() != text] == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_mandoc_finds_no_fault(page: Path) -> None:
    assert _output([need("mandoc"), "-Tlint", "-Wwarning", str(page)]) == ""


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_man_shows_it_without_a_warning(page: Path) -> None:
    shown = _output(
        [need("man"), "--warnings", "-E", "UTF-8", "-P", "cat", "-l", str(page)], MANWIDTH="80", TERM="dumb"
    )
    assert "NAME" in shown
    assert "SEE ALSO" in shown


@pytest.mark.parametrize(("line", "expected"), _LINES)
def test_bash_completes(line: str, expected: str) -> None:
    words = line.split()
    script = f"""
source {_DOCS}/completion/bash/{words[0]}
COMP_WORDS=({line}) COMP_CWORD={len(words) - 1}
function=$(complete -p {words[0]} | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function {words[0]}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    assert _output([need("bash"), "--norc", "-c", script]).split() == [expected]


@pytest.mark.parametrize(("line", "expected"), _LINES)
def test_zsh_completes(line: str, expected: str) -> None:
    """The file is loaded as zsh does it, at the first TAB; what it hands to _arguments is what zsh would show."""
    name = line.split()[0]
    script = f"""
fpath=({_DOCS}/completion/zsh $fpath)
_arguments() {{ print -r -- "$@" }}
words=({line}) CURRENT={len(line.split())}
autoload -Uz _{name}
_{name}
"""
    assert f'"{expected}"' in _output([need("zsh"), "-f", "-c", script])


@pytest.mark.parametrize(("line", "expected"), _LINES)
def test_fish_completes(line: str, expected: str, tmp_path: Path) -> None:
    script = f"source {_DOCS}/completion/fish/{line.split()[0]}.fish; complete -C '{line}'"
    shown = _output([need("fish"), "--no-config", "-c", script], HOME=str(tmp_path))
    assert [row.split("\t")[0] for row in shown.splitlines()] == [expected]
