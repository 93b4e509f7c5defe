"""`conformance.load.works`: how much each work asks for, and that it is the same each time."""

from __future__ import annotations

from collections import Counter

import pytest

from conformance.load import works
from conformance.load.works import KINDS, TooMuch, build, named


@pytest.mark.parametrize(
    ("name", "users", "requests", "deliveries"),
    [
        ("fan-out-100", 100, 300, 300 * 99),
        ("fan-out-1000", 1_000, 30, 30 * 999),
        ("fan-out-10000", 10_000, 5, 5 * 9_999),
        ("small-rooms", 500, 5_000, 20_000),
        ("join-storm-300", 301, 300, 300 * 301 // 2),
        ("join-storm-600", 601, 600, 600 * 601 // 2),
        ("join-storm-999", 1_000, 999, 999 * 1_000 // 2),
        ("commands", 500, 2_500, 2_500),
    ],
)
def test_the_usual_numbers(name: str, users: int, requests: int, deliveries: int) -> None:
    work = build(name)
    assert (work.users, len(work.asks), work.deliveries) == (users, requests, deliveries)


def test_a_million_members() -> None:
    work = build("start")
    assert (len(work.rooms), sum(len(room.members) for room in work.rooms), len(work.asks)) == (
        100_000,
        1_000_000,
        1_000,
    )


@pytest.mark.parametrize("name", KINDS)
def test_a_small_one_of_each(name: str) -> None:
    work = build(name, 20)
    again = build(name, 20)
    assert list(work.asks) == list(again.asks)
    assert work.deliveries > 0
    members = {room.number: set(room.members) for room in work.rooms}
    for ask in work.asks:
        assert 0 <= ask.sender < work.users
        if ask.command is None:
            assert ask.audience is not None
            assert ask.sender in members[ask.room]
            assert set(ask.audience) == members[ask.room] - {ask.sender}


def test_mixed_destroys_only_what_was_created_long_before() -> None:
    work = build("mixed", 50, 3_000)
    created = {ask.room: place for place, ask in enumerate(work.asks) if ask.command == "#create"}
    destroyed = {ask.room: place for place, ask in enumerate(work.asks) if ask.command == "#destroy"}
    assert destroyed
    assert all(place - created[room] >= work.outstanding for room, place in destroyed.items())
    assert {"#create", "#destroy", "#members", None} == set(Counter(ask.command for ask in work.asks))


def test_works_by_their_names() -> None:
    assert list(named(["fan-out", "commands"])) == ["fan-out-100", "fan-out-1000", "fan-out-10000", "commands"]
    with pytest.raises(KeyError):
        list(named(["dance"]))


def test_bounds() -> None:
    with pytest.raises(ValueError, match="needs 5 users"):
        build("small-rooms", 2)
    with pytest.raises(TooMuch):
        build("fan-out-1000", 10_000, 1_000)
    with pytest.raises(TooMuch):
        build("commands", 10, works.MAX_REQUESTS + 1)
    with pytest.raises(TooMuch, match="by joins"):
        build("fan-out-10000").check_can_be_joined()
    build("fan-out-1000").check_can_be_joined()
