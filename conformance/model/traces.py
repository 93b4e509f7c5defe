"""Tours as files: walks with what must come of each step. The format is told in spec/traces/README.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from conformance.model.graph import NONE, USERS, Edge, Graph, Outcome
from conformance.model.tour import Walk

FORMAT = "imc tour 1"


class Step(NamedTuple):
    """One step of a walk, and what must come of it."""

    edge: Edge
    outcome: Outcome


def render(walks: Iterable[Walk], graph: Graph) -> str:
    """JSON, with a walk on each line."""
    outcomes: dict[str, int] = {}
    states: dict[str, int] = {}
    lines = []
    for walk in walks:
        steps = []
        for edge in walk:
            outcome = graph[edge]
            seen = _dump([outcome.status, outcome.clause, outcome.event, int(outcome.is_answered), dict(outcome.told)])
            steps.append(
                [
                    f"{edge.actor} {edge.request}",
                    outcomes.setdefault(seen, len(outcomes)),
                    states.setdefault(outcome.after, len(states)),
                ]
            )
        lines.append(_dump(steps))
    head = f'"format": {_dump(FORMAT)},\n"users": {_dump(USERS)},\n"states": {_dump(list(states))}'
    return f'{{\n{head},\n"outcomes": [\n{_rows(outcomes)}\n],\n"walks": [\n{_rows(lines)}\n]\n}}\n'


def read(path: Path) -> list[list[Step]]:
    """The walks of a file. ValueError where it is none."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if data.get("format") != FORMAT:
        raise ValueError(f"{path}: not {FORMAT!r}")
    return [list(_steps(walk, data["outcomes"], data["states"])) for walk in data["walks"]]


def _steps(walk: list[Any], outcomes: list[Any], states: list[str]) -> Iterator[Step]:
    state = NONE
    for words, which, behind in walk:
        actor, _, request = words.partition(" ")
        status, clause, event, is_answered, told = outcomes[which]
        after = states[behind]
        outcome = Outcome(status, clause, event, bool(is_answered), tuple(sorted(told.items())), after)
        yield Step(Edge(state, actor, request), outcome)
        state = after


def _rows(texts: Iterable[str]) -> str:
    return ",\n".join(texts)


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
