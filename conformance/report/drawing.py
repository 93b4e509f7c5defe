"""Where the parts of a ladder stand on a page, in pixels; the template makes SVG of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from conformance.report.ladder import names
from conformance.report.plain import visible
from conformance.suite.conversation import Arrow

_CHAR = 7.3  # of a fixed font of 12 px
_TIMES = 58  # the column of times
_ROW = 34
_HEAD = 44  # of the lanes' names
_LONGEST_NAME, _LONGEST_SUMMARY = 30, 88  # characters; the rest is in the tooltip


@dataclass(frozen=True, slots=True)
class Lane:
    x: float
    name: str
    shown: str


@dataclass(frozen=True, slots=True)
class Row:
    """An arrow at height y. ``head`` are the points of its head, "" for an event, which is a point."""

    y: float
    x1: float
    x2: float
    head: str
    text_x: float
    shown: str
    time: str
    arrow: Arrow

    @property
    def label(self) -> str:
        """For who cannot see it."""
        arrow = self.arrow
        way = arrow.source if arrow.source == arrow.target else f"{arrow.source} → {arrow.target}"
        return f"{self.time} s, {way}: {arrow.summary}"


@dataclass(frozen=True, slots=True)
class Drawing:
    width: float
    height: float
    lanes: tuple[Lane, ...]
    rows: tuple[Row, ...]
    top: float = _HEAD - 12


def lay_out(arrows: Sequence[Arrow]) -> Drawing | None:
    """None where there is nothing to draw."""
    if not arrows:
        return None
    lanes = _lanes(names(arrows))
    at = {lane.name: lane.x for lane in lanes}
    began = min(arrow.at for arrow in arrows)
    rows = tuple(
        _row(arrow, at[arrow.source], at[arrow.target], _HEAD + _ROW * (number + 0.6), arrow.at - began)
        for number, arrow in enumerate(arrows)
    )
    right = max(row.text_x + cell_len(row.shown) * _CHAR for row in rows)
    half = cell_len(lanes[-1].shown) * _CHAR / 2
    return Drawing(
        width=round(max(lanes[-1].x + half, right) + 12),
        height=_HEAD + _ROW * len(rows) + 20,
        lanes=lanes,
        rows=rows,
    )


def _lanes(lane_names: Sequence[str]) -> tuple[Lane, ...]:
    shown = [_cut(name or "?", _LONGEST_NAME) for name in lane_names]
    least = 210 if len(shown) < 4 else 150 if len(shown) < 7 else 110
    widths = [cell_len(name) * _CHAR for name in shown]
    found = []
    x = _TIMES + max(widths[0] / 2, 30)
    for number, (name, text) in enumerate(zip(lane_names, shown, strict=True)):
        if number:
            x += max(least, (widths[number - 1] + widths[number]) / 2 + 20)
        found.append(Lane(round(x), name, text))
    return tuple(found)


def _row(arrow: Arrow, x1: float, x2: float, y: float, seconds: float) -> Row:
    way = (x2 > x1) - (x2 < x1)
    y = round(y)
    return Row(
        y=y,
        x1=x1,
        x2=x2 - 8 * way,
        head=f"{x2},{y} {x2 - 10 * way},{y - 4} {x2 - 10 * way},{y + 4}" if way else "",
        text_x=min(x1, x2) + 12,
        shown=_cut(arrow.summary, _LONGEST_SUMMARY),
        time=f"{seconds:.3f}",
        arrow=arrow,
    )


def _cut(text: str, most: int) -> str:
    text = visible(text)
    return text if len(text) <= most else text[: most - 1] + "…"
