"""Where a recording is replayed: at a SIP URI, or at a server that a driver of the conformance suite starts."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from conformance.replay.clients import NotReachable
from conformance.replay.people import People
from conformance.replay.recording import Address
from imc.errors import BadMessage
from imc.sip.uri import SipUri, parse_uri

SPAWNED = ("imc", "kamailio")
_PREFIX = "chat-"  # with which the names of rooms begin, where nothing else is said


class BadTarget(ValueError):
    """What was given as the target is none."""


@dataclass(frozen=True, slots=True)
class Place:
    """``transport`` None: that of the recording. ``domain`` None: that of the recording."""

    address: Address
    transport: str | None = None
    domain: str | None = None


@asynccontextmanager
async def opened(text: str, people: People) -> AsyncIterator[Place]:
    """The target, until the end of the block. BadTarget, NotReachable."""
    if text in SPAWNED:
        async with _spawned(text, people) as place:
            yield place
    else:
        yield await _resolved(text)


async def _resolved(text: str) -> Place:
    try:
        uri = parse_uri(text)
    except BadMessage as error:
        raise BadTarget(f"{text}: {error}; give sip:HOST:PORT, {' or '.join(SPAWNED)}") from None
    if not isinstance(uri, SipUri) or uri.scheme != "sip":
        raise BadTarget(f"{text}: only sip: over UDP and TCP is spoken here")
    if uri.transport not in (None, "udp", "tcp"):
        raise BadTarget(f"{text}: transport {uri.transport} is not spoken here")
    host, port = uri.host.strip("[]"), uri.port or 5060
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise NotReachable(f"{host}: {error.strerror or error}") from None
    return Place(Address(str(found[0][4][0]), port), uri.transport)


@asynccontextmanager
async def _spawned(name: str, people: People) -> AsyncIterator[Place]:
    """A fresh server that believes who its clients say they are."""
    from conformance.drivers import driver
    from conformance.drivers.base import SipTarget
    from conformance.suite.case import Case, Step
    from conformance.suite.conversation import CannotStart, Options
    from conformance.suite.profile import Profile

    prefix = _common_prefix(people.rooms)
    settings: dict[str, object] = {}
    if name == "imc":
        settings = {"limits.enabled": False}
        if people.rooms and not prefix.startswith(_PREFIX):
            settings["room_pattern"] = f"{prefix}*"
    case = Case(
        id="replay/recording",
        clause="R-ORDER-1",
        quotation="-",
        level="must",
        title="What was recorded",
        settings=settings,
        step=(Step(do="settle"),),
    )
    options = Options(profile=Profile(target=name, events={}), room_prefix=prefix or _PREFIX)
    try:
        async with driver(name).open(options, [case]) as target:
            assert isinstance(target, SipTarget)
            async with target.serving(case) as server:
                yield Place(Address(*server.addresses["udp"]), None, target.domain)
    except CannotStart as error:
        raise NotReachable(f"{name}: {error}") from None


def _common_prefix(rooms: Iterable[str]) -> str:
    """What the names of rooms begin with: some servers tell rooms from users by it."""
    names = sorted(room.partition("@")[0] for room in rooms)
    if not names:
        return ""
    first, last = names[0], names[-1]
    length = next(
        (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return first[:length]
