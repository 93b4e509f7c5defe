"""Commands within the text of a page, `imc config show`: that there are such commands, with such options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from conformance.cli import app as conformance
from conformance.replay.cli import app as replay
from imc.cli import app as imc
from tests.docs.blocks import ROOT, pages

PROGRAMS: dict[str, Any] = {
    name: typer.main.get_command(app)
    for name, app in {"imc": imc, "imc-conformance": conformance, "imc-replay": replay}.items()
}
_SPAN = re.compile(r"(?<!`)`((?:[\w./]*/)?(?:imc|imc-conformance|imc-replay) [^`]+)`(?!`)")
_FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
# A placeholder, or what is no name of a command: `imc rooms`, `imc X`.
_WORD = re.compile(r"[a-z][a-z-]*\Z")
NO_COMMANDS = {"imc spec trace 1"}  # the first line of a file
EVERYWHERE = {"--help", "--version", "--install-completion", "--show-completion"}


def spans(page: str) -> Iterator[str]:
    text = _FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))
    yield from (" ".join(one.split()) for one in _SPAN.findall(text))


def complaint(text: str) -> str:
    """What is wrong with a command; "" where nothing is."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return ""
    command: Any = PROGRAMS[words[0].rpartition("/")[2]]
    options = set(EVERYWHERE)
    for word in words[1:]:
        if word in (";", "|", "&", "&&", "<", ">", "<<<"):
            break
        if word.startswith("--") or re.fullmatch(r"-[a-z]", word):
            options |= {one for each in command.params for one in (*each.opts, *each.secondary_opts)}
            if word.partition("=")[0] not in options:
                return f"{text}: there is no {word}"
        elif _WORD.match(word) and (commands := getattr(command, "commands", None)) is not None:
            if word not in commands:
                return f"{text}: there is no {word}"
            command = commands[word]
    return ""


@pytest.mark.parametrize("page", pages())
def test_the_commands_within_the_text_are_there(page: str) -> None:
    assert [wrong for one in spans(page) if one not in NO_COMMANDS and (wrong := complaint(one))] == []
