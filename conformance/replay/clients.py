"""The sockets of the clients that are replayed: each agent has UDP and listening TCP on one port, and the connections
that it made in the recording."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import trio

from conformance.agent.wire import Send, Wire
from conformance.replay.recording import Address
from conformance.replay.script import Agent, Exchange

Take = Callable[[Agent, bytes, Send], None]


class NotReachable(Exception):
    """The target cannot be reached; the text says why."""


class Clients:
    """The agents' sockets, and one way to the target for each. ``take`` gets what comes."""

    def __init__(self, nursery: trio.Nursery, target: Address, take: Take) -> None:
        self._nursery = nursery
        self._target = target
        self._take = take
        self._homes: dict[Agent, Wire] = {}
        self._connections: dict[tuple[Agent, Address], Wire] = {}
        self._ip = _local_ip(target)

    async def open(self, agent: Agent) -> Address:
        """Where the agent is now."""
        wire = await self._open(agent, "udp")
        self._homes[agent] = wire
        return Address(*wire.local)

    async def way(self, exchange: Exchange, transport: str) -> Send:
        """How the request of an exchange goes to the target. NotReachable."""
        agent = exchange.agent
        if transport == "udp":
            return _forgiving(self._homes[agent].send)
        key = agent, exchange.recorded.source
        wire = self._connections.get(key)
        if wire is None or not wire.is_connected:
            try:
                wire = self._connections[key] = await self._open(agent, "tcp")
            except OSError as error:
                raise NotReachable(f"tcp:{self._target}: {error.strerror or error}") from None
        return _forgiving(wire.send)

    async def _open(self, agent: Agent, transport: str) -> Wire:
        def take(data: bytes, send: Send, _source: str) -> None:
            self._take(agent, data, _forgiving(send))

        wire = Wire((self._target.ip, self._target.port), transport, take, lambda: None)
        await self._nursery.start(wire.serve, self._ip, transport == "udp")
        return wire


def _forgiving(send: Send) -> Send:
    """What cannot be sent is as if it were lost: the target has closed the connection, or it is too large for UDP."""

    def attempt(data: bytes) -> None:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.WouldBlock):
            send(data)

    return attempt


def _local_ip(target: Address) -> str:
    """The address from which the target is spoken to. NotReachable."""
    family = socket.AF_INET6 if ":" in target.ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(target)
        except OSError as error:
            raise NotReachable(f"{target}: {error.strerror or error}") from None
        ip: str = probe.getsockname()[0]
        return ip
