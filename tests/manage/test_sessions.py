"""Sessions and the throttle of log-ins, by a clock of the test's."""

from __future__ import annotations

import pytest

from imc.manage.web.sessions import SessionOptions, Sessions, proof_of
from imc.manage.web.throttle import Throttle, ThrottleOptions


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_session_is_known_by_its_token_alone(clock: Clock) -> None:
    sessions = Sessions(SessionOptions(), clock)
    token, session = sessions.begin("olga", "admin", "secret")
    assert sessions.find(token) is session
    assert len(token) >= 43
    assert token not in repr(vars(sessions))
    assert session.csrf not in repr(session)
    for wrong in ("", "x", token[:-1], token + "x", session.csrf, "ü"):
        assert sessions.find(wrong) is None
    assert session.has_csrf(session.csrf)
    for wrong in ("", token, session.csrf[:-1], "ü\udcff"):
        assert not session.has_csrf(wrong)
    sessions.end(token)
    assert sessions.find(token) is None
    sessions.end(token)


def test_it_ends_when_nothing_is_done_and_after_all(clock: Clock) -> None:
    sessions = Sessions(SessionOptions(idle=60, lasts=100), clock)
    token, _ = sessions.begin("olga", "admin", "secret")
    clock.now += 59
    assert sessions.find(token) is not None  # which alone does not keep it
    clock.now += 1
    assert sessions.find(token) is None
    token, _ = sessions.begin("olga", "admin", "secret")
    for _ in range(3):
        clock.now += 30
        assert sessions.find(token) is not None
        sessions.use(token)
    clock.now += 10
    assert sessions.find(token) is None
    sessions.use(token)
    assert sessions.find(token) is None


def test_there_are_only_so_many(clock: Clock) -> None:
    sessions = Sessions(SessionOptions(max_sessions=4, max_of_one=2), clock)
    first, second, third = (sessions.begin("olga", "admin", "secret")[0] for _ in range(3))
    assert sessions.find(first) is None
    sessions.use(second)
    others = [sessions.begin(f"o{number}", "viewer", "secret")[0] for number in range(3)]
    assert len(sessions) == 4
    assert sessions.find(third) is None  # unused for longest
    assert all(sessions.find(token) for token in (second, *others))


def test_role_and_password_are_in_the_proof() -> None:
    assert len({proof_of("admin", "a"), proof_of("viewer", "a"), proof_of("admin", "b")}) == 3


def test_tries_of_an_account_and_of_an_address(clock: Clock) -> None:
    options = ThrottleOptions(account_burst=2, account_every=10, address_burst=3, address_every=5, bound=3)
    throttle = Throttle(options, clock)
    assert throttle.take("olga", "a") == 0
    assert throttle.take("olga", "b") == 0
    assert throttle.take("olga", "c") == 10
    clock.now += 9
    assert throttle.take("olga", "c") == pytest.approx(1)
    clock.now += 1
    assert throttle.take("olga", "c") == 0
    throttle.give_back("olga", "c")  # it was right
    assert throttle.take("olga", "c") == 0
    for name in ("x", "y"):
        assert throttle.take(name, "d") == 0
    assert throttle.take("z", "d") == 0
    assert throttle.take("w", "d") == 5
    for number in range(10):
        throttle.take(f"n{number}", f"n{number}")
    assert len(throttle._accounts._levels) == len(throttle._addresses._levels) == 3
    throttle.give_back("full", "full")
    assert throttle.take("full", "full") == 0
