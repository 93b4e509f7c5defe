"""The tests that a mutant is put to. Each is many small checks; a mutant is killed by the first that fails.

A mutant can only show in a check that takes one of its rows or permissions: which ones those are is found once, with
the tables intact. So nothing is run that could not fail, and a survivor has survived every check of the suite.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from conformance.model import core, traces
from imc.rooms import machine
from imc.rooms.case import Case
from imc.rooms.machine import Row
from imc.rooms.model import Role
from imc.rooms.permissions import PERMISSIONS, Permission
from tests.conformance.model import test_tour, walks
from tests.mutation.mutants import Key, Mutant
from tests.rooms import test_machine, test_status_table
from tests.rooms.status_table import CELLS, VARIANTS

_TRACES = Path(__file__).parents[2] / "spec" / "traces"
Check = Callable[[], None]
decide: Any = import_module("imc.rooms.decide")  # the package has a function of that name
_COLUMN_OF = {None: "outsider"} | {role: role.name.lower() for role in Role}


class Suite:
    """``checks`` raise where something is wrong; with the tables intact none does."""

    def __init__(self, name: str, checks: Sequence[Check]) -> None:
        self.name = name
        self._by_key: dict[Key, list[int]] = defaultdict(list)
        self._checks = checks
        for number, check in enumerate(checks):
            with _noted() as keys:
                check()
            for key in keys:
                self._by_key[key].append(number)

    def reaches(self, mutant: Mutant) -> bool:
        """Whether any check takes what was changed."""
        return any(key in self._by_key for key in mutant.keys)

    def kills(self, mutant: Mutant) -> bool:
        wanted = dict.fromkeys(number for key in mutant.keys for number in self._by_key.get(key, ()))
        with mutant.in_force():
            return any(_fails(self._checks[number]) for number in wanted)


class Structure(Suite):
    """What is said of the tables themselves: tests/rooms/test_machine.py."""

    def __init__(self) -> None:
        super().__init__("structure", [])

    def kills(self, mutant: Mutant) -> bool:
        with mutant.in_force():
            tables: dict[str, Any] = {
                "ROWS": machine.ROWS,
                "MACHINE": machine.MACHINE,
                "TRIGGERS": {row.trigger for row in machine.ROWS},
            }
            with patch.multiple(test_machine, **tables):
                return any(_fails(check) for check in _structure())


def suites() -> list[Suite]:
    return [
        Suite("status table", list(_cells())),
        Suite("tour", list(_edges("tour"))),
        classes(),
        Suite("hypothesis", list(_questions())),
        Structure(),
    ]


def _fails(check: Check) -> bool:
    try:
        check()
    except Exception:
        return True
    return False


def _cells() -> Iterator[Check]:
    """tests/rooms/test_status_table.py, cell by cell."""
    yield from (_bound(test_status_table.test_cell, cell) for cell in (*CELLS, *VARIANTS))


def classes() -> Suite:
    """The one that is quick, and kills all."""
    return Suite("classes", list(_edges("classes")))


def _edges(name: str) -> Iterator[Check]:
    """The tours of spec/traces/: each transition once.

    A replay fails at the first transition that is another, and until then is in the very states of the traces: so it
    fails exactly if one of its transitions, tried alone, is another.
    """
    steps = {step.edge: step for walk in traces.read(_TRACES / f"{name}.json") for step in walk}
    yield from (_bound(_take, step) for step in steps.values())


def _take(step: traces.Step) -> None:
    room = core.room_of(step.edge.state)
    test_tour.check(step.edge, step.outcome, room, core.ask(room, step.edge.actor, step.edge.request, 3))


def _questions() -> Iterator[Check]:
    """Walks of tests/conformance/model/test_walks.py: as many, of the same machine, though hypothesis draws others.

    A walk fails at the first question that is answered otherwise: so each question is tried alone here, too.
    """
    questions = (one for one in walks.recorded(walks.EXAMPLES) if one is not None)
    yield from (_bound(_ask, question) for question in questions)


def _ask(question: walks.Question) -> None:
    walks.check(question, walks.ask(question))


def _structure() -> Iterator[Check]:
    for name, test in vars(test_machine).items():
        if not name.startswith("test_"):
            continue
        if hasattr(test, "pytestmark"):
            yield from (_bound(test, role) for role in Role)
        else:
            yield test


def _bound(check: Callable[[Any], None], argument: Any) -> Check:
    return lambda: check(argument)


@contextmanager
def _noted() -> Iterator[set[Key]]:
    """The keys that what runs inside comes by."""
    keys: set[Key] = set()
    commands = {id(permission): command for command, permission in PERMISSIONS.items()}
    numbers = {row: number for number, row in enumerate(machine.ROWS)}
    take, of = machine.take, Permission.of

    def noted_take(trigger: str, case: Case) -> Row:
        row = take(trigger, case)
        keys.add(numbers[row])
        return row

    def noted_of(permission: Permission, role: Role | None) -> str:
        keys.add((commands[id(permission)], _COLUMN_OF[role]))
        return of(permission, role)

    with patch.object(decide, "take", noted_take), patch.object(Permission, "of", noted_of):
        yield keys
