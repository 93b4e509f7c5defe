from __future__ import annotations

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from imc.aor import Aor
from imc.rooms import Member, MemberGone, MemberSet, Role, Room, RoomCreated, RoomDestroyed, apply, member, model
from imc.rooms.names import lookalike_key
from tests.rooms.play import ROOM, user

ALICE, BOB, CAROL = user("alice"), user("bob"), user("carol")


def room(**roles: Role) -> Room:
    return Room(ROOM, False, Map({user(name): member(role) for name, role in roles.items()}))


def test_a_room_is_a_value() -> None:
    one, two = room(alice=Role.OWNER), room(alice=Role.OWNER)
    assert one.audience == (ALICE,)  # what is computed on demand is no part of the value
    assert one == two
    assert hash(one) == hash(two)
    assert "_audience" not in repr(one)


def test_audience_is_sorted_and_leaves_the_invited_out() -> None:
    here = room(carol=Role.MEMBER, alice=Role.OWNER, bob=Role.INVITED)
    assert here.audience == (ALICE, CAROL)
    assert here.audience_without(ALICE) == (CAROL,)
    assert here.audience_without(BOB) == (ALICE, CAROL)
    assert here.audience_without(user("zoe")) == (ALICE, CAROL)
    assert here.audience is here.audience


def test_roles() -> None:
    here = room(carol=Role.ADMIN, alice=Role.OWNER, bob=Role.OWNER)
    assert here.role(user("dave")) is None
    assert here.having(Role.OWNER) == (ALICE, BOB)
    assert here.having(Role.ADMIN, Role.OWNER) == (ALICE, BOB, CAROL)
    assert not here.is_last_owner(ALICE)
    assert not here.is_last_owner(CAROL)
    assert room(alice=Role.OWNER).is_last_owner(ALICE)


def test_apply() -> None:
    created = apply(None, ROOM, RoomCreated(True))
    assert created == Room(ROOM, True, Map())
    one = apply(created, ROOM, MemberSet(ALICE, member(Role.OWNER)))
    assert one == Room(ROOM, True, Map({ALICE: Member(Role.OWNER)}))
    assert apply(one, ROOM, MemberGone(ALICE)) == created
    assert apply(one, ROOM, RoomDestroyed()) is None


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (None, RoomDestroyed()),
        (None, MemberGone(ALICE)),
        (None, MemberSet(ALICE, member(Role.OWNER))),
        (room(bob=Role.OWNER), RoomCreated(False)),
        (room(bob=Role.OWNER), MemberGone(ALICE)),
    ],
)
def test_apply_refuses_what_cannot_follow(before: Room | None, change: RoomDestroyed) -> None:
    with pytest.raises(ValueError, match="cannot follow"):
        apply(before, ROOM, change)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, *Role]), st.booleans())))
def test_the_audience_handed_on_is_the_one_computed(steps: list[tuple[str, Role | None, bool]]) -> None:
    here = Room(ROOM, False, Map())
    for name, role, is_asked in steps:
        if is_asked:
            assert here.audience is not None
        if role is None and user(name) not in here.members:
            continue
        change = MemberGone(user(name)) if role is None else MemberSet(user(name), member(role))
        after = apply(here, ROOM, change)
        assert after is not None
        here = after
    assert here.audience == Room(ROOM, False, here.members).audience


def test_labels() -> None:
    """Spec R-MSG-6."""
    stranger = Aor("alice", "other.test")
    here = Room(ROOM, False, Map({who: member(Role.MEMBER) for who in (ALICE, BOB, stranger, user("B0B"), CAROL)}))
    assert here.label(ALICE) == "alice@imc.test"
    assert here.label(stranger) == "alice@other.test"
    assert here.label(BOB) == "bob@imc.test"
    assert here.label(CAROL) == "carol"


def test_the_invited_take_nobodys_label() -> None:
    stranger = Aor("alice", "other.test")
    here = Room(ROOM, False, Map({ALICE: member(Role.OWNER), stranger: member(Role.INVITED)}))
    assert here.label(ALICE) == "alice"
    joined = apply(here, ROOM, MemberSet(stranger, member(Role.MEMBER)))
    assert joined is not None
    assert joined.label(ALICE) == "alice@imc.test"


# --- however many there are: what was computed once is handed on ------------------------------------------------------


def test_ranked() -> None:
    """Spec R-LIST-2."""
    here = room(dave=Role.MEMBER, carol=Role.ADMIN, alice=Role.MEMBER, bob=Role.OWNER, erin=Role.INVITED)
    everybody = ((BOB, Role.OWNER), (CAROL, Role.ADMIN), (ALICE, Role.MEMBER), (user("dave"), Role.MEMBER))
    assert here.ranked() == everybody
    for limit in range(6):
        assert here.ranked(limit) == everybody[:limit]


_STEPS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([None, *Role]), st.booleans()), max_size=40)


@pytest.mark.parametrize("large", [0, 4, 10_000])
@given(steps=_STEPS)
def test_what_is_handed_on_is_what_is_computed(large: int, steps: list[tuple[int, Role | None, bool]]) -> None:
    """Staff, ranks and labels, whether the room counts as a large one, becomes one, or neither."""
    users = [Aor(name, host) for name in ("rn", "m", "0", "o", "x") for host in ("imc.test", "other.test")]
    here = Room(ROOM, False, Map())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "LARGE", large)
        for number, role, is_asked in steps:
            who = users[number]
            if is_asked:
                here.label(who), here.staff, here.audience
            if role is None and who not in here.members:
                continue
            after = apply(here, ROOM, MemberGone(who) if role is None else MemberSet(who, member(role)))
            assert after is not None
            here = after
        fresh = Room(ROOM, False, here.members)
        assert (here.staff, here.ranked(), here.audience) == (fresh.staff, fresh.ranked(), fresh.audience)
        assert [here.label(who) for who in users] == [fresh.label(who) for who in users]
        counts = Counter(lookalike_key(who.user) for who in fresh.audience)
        expected = [str(who)[4:] if counts[lookalike_key(who.user)] > 1 else who.user for who in users]
        assert [here.label(who) for who in users] == expected


def test_a_change_of_a_large_room_looks_at_no_other_member(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def key(name: str) -> str:
        looked_at.append(name)
        return lookalike_key(name)

    monkeypatch.setattr(model, "lookalike_key", key)
    here = Room(ROOM, False, Map({user(f"user{number}"): member(Role.MEMBER) for number in range(model.LARGE)}))
    assert here.label(user("user1")) == "user1"
    assert len(looked_at) == model.LARGE + 1
    after = apply(here, ROOM, MemberSet(ALICE, member(Role.MEMBER)))
    assert after is not None
    assert after.label(ALICE) == "alice"
    assert looked_at[model.LARGE + 1 :] == ["alice", "alice"]


def test_bytes_of_a_member() -> None:
    """What a member adds to rooms of ten: an entry, and an address that is one object for all rooms."""
    users = [user(f"user{number}") for number in range(1_000)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        rooms = [
            Room(ROOM, False, Map({users[(number + index) % 1_000]: member(Role.MEMBER) for index in range(10)}))
            for number in range(1_000)
        ]
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(rooms) == 1_000
    assert used / 10_000 < 64
