"""What operators do to rooms, row by row, and that rooms stay sound whatever they do (spec §21)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from imc.aor import Aor
from imc.rooms.commands import Add, CreateFor, Destroy, Invite, Modify, Remove, Set, SetPrivate
from imc.rooms.model import Member, PrivacySet, Role, Room, RoomDestroyed, apply
from imc.rooms.operators import Act, decide_operator
from imc.rooms.outcome import Context, Decision
from imc.rooms.policy import Limits, Policy
from imc.rooms.replies import texts

HOST = "example.com"
MANAGER = Aor("chat-manager", HOST)
ROOM = Aor("chat-x", HOST)
OLGA, ALICE, MARY, IVAN, NORA = (Aor(name, HOST) for name in ("olga", "alice", "mary", "ivan", "nora"))
WHO = {"outsider": NORA, "invited": IVAN, "member": MARY, "admin": ALICE, "owner": OLGA}
POLICY = Policy(manager=MANAGER, domains=(HOST,), room_pattern="chat-*")
ROLES = {OLGA: Role.OWNER, ALICE: Role.ADMIN, MARY: Role.MEMBER, IVAN: Role.INVITED}


def room(*, is_private: bool = True, **more: Role) -> Room:
    roles = {**ROLES, **{Aor(name, HOST): role for name, role in more.items()}}
    return Room(ROOM, is_private, Map({aor: Member(role) for aor, role in roles.items()}))


def act(command: Act, at: Room | None, context: Context | None = None, policy: Policy = POLICY) -> Decision:
    decision = decide_operator(at, command, MANAGER, policy, context or Context(is_operator=True, serial=7))
    # spec R-ADMIN-2
    assert all(MANAGER not in notice.recipients and not notice.is_answer for notice in decision.notices)
    if decision.refusal is not None:
        assert (decision.changes, decision.notices, decision.room) == ((), (), at)
    return decision


def told(decision: Decision) -> dict[str, set[Aor]]:
    return {notice.event: set(notice.recipients) for notice in decision.notices}


# spec R-ADMIN-1, R-ADMIN-3
def test_create_for_somebody() -> None:
    decision = act(CreateFor(room=ROOM, user=NORA, is_private=True), None)
    assert decision.room == Room(ROOM, True, Map({NORA: Member(Role.OWNER)}))
    assert told(decision) == {"room-created": {NORA}}
    assert "you are its owner" in texts(decision.notices[0], POLICY, 1_000)[0]
    assert act(CreateFor(room=ROOM, user=NORA), room()).refusal == ("room-exists", 403, "R-ADMIN-3", "")
    for context, event in (
        (Context(is_target_room=True), "address-is-a-room"),
        (Context(is_account=True), "room-name-not-allowed"),
        (Context(rooms_owned=5), "too-many-rooms"),
        (Context(rooms_total=9), "server-full"),
    ):
        limited = Policy(
            manager=MANAGER,
            domains=(HOST,),
            room_pattern="chat-*",
            limits=Limits(max_rooms_per_owner=5, max_rooms=9),
        )
        refusal = act(CreateFor(room=ROOM, user=NORA), None, context, limited).refusal
        assert refusal is not None
        assert refusal.event == event


# spec R-ADMIN-1, R-ADMIN-2
def test_destroy() -> None:
    decision = act(Destroy(room=ROOM), room())
    assert decision.changes == (RoomDestroyed(),)
    assert told(decision) == {"room-destroyed": set(ROLES)}
    assert "closed by" in texts(decision.notices[0], POLICY, 1_000)[0]
    missing = act(Destroy(room=ROOM), None)
    assert missing.refusal is not None
    assert missing.refusal.status == 404


# spec R-ADMIN-1, R-ADMIN-4
@pytest.mark.parametrize(
    ("who", "outcome"),
    [
        ("outsider", "user-not-in-room"),
        ("invited", ""),
        ("member", ""),
        ("admin", ""),
        ("owner", "last-owner"),
    ],
)
def test_remove(who: str, outcome: str) -> None:
    decision = act(Remove(room=ROOM, user=WHO[who]), room())
    assert (decision.refusal.event if decision.refusal else "") == outcome
    if not outcome:
        assert decision.room is not None
        assert decision.room.role(WHO[who]) is None
        assert WHO[who] in set().union(*told(decision).values())


# spec R-ADMIN-4
def test_owners_that_are_not_the_last() -> None:
    two = room(otto=Role.OWNER)
    for command in (Remove(room=ROOM, user=OLGA), Modify(room=ROOM, user=OLGA, role=Role.MEMBER)):
        assert act(command, two).refusal is None
    assert act(Modify(room=ROOM, user=OLGA, role=Role.MEMBER), room()).refusal is not None


# spec R-ADMIN-1, R-ADMIN-4
def test_roles() -> None:
    decision = act(Modify(room=ROOM, user=MARY, role=Role.OWNER), room())
    assert decision.room is not None
    assert decision.room.role(MARY) is Role.OWNER
    assert told(decision) == {"role-changed": {OLGA, ALICE, MARY}}
    same = act(Modify(room=ROOM, user=MARY, role=Role.MEMBER), room())
    assert (same.status, same.changes, same.notices) == (200, (), ())
    invited = act(Modify(room=ROOM, user=IVAN, role=Role.ADMIN), room())
    assert invited.refusal is not None
    assert invited.refusal.event == "invited-has-no-role"


# spec R-ADMIN-5
def test_add_and_invite() -> None:
    for user in (NORA, IVAN):
        decision = act(Add(room=ROOM, user=user), room())
        assert decision.room is not None
        assert decision.room.role(user) is Role.MEMBER
        assert user in set().union(*told(decision).values())
    again = act(Add(room=ROOM, user=MARY), room())
    assert again.refusal is not None
    invited = act(Invite(room=ROOM, user=NORA), room())
    assert invited.room is not None
    assert invited.room.members[NORA] == Member(Role.INVITED, MANAGER, 7)
    assert "invitation" in told(invited)
    full = Policy(manager=MANAGER, domains=(HOST,), room_pattern="chat-*", limits=Limits(max_members=4))
    refusal = act(Add(room=ROOM, user=NORA), room(), policy=full).refusal
    assert refusal is not None
    assert refusal.event == "room-full"


# spec R-ADMIN-6
def test_private_and_public() -> None:
    decision = act(SetPrivate(room=ROOM, is_private=False), room())
    assert decision.changes == (PrivacySet(False),)
    assert decision.room is not None
    assert not decision.room.is_private
    assert decision.room.members == room().members
    assert set(ROLES) - {IVAN} <= told(decision)["privacy-changed"]
    assert "public" in texts(decision.notices[0], POLICY, 1_000)[0]
    assert act(SetPrivate(room=ROOM, is_private=True), room()).changes == ()


# spec R-ADMIN-1
def test_set_an_option() -> None:
    decision = act(Set(room=ROOM, option="replay", value=5), room())
    assert decision.room is not None
    assert decision.room.settings.replay == 5
    assert "setting-changed" in told(decision)


# spec R-ADMIN-1
@pytest.mark.parametrize(
    ("command", "event"),
    [
        (Destroy(room=MANAGER), "room-needed"),
        (CreateFor(room=Aor("chat-" + "x" * 80, HOST), user=NORA), "name-too-long"),
        (Add(room=ROOM, user=Aor("x" * 80, HOST)), "name-too-long"),
        (Add(room=ROOM, user=Aor("a%E2%80%AEb", HOST)), "bad-address"),
        (CreateFor(room=Aor("chat-a%20b", HOST), user=NORA), "bad-address"),
    ],
)
def test_addresses_are_as_for_members(command: Act, event: str) -> None:
    refusal = act(command, None if isinstance(command, CreateFor) else room()).refusal
    assert refusal is not None
    assert refusal.event == event


users = st.sampled_from(list(WHO.values()))
acts = st.one_of(
    st.builds(CreateFor, room=st.just(ROOM), user=users, is_private=st.booleans()),
    st.just(Destroy(room=ROOM)),
    st.builds(Invite, room=st.just(ROOM), user=users),
    st.builds(Add, room=st.just(ROOM), user=users),
    st.builds(Remove, room=st.just(ROOM), user=users),
    st.builds(Modify, room=st.just(ROOM), user=users, role=st.sampled_from([Role.OWNER, Role.ADMIN, Role.MEMBER])),
    st.builds(SetPrivate, room=st.just(ROOM), is_private=st.booleans()),
)


# spec R-ADMIN-4
@given(st.lists(acts, max_size=12))
def test_a_room_always_has_an_owner(steps: list[Act]) -> None:
    now: Room | None = room()
    for step in steps:
        decision = act(step, now)
        after = now
        for change in decision.changes:
            after = apply(after, ROOM, change)
        assert after == decision.room
        now = after
        assert now is None or Role.OWNER in {one.role for one in now.members.values()}
