"""The graphs of spec/graph/: what room_all.qnt found, as JSON for those who have no Quint. README.md has the format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

FORMAT = "imc room graph 1"
STANDINGS = ("outsider", "invited", "member", "admin", "owner")

Json = Any


def room_of(room: Json) -> Json:
    """None where there is no room; outsiders are left out."""
    if not room["isLive"]:
        return None
    people: dict[str, Json] = {}
    for user, entry in sorted(room["people"]):
        standing = STANDINGS[entry["standing"]]
        if standing == "invited":
            people[str(user)] = [standing, entry["by"], entry["serial"]]
        elif standing != "outsider":
            people[str(user)] = standing
    return {"private": room["isPrivate"], "people": people}


def command_of(command: Json) -> Json:
    tag, value = command["tag"], command["value"]
    match tag:
        case "Create":
            return {"name": "create", "private": value}
        case "Invite" | "Add" | "Remove":
            return {"name": tag.lower(), "user": value}
        case "Modify":
            return {"name": "modify", "user": value["user"], "role": STANDINGS[value["standing"]]}
        case "Configure":
            return {"name": "set", "same": value}
        case "Undelivered":
            return {"name": "undelivered", "user": value["user"], "serial": value["serial"]}
        case "Malformed":
            return {"name": "malformed", "text": value["text"]}
        case "LongMessage":
            return {"name": "message", "long": True}
        case "ManagerMessage":
            return {"name": "message", "to": "manager"}
    return {"name": tag.lower()}


def request_of(request: Json) -> Json:
    found = {"actor": request["actor"], "command": command_of(request["command"])}
    if request["given"]:
        found["given"] = sorted(one["tag"] for one in request["given"])
    if found["command"]["name"] in ("invite", "add"):
        found["serial"] = request["serial"]
    return found


def outcome_of(outcome: Json) -> Json:
    """Without the room. What is empty is left out."""
    told = {str(user): event for user, event in sorted(outcome["told"])}
    if len(told) != len(outcome["told"]):
        raise ValueError(f"somebody is told twice: {outcome}")
    found = {
        "status": outcome["status"],
        "clause": outcome["clause"],
        "event": outcome["event"],
        "code": outcome["code"],
        "told": told,
    }
    if outcome["event"] == "member-list":
        found["members"] = [[user, STANDINGS[standing]] for user, standing in outcome["members"]]
        found["left_off"] = outcome["leftOff"]
    if outcome["event"] == "room-list":
        found["rooms"] = [[is_private, STANDINGS[standing]] for is_private, standing in outcome["rooms"]]
    return found


def policy_of(policy: Json) -> Json:
    """By the names of the settings; a limit of 0 is none."""
    return {
        "create_on_join": policy["createOnJoin"],
        "check_on_create": policy["checkOnCreate"],
        "owner_leave": "refuse" if policy["lastOwnerStays"] else "destroy",
        "add_requires_consent": policy["addNeedsConsent"],
        "max_members": policy["maxMembers"],
        "max_list_entries": policy["maxListed"],
    }


def graph_of(name: str, search: Json) -> Json:
    """The graph of one run. Everything in it has one order, so that equal graphs are equal files."""
    layers = search["edges"]
    rooms: dict[str, int] = {}
    starts = 0
    for layer in layers:
        for key in sorted({_key(room_of(judged["before"])) for judged in layer}):
            rooms[key] = len(rooms)
        starts = starts or len(rooms)
    steps = [
        (
            rooms[_key(room_of(judged["before"]))],
            _key(request_of(judged["request"])),
            _key(outcome_of(judged["outcome"])),
            rooms[_key(room_of(judged["outcome"]["room"]))],
        )
        for layer in layers
        for judged in layer
    ]
    requests = _numbered(request for _, request, _, _ in steps)
    outcomes = _numbered(outcome for _, _, outcome, _ in steps)
    edges: list[list[tuple[int, int, int]]] = [[] for _ in rooms]
    for before, request, outcome, after in steps:
        edges[before].append((requests[request], outcomes[outcome], after))
    return {
        "format": FORMAT,
        "name": name,
        "policy": policy_of(layers[0][0]["policy"]),
        "users": len(layers[0][0]["before"]["people"]),
        "starts": starts,
        "rooms": [json.loads(key) for key in rooms],
        "requests": [json.loads(key) for key in requests],
        "outcomes": [json.loads(key) for key in outcomes],
        "edges": [[number for edge in sorted(row) for number in edge] for row in edges],
    }


def render(graph: Json) -> str:
    """One room, request, outcome, or row of edges to a line: so a difference is a few lines."""
    lists = ("rooms", "requests", "outcomes", "edges")
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in graph.items() if key not in lists]
    for key in lists:
        rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in graph[key])
        parts.append(f"{json.dumps(key)}: [\n{rows}\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def path_to(search: Json, room: Json) -> list[str]:
    """The requests that lead from a start to this room, as words: a shortest way."""
    came: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for layer in search["edges"]:
        seen |= {_key(judged["before"]) for judged in layer}
        for judged in layer:
            after = _key(judged["outcome"]["room"])
            if after not in seen:
                came.setdefault(after, (_key(judged["before"]), words(judged["request"])))
    way: list[str] = []
    at = _key(room)
    while at in came:
        at, step = came[at]
        way.append(step)
    return [*_start(room_of(json.loads(at))), *reversed(way)]


def _start(room: Json) -> list[str]:
    """The room that a way begins with, as words; none for no room."""
    if room is None:
        return []
    people = [f"{user} {entry if isinstance(entry, str) else entry[0]}" for user, entry in room["people"].items()]
    return [f"{'private' if room['private'] else 'public'} room of {', '.join(people)}"]


def words(request: Json) -> str:
    """A request as one would say it: `2 modify 2 owner`."""
    command = command_of(request["command"])
    rest = [str(value) for key, value in command.items() if key != "name"]
    if command["name"] == "create":
        rest = ["private"] if command["private"] else []
    given = [f"given {', '.join(one['tag'] for one in request['given'])}"] if request.get("given") else []
    return " ".join((str(request["actor"]), command["name"], *rest, *given))


def _key(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _numbered(keys: Iterable[str]) -> dict[str, int]:
    def order(key: str) -> Iterator[Json]:
        value = json.loads(key)
        yield value.get("actor", 0)
        yield value.get("status", 0)
        yield key

    return {key: number for number, key in enumerate(sorted(set(keys), key=lambda key: tuple(order(key))))}
