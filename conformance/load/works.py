"""The works: what is asked of a server, as data. The same requests in the same order for every server.

A `Work` is made from how many users and messages there shall be; each kind has its usual numbers. Users and rooms are
numbers here; the sender makes addresses of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MAX_DELIVERIES = 2_000_000
MAX_REQUESTS = 200_000
TEXT_SIZE = 50
LONG_ENOUGH_APART = 64


class TooMuch(ValueError):
    """A work that would never end, or not fit in memory."""


@dataclass(frozen=True, slots=True)
class Room:
    """A room that stands before the work begins; the first member owns it."""

    number: int
    members: Sequence[int]


@dataclass(frozen=True, slots=True)
class Ask:
    """A MESSAGE of a user to a room. ``command`` None: a text of usual length.

    ``audience``: who must hear of it, the sender included only where named; None: everybody else who is in the room by
    then, which depends on the order in which the server takes them (`Work.told`). ``others`` names users in a command.
    """

    sender: int
    room: int
    command: str | None = None
    audience: Sequence[int] | None = ()
    other: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """``warm_up`` is asked first and not measured. ``told``: deliveries of the asks whose audience is None, in all."""

    name: str
    about: str
    users: int
    rooms: Sequence[Room]
    asks: Sequence[Ask]
    outstanding: int
    warm_up: Sequence[Ask] = ()
    told: int = 0

    @property
    def deliveries(self) -> int:
        """How many there must be of ``asks``."""
        return self.told + sum(len(ask.audience) for ask in self.asks if ask.audience is not None)

    @property
    def joining(self) -> int:
        """Deliveries that making ``rooms`` by commands costs: each join is told to those who are in."""
        return sum(len(room.members) * (len(room.members) - 1) // 2 for room in self.rooms)

    def check_can_be_joined(self) -> None:
        """TooMuch: these rooms have to be in a server's database before it starts."""
        if self.joining > MAX_DELIVERIES:
            raise TooMuch(f"{self.about}: to fill the rooms by joins would need {self.joining} deliveries")


