"""Token buckets and remembered rejections (spec R-LIMIT-4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.service.rates import Buckets, Rate, RateOptions, Rates

ALICE, BOB, CAROL, DAVE = (Aor(name, "example.com") for name in ("alice", "bob", "carol", "dave"))
ROOM, OTHER = Aor("chat-1", "example.com"), Aor("chat-2", "example.com")


def rates(now: list[float], **changes: Rate | float) -> Rates:
    options: dict[str, Rate | float] = {
        "per_sender": Rate(5, 1),
        "per_room": Rate(5, 1),
        "per_inviter": Rate(50, 1),
        "per_invitee": Rate(50, 1),
        "per_invitation": Rate(10, 0.1),
        "max_rejections": 3,
        "rejections_last": 100.0,
        "per_founder": Rate(5, 1),
        **changes,
    }
    return Rates(RateOptions(**options), lambda: now[0])  # type: ignore[arg-type]


def test_a_burst_then_the_rate() -> None:
    now = [0.0]
    some = rates(now)
    assert [some.may_send(ALICE) for _ in range(6)] == [True] * 5 + [False]
    assert some.may_send(BOB)
    now[0] = 2.0
    assert [some.may_send(ALICE) for _ in range(3)] == [True, True, False]
    assert [some.may_speak(ALICE) for _ in range(6)] == [True] * 5 + [False]


def test_create_and_join_have_a_rate_of_their_own() -> None:
    some = rates([0.0], per_founder=Rate(3, 0.001))
    assert [some.may_found(ALICE) for _ in range(5)] == [True] * 3 + [False] * 2
    assert some.may_found(BOB)
    assert some.may_send(ALICE)


def test_an_invitation_pays_in_all_buckets_or_in_none() -> None:
    some = rates([0.0], per_inviter=Rate(2, 0.001), per_invitation=Rate(2, 0.001))
    assert [some.may_invite(ROOM, ALICE, BOB) for _ in range(3)] == [True, True, False]
    assert [some.may_invite(ROOM, ALICE, CAROL) for _ in range(2)] == [True, True]
    assert not some.may_invite(ROOM, ALICE, DAVE)  # a third person
    assert some.may_invite(OTHER, ALICE, BOB)  # no stranger any more
    assert some.may_invite(ROOM, BOB, DAVE)


def test_an_invitee_is_protected_from_many_inviters() -> None:
    some = rates([0.0], per_invitee=Rate(4, 0.001))
    assert [some.may_invite(Aor(f"chat-{n}", "h"), Aor(f"u{n}", "h"), BOB) for n in range(6)] == [True] * 4 + [
        False
    ] * 2


def test_a_rejection_is_remembered_for_a_while() -> None:
    now = [0.0]
    some = rates(now)
    for inviter in (ALICE, CAROL, ALICE):
        assert some.may_invite(ROOM, inviter, BOB)
        some.note_rejection(ROOM, BOB)
    assert not some.may_invite(ROOM, ALICE, BOB)
    assert some.may_invite(ROOM, ALICE, CAROL)
    assert some.may_invite(OTHER, ALICE, BOB)
    now[0] = 101.0
    assert some.may_invite(ROOM, ALICE, BOB)
    some.note_rejection(ROOM, BOB)
    assert some.may_invite(ROOM, ALICE, BOB)


def test_the_table_is_bounded_and_forgets_the_oldest() -> None:
    buckets = Buckets(Rate(1, 0.001), bound=3)
    for key in range(5):
        assert buckets.take(key, 0.0)
    assert buckets.has(0, 0.0)
    assert not buckets.has(4, 0.0)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 2)), max_size=60))
def test_no_more_than_burst_and_rate_allow(steps: list[tuple[float, int]]) -> None:
    buckets = Buckets(Rate(5, 2))
    now, taken = 0.0, {0: 0, 1: 0, 2: 0}
    for wait, key in steps:
        now += wait
        taken[key] += buckets.take(key, now)
        assert taken[key] <= 5 + 2 * now + 1e-6
