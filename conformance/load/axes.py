"""What is made larger and larger, as data: axes, and what is asked at each point of one.

A point is a server with these rooms and users, and works that are done on it one after the other. Along an axis the
works are the same, on as many rooms and users as there are, up to a sample of fixed size: so a cost that grows along it
grows with what the axis says. Users are as many as rooms, and each is in as many rooms at each point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from conformance.load.works import Ask, Room, Work

MOST = 1_000_000
SAMPLE = 500  # rooms that are used, at most
SMALL, TEN = 5, 10  # members
_TEXTS = 2_000
_COMMANDS = 500
_LISTS = 20
_OUTSTANDING = 16
_DELIVERIES = 100_000  # by texts to one room
_MOST_TEXTS = 200
_NEWCOMERS = 2


class Rooms(Sequence[Room]):
    """``count`` rooms of ``size``, made when they are looked at: a million of them need no memory here."""

    def __init__(self, count: int, size: int) -> None:
        self.total, self.size = count, min(size, count)

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> Room: ...
    @overload
    def __getitem__(self, index: slice) -> list[Room]: ...
    def __getitem__(self, index: int | slice) -> Room | list[Room]:
        if isinstance(index, slice):
            return [self._make(number) for number in range(self.total)[index]]
        return self._make(range(self.total)[index])

    def __iter__(self) -> Iterator[Room]:
        return map(self._make, range(self.total))

    def _make(self, number: int) -> Room:
        return Room(number, [(number + index) % self.total for index in range(self.size)])

    def sample(self) -> list[Room]:
        """`SAMPLE` rooms, evenly spread; all where there are no more."""
        return self[:: max(1, self.total // SAMPLE)][:SAMPLE]


@dataclass(frozen=True, slots=True)
class Point:
    """``registered``: users with a binding beforehand, who are reached by it; 0: all are behind one proxy.

    ``filled`` is the work after which all that the point is about is in memory, ``kept`` how many rooms that are, and
    ``members`` how many are in them. ``refreshes``: REGISTERs in the end.
    """

    size: int
    rooms: Sequence[Room]
    users: int
    works: Sequence[Work]
    filled: str
    kept: int
    members: int
    registered: int = 0
    refreshes: int = 0


@dataclass(frozen=True, slots=True)
class Axis:
    """``unit`` is what a size counts. ``is_common``: any server can be put there, not imc alone."""

    name: str
    title: str
    unit: str
    sizes: Sequence[int]
    quick: Sequence[int]
    point: Callable[[int], Point]
    is_common: bool = True


def _work(
    name: str, about: str, users: int, asks: Sequence[Ask], *, told: int = 0, outstanding: int = _OUTSTANDING
) -> Work:
    return Work(name, about, users, [], asks, outstanding, told=told)


def _text(room: Room, speaker: int) -> Ask:
    return Ask(speaker, room.number, audience=[user for user in room.members if user != speaker])


def _list(room: Room) -> Ask:
    return Ask(room.members[0], room.number, "#members", (room.members[0],))


def _first(rooms: Sequence[Room], users: int) -> Work:
    return _work("first", "a text to each of the sample, which nobody has used yet", users, _each_speaks(rooms))


def _each_speaks(rooms: Sequence[Room]) -> list[Ask]:
    return [_text(room, room.members[0]) for room in rooms]


def _texts(rooms: Sequence[Room], users: int) -> Work:
    asks = _each_speaks(rooms)
    asks = (asks * (_TEXTS // len(asks) + 1))[:_TEXTS]
    return _work("texts", "texts to rooms that were used before", users, asks)


def _lists(rooms: Sequence[Room], users: int) -> Work:
    return _work("lists", "#members of small rooms", users, [_list(room) for room in rooms])


def _joins(rooms: Sequence[Room], users: int) -> Work:
    """Someone new comes to each; each is told to those in it."""
    asks = [Ask(users + index, room.number, "#join", None) for index, room in enumerate(rooms)]
    return _work("joins", "#join into small rooms", users, asks, told=sum(len(room.members) for room in rooms))


def _founding(first: int, users: int) -> Work:
    """Rooms come and go, beside those that there are."""
    asks = [
        Ask(index, first + index, word, (index,))
        for start in range(0, _COMMANDS // 2, _OUTSTANDING)
        for word in ("#create", "#destroy")
        for index in range(start, min(start + _OUTSTANDING, _COMMANDS // 2, users))
    ]
    return _work("founding", "#create and #destroy in turn", users, asks)


def _overviews(users: int) -> Work:
    return _work("rooms", "#rooms", users, [Ask(user % users, 0, "#rooms", (user % users,)) for user in range(_LISTS)])


def rooms(size: int) -> Point:
    """So many rooms of five."""
    all_rooms = Rooms(size, SMALL)
    sample, users = all_rooms.sample(), size
    works = [
        _first(sample, users),
        _texts(sample, users),
        _lists(sample, users),
        _founding(size, users),
        _overviews(users),
        _joins(sample, users),
    ]
    return Point(size, all_rooms, users, works, "first", len(sample), len(sample) * all_rooms.size)


def memory(size: int) -> Point:
    """So many rooms of ten, all of them used."""
    all_rooms = Rooms(size, TEN)
    asks = [_list(room) for room in all_rooms]
    sample = all_rooms.sample()
    works = [_work("all", "#members of each room, which nobody has used yet", size, asks), _texts(sample, size)]
    return Point(size, all_rooms, size, works, "all", size, size * all_rooms.size)


def members(size: int) -> Point:
    """One room of so many."""
    room = Room(0, range(size))
    texts = max(_NEWCOMERS, min(_MOST_TEXTS, _DELIVERIES // size // 4))
    # Of many: a list has many pages, and a lane a bound.
    askers = [room.members[index % size] for index in range(_LISTS)]
    lists = _work("lists", "#members of the room", size, [Ask(user, 0, "#members", (user,)) for user in askers])
    others = [[user for user in room.members if user != speaker] for speaker in range(min(4, size))]
    asks = [Ask(index % len(others), 0, audience=others[index % len(others)]) for index in range(texts)]
    coming: list[Ask] = []
    inside = list(room.members)
    for newcomer in range(size, size + _NEWCOMERS):
        coming.append(Ask(newcomer, 0, "#join", None))
        coming.append(Ask(newcomer, 0, audience=inside.copy()))
        inside.append(newcomer)
    told = sum(size + index for index in range(_NEWCOMERS))
    works = [
        _work("first", "#members of the room, which nobody has used yet", size, [_list(room)]),
        lists,
        _work("reach", "a text, the first to all of them", size, asks[:1]),
        _work("texts", "texts to all of them", size, asks, outstanding=4),
        _work("joins", "#join, and a text by who came", size, coming, told=told, outstanding=1),
    ]
    return Point(size, [room], size, works, "first", 1, size)


def users(size: int) -> Point:
    """So many users who are registered, and as many rooms of five."""
    all_rooms = Rooms(size, SMALL)
    sample = all_rooms.sample()
    works = [_first(sample, size), _texts(sample, size)]
    return Point(
        size, all_rooms, size, works, "first", len(sample), len(sample) * all_rooms.size, size, min(_TEXTS, size)
    )


def _decades(least: int, most: int) -> tuple[int, ...]:
    return tuple(10**power for power in range(least, most + 1))


AXES: dict[str, Axis] = {
    axis.name: axis
    for axis in (
        Axis("rooms", "Rooms of five", "rooms", _decades(2, 6), (10, 30), rooms),
        Axis("memory", "Rooms of ten, all in memory", "rooms", _decades(2, 5), (10, 30), memory),
        Axis("members", "Members of one room", "members", _decades(1, 5), (10, 30), members),
        Axis("users", "Registered users", "users", _decades(2, 5), (10, 30), users, is_common=False),
    )
}
