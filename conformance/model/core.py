"""The pure core of imc, asked what the graph asks: each request as the text that a user would send."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from immutables import Map

from conformance.model import graph
from conformance.model.graph import Edge, Outcome
from imc.aor import Aor
from imc.rooms.commands import WithdrawInvitation, parse_command
from imc.rooms.decide import decide, decide_message, decide_undelivered
from imc.rooms.model import Member, Role, Room
from imc.rooms.outcome import Context, Decision
from imc.rooms.policy import Limits, Policy

_DOMAIN = "imc.test"
_ROOM = Aor("chat-x", _DOMAIN)
_POLICY = Policy(manager=Aor("chat-manager", _DOMAIN), domains=(_DOMAIN,), room_pattern="chat-*")
_ROLES = {graph.OWNER: Role.OWNER, graph.ADMIN: Role.ADMIN, graph.MEMBER: Role.MEMBER}
_LETTERS = {role: letter for letter, role in _ROLES.items()}
_SERIAL = 2
_MANY = 1_000

# What each circumstance is to the core: fields of the policy, limits, or fields of the context
_POLICIES: dict[str, dict[str, Any]] = {
    "check-on-create": {"check_on_create": True},
    "no-create-on-join": {"create_on_join": False},
    "keep-last-owner": {"owner_leave": "refuse"},
    "no-consent": {"add_requires_consent": False},
    "name-outside": {"room_pattern": "talk-*"},
}
_LIMITS: dict[str, dict[str, int]] = {
    "quota": {"max_rooms_per_owner": _MANY},
    "server-full": {"max_rooms": _MANY},
    "text-too-long": {"max_text": 1},
}
_CONTEXTS: dict[str, dict[str, Any]] = {
    "account": {"is_account": True},
    "sender-is-room": {"is_sender_room": True},
    "automatic": {"is_automatic": True},
    "same-value": {},  # of the text
}
# Requests that are no commands under their own name
_TEXTS = {"malformed": "#frobnicate", "settings": "#set"}


def _setting(room: Room | None, *, is_same: bool) -> str:
    """A text that sets what is so already, or something else; never such that more is repeated to whoever joins."""
    known = -1 if room is None else room.settings.keep
    value = known if is_same else 6 if known == 5 else 5
    return f"#set keep {'default' if value < 0 else value}"


def user(letter: str) -> Aor:
    return Aor(letter, _DOMAIN)


def step(edge: Edge) -> Outcome:
    """`conformance.model.graph.Step`: the graph that `imc.rooms.decide` spans."""
    return outcome_of(ask(room_of(edge.state), edge.actor, edge.request, _SERIAL))


def ask(room: Room | None, actor: str, request: str, serial: int) -> Decision:
    """What the core decides. ``serial`` is that of the invitation which the request may make."""
    words, _, names = request.partition(" @")
    name, *rest = words.split()
    size = 0 if room is None else len(room.members)
    policy, context = _circumstances(names, size, rest == ["room"])
    if name in ("undelivered", "late"):
        entry = None if room is None else room.members.get(user(rest[0]))
        newest = 0 if entry is None else entry.serial
        failed = newest if name == "undelivered" else newest - 1
        which = WithdrawInvitation(room=_ROOM, user=user(rest[0]), inviter=user(actor), serial=failed)
        return decide_undelivered(room, which, policy)
    context = replace(context, serial=serial)
    if name == "message":
        return decide_message(room, user(actor), policy, to=_ROOM, size=2, context=context)
    text = _setting(room, is_same="same-value" in names) if name == "set" else _TEXTS.get(name, f"#{words}")
    return decide(room, parse_command(text, _ROOM, policy), user(actor), policy, context)


@cache
def _circumstances(names: str, size: int, is_target_room: bool) -> tuple[Policy, Context]:
    """``size`` is that of the room. Limits that do not matter here are just not reached."""
    limits = Limits(max_rooms_per_owner=_MANY + 1, max_rooms=_MANY + 1)
    policy = _POLICY
    context = Context(rooms_owned=_MANY, rooms_total=_MANY, is_target_room=is_target_room)
    for name in names.split(",") if names else ():
        if name == "full":
            limits = replace(limits, max_members=size)
        elif name in _LIMITS:
            limits = replace(limits, **_LIMITS[name])
        elif name in _POLICIES:
            policy = replace(policy, **_POLICIES[name])
        else:
            context = replace(context, **_CONTEXTS[name])
    return replace(policy, limits=limits), context


def room_of(state: str) -> Room | None:
    """The room that a state stands for."""
    if state == graph.NONE:
        return None
    letters = zip(graph.USERS, graph.standings(state), strict=False)
    members = {user(one): _member(letter) for one, letter in letters if letter != graph.OUTSIDER}
    return Room(_ROOM, graph.is_private(state), Map(members))


def _member(letter: str) -> Member:
    role = _ROLES.get(letter)
    return Member(Role.INVITED, user(letter), _SERIAL) if role is None else Member(role)


def state_of(room: Room | None, users: str = graph.USERS) -> str:
    """The state that a room is in; only these users are looked at."""
    if room is None:
        return graph.NONE
    letters = (_letter(room.members.get(user(one))) for one in users)
    return f"{'private' if room.is_private else 'public'}/{''.join(letters)}"


def _letter(entry: Member | None) -> str:
    if entry is None:
        return graph.OUTSIDER
    if entry.role is Role.INVITED:
        return "?" if entry.invited_by is None else entry.invited_by.user
    return _LETTERS[entry.role]


def outcome_of(decision: Decision) -> Outcome:
    """ValueError where somebody would be told twice."""
    told = [(recipient.user, "message") for recipient in decision.recipients]
    answers = [notice.event for notice in decision.notices if notice.is_answer]
    told += [
        (one.user, notice.event) for notice in decision.notices if not notice.is_answer for one in notice.recipients
    ]
    event = "".join(answers) if decision.refusal is None else decision.refusal.event
    if answers not in ([], [event]) or len(dict(told)) < len(told):
        raise ValueError(f"told twice, or another thing: {answers} {told}")
    return Outcome(
        status=decision.status,
        clause=decision.clause,
        event=event,
        is_answered=bool(answers),
        told=tuple(sorted(told)),
        after=state_of(decision.room),
    )
