"""The graph of the model: what the rules span and what the pure core spans is the same, edge by edge."""

from __future__ import annotations

from functools import cache

import pytest

from conformance.model import core, graph, rules
from conformance.model.graph import NONE, Edge, Outcome


@cache
def of_rules() -> dict[Edge, Outcome]:
    return graph.explore(rules.step)


@cache
def of_core() -> dict[Edge, Outcome]:
    return graph.explore(core.step)


def test_the_core_does_what_the_rules_say() -> None:
    """Spec R-JUDGE-1 too: circumstances come alone, and with all that are judged after them."""
    assert graph.differences(of_core(), of_rules()) == []


def test_its_size() -> None:
    """As the reports have it."""
    found = of_rules()
    assert (len(graph.states(found)), len(found)) == (177, 40_944)
    assert sum(outcome.after != edge.state for edge, outcome in found.items()) == 4_944


def test_every_actor_asks_everything_in_every_state() -> None:
    """Spec R-JUDGE-2: the judgement is total."""
    found = of_rules()
    for state in graph.states(found):
        asked = [(edge.actor, edge.request) for edge in found if edge.state == state]
        assert sorted(asked) == sorted((actor, one) for actor in graph.USERS for one in graph.requests(state))


def test_states_are_their_rooms() -> None:
    for state in graph.states(of_rules()):
        assert rules.state_of(rules.room_of(state)) == state
        assert core.state_of(core.room_of(state)) == state


def test_every_live_room_has_an_owner() -> None:
    """Spec R-INV-1."""
    assert all(state == NONE or graph.OWNER in graph.standings(state) for state in graph.states(of_rules()))


def test_a_refusal_changes_nothing_and_tells_nobody() -> None:
    """Spec R-INV-6, but for what R-JOIN-4 names."""
    for edge, outcome in of_rules().items():
        if outcome.status >= 300:
            assert outcome.after == edge.state
            assert not outcome.told or outcome.clause == "R-JOIN-4"


def test_to_an_outsider_a_private_room_is_as_none() -> None:
    """Spec R-HIDE-1: the same outcome for every request but create and join."""
    found = of_rules()
    for edge, outcome in found.items():
        words = edge.request.split()
        if not graph.is_private(edge.state) or words[0] in ("create", "join", "undelivered"):
            continue
        letters = dict(zip(graph.USERS, graph.standings(edge.state), strict=True))
        if letters[edge.actor] == graph.OUTSIDER:
            none = found[edge._replace(state=NONE)]
            assert outcome == none._replace(after=edge.state), edge


def test_users_are_interchangeable() -> None:
    found = of_rules()
    for way in graph.renamings()[1:]:
        renamed = {graph.rename(edge, way): graph.rename_outcome(outcome, way) for edge, outcome in found.items()}
        assert renamed == found


@pytest.mark.parametrize(
    ("edge", "wanted"),
    [
        (Edge("public/Oa-", "a", "invite c @full"), Edge("public/-cO", "c", "invite a @full")),
        (Edge("none", "a", "create private"), Edge("none", "c", "create private")),
        (Edge("private/OaM", "b", "modify c owner"), Edge("private/McO", "b", "modify a owner")),
    ],
)
def test_rename(edge: Edge, wanted: Edge) -> None:
    way = {"a": "c", "b": "b", "c": "a"}
    assert graph.rename(edge, way) == wanted


def test_representatives_are_of_their_class() -> None:
    ways = graph.renamings()
    classes = {graph.representative(edge, ways) for edge in of_rules()}
    assert len(classes) == 7_267
    assert classes <= set(of_rules())


def test_differences_are_named() -> None:
    one = {Edge("none", "a", "join"): Outcome(200, "R-CREATE-1", "room-created", True, (), "public/O--")}
    other = {Edge("none", "a", "join"): Outcome(404, "R-JOIN-3", "room-not-found", True, (), "none")}
    more = other | {Edge("none", "b", "help"): Outcome(200, "R-HELP-1", "help", True, (), "none")}
    assert graph.differences(one, one) == []
    assert graph.differences(one, more) == [
        "in none, b: help: only in the second",
        "in none, a: join: (200, 'R-CREATE-1', 'room-created', True, (), 'public/O--') is not "
        "(404, 'R-JOIN-3', 'room-not-found', True, (), 'none')",
    ]
