"""`conformance.load.axes`: points as data, alike along an axis."""

from __future__ import annotations

import pytest

from conformance.load.axes import AXES, SAMPLE, Rooms
from conformance.load.works import Room


def test_rooms_are_made_when_they_are_looked_at() -> None:
    rooms = Rooms(1_000_000, 5)
    assert len(rooms) == 1_000_000
    assert rooms[0] == Room(0, [0, 1, 2, 3, 4])
    assert rooms[-1] == Room(999_999, [999_999, 0, 1, 2, 3])
    assert rooms[10:12] == [rooms[10], rooms[11]]
    with pytest.raises(IndexError):
        rooms[1_000_000]
    assert [room.number for room in rooms.sample()] == list(range(0, 1_000_000, 2_000))
    assert list(Rooms(3, 5)) == [Room(0, [0, 1, 2]), Room(1, [1, 2, 0]), Room(2, [2, 0, 1])]


def test_a_sample_has_no_more_rooms_than_there_are() -> None:
    assert Rooms(10, 5).sample() == list(Rooms(10, 5))
    assert len(Rooms(1_999, 5).sample()) == SAMPLE


@pytest.mark.parametrize("name", AXES)
def test_works_are_the_same_along_an_axis_and_their_audiences_are_right(name: str) -> None:
    axis = AXES[name]
    points = [axis.point(size) for size in (*axis.quick, 1_000)]
    assert len({tuple(work.name for work in point.works) for point in points}) == 1
    for point in points:
        assert point.filled in [work.name for work in point.works]
        assert len(point.rooms) <= max(1, point.size)
        for work in point.works:
            # a text is for all others who are in the room by then
            inside = {ask.room: set(point.rooms[ask.room].members) for ask in work.asks if ask.room < len(point.rooms)}
            told = 0
            for ask in work.asks:
                if ask.command == "#join":
                    told += len(inside[ask.room])
                    inside[ask.room].add(ask.sender)
                elif ask.command is None:
                    assert ask.audience is not None
                    assert set(ask.audience) == inside[ask.room] - {ask.sender}
            assert work.told == told
