"""What was sent and received, as a ladder of plain text::

              alice  server    rita
      0.000     |------->|       |    MESSAGE #invite rita
      0.002     |        |------>|    MESSAGE invitation
      0.003     |<-------|       |    200 OK

A lane for each who sent or received, in the order in which they come up; time in seconds since the first arrow. A name
too long for a lane gets a letter and a line above. With marks, a sign before the time says what is otherwise than in
another conversation, and a note below says how.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Literal

from rich.cells import cell_len

from conformance.report.plain import visible
from conformance.suite.conversation import Arrow

Kind = Literal["differs", "missing", "extra"]
SIGNS: Mapping[Kind, str] = {"differs": "!", "missing": "-", "extra": "+"}
MEANINGS: Mapping[Kind, str] = {
    "differs": "is otherwise than recorded",
    "missing": "was recorded and did not come",
    "extra": "came and was not recorded",
}
_SHAFTS: Mapping[Kind | None, str] = {None: "-", "differs": "-", "missing": ".", "extra": "="}
_LONGEST_NAME = 24  # cells
_SUMMARY = 30  # cells that are kept for what an arrow says, where the lanes are many
_LEFT = 12  # cells of sign and time


@dataclass(frozen=True, slots=True)
class Mark:
    """What is to be said of an arrow that another conversation has otherwise, has not, or has alone."""

    kind: Kind
    note: str = ""


def draw(arrows: Sequence[Arrow], marks: Mapping[int, Mark] | None = None, *, width: int = 100) -> str:
    """The ladder, its lines ended by ``\\n``; "" where there is no arrow.

    Args:
        arrows: in the order in which they are drawn. One whose source is its target is drawn as a point: an event.
        marks: by the arrow's place in ``arrows``. Their signs are explained below the ladder.
        width: of the terminal, in cells. Longer summaries continue on the next line; a line is longer only where the
            lanes alone are.
    """
    if not arrows:
        return ""
    marks = marks or {}
    lanes = _Lanes(names(arrows), width)
    lines = [*lanes.legend, " " * _LEFT + lanes.heads()]
    began = min(arrow.at for arrow in arrows)
    for number, arrow in enumerate(arrows):
        mark = marks.get(number)
        sign = SIGNS[mark.kind] if mark else " "
        before = f"{sign} {arrow.at - began:>7.3f}".ljust(_LEFT)
        lines += _rows(lanes, arrow, mark, before, width)
    used = {mark.kind for number, mark in marks.items() if number < len(arrows)}
    lines += [f"{SIGNS[kind]}  {MEANINGS[kind]}" for kind in SIGNS if kind in used]
    return "".join(line.rstrip() + "\n" for line in lines)


def names(arrows: Iterable[Arrow]) -> list[str]:
    """Who sends or receives, each once, in the order in which they come up."""
    return list(dict.fromkeys(name for arrow in arrows for name in (arrow.source, arrow.target)))


def _rows(lanes: _Lanes, arrow: Arrow, mark: Mark | None, before: str, width: int) -> Iterator[str]:
    room = max(width - _LEFT - lanes.width - 2, 20)
    summary = textwrap.wrap(visible(arrow.summary), room, subsequent_indent="  ", break_on_hyphens=False) or [""]
    if mark and mark.note:
        summary += textwrap.wrap(visible(mark.note), room, initial_indent="  ! ", subsequent_indent="    ")
    yield before + lanes.shaft(arrow, _SHAFTS[mark.kind if mark else None]) + "  " + summary[0]
    for line in summary[1:]:
        yield " " * _LEFT + lanes.empty() + "  " + line


class _Lanes:
    """Where the lanes stand: columns in cells, from the first lane's head on."""

    def __init__(self, lane_names: Sequence[str], width: int) -> None:
        shown = [visible(name) or "?" for name in lane_names]
        letters = [letter for letter in _letters(2 * len(shown)) if letter not in shown]
        heads = [name if cell_len(name) <= _LONGEST_NAME else letters.pop(0) for name in shown]
        if sum(cell_len(head) + 2 for head in heads) > width - _LEFT - _SUMMARY:
            heads = _letters(len(shown))
        self.legend = [f"{head} = {name}" for head, name in zip(heads, shown, strict=True) if head != name]
        self._heads = heads
        self._at: dict[str, int] = {}
        column = 0
        for name, head in zip(lane_names, heads, strict=True):
            half = cell_len(head) // 2
            column += half
            self._at[name] = column
            column += max(cell_len(head) - half + 2, 4)
        self.width = column - 2

    def heads(self) -> str:
        line = ""
        for head, column in zip(self._heads, self._at.values(), strict=True):
            line += " " * (column - cell_len(head) // 2 - cell_len(line)) + head
        return line

    def empty(self) -> str:
        return self._line({})

    def shaft(self, arrow: Arrow, of: str) -> str:
        """The line of the arrow; a point where it goes nowhere."""
        source, target = self._at[arrow.source], self._at[arrow.target]
        if source == target:
            return self._line({source: "o"})
        first, last = sorted((source, target))
        over = {column: of for column in range(first + 1, last) if column not in self._at.values()}
        over[target - 1 if target > source else target + 1] = ">" if target > source else "<"
        return self._line(over)

    def _line(self, over: Mapping[int, str]) -> str:
        line = [" "] * self.width
        for column in self._at.values():
            line[column] = "|"
        for column, char in over.items():
            line[column] = char
        return "".join(line)


def _letters(count: int) -> list[str]:
    """A, B, …, Z, A1, B1, …"""
    return [ascii_uppercase[number % 26] + (str(number // 26) if number >= 26 else "") for number in range(count)]