def fan_out(users: int, messages: int) -> Work:
    """One room, four of its members in turn; four texts unanswered at a time."""
    room = Room(0, range(users))
    senders = min(4, users)
    audiences = [[user for user in room.members if user != sender] for sender in range(senders)]
    asks = [Ask(number % senders, 0, audience=audiences[number % senders]) for number in range(messages)]
    return Work(
        "fan-out",
        f"{messages} texts to a room of {users}",
        users,
        [room],
        asks,
        4,
        warm_up=asks[: max(1, min(20, 3_000 // users))],
    )


def small_rooms(users: int, messages: int) -> Work:
    """As many rooms as users, five in each; everyone is in five."""
    rooms = [_small_room(number, users) for number in range(users)]
    asks = [_text(rooms[number % users]) for number in range(messages)]
    about = f"{messages} texts to {users} rooms of {len(rooms[0].members)}"
    return Work("small-rooms", about, users, rooms, asks, 16, warm_up=asks[: min(500, users)])


def join_storm(users: int, messages: int) -> Work:
    """``messages`` users join one room; each is told to all who are in it."""
    asks = [Ask(user, 0, "#join", None) for user in range(1, messages + 1)]
    about = f"{messages} joins into one room, each told to all"
    create = [Ask(0, 0, "#create", (0,))]
    return Work("join-storm", about, users, [], asks, 16, create, told=messages * (messages + 1) // 2)


def commands(users: int, messages: int) -> Work:
    """Each user's own room is created, listed, somebody is invited and removed, and it is destroyed; and again."""
    return Work(
        "commands",
        f"{messages} commands on {users} rooms",
        users,
        [],
        [_command(number % users, number // users, users) for number in range(messages)],
        min(16, users),
    )


def mixed(users: int, messages: int) -> Work:
    """Texts to rooms of five and, one in 200, to one room of all; lists; rooms that come and go."""
    chance = random.Random(0)  # noqa: S311 - the same work each time
    rooms = [_small_room(number, users) for number in range(users)]
    large = Room(users, range(users))
    asks: list[Ask] = []
    own: list[tuple[int, int, int]] = []  # when a room may be destroyed, whose, which
    next_room = users + 1
    while len(asks) < messages:
        what, user = chance.random(), chance.randrange(users)
        if own and own[0][0] <= len(asks):
            _, owner, number = own.pop(0)
            asks.append(Ask(owner, number, "#destroy", (owner,)))
        elif what < 0.005:
            asks.append(_text(large, user))
        elif what < 0.75:
            asks.append(_text(rooms[user]))
        elif what < 0.9:
            asks.append(Ask(user, user, "#members", (user,)))
        else:
            asks.append(Ask(user, next_room, "#create", (user,)))
            own.append((len(asks) + LONG_ENOUGH_APART, user, next_room))
            next_room += 1
    about = f"{messages} texts and commands in {users} rooms of {len(rooms[0].members)} and one of {users}"
    return Work("mixed", about, users, [*rooms, large], asks, 16, warm_up=[_text(room) for room in rooms[:100]])


def start(users: int, messages: int) -> Work:
    """Ten times as many memberships as rooms; then some of the rooms are listed. ``users`` is the number of rooms."""
    people = min(5_000, users)
    rooms = [Room(number, _ring(number, 10, people)) for number in range(users)]
    step = max(1, users // messages)
    asks = [Ask(number % people, number, "#members", (number % people,)) for number in range(0, users, step)][:messages]
    members = sum(len(room.members) for room in rooms)
    about = f"start with {members} members in {users} rooms, then {len(asks)} lists"
    return Work("start", about, people, rooms, asks, 16)


def _ring(first: int, count: int, users: int) -> Sequence[int]:
    return [(first + index) % users for index in range(min(count, users))]


def _small_room(number: int, users: int) -> Room:
    return Room(number, _ring(number, 5, users))


def _text(room: Room, sender: int | None = None) -> Ask:
    speaker = room.members[0] if sender is None else sender
    return Ask(speaker, room.number, audience=[user for user in room.members if user != speaker])


def _command(user: int, turn: int, users: int) -> Ask:
    other = (user + 1) % users
    cycle: list[tuple[str, int | None, Sequence[int]]] = [
        ("#create", None, (user,)),
        ("#members", None, (user,)),
        ("#invite", other, (other,)),
        ("#remove", other, (other,)),
        ("#destroy", None, (user,)),
    ]
    word, about, audience = cycle[turn % len(cycle)]
    return Ask(user, user, word, audience, about)


@dataclass(frozen=True, slots=True)
class Kind:
    """A work by its name, with its usual numbers; ``least`` users. ``joins``: as many messages as users, less one."""

    make: Callable[[int, int], Work]
    users: int
    messages: int
    least: int = 2


KINDS: dict[str, Kind] = {
    "fan-out-100": Kind(fan_out, 100, 300),
    "fan-out-1000": Kind(fan_out, 1_000, 30),
    "fan-out-10000": Kind(fan_out, 10_000, 5),
    "small-rooms": Kind(small_rooms, 500, 5_000, 5),
    "join-storm-300": Kind(join_storm, 301, 300),
    "join-storm-600": Kind(join_storm, 601, 600),
    "join-storm-999": Kind(join_storm, 1_000, 999),
    "commands": Kind(commands, 500, 2_500),
    "mixed": Kind(mixed, 300, 5_000, 5),
    "start": Kind(start, 100_000, 1_000),
}


def named(words: Sequence[str]) -> Iterator[str]:
    """Names of works: themselves, or the beginning of several (`fan-out`). KeyError: there is none such."""
    for word in words:
        found = [name for name in KINDS if name == word or name.startswith(word + "-")]
        if not found:
            raise KeyError(word)
        yield from found


def build(name: str, users: int | None = None, messages: int | None = None) -> Work:
    """The work, with its usual numbers or these. TooMuch, ValueError."""
    kind = KINDS[name]
    people = kind.users if users is None else users
    if people < kind.least:
        raise ValueError(f"{name} needs {kind.least} users or more")
    if kind.make is join_storm:
        count = min(people - 1, messages or people - 1)
    else:
        count = messages or (kind.messages if users is None else min(kind.messages, 5 * people))
    if max(people, count) > MAX_REQUESTS or people * count > MAX_DELIVERIES * 500:
        raise TooMuch(f"{name} with {people} users and {count} messages: {MAX_REQUESTS} of either is the most")
    work = kind.make(people, count)
    if work.deliveries > MAX_DELIVERIES:
        raise TooMuch(f"{name} would need {work.deliveries} deliveries; {MAX_DELIVERIES} is the most")
    return work
