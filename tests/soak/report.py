"""The table: fault → acknowledged, lost, twice, out of order, seconds until normal; and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.soak.outcome import Outcome

_COLUMNS = ("fault", "rounds", "seconds", "answers", "acknowledged", "deliveries", "lost", "twice", "of these excused",
            "out of order", "else wrong", "normal after, s")  # fmt: skip


def row(outcome: Outcome) -> list[str]:
    """What the columns say of one fault."""
    if outcome.skipped:
        return [outcome.fault, "", "", f"skipped: {outcome.skipped}", *[""] * (len(_COLUMNS) - 4)]
    excused = sum(outcome.excused.values())
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(outcome.excused.items()))
    recovery = "" if outcome.recovery is None else f"{outcome.recovery[0]:.2f}, at most {outcome.recovery[1]:.2f}"
    return [
        outcome.fault,
        str(outcome.rounds or ""),
        f"{outcome.seconds:.0f}",
        ", ".join(f"{status} ×{count}" for status, count in outcome.statuses.items()),
        str(outcome.acknowledged),
        str(outcome.delivered),
        str(outcome.lost),
        str(outcome.repeated + excused),
        kinds or "0",
        str(outcome.disordered),
        str(outcome.leaked + outcome.wrong),
        recovery,
    ]


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """On a terminal: the table, then what is to be said of each, then what must not be."""
    table = Table(*_COLUMNS)
    for outcome in outcomes:
        table.add_row(*row(outcome))
    console.print(table)
    for outcome in outcomes:
        for note in outcome.notes:
            console.print(f"{outcome.fault}: {note}", markup=False, highlight=False)
        for example in outcome.examples:
            console.print(f"{outcome.fault}: WRONG: {example}", markup=False, highlight=False)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """For a page."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + " --- |" * len(_COLUMNS)]
    lines += ["| " + " | ".join(row(outcome)) + " |" for outcome in outcomes]
    return "\n".join(lines)


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """As JSON."""
    path.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
