"""Sockets, stack and engine turned by one loop: bytes in, events to the use cases, bytes out, timers.

Everything that acts is sync and runs between two awaits of trio; what arrives in one wake-up is answered in one. The
one task here sleeps until the stack's next deadline, or until somebody calls `wake`.

A turn begins with what has come (datagrams, a commit that is on disk) and ends with `batch_end`: what was judged goes
to the disk, then copies and answers go out. Who calls `wake` meanwhile wakes nobody: the turn's end sees to it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

import structlog
import trio

from imc.delivery.engine import Engine
from imc.errors import BadMessage, Unreachable
from imc.registrar.bindings import NO_HOP
from imc.service.outbox import Outbox
from imc.service.roster import Rosters
from imc.service.sip import Sip
from imc.sip.flow import Flow
from imc.sip.message import Response, parse_message
from imc.sip.stack import Stack
from imc.sip.uri import SipUri, parse_uri
from imc.transport.addresses import default_port
from imc.transport.resolver import Resolver, Target
from imc.transport.transports import Transports

_log = structlog.get_logger("imc.loop")
# Transactions that are started before incoming bytes are looked at again.
_BUDGET = 128
_MAX_REOPENING = 256


class SocketCarrier:
    """`imc.delivery.hops.Carrier` over the transports and the resolver."""

    def __init__(self, transports: Transports, resolver: Resolver, *, connect_timeout: float) -> None:
        self._transports = transports
        self._resolver = resolver
        self._connect_timeout = connect_timeout

    def is_open(self, flow: Flow) -> bool:
        return self._transports.is_open(flow)

    def sent_by(self, flow: Flow) -> str:
        return self._transports.sent_by(flow)

    def datagram_flow(self, ip: str, port: int) -> Flow | None:
        return self._transports.udp_flow(ip, port)

    async def open_stream(self, transport: str, ip: str, port: int, name: str) -> Flow:
        return await self._transports.open_stream(transport, ip, port, self._connect_timeout, name)

    async def resolve(self, uri: str) -> Sequence[Target]:
        if uri.startswith(NO_HOP):
            raise Unreachable(f"{uri.removeprefix(NO_HOP)}: the connection on which it registered has ended")
        try:
            parsed = parse_uri(uri)
        except BadMessage as error:
            raise Unreachable(f"{uri}: {error.reason}") from None
        if not isinstance(parsed, SipUri):
            raise Unreachable(f"{uri}: only SIP addresses can be reached")
        return await self._resolver.resolve(parsed)


class Loop:
    """`attach` the use cases when they are built, then `run`."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._kick = trio.Event()
        self._passed: trio.Event | None = None
        self._armed = math.inf
        self._transports: Transports
        self._engine: Engine
        self._sip: Sip
        self._outbox: Outbox
        self._rosters: Rosters
        self._spawn: Callable[[Callable[[], Awaitable[None]]], None]
        self._on_flow_closed: Callable[[Flow], None]
        self._begin: Callable[[], None]
        self._reopening = 0
        self._is_in_turn = False
        self._has_more = False

    def attach(
        self,
        transports: Transports,
        engine: Engine,
        sip: Sip,
        outbox: Outbox,
        *,
        rosters: Rosters,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        begin: Callable[[], None],
        on_flow_closed: Callable[[Flow], None] = lambda _flow: None,
    ) -> None:
        """``begin`` sends what was judged on its way to the disk (`imc.store.writer.Writer.begin`). ``on_flow_closed``
        is told of each stream that ended, when all that was under way on it has failed."""
        self._on_flow_closed = on_flow_closed
        self._transports = transports
        self._engine = engine
        self._sip = sip
        self._outbox = outbox
        self._rosters = rosters
        self._spawn = spawn
        self._begin = begin

    def wake(self) -> None:
        """There is something to send, to start, or to commit."""
        if self._is_in_turn:
            self._has_more = True
        else:
            self._kick.set()

    def within(self, work: Callable[[], None]) -> None:
        """A turn that begins with this."""
        self._is_in_turn = True
        try:
            work()
        except Exception as error:
            _log.error("turn-failed", exc_info=error)
        self.batch_end()

    async def wait_pass(self) -> None:
        """Until something has been done: read, sent, started or timed out."""
        if self._passed is None:
            self._passed = trio.Event()
        await self._passed.wait()

    def _tell_passed(self) -> None:
        if self._passed is not None:
            self._passed.set()
            self._passed = None

    # --- callbacks of the transports --------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow) -> bool:
        """One datagram, or one message of a stream. True: more of this flow is not wanted for a moment."""
        self._is_in_turn = True
        now = trio.current_time()
        self._sip.on_events(self._stack.receive(data, flow, now))
        return self._stack.is_muted(flow, now)

    def is_muted(self, flow: Flow) -> bool:
        """Whether what comes on a flow is dropped unread for now."""
        return self._stack.is_muted(flow, trio.current_time())

    def may_answer(self, flow: Flow, came: int, goes: int) -> bool:
        """Whether a keep-alive of ``came`` bytes may be answered with ``goes``."""
        return self._stack.may_answer(flow, came, goes, trio.current_time())

    def take_answers(self, datagrams: Sequence[bytes]) -> list[int]:
        """The datagrams of one wake-up. Returns the indices of those that are for `receive`."""
        self._is_in_turn = True
        others, events = self._stack.receive_usual(datagrams, trio.current_time())
        self._sip.on_events(events)
        return others

    def batch_end(self) -> None:
        """All that was there has been read."""
        if self._end_turn() or self._next_deadline() < self._armed:
            self.wake()
        self._tell_passed()

    def _end_turn(self) -> bool:
        """Commit, start and send. True where there is more of that at once."""
        self._is_in_turn = True
        try:
            self._begin()
            self._has_more = False  # what is here to be started and sent is, below
            has_more = self._engine.pump(_BUDGET)
            self.flush()
            return has_more or self._has_more
        finally:
            self._is_in_turn = False

    def _next_deadline(self) -> float:
        """When one of the parts has something to do of itself."""
        parts = (self._stack, self._engine, self._outbox, self._rosters)
        deadlines = (part.next_deadline() for part in parts)
        return min((deadline for deadline in deadlines if deadline is not None), default=math.inf)

    def flow_closed(self, flow: Flow) -> None:
        """A stream has ended."""
        self._engine.flow_closed(flow)
        self._sip.on_events(self._stack.flow_closed(flow, trio.current_time()))
        self._on_flow_closed(flow)
        self.wake()

    # --- out --------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what the stack has put out."""
        for flow, data in self._transports.send_many(self._stack.output()):
            self._not_sent(flow, data)
        self._outbox.tick(trio.current_time())

    def _not_sent(self, flow: Flow, data: bytes) -> None:
        """A dead stream: a request fails at once, an answer goes by a new connection (RFC 3261 §18.2.2)."""
        if not data.startswith(b"SIP/2.0 "):
            self._sip.on_events(self._stack.flow_closed(flow, trio.current_time()))
            self.wake()
        elif self._reopening < _MAX_REOPENING:
            self._reopening += 1
            self._spawn(lambda: self._answer_anew(flow, data))

    # spec S-VIA-4
    async def _answer_anew(self, flow: Flow, data: bytes) -> None:
        try:
            response = parse_message(data, is_datagram=False)
            assert isinstance(response, Response)
            port = response.via.port or default_port(flow.transport)
            name = response.via.host.strip("[]")
            again = await self._transports.open_stream(flow.transport, flow.remote[0], port, 5.0, name)
            self._transports.send(again, data)
        except (Unreachable, BadMessage) as error:  # a 400 repeats what could not be read
            _log.debug("answer-lost", remote=f"{flow.remote[0]}:{flow.remote[1]}", error=str(error))
        finally:
            self._reopening -= 1

    # --- time -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        stack, engine = self._stack, self._engine
        while True:
            self._kick = trio.Event()
            now = trio.current_time()
            self._is_in_turn = True
            self._sip.on_events(stack.tick(now))
            engine.tick(now)
            self._rosters.tick(now)
            if self._end_turn():
                await trio.lowlevel.checkpoint()
                continue
            self._tell_passed()
            self._armed = self._next_deadline()
            with trio.move_on_at(self._armed):
                await self._kick.wait()
