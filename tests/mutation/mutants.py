"""Every change of one cell of `imc.rooms.permissions.PERMISSIONS` and `imc.rooms.machine.ROWS`.

A mutant is in force within ``with mutant.in_force()``; the tables are as they were afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from imc.rooms import machine
from imc.rooms.effects import EFFECTS
from imc.rooms.machine import ROWS, STATES, Row
from imc.rooms.outcome import REFUSALS
from imc.rooms.permissions import PERMISSIONS, YES, Permission

Key = tuple[str, str] | int  # (command, column of the permissions), or the number of a row
COLUMNS = ("owner", "admin", "member", "invited", "outsider")
_OTHER_CLAUSE = "R-HELP-1"  # no row and no permission rests on it


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. ``keys`` are where it can show: a request that takes none of them is judged as before."""

    kind: str
    place: str
    what: str
    keys: frozenset[Key]
    rows: tuple[Row, ...] | None = None
    permission: tuple[str, Permission] | None = None

    @property
    def name(self) -> str:
        return f"{self.place}: {self.what}"

    @contextmanager
    def in_force(self) -> Iterator[None]:
        if self.permission is not None:
            command, changed = self.permission
            whole = PERMISSIONS[command]
            PERMISSIONS[command] = changed
            try:
                yield
            finally:
                PERMISSIONS[command] = whole
            return
        intact = machine.MACHINE, machine.ROWS
        machine.ROWS = self.rows or ()
        machine.MACHINE = machine.load(machine.ROWS)
        try:
            yield
        finally:
            machine.MACHINE, machine.ROWS = intact

    @property
    def equivalent(self) -> str:
        """Why no request can tell it from the tables as they are; "" where one can."""
        if self.kind == "dest of a refusal":
            return "the dest of a refusal is not read"
        if self.kind == "permission clause" and all(cell == YES for cell in PERMISSIONS[self.place][1:]):
            return "the line refuses nobody, so its clause is not read"
        return ""


def mutants() -> Iterator[Mutant]:
    yield from _of_permissions()
    for number, row in enumerate(ROWS):
        yield from _of_row(number, row)
    yield from _orders()


def _of_permissions() -> Iterator[Mutant]:
    for command, line in PERMISSIONS.items():
        for column in COLUMNS:
            old = getattr(line, column)
            for value in (YES, *REFUSALS):
                if value != old:
                    changed = line._replace(**{column: value})
                    what, key = f"{old or 'yes'} → {value or 'yes'}", (command, column)
                    place, permission = f"{command} by {column}", (command, changed)
                    yield Mutant("permission", place, what, frozenset({key}), permission=permission)
        keys = frozenset[Key]((command, column) for column in COLUMNS)
        changed = line._replace(clause=_OTHER_CLAUSE)
        yield Mutant("permission clause", command, f"clause {line.clause}", keys, permission=(command, changed))


def _of_row(number: int, row: Row) -> Iterator[Mutant]:
    def changed(kind: str, what: str, *rows: Row, keys: frozenset[Key] = frozenset({number})) -> Mutant:
        table = (*ROWS[:number], *rows, *ROWS[number + 1 :])
        conditions = f" if {', '.join(row.conditions)}" if row.conditions else ""
        return Mutant(kind, f"{row.trigger} from {row.source}{conditions}", what, keys, table)

    for dest in (None, *STATES):
        if dest != row.dest:
            kind = "dest of a refusal" if row.refusal else "dest"
            yield changed(kind, f"dest {row.dest} → {dest}", row._replace(dest=dest))
    for condition in row.conditions:
        rest = tuple(one for one in row.conditions if one != condition)
        what = f"without {condition}"
        yield changed("condition dropped", what, row._replace(conditions=rest), keys=_from_here(number))
    for effect in row.effects:
        rest = tuple(one for one in row.effects if one != effect)
        yield changed("effect dropped", f"without {effect}", row._replace(effects=rest))
        for other in EFFECTS:
            if other not in row.effects:
                swapped = tuple(other if one == effect else one for one in row.effects)
                yield changed("effect swapped", f"{effect} → {other}", row._replace(effects=swapped))
    for refusal in ("", *REFUSALS):
        if refusal != row.refusal:
            what = f"{row.refusal or 'done'} → {refusal or 'done'}"
            yield changed("refusal", what, row._replace(refusal=refusal))
    yield changed("clause", f"clause {row.clause}", row._replace(clause=_OTHER_CLAUSE))
    yield changed("row deleted", "deleted")


def _orders() -> Iterator[Mutant]:
    """Two rows of one trigger and source that follow on each other, exchanged."""
    for one, other in pairwise(range(len(ROWS))):
        first, second = ROWS[one], ROWS[other]
        if _is_beside(first, second):
            table = (*ROWS[:one], second, first, *ROWS[other + 1 :])
            what = f"rows {first.clause} and {second.clause} exchanged"
            yield Mutant("order", f"{first.trigger} from {first.source}", what, frozenset({one, other}), table)


def _is_beside(one: Row, other: Row) -> bool:
    return (one.trigger, one.source) == (other.trigger, other.source)


def _from_here(number: int) -> frozenset[Key]:
    """The row, and those of its trigger and source that are tried after it."""
    return frozenset(at for at, row in enumerate(ROWS) if at >= number and _is_beside(row, ROWS[number]))
