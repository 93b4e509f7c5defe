"""What a migration did, or would do: counts for each table, and the rows that need somebody's eye.

Of those a bounded number is kept for the terminal; all of them go to a file of JSON lines, where one is asked for.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import IO

KEPT = 20  # rows a table, for the terminal
MAX_NOTES = 50
TABLES = ("rooms", "members", "accounts", "messages")


@dataclass(slots=True)
class Count:
    """Every row that was read is counted once more: ``read`` is the sum of the others.

    ``gone`` are rows that stand for nothing: marked as deleted, sent, expired.
    """

    read: int = 0
    new: int = 0
    same: int = 0
    conflicting: int = 0
    misfit: int = 0
    gone: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """``kind`` is conflict, misfit, gone or note; ``row`` names the row, ``why`` is a sentence."""

    table: str
    kind: str
    row: str
    why: str


@dataclass(slots=True)
class Report:
    """``file`` gets every entry as a line. ``is_done``: it was written, and not a dry run."""

    source: str
    target: str
    file: IO[str] | None = None
    counts: dict[str, Count] = field(default_factory=lambda: {name: Count() for name in TABLES})
    kept: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_done: bool = False
    changes: int = 0
    _noted: dict[tuple[str, str], int] = field(default_factory=dict)

    def misfit(self, table: str, row: str, why: str) -> None:
        self.counts[table].misfit += 1
        self._enter(Entry(table, "misfit", row, why))

    def gone(self, table: str, row: str, why: str) -> None:
        self.counts[table].gone += 1
        self._write(Entry(table, "gone", row, why))

    def conflict(self, table: str, row: str, why: str, rows: int = 1) -> None:
        self.counts[table].conflicting += rows
        self._enter(Entry(table, "conflict", row, why))

    def remark(self, table: str, row: str, why: str) -> None:
        """The row is taken, but not all of it."""
        self._enter(Entry(table, "note", row, why))

    def note(self, text: str) -> None:
        """Of no single row."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)
        self._write(Entry("", "note", "", text))

    def left_out(self) -> int:
        """How many entries are not among ``kept``."""
        return sum(max(0, number - KEPT) for number in self._noted.values())

    def _enter(self, entry: Entry) -> None:
        key = entry.table, entry.kind
        self._noted[key] = self._noted.get(key, 0) + 1
        if self._noted[key] <= KEPT:
            self.kept.append(entry)
        self._write(entry)

    def _write(self, entry: Entry) -> None:
        if self.file is not None:
            self.file.write(json.dumps(asdict(entry)) + "\n")
