"""The transition tour: it covers the graph, the committed traces are it, and the pure core does what they say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from conformance.model import core, graph, traces
from conformance.model.graph import NONE, Edge, Outcome
from conformance.model.tour import Walk, tour
from imc.aor import Aor
from imc.rooms.model import Role, Room
from imc.rooms.outcome import Decision
from tests.conformance.model.test_graph import of_rules

TRACES = Path(__file__).parents[3] / "spec" / "traces"
NAMES = ("tour", "classes")


@cache
def walks(name: str) -> list[Walk]:
    return tour(of_rules(), graph.renamings() if name == "classes" else ())


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_traces_are_the_tour_of_the_rules(name: str) -> None:
    text = (TRACES / f"{name}.json").read_text(encoding="utf-8")
    assert text == traces.render(walks(name), of_rules()), "run: make traces"
    assert len(text) < 3_000_000


def test_every_edge_is_walked() -> None:
    walked = {edge for walk in walks("tour") for edge in walk}
    assert walked == set(of_rules())
    assert sum(map(len, walks("tour"))) == 47_612


def test_every_class_of_edges_is_walked() -> None:
    ways = graph.renamings()
    walked = {edge for walk in walks("classes") for edge in walk}
    assert {graph.representative(edge, ways) for edge in walked} == {
        graph.representative(edge, ways) for edge in of_rules()
    }
    assert sum(map(len, walks("classes"))) == 8_374


@pytest.mark.parametrize("name", NAMES)
def test_a_walk_is_a_path_from_no_room(name: str) -> None:
    for walk in walks(name):
        state = NONE
        for edge in walk:
            assert edge.state == state
            state = of_rules()[edge].after


@pytest.mark.parametrize("name", NAMES)
def test_the_core_walks_as_the_traces_say(name: str) -> None:
    """One room after the other, as it becomes; nothing is set from outside."""
    for walk in traces.read(TRACES / f"{name}.json"):
        replay(walk)


def replay(walk: Sequence[traces.Step]) -> None:
    """AssertionError at the first step that the core takes otherwise."""
    room = None
    for serial, (edge, outcome) in enumerate(walk, 1):
        decision = core.ask(room, edge.actor, edge.request, serial)
        check(edge, outcome, room, decision)
        room = decision.room


def check(edge: Edge, outcome: Outcome, before: Room | None, decision: Decision) -> None:
    """AssertionError where a decision is not what the traces say."""
    assert core.outcome_of(decision) == outcome, edge
    # what is the same afterwards was not written anew
    assert bool(decision.changes) == (decision.room != before), edge
    for notice in decision.notices:
        assert (notice.user, notice.by) == named(notice.event, edge), edge
        assert (notice.role, notice.is_private) == said(notice.event, edge, before, decision.room), edge


def named(event: str, edge: Edge) -> tuple[Aor | None, Aor | None]:
    """Whom a notice must be about, and who it must say did it."""
    name, *rest = edge.request.split()
    actor = core.user(edge.actor)
    subject = core.user(rest[0]) if rest and rest[0] in graph.USERS else actor
    if event in ("setting-changed", "setting-unchanged"):
        return None, actor
    if event in ("already-joined", "join-attempted", "invitation-rejected", "invitation-failed", "role-unchanged"):
        return subject, None
    if event in ("invitation", "invitation-sent", "invitation-withdrawn", "you-were-removed", "role-changed"):
        return subject, actor
    if event in ("member-joined", "member-left"):
        return subject, actor if name in ("add", "remove") else None
    return None, actor if event == "room-destroyed" else None


def said(event: str, edge: Edge, before: Room | None, after: Room | None) -> tuple[Role | None, bool]:
    """Which role a notice must name, and whether it must call the room private."""
    name, *rest = edge.request.partition(" @")[0].split()
    role: Role | None = None
    if event in ("role-changed", "role-unchanged"):
        role = Role[rest[1].upper()]
    elif event == "you-were-removed" and before is not None and before.role(core.user(rest[0])) is Role.INVITED:
        role = Role.INVITED
    is_private = event in ("room-created", "invitation") and after is not None and after.is_private
    return role, is_private and (name in ("create", "invite", "add") or event == "invitation")


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "walks.json"
    path.write_text(traces.render(walks("classes")[:2], of_rules()))
    read = traces.read(path)
    assert [[step.edge for step in walk] for walk in read] == walks("classes")[:2]
    assert all(step.outcome == of_rules()[step.edge] for walk in read for step in walk)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "walks.json"
    path.write_text('{"format": "imc tour 0"}')
    with pytest.raises(ValueError, match="imc tour 1"):
        traces.read(path)


def test_a_tour_of_a_small_graph() -> None:
    """Loops first, then the nearest way to what is left."""

    def outcome(after: str) -> Outcome:
        return Outcome(200, "R-HELP-1", "", False, (), after)

    found = {
        Edge(NONE, "a", "create"): outcome("public/O"),
        Edge(NONE, "a", "help"): outcome(NONE),
        Edge("public/O", "a", "help"): outcome("public/O"),
        Edge("public/O", "a", "leave"): outcome(NONE),
        Edge("public/O", "a", "destroy"): outcome(NONE),
    }
    (walk,) = tour(found)
    assert [edge.request for edge in walk] == ["help", "create", "help", "leave", "create", "destroy"]
