"""A stage for the pure core: rooms by address, and people who send texts to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from imc.aor import Aor
from imc.rooms import Context, Decision, Notice, Policy, Room, decide, decide_message, is_command, parse_command

DOMAIN = "imc.test"
MANAGER = Aor("chat-manager", DOMAIN)
ROOM = Aor("chat-x", DOMAIN)
POLICY = Policy(manager=MANAGER, domains=(DOMAIN,), room_pattern="chat-*")


def user(name: str) -> Aor:
    return Aor(name, DOMAIN)


class Stage:
    """Keeps what was decided, as the service and the store do together. Serials count up from 1."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.rooms: dict[Aor, Room] = {}
        self.serial = 0

    def send(self, sender: str, body: str, to: Aor = ROOM, **context: Any) -> Decision:
        circumstances = replace(Context(serial=self.serial + 1), **context)
        if is_command(body, self.policy):
            command = parse_command(body, to, self.policy)
            decision = decide(self.rooms.get(command.room), command, user(sender), self.policy, circumstances)
        else:
            decision = decide_message(
                self.rooms.get(to), user(sender), self.policy, to=to, size=len(body), context=circumstances
            )
        self.serial += 1
        self.keep(decision)
        return decision

    def keep(self, decision: Decision) -> None:
        if decision.room is None:
            self.rooms.pop(decision.address, None)
        elif decision.changes:
            self.rooms[decision.address] = decision.room


def told(decision: Decision) -> dict[str, str]:
    """Who gets what: event ids by user part; 'message' for a copy of a room message. Nobody may be told twice."""
    found = {recipient.user: "message" for recipient in decision.recipients}
    for notice in decision.notices:
        for recipient in notice.recipients:
            assert recipient.user not in found, f"{recipient} is told twice"
            found[recipient.user] = notice.event
    return found


def the_answer(decision: Decision) -> Notice:
    (answer,) = (notice for notice in decision.notices if notice.is_answer)
    return answer
