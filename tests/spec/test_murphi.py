"""The Murphi model is made from the graph; and what it takes from three users holds in the core for four."""

from __future__ import annotations

import importlib
import json
import sys
from itertools import permutations, product
from pathlib import Path
from typing import Any

from tests.spec.graph import Stage, load

SPEC = Path(__file__).parents[2] / "spec"
sys.path.insert(0, str(SPEC))
room_murphi: Any = importlib.import_module("room_murphi")

USERS = range(1, 5)
CLASSES = 371  # rooms of four users, but for their names: as Rumur counts them (spec/README.md)


def test_model_is_the_one_that_the_graph_gives() -> None:
    assert room_murphi.MODEL.read_text() == room_murphi.render(load("usual"))


def requests(room: Any) -> list[Any]:
    """What three users ask in the graph, of four: each actor and subject."""
    kinds = {json.dumps(one["command"] | {"user": 0}) for one in load("usual")["requests"] if "user" in one["command"]}
    plain = {json.dumps(one["command"]) for one in load("usual")["requests"] if "user" not in one["command"]}
    found = [{"actor": actor, "command": json.loads(text)} for actor, text in product(USERS, sorted(plain))]
    for actor, user, text in product(USERS, USERS, sorted(kinds)):
        request = {"actor": actor, "command": json.loads(text) | {"user": user}}
        if request["command"]["name"] in ("invite", "add"):
            entry = (room or {"people": {}})["people"].get(str(user), "outsider")
            request["serial"] = 2 if entry[0] == "invited" and entry[2] == 1 else 1
        if request["command"]["name"] != "undelivered" or actor != user:
            found.append(request)
    return found


def canonical(room: Any) -> str:
    """Equal for rooms that differ in their users' names only."""
    if room is None:
        return ""
    shown = []
    for order in permutations(USERS):
        names = {0: 0, **dict(zip(USERS, order, strict=True))}
        people = {
            names[int(user)]: entry if isinstance(entry, str) else [entry[0], names[entry[1]], entry[2]]
            for user, entry in room["people"].items()
        }
        shown.append(json.dumps([room["private"], people], sort_keys=True))
    return min(shown)


def test_trees_of_three_users_are_right_for_four() -> None:
    graph = load("usual")
    trees = room_murphi.trees(graph)
    stages: dict[str, Stage] = {}
    found = graph["rooms"][: graph["starts"]]
    seen = {canonical(room) for room in found}
    for room in found:  # grows as it goes
        for request in requests(room):
            stage = stages.setdefault(json.dumps(request), Stage(graph | {"users": 4}, request))
            outcome, after = stage.apply(room)
            step = room_murphi.step(room_murphi.Edge(USERS, room, request, outcome, after))
            assert room_murphi.leaf(trees.outcomes[step.command], step.questions) == step.label, (room, request)
            told = trees.heard[step.command, outcome["clause"]]
            for questions, event in step.heard:
                assert room_murphi.leaf(told, questions) == event, (room, request)
            if after != room and (key := canonical(after)) not in seen:
                seen.add(key)
                found.append(after)
    assert len(seen) == CLASSES
