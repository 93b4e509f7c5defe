"""Guessing of passwords, counted by account, with a clock in hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.service.guesses import Guesses
from imc.service.rates import Rate

ALICE = Aor("alice", "example.com")
BOB = Aor("bob", "example.com")
HOME, ELSEWHERE = "203.0.113.6", "198.51.100.9"
WEEK = 7 * 86_400.0


def spent(**more: object) -> Guesses:
    guesses = Guesses(Rate(3, 0.1), **more)  # type: ignore[arg-type]
    for number in range(3):
        assert guesses.refused_for(ALICE, f"192.0.2.{number}", 0.0) is None
        guesses.wrong(ALICE, f"192.0.2.{number}", 0.0)
    return guesses


def test_many_addresses_have_one_account_together() -> None:
    hits: list[tuple[str, str]] = []
    guesses = spent(on_hit=lambda limit, who: hits.append((limit, who)))
    assert guesses.refused_for(ALICE, "192.0.2.77", 0.0) == 10
    assert guesses.refused_for(ALICE, "192.0.2.77", 6.0) == 4
    assert guesses.refused_for(ALICE, "192.0.2.77", 10.0) is None
    assert guesses.refused_for(BOB, "192.0.2.77", 0.0) is None
    assert hits == [("guess_rate", "sip:alice@example.com")] * 2
    assert guesses.statistics() == {"accounts_guessed": 1}


def test_where_the_password_was_shown_nothing_is_counted_for_a_week() -> None:
    guesses = spent()
    guesses.right(ALICE, HOME, 0.0)
    assert guesses.refused_for(ALICE, HOME, 0.0) is None
    assert guesses.refused_for(BOB, HOME, 0.0) is None
    for _ in range(100):
        guesses.wrong(ALICE, HOME, 1.0)
    assert guesses.refused_for(ALICE, HOME, WEEK) is None
    for _ in range(3):
        guesses.wrong(ALICE, ELSEWHERE, WEEK + 1)
    assert guesses.refused_for(ALICE, ELSEWHERE, WEEK + 1) == 10
    assert guesses.refused_for(ALICE, HOME, WEEK + 1) == 10


def test_wrong_passwords_at_home_lock_nobody_out_elsewhere() -> None:
    guesses = Guesses(Rate(3, 0.1))
    guesses.right(ALICE, HOME, 0.0)
    for _ in range(100):
        guesses.wrong(ALICE, HOME, 1.0)
    assert guesses.refused_for(ALICE, ELSEWHERE, 1.0) is None


def test_where_a_user_is_registered_is_home() -> None:
    guesses = spent(is_at=lambda user, block: (user, block) == (ALICE, HOME))
    assert guesses.refused_for(ALICE, HOME, 0.0) is None
    assert guesses.refused_for(ALICE, ELSEWHERE, 0.0) == 10


def test_homes_are_bounded() -> None:
    guesses = spent(max_homes=2)
    for block in ("a", "b", "a", "c"):
        guesses.right(ALICE, block, 0.0)
    assert [guesses.refused_for(ALICE, block, 0.0) is None for block in "abc"] == [True, False, True]


def test_a_reload_keeps_the_counts_unless_the_rate_is_another() -> None:
    guesses = spent()
    guesses.reload(Rate(3, 0.1))
    assert guesses.refused_for(ALICE, ELSEWHERE, 0.0) == 10
    guesses.right(ALICE, HOME, 0.0)
    guesses.reload(Rate(1, 0.1))
    assert guesses.refused_for(ALICE, ELSEWHERE, 0.0) is None
    guesses.wrong(ALICE, ELSEWHERE, 0.0)
    assert guesses.refused_for(ALICE, ELSEWHERE, 0.0) == 10
    assert guesses.refused_for(ALICE, HOME, 0.0) is None
    guesses.reload(None)
    assert guesses.refused_for(ALICE, ELSEWHERE, 0.0) is None
    guesses.wrong(ALICE, ELSEWHERE, 0.0)
    assert guesses.statistics() == {"accounts_guessed": 0}


TRIES = st.lists(
    st.tuples(st.sampled_from([ALICE, BOB]), st.sampled_from("abcdh"), st.integers(0, 30).map(float), st.booleans()),
    max_size=150,
)


@given(TRIES)
def test_however_they_are_spread(tries: list[tuple[Aor, str, float, bool]]) -> None:
    """spec S-AUTH-14. Of one account no more wrong answers are looked at than burst and rate grant; home is always
    heard; and what comes for one account changes nothing for another."""
    rate = Rate(5, 0.5)
    both, alone = Guesses(rate), Guesses(rate)
    for one in (both, alone):
        one.right(ALICE, "h", 0.0)
    now, looked_at = 0.0, 0
    for account, block, pause, is_right in tries:
        now += pause / 10
        refused = both.refused_for(account, block, now)
        note = both.right if is_right and block == "h" else both.wrong
        if refused is None:
            note(account, block, now)
        if account is not ALICE:
            continue
        assert alone.refused_for(account, block, now) == refused
        if refused is None:
            (alone.right if is_right and block == "h" else alone.wrong)(account, block, now)
        if block == "h":
            assert refused is None
        elif refused is None:
            looked_at += 1
        else:
            assert 1 <= refused <= 2
    assert looked_at <= 5 + 0.5 * now + 1e-6
