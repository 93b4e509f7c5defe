"""The graphs of spec/graph/, read; and the core's requests, rooms and outcomes in the same form (spec/README.md)."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from immutables import Map

from imc.aor import Aor
from imc.rooms import (
    UNLIMITED,
    Context,
    Decision,
    Limits,
    Member,
    Notice,
    Policy,
    Role,
    Room,
    RoomRow,
    WithdrawInvitation,
    decide,
    decide_message,
    decide_undelivered,
    member,
    parse_command,
)

FOLDER = Path(__file__).parents[2] / "spec" / "graph"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
FORMAT = "imc room graph 1"

DOMAIN = "imc.test"
MANAGER = Aor("chat-manager", DOMAIN)
INSIDE, OUTSIDE = Aor("chat-x", DOMAIN), Aor("hall", DOMAIN)  # what the room is called: by `room_pattern`, or not
_TOO_LONG = "n" * 65

Json = Any


class Edge(NamedTuple):
    """Numbers of a request, of its outcome, and of the room afterwards."""

    request: int
    outcome: int
    after: int


@cache
def load(name: str) -> Json:
    graph = json.loads((FOLDER / f"{name}.json").read_text())
    assert graph["format"] == FORMAT
    return graph


def edges(graph: Json, room: int) -> list[Edge]:
    row = graph["edges"][room]
    return [Edge(*row[at : at + 3]) for at in range(0, len(row), 3)]


class Stage:
    """A request of the graph, put to the core: the names of its users, its settings, and its circumstances."""

    def __init__(self, graph: Json, request: Json) -> None:
        self.actor: int = request["actor"]
        self.command: Json = request["command"]
        self.given: frozenset[str] = frozenset(request.get("given", ()))
        self.serial: int = request.get("serial", 0)
        self.users = {number: Aor(str(number), DOMAIN) for number in range(1, graph["users"] + 1)}
        if "SenderTooLong" in self.given:
            self.users[self.actor] = Aor(_TOO_LONG, DOMAIN)
        self.numbers = {aor: number for number, aor in self.users.items()}
        self.room = OUTSIDE if "NameOutside" in self.given else INSIDE
        self.policy = _policy(graph["policy"])

    def apply(self, before: Json) -> tuple[Json, Json]:
        """(outcome, room afterwards), in the form of the graph."""
        room = self._room(before)
        decision = self._decide(room)
        return self._outcome(decision), self._shown(decision.room)

    # --- to the core ------------------------------------------------------------------------------------------------

    def _room(self, shown: Json) -> Room | None:
        if shown is None:
            return None
        return Room(
            self.room, shown["private"], Map({self.users[int(n)]: self._entry(e) for n, e in shown["people"].items()})
        )

    def _entry(self, shown: Json) -> Member:
        if isinstance(shown, str):
            return member(Role[shown.upper()])
        _, by, serial = shown
        return Member(Role.INVITED, self.users.get(by), serial)

    def _decide(self, room: Room | None) -> Decision:
        actor, name, context = self.users[self.actor], self.command["name"], self._context(room)
        if name == "undelivered":
            user, serial = self.users[self.command["user"]], self.command["serial"]
            failed = WithdrawInvitation(room=self.room, user=user, inviter=actor, serial=serial)
            return decide_undelivered(room, failed, self.policy)
        if name == "message":
            to = MANAGER if self.command.get("to") == "manager" else self.room
            size = 101 if self.command.get("long") else 100
            at = None if to == MANAGER else room
            decision = decide_message(at, actor, self.policy, to=to, size=size, context=context)
            return replace(decision, room=room) if to == MANAGER else decision
        return decide(room, parse_command(self.text, self.room, self.policy), actor, self.policy, context)

    @property
    def text(self) -> str:
        """What the sender writes."""
        command, name = self.command, self.command["name"]
        words = [name]
        match name:
            case "malformed":
                words = [command["text"]]
            case "create" if command["private"]:
                words.append("private")
            case "invite" | "add" | "remove":
                words.append(self._named(command["user"]))
            case "set":
                words += ["replay", "0" if command["same"] else "1"]
            case "settings":
                words = ["set"]
            case "modify":
                words += [self._named(command["user"]), command["role"]]
        return "#" + " ".join(words)

    def _named(self, number: int) -> str:
        return self.users[number].user

    def _context(self, room: Room | None) -> Context:
        given = self.given
        rooms: tuple[RoomRow, ...] = ()
        if room is not None:  # whether its sender may see it is the core's business
            rooms = (RoomRow(room.aor, room.is_private, room.role(self.users[self.actor])),)
        return Context(
            serial=self.serial,
            rooms_owned=5 if "OwnsEnough" in given else 4,
            rooms_total=9 if "ServerFull" in given else 8,
            is_target_room="SubjectIsRoom" in given,
            is_sender_room="SenderIsRoom" in given,
            is_account="NameIsAccount" in given,
            rooms=rooms,
            is_automatic="Automatic" in given,
        )

    # --- from the core ----------------------------------------------------------------------------------------------

    def _shown(self, room: Room | None) -> Json:
        if room is None:
            return None
        assert room.aor == self.room
        shown = {str(self.numbers[user]): self._shown_entry(entry) for user, entry in room.members.items()}
        return {"private": room.is_private, "people": shown}

    def _shown_entry(self, entry: Member) -> Json:
        if entry.role is Role.INVITED:
            return ["invited", 0 if entry.invited_by is None else self.numbers[entry.invited_by], entry.serial]
        assert entry == member(entry.role), "what is left of an invitation that is over"
        return entry.role.name.lower()

    def _outcome(self, decision: Decision) -> Json:
        answers = [notice for notice in decision.notices if notice.is_answer]
        assert all(notice.recipients == (self.users[self.actor],) for notice in answers)
        assert (decision.refusal is not None) == (decision.status >= 300)
        told: dict[str, str] = dict.fromkeys((str(self.numbers[user]) for user in decision.recipients), "message")
        for notice in decision.notices:
            for user in notice.recipients:
                assert told.setdefault(str(self.numbers[user]), notice.event) is notice.event, "told twice"
        shown = {
            "status": decision.status,
            "clause": decision.clause,
            "event": decision.refusal.event if decision.refusal else self._done_event(answers),
            "code": decision.code,
            "told": told,
        }
        return shown | (self._lists(answers[0]) if answers else {})

    def _done_event(self, answers: list[Notice]) -> str:
        return answers[0].event if answers else ""

    def _lists(self, answer: Notice) -> Json:
        if answer.event == "member-list":
            members = [[self.numbers[user], role.name.lower()] for user, role in answer.members]
            return {"members": members, "left_off": answer.left_off}
        if answer.event == "room-list":
            return {
                "rooms": [
                    [row.is_private, "outsider" if row.role is None else row.role.name.lower()] for row in answer.rooms
                ]
            }
        return {}


def _policy(settings: Json) -> Policy:
    limits = replace(
        UNLIMITED,
        max_members=settings["max_members"] or None,
        max_list_entries=settings["max_list_entries"] or None,
        max_rooms_per_owner=5,
        max_rooms=9,
        max_command_line=100,
        max_text=100,
    )
    return _policy_with(
        limits,
        settings["create_on_join"],
        settings["check_on_create"],
        settings["owner_leave"],
        settings["add_requires_consent"],
    )


@cache
def _policy_with(
    limits: Limits, create_on_join: bool, check_on_create: bool, owner_leave: Any, consent: bool
) -> Policy:
    return Policy(
        create_on_join=create_on_join,
        check_on_create=check_on_create,
        owner_leave=owner_leave,
        add_requires_consent=consent,
        room_pattern="chat-*",
        domains=(DOMAIN,),
        manager=MANAGER,
        limits=limits,
    )
