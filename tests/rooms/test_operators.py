"""What operators do to rooms (spec §21): each act from each standing, and the invariants through any sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from imc.aor import Aor
from imc.rooms import Context, Decision, Limits, Member, MemberGone, MemberSet, Role, Room, RoomCreated, RoomDestroyed
from imc.rooms.commands import Add, Command, CreateFor, Destroy, Invite, Modify, Remove, Set, SetPrivate
from imc.rooms.model import PrivacySet
from imc.rooms.operators import ROWS, decide_operator
from imc.rooms.outcome import REFUSALS
from imc.rooms.replies import text
from tests.rooms.play import DOMAIN, MANAGER, POLICY, ROOM, Stage, told, user

ALICE, BOB, DAVE, ERIN = user("alice"), user("bob"), user("dave"), user("erin")


class Operated(Stage):
    """Operators act, beside people who send texts."""

    def do(self, act: Command, **context: Any) -> Decision:
        circumstances = replace(Context(serial=self.serial + 1, is_operator=True), **context)
        decision = decide_operator(self.rooms.get(act.room), act, MANAGER, self.policy, circumstances)
        self.serial += 1
        self.keep(decision)
        return decision


@pytest.fixture
def stage() -> Operated:
    """A private room: alice owns it, bob is admin, carol a member, dave invited; erin is nobody."""
    on = Operated()
    for sender, body in (
        ("alice", "#create private"),
        ("alice", "#invite bob"),
        ("bob", "#accept"),
        ("alice", "#modify bob admin"),
        ("alice", "#invite carol"),
        ("carol", "#accept"),
        ("alice", "#invite dave"),
    ):
        assert on.send(sender, body).status == 200, body
    return on


ALL = ("alice", "bob", "carol")


@pytest.mark.parametrize(
    ("act", "status", "event", "clause", "others"),
    [
        (Destroy(room=ROOM), 200, "", "R-ADMIN-1", dict.fromkeys((*ALL, "dave"), "room-destroyed")),
        (Remove(room=ROOM, user=user("carol")), 200, "", "R-ADMIN-1",
         {"carol": "you-were-removed", "alice": "member-left", "bob": "member-left"}),
        (Remove(room=ROOM, user=BOB), 200, "", "R-ADMIN-1",
         {"bob": "you-were-removed", "alice": "member-left", "carol": "member-left"}),
        (Remove(room=ROOM, user=DAVE), 200, "", "R-REMOVE-2",
         {"dave": "you-were-removed", **dict.fromkeys(ALL, "invitation-withdrawn")}),
        (Remove(room=ROOM, user=ALICE), 403, "last-owner", "R-ADMIN-4", {}),
        (Remove(room=ROOM, user=ERIN), 404, "user-not-in-room", "R-REMOVE-4", {}),
        (Add(room=ROOM, user=ERIN), 200, "", "R-ADMIN-5", dict.fromkeys((*ALL, "erin"), "member-joined")),
        (Add(room=ROOM, user=DAVE), 200, "", "R-ADMIN-5", dict.fromkeys((*ALL, "dave"), "member-joined")),
        (Add(room=ROOM, user=BOB), 403, "already-member", "R-INVITE-3", {}),
        (Invite(room=ROOM, user=ERIN), 200, "", "R-INVITE-1", {"erin": "invitation"}),
        (Invite(room=ROOM, user=DAVE), 200, "", "R-INVITE-2", {"dave": "invitation"}),
        (Invite(room=ROOM, user=BOB), 403, "already-member", "R-INVITE-3", {}),
        (Modify(room=ROOM, user=BOB, role=Role.OWNER), 200, "", "R-MODIFY-1", dict.fromkeys(ALL, "role-changed")),
        (Modify(room=ROOM, user=BOB, role=Role.ADMIN), 200, "", "R-MODIFY-5", {}),
        (Modify(room=ROOM, user=ALICE, role=Role.MEMBER), 403, "last-owner", "R-MODIFY-2", {}),
        (Modify(room=ROOM, user=DAVE, role=Role.MEMBER), 403, "invited-has-no-role", "R-MODIFY-3", {}),
        (Modify(room=ROOM, user=ERIN, role=Role.MEMBER), 404, "user-not-in-room", "R-MODIFY-4", {}),
        (Set(room=ROOM, option="replay", value=5), 200, "", "R-SET-1", dict.fromkeys(ALL, "setting-changed")),
        (Set(room=ROOM, option="replay", value=0), 200, "", "R-SET-3", {}),
        (SetPrivate(room=ROOM, is_private=False), 200, "", "R-ADMIN-6", dict.fromkeys(ALL, "privacy-changed")),
        (SetPrivate(room=ROOM, is_private=True), 200, "", "R-ADMIN-4", {}),
        (CreateFor(room=ROOM, user=ERIN), 403, "room-exists", "R-ADMIN-3", {}),
    ],
)  # fmt: skip
def test_an_act(stage: Operated, act: Command, status: int, event: str, clause: str, others: dict[str, str]) -> None:
    """R-ADMIN-1, R-ADMIN-2, R-ADMIN-4 to -6: whoever would be told of a member's act is, and nobody is answered."""
    before = stage.rooms[ROOM]
    decision = stage.do(act)
    assert (decision.status, decision.clause) == (status, clause)
    assert (decision.refusal.event if decision.refusal else "") == event
    assert told(decision) == others
    assert not any(notice.is_answer for notice in decision.notices)
    if status >= 300:
        assert decision.changes == ()
        assert stage.rooms[ROOM] == before


