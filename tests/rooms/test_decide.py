"""What the status table does not show: entries, contexts, limits, addresses, failed invitations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from immutables import Map

from imc.aor import Aor
from imc.rooms import (
    Context,
    Limits,
    Member,
    MemberGone,
    MemberSet,
    Notice,
    Policy,
    Refused,
    Role,
    Room,
    RoomCreated,
    RoomDestroyed,
    RoomRow,
    WithdrawInvitation,
    decide,
    decide_message,
    decide_undelivered,
    member,
    parse_command,
    refuse,
    refuse_message,
)
from imc.rooms.decide import decide_waiting
from imc.rooms.replies import texts
from tests.rooms.play import DOMAIN, MANAGER, POLICY, ROOM, Stage, the_answer, told, user

ALICE, BOB, CAROL = user("alice"), user("bob"), user("carol")


def stage_with(*sent: tuple[str, str]) -> Stage:
    stage = Stage()
    for sender, body in (("alice", "#create private"), *sent):
        assert stage.send(sender, body).status in (200, 202), body
    return stage


# --- changes


def test_create() -> None:
    decision = Stage().send("alice", "#create private")
    assert decision.changes == (RoomCreated(True), MemberSet(ALICE, Member(Role.OWNER)))
    assert decision.room == Room(ROOM, True, Map({ALICE: Member(Role.OWNER)}))
    assert (decision.address, decision.clause) == (ROOM, "R-CREATE-1")
    assert decision.notices == (
        Notice(event="room-created", room=ROOM, recipients=(ALICE,), is_answer=True, is_private=True),
    )


def test_join_of_a_new_room_is_never_private() -> None:
    assert Stage().send("alice", "#join").changes[0] == RoomCreated(False)


def test_private_does_not_change_a_room_that_is_there() -> None:
    stage = Stage()
    stage.send("alice", "#create")
    assert stage.send("bob", "#create private").clause == "R-JOIN-1"
    assert not stage.rooms[ROOM].is_private


def test_an_invitation_knows_its_inviter_and_its_serial() -> None:
    stage = stage_with()
    decision = stage.send("alice", "#invite bob", serial=77)
    assert decision.changes == (MemberSet(BOB, Member(Role.INVITED, ALICE, 77)),)
    invitation = decision.notices[1]
    assert (invitation.event, invitation.user, invitation.by) == ("invitation", BOB, ALICE)
    assert invitation.is_private


def test_accept_leaves_nothing_of_the_invitation() -> None:
    stage = stage_with(("alice", "#invite bob"))
    assert stage.send("bob", "#accept").changes == (MemberSet(BOB, Member(Role.MEMBER)),)


def test_leave_remove_reject_destroy() -> None:
    stage = stage_with(("alice", "#invite bob"), ("bob", "#accept"), ("alice", "#invite carol"))
    assert stage.send("carol", "#reject").changes == (MemberGone(CAROL),)
    assert stage.send("alice", "#remove bob").changes == (MemberGone(BOB),)
    decision = stage.send("alice", "#destroy")
    assert decision.changes == (RoomDestroyed(),)
    assert decision.room is None


def test_a_command_may_name_another_room_than_it_is_sent_to() -> None:
    """Spec R-ANSWER-3: the answer comes from there."""
    stage = Stage()
    other = Aor("chat-y", DOMAIN)
    decision = stage.send("alice", "#create chat-y", to=MANAGER)
    assert (decision.address, the_answer(decision).room) == (other, other)
    assert set(stage.rooms) == {other}


# --- hidden rooms and the manager


def test_text_to_the_manager_gets_a_hint() -> None:
    """Spec R-CMD-8."""
    decision = Stage().send("alice", "hello", to=MANAGER)
    assert (decision.status, decision.code) == (404, -200)
    assert told(decision) == {"alice": "manager-takes-commands"}
    assert told(Stage().send("alice", "hello", to=MANAGER, is_automatic=True)) == {}


@pytest.mark.parametrize("body", ["#join", "#members", "#invite bob"])
def test_a_command_without_room_to_the_manager_gets_a_hint(body: str) -> None:
    decision = Stage().send("alice", body, to=MANAGER)
    assert decision.status == 400
    assert told(decision) == {"alice": "room-needed"}
    assert the_answer(decision).room == MANAGER


@pytest.mark.parametrize(("body", "event"), [("#help", "help"), ("#rooms", "room-list")])
def test_help_and_rooms_at_the_manager(body: str, event: str) -> None:
    decision = Stage().send("alice", body, to=MANAGER)
    assert (decision.status, decision.address, told(decision)) == (200, MANAGER, {"alice": event})


def test_list_of_rooms_shows_no_private_room_of_others() -> None:
    """Spec R-ROOMS-1: whatever the query gave."""
    rows = (
        RoomRow(Aor("chat-1", DOMAIN), False),
        RoomRow(Aor("chat-2", DOMAIN), True),
        RoomRow(Aor("chat-3", DOMAIN), True, Role.INVITED),
    )
    answer = the_answer(Stage().send("alice", "#rooms", to=MANAGER, rooms=rows))
    assert answer.rooms == (rows[0], rows[2])
    assert answer.left_off == 0


def test_lists_have_a_limit() -> None:
    """Spec R-LIST-4, R-LIMIT-3."""
    stage = stage_with(("alice", "#invite bob"), ("bob", "#accept"))
    stage.policy = replace(POLICY, limits=Limits(max_list_entries=1))
    answer = the_answer(stage.send("alice", "#members"))
    assert (answer.members, answer.left_off) == (((ALICE, Role.OWNER),), 1)
    rows = tuple(RoomRow(Aor(f"chat-{n}", DOMAIN), False) for n in range(3))
    answer = the_answer(stage.send("alice", "#rooms", rooms=rows))
    assert (answer.rooms, answer.left_off) == (rows[:1], 2)


def test_list_of_members_is_by_rank_then_address_without_the_invited() -> None:
    """Spec R-LIST-2."""
    roles = {"zoe": Role.OWNER, "bob": Role.MEMBER, "alice": Role.MEMBER, "carol": Role.ADMIN, "dave": Role.INVITED}
    room = Room(ROOM, False, Map({user(name): member(role) for name, role in roles.items()}))
    decision = decide(room, parse_command("#members", ROOM, POLICY), user("bob"), POLICY)
    assert [one.user for one, _ in the_answer(decision).members] == ["zoe", "carol", "alice", "bob"]


# --- who is no person


@pytest.mark.parametrize("sender", [ROOM, MANAGER])
@pytest.mark.parametrize("body", ["#join", "#help", "#frobnicate", "hello"])
def test_rooms_do_not_speak(sender: Aor, body: str) -> None:
    """Spec R-ADDR-8: refused, and never answered."""
    decision = Stage().send(sender.user, body, to=Aor("chat-y", DOMAIN))
    assert decision.status == 403
    assert told(decision) == {}
    assert decision.refusal is not None
    assert decision.refusal.event == "sender-is-a-room"


@pytest.mark.parametrize("body", ["#join", "hello"])
def test_a_live_room_outside_the_pattern_does_not_speak(body: str) -> None:
    decision = Stage().send("lobby", body, is_sender_room=True)
    assert (decision.status, told(decision)) == (403, {})


@pytest.mark.parametrize("name", ["chat-y", "chat-manager", "chat-x"])
@pytest.mark.parametrize("command", ["invite", "add"])
def test_rooms_are_not_invited(command: str, name: str) -> None:
    decision = stage_with().send("alice", f"#{command} {name}")
    assert decision.refusal == Refused("address-is-a-room", 403, "R-ADDR-8")
    assert told(decision) == {"alice": "address-is-a-room"}


@pytest.mark.parametrize("consent", [True, False])
def test_live_rooms_are_not_invited(consent: bool) -> None:
    stage = stage_with()
    stage.policy = replace(POLICY, room_pattern="*", add_requires_consent=consent)
    assert stage.send("alice", "#add lobby", is_target_room=True).status == 403
    assert stage.send("alice", "#invite lobby", is_target_room=True).status == 403
    assert stage.send("alice", "#invite bob").status == 200


# --- names


@pytest.mark.parametrize(
    "body", ["#create lobby", "#join lobby", "#create chat-y@other.test", "#join chat-y@other.test"]
)
def test_names_that_no_room_may_have(body: str) -> None:
    """Spec R-ADDR-7."""
    decision = Stage().send("alice", body, to=MANAGER)
    assert (decision.status, decision.clause) == (403, "R-ADDR-7")
    assert told(decision) == {"alice": "room-name-not-allowed"}


def test_a_room_taken_over_keeps_its_name() -> None:
    lobby = Aor("lobby", "other.test")
    room = Room(lobby, False, Map({ALICE: member(Role.OWNER)}))
    assert decide(room, parse_command("#join", lobby, POLICY), BOB, POLICY).status == 200


@pytest.mark.parametrize("body", ["#create", "#join"])
def test_an_account_does_not_become_a_room(body: str) -> None:
    """Spec R-ADDR-10."""
    decision = Stage().send("alice", body, is_account=True)
    assert (decision.status, decision.clause) == (403, "R-ADDR-10")
    assert told(decision) == {"alice": "room-name-not-allowed"}


@pytest.mark.parametrize("body", ["#create", "#join"])
def test_a_sender_who_fits_no_column_does_not_become_a_member(body: str) -> None:
    decision = Stage().send("a" * 65, body)
    assert (decision.status, decision.clause) == (400, "R-ADDR-4")
    assert Stage().send("a" * 64, body).status == 200
    assert Stage().send("a" * 65, "#help").status == 200


# --- limits


@pytest.mark.parametrize("body", ["#create", "#join"])
def test_limits_on_rooms(body: str) -> None:
    """Spec R-CREATE-4, R-LIMIT-2."""
    stage = Stage(replace(POLICY, limits=Limits(max_rooms_per_owner=2, max_rooms=5)))
    many = stage.send("alice", body, rooms_owned=2)
    assert many.refusal == Refused("too-many-rooms", 403, "R-CREATE-4")
    full = stage.send("alice", body, rooms_total=5)
    assert full.refusal == Refused("server-full", 503, "R-CREATE-4")
    assert full.code == (-30 if body == "#create" else -40)
    assert stage.send("alice", body, rooms_owned=1, rooms_total=4).status == 200
    assert stage.send("bob", body, rooms_owned=2, rooms_total=5).status == 200  # it is there


def test_limit_on_members() -> None:
    """Spec R-LIMIT-1."""
    stage = Stage(replace(POLICY, limits=Limits(max_members=2), add_requires_consent=False))
    stage.send("alice", "#create")
    stage.send("alice", "#invite bob")
    for sender, body in (("carol", "#join"), ("carol", "#create"), ("alice", "#invite carol"), ("alice", "#add carol")):
        decision = stage.send(sender, body)
        assert (decision.refusal, told(decision)) == (Refused("room-full", 403, "R-LIMIT-1"), {sender: "room-full"})
    assert stage.send("alice", "#invite bob").status == 200
    assert stage.send("bob", "#accept").status == 200


def test_a_full_private_room_says_nothing_of_being_full() -> None:
    stage = Stage(replace(POLICY, limits=Limits(max_members=1)))
    stage.send("alice", "#create private")
    assert told(stage.send("bob", "#join")) == {"alice": "join-attempted", "bob": "private-room"}


def test_limit_on_text() -> None:
    """Spec R-MSG-8, R-LIMIT-3."""
    stage = stage_with()
    stage.policy = replace(POLICY, limits=Limits(max_text=5))
    assert stage.send("alice", "12345").status == 202
    long = stage.send("alice", "123456")
    assert (long.status, long.recipients, told(long)) == (413, (), {})
    assert stage.send("bob", "123456").status == 404


def test_no_limits() -> None:
    limits = Limits(max_members=None, max_rooms_per_owner=None, max_rooms=None, max_text=None, max_list_entries=None)
    stage = Stage(replace(POLICY, limits=limits))
    assert stage.send("alice", "#create", rooms_owned=10**9, rooms_total=10**9).status == 200
    assert stage.send("bob", "#join").status == 200
    assert stage.send("bob", "x" * 100_000).recipients == (ALICE,)
    assert len(the_answer(stage.send("bob", "#members")).members) == 2


# --- automatic requests


@pytest.mark.parametrize("body", ["#help", "#rooms", "#frobnicate", "#join", "#create chat-y", "#members"])
def test_automatic_requests_get_no_answer(body: str) -> None:
    """Spec R-ANSWER-4."""
    decision = Stage().send("bot", body, is_automatic=True)
    assert "bot" not in told(decision)
    assert decision.status == Stage().send("bot", body).status


def test_what_an_automatic_request_does_is_told_to_others() -> None:
    stage = stage_with(("alice", "#invite bob"))
    assert told(stage.send("bob", "#accept", is_automatic=True)) == {"alice": "member-joined"}
    assert told(stage.send("carol", "#join", is_automatic=True)) == {"alice": "join-attempted"}


# --- invitations that cannot be delivered


def failed(serial: int, inviter: Aor = ALICE) -> WithdrawInvitation:
    return WithdrawInvitation(room=ROOM, user=BOB, inviter=inviter, serial=serial)


def invited_room(entry: Member, **roles: Role) -> Room:
    others = {user(name): member(role) for name, role in roles.items()}
    return Room(ROOM, True, Map({ALICE: member(Role.OWNER), BOB: entry, **others}))


def test_a_failed_invitation_is_withdrawn() -> None:
    """Spec R-INVITE-4: the inviter is told, and nobody else."""
    room = invited_room(Member(Role.INVITED, CAROL, 5), carol=Role.ADMIN)
    decision = decide_undelivered(room, failed(5, CAROL), POLICY)
    assert (decision.status, decision.clause) == (200, "R-INVITE-4")
    assert decision.changes == (MemberGone(BOB),)
    assert decision.notices == (Notice(event="invitation-failed", room=ROOM, recipients=(CAROL,), user=BOB),)


def test_the_owners_are_told_where_the_inviter_is_gone() -> None:
    room = invited_room(Member(Role.INVITED, CAROL, 5), dave=Role.OWNER, mary=Role.ADMIN)
    decision = decide_undelivered(room, failed(5, CAROL), POLICY)
    assert told(decision) == {"alice": "invitation-failed", "dave": "invitation-failed"}


def test_an_inviter_who_is_only_invited_now_is_not_told() -> None:
    room = invited_room(Member(Role.INVITED, CAROL, 5), carol=Role.INVITED)
    assert told(decide_undelivered(room, failed(5, CAROL), POLICY)) == {"alice": "invitation-failed"}


def test_an_invitation_that_has_to_wait_is_told_to_its_inviter_alone() -> None:
    # spec R-INVITE-7
    room = invited_room(Member(Role.INVITED, CAROL, 5), carol=Role.ADMIN)
    decision = decide_waiting(room, failed(5, CAROL))
    assert decision.notices == (
        Notice(event="invitation-waiting", room=ROOM, recipients=(CAROL,), is_answer=True, user=BOB),
    )
    assert (decision.room, decision.changes, decision.status) == (room, (), 200)
    assert texts(decision.notices[0], POLICY, 400)[0].startswith("bob@")
    gone = invited_room(Member(Role.INVITED, CAROL, 5))
    joined = invited_room(Member(Role.MEMBER), carol=Role.ADMIN)
    newer = invited_room(Member(Role.INVITED, CAROL, 6), carol=Role.ADMIN)
    for other in (None, gone, joined, newer):
        assert decide_waiting(other, failed(5, CAROL)).notices == ()


@pytest.mark.parametrize(
    "room",
    [
        invited_room(member(Role.MEMBER)),  # accepted
        invited_room(member(Role.ADMIN)),
        invited_room(member(Role.OWNER)),
        invited_room(Member(Role.INVITED, ALICE, 6)),  # a newer one
        invited_room(Member(Role.INVITED, CAROL, 5)),  # somebody else's
        Room(ROOM, True, Map({ALICE: member(Role.OWNER)})),  # rejected, or removed
        None,  # the room is gone
    ],
)
def test_a_late_failure_changes_nothing(room: Room | None) -> None:
    """Spec R-INVITE-5."""
    decision = decide_undelivered(room, failed(5), POLICY)
    assert (decision.status, decision.clause) == (200, "R-INVITE-5")
    assert (decision.changes, decision.notices, decision.room) == ((), (), room)


def test_rejection_of_an_invitation_taken_over_is_told_to_the_owners() -> None:
    room = invited_room(Member(Role.INVITED), carol=Role.ADMIN)
    decision = decide(room, parse_command("#reject", ROOM, POLICY), BOB, POLICY)
    assert told(decision) == {"alice": "invitation-rejected", "bob": "invitation-rejected"}


# --- messages


def test_message_to_a_room_of_one_is_accepted() -> None:
    decision = stage_with().send("alice", "anyone?")
    assert (decision.status, decision.recipients, decision.code) == (202, (), 1)


@pytest.mark.parametrize("sender", ["bob", "carol"])
def test_who_is_no_member_is_not_heard(sender: str) -> None:
    stage = Stage()
    stage.send("alice", "#create")
    stage.send("alice", "#invite bob")
    assert stage.send(sender, "let me").refusal == Refused("not-a-member", 403, "R-MSG-2")


def test_nothing_reaches_who_left_before() -> None:
    """Spec R-MSG-3."""
    stage = stage_with(("alice", "#invite bob"), ("bob", "#accept"))
    assert stage.send("alice", "one").recipients == (BOB,)
    stage.send("bob", "#leave")
    assert stage.send("alice", "two").recipients == ()
    assert stage.send("bob", "let me").status == 404


def test_recipients_come_from_the_room_without_a_walk() -> None:
    room = Room(ROOM, False, Map({user(f"u{n}"): member(Role.MEMBER) for n in range(100)}))
    first = decide_message(room, user("u7"), POLICY, to=ROOM)
    assert len(first.recipients) == 99
    assert room.audience is first.room.audience  # type: ignore[union-attr]


# --- other refusals


def test_a_refusal_from_outside_looks_like_one_from_here() -> None:
    """The service refuses for reasons of its own (spec R-LIMIT-4)."""
    command = parse_command("#invite bob", ROOM, POLICY)
    decision = refuse(None, command, ALICE, "try-later", "R-LIMIT-4")
    assert (decision.status, decision.code, told(decision)) == (503, -50, {"alice": "try-later"})
    assert decision.refusal == Refused("try-later", 503, "R-LIMIT-4")
    heard = refuse_message(None, ROOM, "try-later", "R-LIMIT-4")
    assert (heard.status, heard.code, heard.address, heard.notices) == (503, -200, ROOM, ())


def test_decisions_depend_on_nothing_but_their_arguments() -> None:
    """Spec R-JUDGE-2."""
    room = invited_room(member(Role.MEMBER))
    command = parse_command("#modify bob admin", ROOM, POLICY)
    context = Context(serial=3)
    first = decide(room, command, ALICE, POLICY, context)
    assert decide(room, command, ALICE, POLICY, context) == first
    assert room == invited_room(member(Role.MEMBER))


def test_default_policy_is_the_sources() -> None:
    policy = Policy()
    assert (policy.start_char, policy.create_on_join, policy.check_on_create) == ("#", True, False)
    assert (policy.owner_leave, policy.add_requires_consent) == ("destroy", True)
