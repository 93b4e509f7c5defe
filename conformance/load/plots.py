"""Sheets as drawings: lines over logarithmic axes, in SVG that needs nothing else.

Written by hand, since it is one kind of drawing: a library for it would be a hundred times as much. The same figures
give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from conformance.load.sheets import Sheet

_WIDTH, _HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 210, 44, 52  # around the field
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#444444", "#e69f00")  # Okabe and Ito's
_STYLE = "font: 12px sans-serif; fill: #222"


def draw(sheet: Sheet) -> str:
    """A line for each column. ValueError where there is nothing to draw."""
    lines = [(name, _points(sheet.sizes, column)) for name, column in sheet.columns]
    lines = [(name, points) for name, points in lines if points]
    if not lines:
        raise ValueError(f"{sheet.name}: no figures")
    across = _Scale([x for _, points in lines for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    up = _Scale([y for _, points in lines for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" style="{_STYLE}">',
        f"<title>{escape(sheet.title)}, {escape(sheet.unit)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="14" font-weight="bold">{escape(sheet.title)}</text>',
        *_grid(across, up),
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 12}" text-anchor="middle">'
        f"{escape(sheet.size_title)}</text>",
        f'<text x="{_LEFT}" y="38" text-anchor="middle">{escape(sheet.unit)}</text>',
    ]
    for number, (name, points) in enumerate(lines):
        parts += _line(name, [(across.at(x), up.at(y)) for x, y in points], number)
    return "\n".join((*parts, "</svg>")) + "\n"


def _points(sizes: Sequence[int], column: Sequence[float | None]) -> list[tuple[float, float]]:
    """What can be shown: a logarithm needs something above nothing."""
    return [(size, value) for size, value in zip(sizes, column, strict=True) if value is not None and value > 0]


class _Scale:
    """From values to pixels, by their logarithm; whole decades."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._begin + share * (self._end - self._begin)

    @property
    def decades(self) -> list[float]:
        return [float(f"1e{power}") for power in range(self.low, self.high + 1)]


def _grid(across: _Scale, up: _Scale) -> list[str]:
    parts = []
    for value in across.decades:
        x = across.at(value)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{value:,.0f}</text>')
    for value in up.decades:
        y = up.at(value)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    return parts


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _line(name: str, points: list[tuple[float, float]], number: int) -> list[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    dash = ' stroke-dasharray="6 4"' if number >= len(_COLOURS) else ""
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    y = _TOP + 12 + 20 * number
    x = _WIDTH - _RIGHT + 16
    return [
        f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points),
        f'<path d="M{x} {y - 4}h22" stroke="{colour}" stroke-width="2"{dash}/>',
        f'<text x="{x + 28}" y="{y}">{escape(name)}</text>',
    ]
