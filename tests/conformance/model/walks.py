"""Random walks through rooms of many people, the rules of the specification as the reference.

Beside the requests of users: settings change, rooms are read anew as after a restart, invitations fail, early and late.
Rooms begin in any state that the database may hold, also with inviters that nobody knows.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from immutables import Map

from conformance.model import rules
from conformance.model.rules import INVITED, STANDINGS, Entry, Request
from imc.aor import Aor
from imc.rooms.commands import Command, WithdrawInvitation, parse_command
from imc.rooms.decide import decide, decide_message, decide_undelivered
from imc.rooms.model import Member, Role, Room
from imc.rooms.outcome import Context, Decision
from imc.rooms.policy import Limits, Policy

DOMAIN = "imc.test"
USERS = ("ann", "bob", "cy", "dee", "eve", "fay")
ROOMS = (Aor("chat-1", DOMAIN), Aor("chat-2", DOMAIN))
EXAMPLES, STEPS = 300, 60  # walks, and steps of one at most
_MANY = 100
_ABOUT_USER = ("invite", "add", "remove")
_COMING = ("create", "create private", "join", "accept")
_GOING = ("reject", "leave")
_OTHERS = ("message", "members", "rooms", "help", "destroy", "history", "settings", "set")
_TEXTS = {"message": "a text", "settings": "#set", "set": "#set keep 5"}
_ROLES = {name: Role[name.upper()] for name in STANDINGS if name != rules.OUTSIDER}


def user(name: str) -> Aor:
    return Aor(name, DOMAIN)


class Question(NamedTuple):
    """What the core is asked, and the same for the rules. ``text`` is None where an invitation failed."""

    at: Aor
    before: Room | None
    sender: str
    text: str | None
    policy: Policy
    context: Context
    request: Request


def command_of(question: Question) -> Command | None:
    """None for a room message."""
    at, text, request = question.at, question.text, question.request
    if text is None:
        inviter = user(question.sender)
        return WithdrawInvitation(room=at, user=user(request.subject), inviter=inviter, serial=request.serial)
    return parse_command(text, at, question.policy) if text.startswith("#") else None


def ask(question: Question) -> Decision:
    """What the core decides."""
    at, before, policy, context = question.at, question.before, question.policy, question.context
    command = command_of(question)
    if command is None:
        size = len(question.text or "")
        return decide_message(before, user(question.sender), policy, to=at, size=size, context=context)
    if isinstance(command, WithdrawInvitation):
        return decide_undelivered(before, command, policy)
    return decide(before, command, user(question.sender), policy, context)


def check(question: Question, decision: Decision) -> None:
    """AssertionError where the decision is not what the rules say."""
    verdict = rules.judge(seen(question.before), question.request)
    assert (decision.status, decision.clause) == (verdict.status, verdict.clause), question
    answers = [notice.event for notice in decision.notices if notice.is_answer]
    assert answers == ([verdict.event] if verdict.is_answered else []), question
    refused = "" if decision.refusal is None else decision.refusal.event
    assert refused == (verdict.event if verdict.status >= 300 else ""), question
    told = [(one.user, "message") for one in decision.recipients]
    others = (notice for notice in decision.notices if not notice.is_answer)
    told += [(one.user, notice.event) for notice in others for one in notice.recipients]
    assert sorted(told) == sorted(verdict.told.items()), question
    assert seen(decision.room) == verdict.after, question
    assert bool(decision.changes) == (decision.room != question.before), question


def seen(room: Room | None) -> rules.Room | None:
    """A room of the core as one of the rules."""
    if room is None:
        return None
    return rules.Room(
        room.is_private,
        {
            one.user: Entry(entry.role.name.lower(), entry.invited_by.user if entry.invited_by else "", entry.serial)
            for one, entry in room.members.items()
        },
    )


def made(at: Aor, room: rules.Room) -> Room:
    """A room of the rules as one of the core."""
    members = {user(name): _member(entry) for name, entry in room.members.items()}
    return Room(at, room.is_private, Map(members))


def _member(entry: Entry) -> Member:
    return Member(_ROLES[entry.standing], user(entry.inviter) if entry.inviter else None, entry.serial)


# --- strategies -------------------------------------------------------------------------------------------------------

numbers = st.integers(0, 1_000)
entries = st.one_of(
    st.sampled_from([Entry(standing) for standing in ("admin", "member", "owner", "admin")]),
    st.builds(Entry, st.just(INVITED), st.sampled_from(("", *USERS)), st.integers(0, 3)),
    st.none(),
)


@st.composite
def rooms(draw: st.DrawFn) -> rules.Room | None:
    """Any room that may stand in the database; none at times."""
    drawn = {name: draw(entries) for name in USERS}
    members = {name: entry for name, entry in drawn.items() if entry is not None and entry.inviter != name}
    if not members or draw(numbers) % 4 == 1:
        return None
    members[draw(st.sampled_from(sorted(members)))] = Entry(rules.OWNER)
    return rules.Room(draw(st.booleans()), members)


places = st.sampled_from(ROOMS)
settings_in_force = st.builds(
    Policy,
    create_on_join=st.booleans(),
    check_on_create=st.booleans(),
    owner_leave=st.sampled_from(("destroy", "refuse")),
    add_requires_consent=st.booleans(),
    room_pattern=st.sampled_from(("chat-*", "*", "talk-*")),
    manager=st.just(Aor("chat-manager", DOMAIN)),
    domains=st.just((DOMAIN,)),
    limits=st.builds(
        Limits,
        max_members=st.sampled_from((None, 2, 4)),
        max_rooms_per_owner=st.just(_MANY),
        max_rooms=st.just(_MANY),
        max_text=st.sampled_from((None, 5)),
    ),
)
_FLAGS: tuple[dict[str, Any], ...] = (
    {"rooms_owned": _MANY},
    {"rooms_total": _MANY},
    {"is_account": True},
    {"is_target_room": True},
    {"is_sender_room": True},
    {"is_automatic": True},
)
contexts = numbers.map(lambda number: _FLAGS[number % 20] if number % 20 < len(_FLAGS) else {})


class Walk(RuleBasedStateMachine):
    """``log`` takes each question, if set, and None where rooms begin anew."""

    log: ClassVar[list[Question | None] | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.rooms: dict[Aor, Room | None] = {}
        self.policy = Policy()
        self.serial = 10
        self.failures: list[tuple[Aor, str, str, int]] = []

    @initialize(policy=settings_in_force, first=rooms(), second=rooms())
    def begin(self, policy: Policy, first: rules.Room | None, second: rules.Room | None) -> None:
        self._record(None)
        self.policy = policy
        for at, room in zip(ROOMS, (first, second), strict=True):
            self.rooms[at] = None if room is None else made(at, room)

    @rule(at=places, who=numbers, words=st.sampled_from(_COMING), context=contexts)
    def somebody_comes(self, at: Aor, who: int, words: str, context: dict[str, Any]) -> None:
        self._request(at, self._somebody(at, who), words, context)

    @rule(at=places, who=numbers, words=st.sampled_from(_GOING), context=contexts)
    def somebody_goes(self, at: Aor, who: int, words: str, context: dict[str, Any]) -> None:
        self._request(at, self._somebody(at, who), words, context)

    @rule(at=places, who=numbers, words=st.sampled_from(_OTHERS), context=contexts)
    def others(self, at: Aor, who: int, words: str, context: dict[str, Any]) -> None:
        self._request(at, self._somebody(at, who), words, context)

    @rule(at=places, who=numbers, name=st.sampled_from(_ABOUT_USER), whom=numbers, context=contexts)
    def about_somebody(self, at: Aor, who: int, name: str, whom: int, context: dict[str, Any]) -> None:
        self._request(at, self._somebody(at, who), f"{name} {self._somebody(at, whom)}", context)

    @rule(at=places, who=numbers, whom=numbers, role=st.sampled_from(("admin", "owner", "member")), context=contexts)
    def about_a_role(self, at: Aor, who: int, whom: int, role: str, context: dict[str, Any]) -> None:
        self._request(at, self._somebody(at, who), f"modify {self._somebody(at, whom)} {role}", context)

    def _somebody(self, at: Aor, who: int) -> str:
        """Rather one who has a part in the room, and rather one with a high rank."""
        room = self.rooms[at]
        ranked = [] if room is None else sorted(room.members, key=lambda one: (-room.members[one].role, one))
        people = [*(one.user for one in ranked), *(one.user for one in ranked[: len(ranked) // 2]), *USERS]
        return people[who % len(people)]

    def _request(self, at: Aor, sender: str, words: str, context: dict[str, Any]) -> None:
        self.serial += 1
        text = _TEXTS.get(words, f"#{words}")
        circumstances = Context(serial=self.serial, **context)
        request = self._asked(at, sender, words, circumstances)
        self._put(Question(at, self.rooms[at], sender, text, self.policy, circumstances, request))

    @rule(which=numbers)
    def an_invitation_fails(self, which: int) -> None:
        """One of those that were made, pending or not."""
        if self.failures:
            at, inviter, invitee, serial = self.failures[which % len(self.failures)]
            request = Request("undelivered", inviter, invitee, serial=serial)
            self._put(Question(at, self.rooms[at], inviter, None, self.policy, Context(), request))

    @rule(policy=settings_in_force)
    def other_settings(self, policy: Policy) -> None:
        self.policy = policy

    @rule()
    def restart(self) -> None:
        """What is read is equal, and new."""
        for at, room in self.rooms.items():
            found = seen(room)
            self.rooms[at] = None if found is None else made(at, found)

    def _record(self, question: Question | None) -> None:
        if self.log is not None:
            self.log.append(question)

    def _put(self, question: Question) -> None:
        self._record(question)
        decision = ask(question)
        check(question, decision)
        self.rooms[question.at] = decision.room
        if question.text and decision.clause in ("R-INVITE-1", "R-INVITE-2", "R-ADD-1"):
            request = question.request
            self.failures.append((question.at, request.sender, request.subject, request.serial))

    def _asked(self, at: Aor, sender: str, words: str, context: Context) -> Request:
        name, *rest = words.split()
        return Request(
            command=f"modify {rest[1]}" if name == "modify" else name,
            sender=sender,
            subject="" if not rest or name == "create" else rest[0],
            is_private="private" in rest,
            circumstances=frozenset(self._circumstances(at, context)),
            serial=context.serial,
        )

    def _circumstances(self, at: Aor, context: Context) -> list[str]:
        policy, limits, room = self.policy, self.policy.limits, self.rooms[at]
        facts = {
            "check-on-create": policy.check_on_create,
            "no-create-on-join": not policy.create_on_join,
            "keep-last-owner": policy.owner_leave == "refuse",
            "no-consent": not policy.add_requires_consent,
            "name-outside": policy.room_pattern == "talk-*",
            "account": context.is_account,
            "quota": context.rooms_owned == _MANY,
            "server-full": context.rooms_total == _MANY,
            "full": room is not None and limits.max_members is not None and len(room.members) >= limits.max_members,
            "text-too-long": limits.max_text is not None,
            "sender-is-room": context.is_sender_room,
            "subject-is-room": context.is_target_room,
            "automatic": context.is_automatic,
            "same-value": room is not None and room.settings.keep == 5,
        }
        return [name for name, holds in facts.items() if holds]

    @invariant()
    def every_live_room_has_an_owner(self) -> None:
        """Spec R-INV-1."""
        assert all(room is None or room.having(Role.OWNER) for room in self.rooms.values())


def recorded(examples: int) -> list[Question | None]:
    """The questions of so many walks, the same each time; None where one begins."""
    found: list[Question | None] = []

    class Recorded(Walk):
        log = found

    phases = (Phase.generate,)
    options = settings(
        max_examples=examples, stateful_step_count=STEPS, deadline=None, derandomize=True, database=None, phases=phases
    )
    run_state_machine_as_test(Recorded, settings=options)
    return found
