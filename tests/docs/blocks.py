"""The fenced blocks of Markdown pages, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(?P<indent>[ ]*)```(?P<language>[^`\n]*)$")
OUTPUT = "<!-- output -->"
SHELL = ("sh", "console")
RUN = (*SHELL, "python", "toml")
"""Languages of blocks that are run, or listed with a reason."""
SHOWN = ("text", "ini", "sql", "json", "mermaid", "yaml", "http", "nginx")


@dataclass(frozen=True, slots=True)
class Block:
    """``line`` is that of the opening fence, from 1; ``is_output``: it is what the block before it prints."""

    page: str
    line: int
    language: str
    text: str
    is_output: bool

    @property
    def first(self) -> str:
        """Its first line, by which it is named."""
        return self.text.partition("\n")[0].strip()

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.first})"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block; ``output`` is what the page shows below it, "" for nothing."""

    text: str
    output: str


def pages() -> list[str]:
    """README.md and every page of docs/, from the root of the source."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found]


def blocks(page: str) -> list[Block]:
    """Those of a page, of lists and quotations too. AssertionError where one is not closed."""
    return list(_read(page, (ROOT / page).read_text(encoding="utf-8")))


def _read(page: str, text: str) -> Iterator[Block]:
    opened: tuple[int, str, str, bool] | None = None
    inside: list[str] = []
    above = ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None:
            if fence is not None:
                opened = number, fence["language"].strip(), fence["indent"], above == OUTPUT
                inside = []
            above = line.strip() or above
        elif fence is not None and not fence["language"]:
            start, language, indent, is_output = opened
            body = "".join(each.removeprefix(indent) + "\n" for each in inside)
            yield Block(page, start, language, body, is_output)
            opened, above = None, ""
        else:
            inside.append(line)
    assert opened is None, f"{page}:{opened[0] if opened else 0}: the block is not closed"


def commands(block: Block) -> list[Command]:
    """Of a console block: lines after ``$ ``, with what follows a backslash, and the output below each."""
    found: list[Command] = []
    lines = iter(block.text.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            assert found, f"{block} does not begin with a command"
            found[-1] = Command(found[-1].text, found[-1].output + line + "\n")
            continue
        text = line.removeprefix("$ ")
        while text.endswith("\\"):
            text += "\n" + next(lines)
        found.append(Command(text, ""))
    return found


def fits(shown: str, printed: str) -> bool:
    """Whether this is what was printed, but for blanks; … stands for anything, alone on a line for any lines."""
    parts = [_line(line) for line in shown.strip().splitlines()]
    return re.fullmatch("".join(parts), _plain(printed)) is not None


def _line(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(part) for part in _plain(line).strip("\n").split("…")) + r"\n"


def _plain(text: str) -> str:
    return "".join(" ".join(line.split()) + "\n" for line in text.strip().splitlines())