def test_what_is_told_names_the_manager(stage: Operated) -> None:
    """R-ADMIN-2."""
    decision = stage.do(Remove(room=ROOM, user=BOB))
    words = {notice.event: text(notice, POLICY) for notice in decision.notices}
    assert words["you-were-removed"] == "chat-manager@imc.test has removed you from the room chat-x@imc.test."
    words = {one.event: text(one, POLICY) for one in stage.do(SetPrivate(room=ROOM, is_private=False)).notices}
    assert words["privacy-changed"].startswith("chat-manager@imc.test has made the room chat-x@imc.test public")


def test_a_room_for_an_owner() -> None:
    """R-ADMIN-1, R-ADMIN-3: as the owner's own create, but for who asks."""
    stage = Operated()
    decision = stage.do(CreateFor(room=ROOM, user=ALICE, is_private=True))
    assert decision.changes == (RoomCreated(True), MemberSet(ALICE, Member(Role.OWNER)))
    assert told(decision) == {"alice": "room-created"}
    assert "you are its owner" in text(decision.notices[0], POLICY)


@pytest.mark.parametrize(
    ("room", "owner", "context", "event"),
    [
        (MANAGER, ALICE, {}, "room-needed"),
        (Aor("alice", DOMAIN), ALICE, {}, "room-name-not-allowed"),
        (ROOM, ALICE, {"is_account": True}, "room-name-not-allowed"),
        (ROOM, Aor("chat-y", DOMAIN), {}, "address-is-a-room"),
        (ROOM, ALICE, {"rooms_owned": 2}, "too-many-rooms"),
        (ROOM, ALICE, {"rooms_total": 9}, "server-full"),
        (Aor("chat-" + "x" * 70, DOMAIN), ALICE, {}, "name-too-long"),
        (ROOM, Aor("a" * 70, DOMAIN), {}, "name-too-long"),
        (ROOM, Aor("a%00", DOMAIN), {}, "bad-address"),
    ],
)
def test_a_room_that_nobody_may_have(room: Aor, owner: Aor, context: dict[str, Any], event: str) -> None:
    """R-ADMIN-1: what is not about the sender's standing holds for operators too."""
    stage = Operated(replace(POLICY, limits=Limits(max_rooms_per_owner=2, max_rooms=9)))
    decision = stage.do(CreateFor(room=room, user=owner), **context)
    assert decision.refusal is not None
    assert (decision.refusal.event, decision.status) == (event, REFUSALS[event])
    assert (decision.changes, decision.notices, stage.rooms) == ((), (), {})


@pytest.mark.parametrize("act", [Destroy(room=ROOM), Add(room=ROOM, user=BOB), SetPrivate(room=ROOM, is_private=True)])
def test_a_room_that_is_not_there(act: Command) -> None:
    decision = Operated().do(act)
    assert (decision.status, decision.clause, decision.notices) == (404, "R-HIDE-1", ())


def test_a_full_room_is_full_for_operators(stage: Operated) -> None:
    """R-ADMIN-1 with R-LIMIT-1: who is invited is counted already."""
    stage.policy = replace(POLICY, limits=Limits(max_members=4))
    assert stage.do(Add(room=ROOM, user=ERIN)).refusal is not None
    assert stage.do(Add(room=ROOM, user=DAVE)).status == 200


