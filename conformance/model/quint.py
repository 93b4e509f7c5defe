"""The graphs that the Quint model spans (spec/graph/*.json), in the words of the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from conformance.model.rules import INVITED, Entry, Request, Room

FORMAT = "imc room graph 1"
_GIVEN = {
    "Automatic": "automatic",
    "NameIsAccount": "account",
    "NameOutside": "name-outside",
    "OwnsEnough": "quota",
    "SenderIsRoom": "sender-is-room",
    "SenderTooLong": "long-name",
    "ServerFull": "server-full",
    "SubjectIsRoom": "subject-is-room",
}
# Whose parameter a bad one is
_WHOSE = {"R-HISTORY-3": "of-history", "R-SET-2": "of-set"}
_Json = Mapping[str, Any]


class Edge(NamedTuple):
    """One edge, and what the model says of it; ``told`` has the sender too."""

    before: Room | None
    request: Request
    status: int
    clause: str
    event: str
    told: dict[str, str]
    after: Room | None


def read(path: Path) -> Iterator[Edge]:
    """Every edge of a graph. ValueError where the file is none."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("format") != FORMAT:
        raise ValueError(f"{path}: not {FORMAT!r}")
    policy, rooms = data["policy"], [_room(room) for room in data["rooms"]]
    for before, row in zip(rooms, data["edges"], strict=True):
        for number, which, behind in zip(row[::3], row[1::3], row[2::3], strict=True):
            outcome = data["outcomes"][which]
            request = _request(data["requests"][number], outcome, policy, before)
            told = outcome["told"]
            yield Edge(before, request, outcome["status"], outcome["clause"], outcome["event"], told, rooms[behind])


def _room(room: _Json | None) -> Room | None:
    if room is None:
        return None
    return Room(room["private"], {user: _entry(standing) for user, standing in room["people"].items()})


def _entry(standing: str | list[Any]) -> Entry:
    """A standing; of the invited ["invited", inviter, serial], where inviter 0 is nobody."""
    if isinstance(standing, str):
        return Entry(standing)
    _, inviter, serial = standing
    return Entry(INVITED, str(inviter) if inviter else "", serial)


def _request(request: _Json, outcome: _Json, policy: _Json, room: Room | None) -> Request:
    command = request["command"]
    name = command["name"]
    if name == "modify":
        name = f"modify {command['role']}"
    elif name == "message" and command.get("to") == "manager":
        name = "message to the manager"
    return Request(
        command=name,
        sender=str(request["actor"]),
        subject=str(command.get("user", "")),
        is_private=command.get("private", False),
        circumstances=frozenset(_circumstances(request, outcome, policy, room)),
        serial=command.get("serial", request.get("serial", 0)),
    )


def _circumstances(request: _Json, outcome: _Json, policy: _Json, room: Room | None) -> Iterator[str]:
    yield from (_GIVEN[one] for one in request.get("given", ()))
    command, limit = request["command"], policy["max_members"]
    facts = {
        "check-on-create": policy["check_on_create"],
        "no-create-on-join": not policy["create_on_join"],
        "keep-last-owner": policy["owner_leave"] == "refuse",
        "no-consent": not policy["add_requires_consent"],
        "full": room is not None and 0 < limit <= len(room.members),
        "text-too-long": command.get("long", False),
        "same-value": command.get("same", False),
    }
    yield from (name for name, holds in facts.items() if holds)
    if command["name"] == "malformed":  # what is wrong with a text is not the rules' to find out
        yield outcome["event"]
        if outcome["clause"] == "R-ADDR-9":
            yield "unfit-character"
        if outcome["clause"] in _WHOSE:
            yield _WHOSE[outcome["clause"]]
