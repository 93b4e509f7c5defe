"""A server spoken to over SIP: all that a case needs, with user agents of `conformance.agent`.

A driver gives a `SipTarget` its addresses, its features, start and stop, and where a server has its own ways it
overrides a method. The rest is here:

    names     each case has users and rooms of its own, known before the server starts
    barrier   a sentinel sends each actor a message through the server, which answers when they have it. What was sent
              to them before has been delivered then: per recipient, servers keep order (RFC 3428 §8). A server that
              relays nothing has a barrier room, which all actors have joined
    events    by IMC-Event, else by a profile's patterns
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import trio

from conformance.agent.client import TIMER_F, SipClient
from conformance.drivers.sip_conversation import (
    ANSWER_WITHIN,
    BARRIER_ROOM,
    SENTINEL,
    CannotPlay,
    Server,
    SipConversation,
)
from conformance.suite.case import Case, Room
from conformance.suite.conversation import Lacks, Options, Target, User
from conformance.suite.features import FEATURES, Feature
from conformance.suite.wire_case import WireCase
from conformance.suite.wire_player import WirePlace

__all__ = [
    "ANSWER_WITHIN",
    "BARRIER_ROOM",
    "PATIENCE",
    "SENTINEL",
    "CannotPlay",
    "Server",
    "SipConversation",
    "SipTarget",
]

PATIENCE = 5.0
"""Seconds for a message that must come."""


@dataclass
class SipTarget(Target):
    """Derive from it; `serving` is all that must be given.

    ``gives_up``: seconds by which it takes a silent recipient as failed. ``numbers``: case id → a number, for names of
    users and rooms that differ from case to case.
    """

    name: str
    options: Options
    domain: str
    manager: str | None = None
    version: str = ""
    features: frozenset[Feature] = frozenset(FEATURES)
    pid: int | None = None
    concurrency: int = 1
    room_prefix: str = "chat-"
    patience: float = PATIENCE
    gives_up: float = TIMER_F
    token: str = field(default_factory=lambda: secrets.token_hex(2))
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.features -= {lack.feature for lack in self.options.profile.lacks}
        self.patience = self.options.patience or self.patience
        self.concurrency = self.options.concurrency or self.concurrency

    def take(self, cases: Sequence[Case]) -> None:
        """These are going to be played."""
        for case in cases:
            self.number(case)

    def number(self, case: Case) -> int:
        return self.numbers.setdefault(case.id, max(self.numbers.values(), default=0) + 1)

    def again(self, case: Case) -> None:
        self.numbers[case.id] = max(self.numbers.values(), default=0) + 1

    @abstractmethod
    def serving(self, case: Case | WireCase) -> AbstractAsyncContextManager[Server]:
        """The server that plays this case, room case or byte-exact one. CannotStart, Lacks."""

    async def restart(self, server: Server, *, kill: bool) -> None:
        """End it and start it again; ``server`` is then as it is now. Lacks."""
        raise Lacks(FEATURES["restart"])

    def account(self, case: Case, actor: str) -> User:
        """Whom an actor of a case speaks as: of a file of users the one of that name, else one of the case's own."""
        if self.options.users:
            try:
                return self.options.users[actor]
            except KeyError:
                raise Lacks(f"an account for {actor} in the file of users") from None
        return User(address=f"{case.users.get(actor, actor)}-{self.number(case)}@{self.domain}")

    def room(self, case: Case, name: str) -> str:
        """The address of a room of a case."""
        further = "" if name == "room" else f"-{name}"
        return f"{self.room_prefix}{self.token}-{self.number(case)}{further}@{self.domain}"

    def shares_accounts(self, case: Case) -> bool:
        """Whether other cases speak as the same users."""
        return bool(self.options.users)

    def relays(self, case: Case) -> bool:
        """Whether a message to an actor reaches them; not where every address is a room's."""
        return "relay" in self.features and case.settings.get("room_pattern") != "*"

    async def preload(self, case: Case, room: Room) -> bool:
        """Whether the room stands as it must before anything is sent, so that no commands are needed for it."""
        return False

    async def consequences(self, conversation: SipConversation) -> None:
        """Return when what follows of a refused copy has been sent. Where a server commits first, that takes more."""

    async def open_client(self, nursery: trio.Nursery, server: Server, account: User, transport: str) -> SipClient:
        """A user agent of an account."""
        return await SipClient.open(
            nursery,
            f"sip:{account.address}",
            server.addresses[transport],
            password=account.password,
            transport=transport,
            takes_tcp=transport == "udp" and "tcp" in self.features,
        )

    @asynccontextmanager
    async def conversation(self, case: Case) -> AsyncIterator[SipConversation]:
        async with self.serving(case) as server:
            if self.options.transport not in server.addresses:
                raise Lacks(FEATURES["tcp" if self.options.transport == "tcp" else "udp"])
            async with trio.open_nursery() as nursery:
                conversation = SipConversation(self, case, server, nursery)
                await conversation.open()
                try:
                    yield conversation
                finally:
                    with trio.move_on_after(ANSWER_WITHIN, shield=True):
                        await conversation.close()
                    nursery.cancel_scope.cancel()

    def wire_accounts(self, case: WireCase) -> Mapping[str, tuple[str, str]]:
        """User part and password by actor, where the server asks for passwords."""
        named = {actor: (user.address.partition("@")[0], user.password) for actor, user in self.options.users.items()}
        return {actor: (name, password) for actor, (name, password) in named.items() if password is not None}

    @asynccontextmanager
    async def wire_place(self, case: WireCase) -> AsyncIterator[WirePlace]:
        async with self.serving(case) as server:
            yield WirePlace(
                domain=self.domain,
                addresses=server.addresses,
                features=self.features,
                accounts=self.wire_accounts(case),
            )
