"""The core and the Quint model, edge by edge: from each room the same requests lead to the same outcomes and rooms.

The graphs are committed (spec/graph/), so that this needs no Quint; `make spec` makes them anew and fails where they
are stale. The search here is the core's own: it begins at the starting rooms and goes where `imc.rooms.decide` leads.
"""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from tests.spec.graph import NAMES, Stage, edges, load

ROLES = ("member", "admin", "owner")


def key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("name", NAMES)
def test_core_and_model_agree_on_every_edge(name: str) -> None:
    graph = load(name)
    stages = [Stage(graph, request) for request in graph["requests"]]
    numbers = {key(room): number for number, room in enumerate(graph["rooms"])}
    found = list(range(graph["starts"]))
    seen = set(found)
    for at in found:  # grows as it goes
        room = graph["rooms"][at]
        for edge in edges(graph, at):
            outcome, after = stages[edge.request].apply(room)
            where = (room, graph["requests"][edge.request])
            assert outcome == graph["outcomes"][edge.outcome], where
            assert numbers.get(key(after)) == edge.after, where
            if edge.after not in seen:
                seen.add(edge.after)
                found.append(edge.after)
    assert seen == set(range(len(graph["rooms"])))


@pytest.mark.parametrize("name", NAMES)
def test_every_request_is_judged_in_every_room(name: str) -> None:
    """What is asked is no choice of the model's: each user, each command, about each user."""
    graph = load(name)
    users = range(1, graph["users"] + 1)
    plain = [
        "accept",
        "reject",
        "join",
        "leave",
        "destroy",
        "members",
        "rooms",
        "help",
        "message",
        "history",
        "settings",
    ]
    commands: list[Any] = [{"name": command} for command in plain]
    commands += [{"name": "create", "private": is_private} for is_private in (False, True)]
    commands += [{"name": "set", "same": is_same} for is_same in (False, True)]
    commands += [{"name": command, "user": user} for command in ("invite", "add", "remove") for user in users]
    commands += [{"name": "modify", "user": user, "role": role} for user in users for role in ROLES]
    wanted = {key([actor, command]) for actor, command in product(users, commands)}
    requests = [key([one["actor"], one["command"]]) for one in graph["requests"]]
    for at in range(len(graph["rooms"])):
        assert wanted <= {requests[edge.request] for edge in edges(graph, at)}


def test_all_settings_that_change_decisions_are_explored() -> None:
    policies = [load(name)["policy"] for name in NAMES]
    for setting in ("create_on_join", "check_on_create", "owner_leave", "add_requires_consent"):
        assert len({policy[setting] for policy in policies}) == 2, setting
    for limit in ("max_members", "max_list_entries"):
        assert {bool(policy[limit]) for policy in policies} == {False, True}, limit
