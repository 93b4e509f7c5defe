"""The rules and the Quint model say the same, edge by edge, of every graph that the model was explored for."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.model import quint, rules
from conformance.model.quint import Edge

GRAPHS = sorted((Path(__file__).parents[3] / "spec" / "graph").glob("*.json"))


def judged(edge: Edge) -> Edge:
    """The edge as the rules have it."""
    verdict = rules.judge(edge.before, edge.request)
    told = dict(verdict.told)
    if verdict.is_answered:
        told[edge.request.sender] = verdict.event
    event = verdict.event if verdict.is_answered or verdict.status >= 300 else ""
    return edge._replace(status=verdict.status, clause=verdict.clause, event=event, told=told, after=verdict.after)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_the_rules_say_what_the_model_says(path: Path) -> None:
    count = 0
    for edge in quint.read(path):
        assert judged(edge) == edge
        count += 1
    assert count > 1_000


def test_the_usual_is_among_the_graphs() -> None:
    assert "usual" in [path.stem for path in GRAPHS]


def test_every_clause_of_the_rules_is_in_a_graph() -> None:
    """But for rates, which no model of one room has."""
    reached = {edge.clause for path in GRAPHS for edge in quint.read(path)}
    cited = {rule.clause for command in rules.commands() for rule in rules.rules(command)}
    assert cited - reached == {"R-LIMIT-4"}
    assert reached <= cited


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text('{"format": "imc room graph 0"}')
    with pytest.raises(ValueError, match="imc room graph 1"):
        next(quint.read(path))
