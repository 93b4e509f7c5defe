"""What a server must let us do: Driver (how to get one) → Target (a running server) → Conversation (one case with it).

A new server is one file in `conformance.drivers`; most derive from `conformance.drivers.base`, which does all of it
over SIP. Nothing here knows how a message travels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from conformance.suite.case import Case, Room
from conformance.suite.features import Feature
from conformance.suite.profile import Profile

if TYPE_CHECKING:
    from conformance.suite.wire_case import WireCase
    from conformance.suite.wire_player import WirePlace


class CannotStart(Exception):
    """The server could not be started or reached: the text says why."""


class Lacks(Exception):
    """The case needs what this server, or its driver, cannot do: the case is skipped. The text is what it needs."""


class BarrierLost(Exception):
    """A barrier did not pass, so that nothing can be said of what came before it. The text says how it was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A MESSAGE to be sent. ``to`` is the Request-URI, ``to_header`` the URI in To where that is another.

    ``claims`` is the URI in From, where it is not that of ``by``. ``content_type`` None: no such header.
    """

    by: str
    to: str
    body: bytes
    content_type: str | None = "text/plain;charset=UTF-8"
    headers: tuple[tuple[str, str], ...] = ()
    to_header: str | None = None
    claims: str | None = None
    credentials: Literal["own", "wrong", "none"] = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The final response. ``status`` None: there was none, and ``reason`` says how it ended.

    ``headers`` in their order, ``call_id`` that of the request.
    """

    status: int | None
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A MESSAGE that an actor got; a retransmission of one is none. ``at`` in seconds since the conversation began.

    ``event`` is the event id, as the server tells it or a profile's patterns do; "message" and "relayed" as in `case`;
    None where it cannot be told.
    """

    recipient: str
    sender_uri: str
    to_uri: str
    display: str | None
    content_type: str | None
    body: bytes
    event: str | None
    in_reply_to: str | None
    headers: tuple[tuple[str, str], ...] = ()
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """One line of a ladder. ``source`` and ``target`` are actors, or "server"; ``data`` the bytes, if there are any."""

    at: float
    source: str
    target: str
    summary: str
    data: bytes | None = None


class Conversation(ABC):
    """One case with one server: its actors, all registered, and its rooms, whose names are fresh.

    Actors answer 200 to what they get, unless `answer_with` says otherwise.
    """

    domain: str
    features: frozenset[Feature]
    ladder: list[Arrow]

    @abstractmethod
    def address(self, actor: str) -> str:
        """user@host of an actor."""

    @abstractmethod
    def room(self, name: str = "room") -> str:
        """user@host of a room of this case. A further room gets its name when it is first asked for."""

    @property
    @abstractmethod
    def manager(self) -> str | None:
        """user@host of the conference manager."""

    @abstractmethod
    async def furnish(self, room: Room) -> None:
        """Have the room "room" stand so. Nothing that anybody got of it is seen by `settle`. Lacks."""

    @abstractmethod
    async def send(self, sent: Sent) -> Answer:
        """Send a MESSAGE and wait for its final response."""

    @abstractmethod
    async def retransmit(self, actor: str) -> Answer:
        """Send the actor's last request again, byte by byte."""

    @abstractmethod
    async def merge(self, actor: str) -> Answer:
        """Send the actor's last request as if it came another way: a new branch, all else alike (RFC 3261 §8.2.2.2)."""

    @abstractmethod
    async def register(self, actor: str) -> Answer: ...

    @abstractmethod
    async def unregister(self, actor: str) -> Answer: ...

    @abstractmethod
    def answer_with(self, actor: str, status: int | None) -> None:
        """How the actor answers from now on; None: not at all."""

    @abstractmethod
    async def wait_arrived(self, awaited: Mapping[str, int]) -> None:
        """Return when each has got so many messages since the last `settle`, or patience is at its end."""

    @abstractmethod
    async def settle(self, awaited: Mapping[str, int]) -> dict[str, list[Delivery]]:
        """What each of these actors got since the last call, in the order in which it came.

        ``awaited`` is how many messages each is to get: that many are waited for, within the target's patience. Then a
        barrier passes, behind which nothing sent before it can come. Nothing sleeps.
        """

    @abstractmethod
    async def restart(self, *, kill: bool) -> None:
        """End the server, by kill -9 or as its operator would, and start it on what it kept. Lacks."""


class Target(ABC):
    """A running server. ``pid`` is its main process, where it is one of ours."""

    name: str
    version: str = ""
    features: frozenset[Feature] = frozenset()
    pid: int | None = None
    concurrency: int = 1
    """How many conversations may be held at a time."""

    @abstractmethod
    def conversation(self, case: Case) -> AbstractAsyncContextManager[Conversation]:
        """One case. Lacks, CannotStart."""

    def again(self, case: Case) -> None:  # noqa: B027 - where a case leaves nothing, it is played once more as it is
        """It is going to be played once more: with rooms that it has not had yet."""

    @abstractmethod
    def wire_place(self, case: WireCase) -> AbstractAsyncContextManager[WirePlace]:
        """Where a byte-exact case is played. Lacks where it cannot be, CannotStart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account from a file of users: what an external server knows."""

    address: str
    password: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run tells its driver. ``uri`` is that of an external server, ``folder`` where a spawned one may write.

    ``patience``: seconds for an awaited message, None for the target's own. ``users``: actor → account. ``as_proxy``:
    IP and port where we are the proxy that an external server sends everything to, and that vouches for its users.
    """

    profile: Profile
    uri: str | None = None
    transport: Literal["udp", "tcp"] = "udp"
    users: Mapping[str, User] = field(default_factory=dict)
    domain: str | None = None
    manager: str | None = None
    as_proxy: tuple[str, int] | None = None
    room_prefix: str = "chat-"
    patience: float | None = None
    concurrency: int | None = None
    folder: Path | None = None


class Driver(ABC):
    """A kind of server. ``profile`` is the name of its profile, unless a run is told another."""

    name: str
    profile: str | None = None

    @abstractmethod
    def open(self, options: Options, cases: Sequence[Case]) -> AbstractAsyncContextManager[Target]:
        """Start or reach one, for these cases; it ends with the context. CannotStart."""

    @abstractmethod
    def describe(self) -> str:
        """One line for people."""

    def why_not(self) -> str | None:
        """Why there can be none here, for example that a binary is missing; None: there can."""
        return None


def header(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of that name, in any case."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)
