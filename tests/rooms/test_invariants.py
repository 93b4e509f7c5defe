"""The eight invariants of the specification (spec §18), held through any sequence of texts, failures and restarts."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from immutables import Map

from imc.aor import Aor
from imc.rooms import (
    Decision,
    Limits,
    Member,
    MemberGone,
    MemberSet,
    Policy,
    Role,
    Room,
    RoomCreated,
    RoomDestroyed,
    WithdrawInvitation,
    decide_undelivered,
    parse_command,
)
from tests.rooms.play import DOMAIN, MANAGER, Stage, told, user

NAMES = ("alice", "bob", "carol", "dave")
ROOMS = (Aor("chat-1", DOMAIN), Aor("chat-2", DOMAIN))

names = st.sampled_from(NAMES)
rooms = st.sampled_from(ROOMS)
# Sent to one room; some name the other one
without_user = st.sampled_from(
    ("create", "create private", "join", "accept", "reject", "leave", "destroy", "members", "rooms", "help", "nonsense")
)
with_user = st.sampled_from(("invite", "add", "remove"))
bodies = st.one_of(
    without_user.map("#{}".format),
    st.builds("#{} {}".format, with_user, names),
    st.builds("#{} {} {}".format, with_user, names, st.sampled_from(("chat-1", "chat-2"))),
    st.builds("#modify {} {}".format, names, st.sampled_from(("owner", "admin", "member"))),
    st.just("hello"),
)
policies = st.builds(
    Policy,
    create_on_join=st.booleans(),
    check_on_create=st.booleans(),
    owner_leave=st.sampled_from(("destroy", "refuse")),
    add_requires_consent=st.booleans(),
    room_pattern=st.sampled_from(("chat-*", "*")),
    manager=st.just(MANAGER),
    domains=st.just((DOMAIN,)),
    limits=st.sampled_from((Limits(), Limits(max_members=2))),
)


@dataclass
class Disk:
    """What a store keeps of the changes, row by row, knowing no rules."""

    private: dict[Aor, bool] = field(default_factory=dict)
    members: dict[Aor, dict[Aor, Member]] = field(default_factory=dict)

    def write(self, decision: Decision) -> None:
        room = decision.address
        for change in decision.changes:
            match change:
                case RoomCreated(is_private):
                    self.private[room], self.members[room] = is_private, {}
                case RoomDestroyed():
                    del self.private[room], self.members[room]
                case MemberSet(who, entry):
                    self.members[room][who] = entry
                case MemberGone(who):
                    del self.members[room][who]

    def read(self) -> dict[Aor, Room]:
        return {aor: Room(aor, flag, Map(self.members[aor])) for aor, flag in self.private.items()}


def role_in(room: Room | None, who: Aor) -> int:
    return 0 if room is None else room.role(who) or 0


class Invariants(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.disk = Disk()
        self.invitations: list[WithdrawInvitation] = []

    @initialize(policy=policies)
    def configure(self, policy: Policy) -> None:
        self.stage.policy = policy

    @rule(sender=names, body=bodies, to=rooms)
    def say(self, sender: str, body: str, to: Aor) -> None:
        self._send(sender, body, to)

    @rule(sender=names, invitee=names, to=rooms, body=st.sampled_from(("#accept", "#join", "#reject", "hello")))
    def invite_and_answer(self, sender: str, invitee: str, to: Aor, body: str) -> None:
        self._send(sender, f"#invite {invitee}", to)
        self._send(invitee, body, to)

    @rule(data=st.data())
    def invitation_fails(self, data: st.DataObject) -> None:
        if not self.invitations:
            return
        failed = data.draw(st.sampled_from(self.invitations))
        before = self.stage.rooms.get(failed.room)
        decision = decide_undelivered(before, failed, self.stage.policy)
        assert decision.status == 200
        if decision.changes:  # spec R-INVITE-5
            assert before is not None
            assert before.members[failed.user] == Member(Role.INVITED, failed.inviter, failed.serial)
            assert decision.changes == (MemberGone(failed.user),)
            assert set(told(decision).values()) == {"invitation-failed"}
        else:
            assert decision.notices == ()
        self._keep(decision)

    @rule()
    def restart(self) -> None:
        """Spec R-INV-8."""
        self.stage.rooms = self.disk.read()

    def _send(self, sender: str, body: str, to: Aor) -> None:
        before = dict(self.stage.rooms)
        decision = self.stage.send(sender, body, to)
        self.disk.write(decision)
        self._remember_invitation(decision)
        self._check(before, decision, user(sender), body)

    def _keep(self, decision: Decision) -> None:
        self.stage.keep(decision)
        self.disk.write(decision)

    def _remember_invitation(self, decision: Decision) -> None:
        for change in decision.changes:
            match change:
                case MemberSet(who, Member(Role.INVITED, Aor() as inviter, serial)):
                    failed = WithdrawInvitation(room=decision.address, user=who, inviter=inviter, serial=serial)
                    self.invitations.append(failed)

    def _check(self, before: dict[Aor, Room], decision: Decision, sender: Aor, body: str) -> None:
        old, new = before.get(decision.address), self.stage.rooms.get(decision.address)
        mine = role_in(old, sender)
        touched = {change.user for change in decision.changes if isinstance(change, MemberSet | MemberGone)}

        # spec R-INV-2: recipients were members, and the sender is none of them
        for recipient in decision.recipients:
            assert role_in(old, recipient) >= Role.MEMBER
            assert recipient != sender
        if decision.status == 202:
            assert mine >= Role.MEMBER
            assert set(decision.recipients) | {sender} == {w for w in old.members if role_in(old, w) > 1}  # type: ignore[union-attr]

        for who in touched:
            was, now = role_in(old, who), role_in(new, who)
            # spec R-INV-3: how a private room gains a member
            if old is not None and old.is_private and was < Role.MEMBER <= now:
                is_accepted = who == sender and was == Role.INVITED
                is_added = body.startswith("#add") and mine >= Role.ADMIN
                assert is_accepted or is_added
            # spec R-INV-4: promotion and demotion
            if was >= Role.MEMBER and now >= Role.MEMBER and was != now:
                assert mine == Role.OWNER
            # spec R-INV-5: on whom one acts
            if who != sender:
                assert mine > was or (mine == was == Role.OWNER and body.startswith("#modify"))
        # spec R-INV-4: destruction; who leaves as the last owner destroys
        if RoomDestroyed() in decision.changes:
            assert mine == Role.OWNER

        # spec R-INV-6: a refusal
        if decision.status >= 300:
            assert decision.changes == ()
            assert self.stage.rooms == before
            told_others = {who: event for who, event in told(decision).items() if who != sender.user}
            assert set(told_others.values()) <= {"join-attempted"}
            assert all(role_in(old, user(who)) >= Role.ADMIN for who in told_others)
        # spec R-INV-7: one room, the one the command is about
        assert {aor: room for aor, room in self.stage.rooms.items() if aor != decision.address} == {
            aor: room for aor, room in before.items() if aor != decision.address
        }
        if body.startswith("#") and decision.changes:
            assert decision.address in ROOMS
        told(decision)  # nobody is told twice

    @invariant()
    def every_live_room_has_an_owner(self) -> None:
        """Spec R-INV-1."""
        for aor, room in self.stage.rooms.items():
            assert room.aor == aor
            assert room.having(Role.OWNER)

    @invariant()
    def what_is_on_disk_is_what_was_decided(self) -> None:
        """Spec R-INV-8; the audience handed on equals the one computed anew."""
        read = self.disk.read()
        assert read == self.stage.rooms
        for aor, room in self.stage.rooms.items():
            assert room.audience == read[aor].audience

    @invariant()
    def nobody_who_is_a_room_is_in_a_room(self) -> None:
        for room in self.stage.rooms.values():
            assert MANAGER not in room.members


Invariants.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestInvariants = Invariants.TestCase


def test_parse_of_the_bodies_names_what_is_meant() -> None:
    """The strategies speak of the rooms they say they do."""
    command = parse_command("#invite bob chat-2", ROOMS[0], Stage().policy)
    assert command.room == ROOMS[1]