def test_a_new_member_gets_what_the_room_repeats(stage: Operated) -> None:
    """R-ADMIN-5 with R-HISTORY-7."""
    stage.do(Set(room=ROOM, option="replay", value=3))
    decision = stage.do(Add(room=ROOM, user=ERIN))
    assert [notice.recipients for notice in decision.notices if notice.is_replay] == [(ERIN,)]


def test_the_owners_hear_what_comes_of_an_invitation(stage: Operated) -> None:
    """R-ADMIN-5: the manager is nobody who could be told."""
    stage.do(Invite(room=ROOM, user=ERIN))
    decision = stage.send("erin", "#reject")
    assert told(decision) == {"erin": "invitation-rejected", "alice": "invitation-rejected"}


def test_some_row_always_holds() -> None:
    sources = {(row.trigger, row.source) for row in ROWS}
    for where in sources:
        rows = [row for row in ROWS if (row.trigger, row.source) == where]
        assert rows[-1].conditions == ()
        assert all(row.conditions for row in rows[:-1])


# --- through any sequence ---------------------------------------------------------------------------------------------

names = st.sampled_from(("alice", "bob", "carol", "dave"))
texts = st.one_of(
    st.sampled_from(("#create private", "#join", "#accept", "#reject", "#leave", "#destroy", "hello")),
    st.builds("#{} {}".format, st.sampled_from(("invite", "add", "remove")), names),
    st.builds("#modify {} {}".format, names, st.sampled_from(("owner", "admin", "member"))),
)
users = names.map(user)
acts: st.SearchStrategy[Command] = st.one_of(
    st.builds(CreateFor, room=st.just(ROOM), user=users, is_private=st.booleans()),
    st.builds(Destroy, room=st.just(ROOM)),
    st.builds(Invite, room=st.just(ROOM), user=users),
    st.builds(Add, room=st.just(ROOM), user=users),
    st.builds(Remove, room=st.just(ROOM), user=users),
    st.builds(Modify, room=st.just(ROOM), user=users, role=st.sampled_from((Role.MEMBER, Role.ADMIN, Role.OWNER))),
    st.builds(Set, room=st.just(ROOM), option=st.just("replay"), value=st.integers(0, 3)),
    st.builds(SetPrivate, room=st.just(ROOM), is_private=st.booleans()),
)


class Invariants(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stage = Operated(replace(POLICY, limits=Limits(max_members=3)))

    @rule(sender=names, body=texts)
    def say(self, sender: str, body: str) -> None:
        self.stage.send(sender, body)

    @rule(act=acts)
    def act(self, act: Command) -> None:
        before = self.stage.rooms.get(ROOM)
        decision = self.stage.do(act)
        after = self.stage.rooms.get(ROOM)
        told(replace(decision, notices=tuple(one for one in decision.notices if not one.is_replay)))  # nobody twice
        assert not any(notice.is_answer for notice in decision.notices)
        assert all(MANAGER not in notice.recipients for notice in decision.notices)
        if decision.status >= 300:  # spec R-INV-6
            assert (decision.changes, decision.notices) == ((), ())
            assert after == before
        if not decision.changes:
            assert decision.notices == () or isinstance(act, Invite)
        self._check_people(act, before, decision)

    def _check_people(self, act: Command, before: Room | None, decision: Decision) -> None:
        for change in decision.changes:
            match change:
                case MemberSet(who, _) | MemberGone(who):
                    assert who == getattr(act, "user", None)
                case RoomDestroyed():
                    assert isinstance(act, Destroy)
                    assert before is not None
                    reached = {one for notice in decision.notices for one in notice.recipients}
                    assert reached == set(before.members)  # spec R-ADMIN-2: the invited too
                case PrivacySet(is_private):
                    assert before is not None
                    assert before.is_private != is_private

    @invariant()
    def the_room_has_an_owner(self) -> None:
        """Spec R-INV-1, R-ADMIN-4."""
        room = self.stage.rooms.get(ROOM)
        assert room is None or room.having(Role.OWNER)

    @invariant()
    def the_manager_is_nobody(self) -> None:
        room = self.stage.rooms.get(ROOM)
        assert room is None or MANAGER not in room.members


TestInvariants = Invariants.TestCase
TestInvariants.settings = settings(max_examples=60, stateful_step_count=30)
