"""Plays a script's clients against a server, and holds what comes against what was recorded.

Order. The clients' requests go out in the order of the recording, and each only when every response and every MESSAGE
that was recorded before it has come, or was waited for in vain: so what one request caused is there when the next,
which may rest on it, is sent. With a speed, not before its time either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import trio

from conformance.agent.wire import Send
from conformance.replay.clients import Clients
from conformance.replay.compare import Comparison
from conformance.replay.drawing import Drawing, Played, summary
from conformance.replay.people import aor, people_of
from conformance.replay.probe import probe
from conformance.replay.recording import Address
from conformance.replay.rename import Renaming
from conformance.replay.rewrite import Rewriter, answer_ok
from conformance.replay.script import Agent, Event, Exchange, Incoming, Script, lane_names
from conformance.report.ladder import Mark
from imc.errors import BadMessage
from imc.sip.message import Request, Response, parse_message

_T1, _T2, _TIMER_F = 0.5, 4.0, 32.0  # RFC 3261 §17.1.2.1
_MAX_ATTEMPTS = 3  # of one request: a challenge, and a stale one
_COMPARED_METHODS = frozenset(("MESSAGE", "NOTIFY"))
_SHORTEST_PATIENCE = 0.3  # seconds; for those after one that did not come
_HOPELESS_AFTER, _NO_PATIENCE = 20, 0.01  # so many that did not come in a row: the target sends nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayOptions:
    """``speed``: 1 is that of the recording, None as fast as causality lets. ``patience``: seconds that a response or
    MESSAGE may take longer than recorded. ``linger``: seconds after the last, for what was not recorded. ``ignored``:
    what is not compared, see `conformance.replay.compare.NAMES`."""

    target: Address
    transport: str | None = None
    domains: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    room_suffix: str = ""
    passwords: Mapping[str, str] = field(default_factory=dict)
    speed: float | None = None
    patience: float = 2.0
    linger: float = 0.5
    command_char: str = "#"
    ignored: Collection[str] = ()


@dataclass(slots=True, eq=False)
class _Out:
    """An exchange under way. ``heard`` is set at every response, ``done`` at the end."""

    exchange: Exchange
    request: Request
    responses: list[Response] = field(default_factory=list)
    heard: trio.Event = field(default_factory=trio.Event)
    done: trio.Event = field(default_factory=trio.Event)
    final: Response | None = None


@dataclass(slots=True, eq=False)
class _Expected:
    incoming: Incoming
    place: int  # in the order of events
    came: trio.Event = field(default_factory=trio.Event)
    waited_until: float = 0.0  # when it was given up


class Player:
    """One replay. Use `play`."""

    def __init__(self, script: Script, options: PlayOptions) -> None:
        self._script = script
        self._options = options
        people = people_of(script, options.command_char)
        self._renaming = Renaming(
            people, script.server, options.target, options.domains, options.room_suffix, options.users
        )
        self._rewriter = Rewriter(self._renaming, options.passwords, options.transport)
        self._comparison = Comparison(script, self._renaming, options.ignored)
        self._events = script.events()
        self._position = 0
        self._last_request = self._events[0].at if self._events else 0.0
        self._outs: dict[Exchange, _Out] = {}
        self._by_branch: dict[str, _Out] = {}
        self._expected = [
            _Expected(event.what, place)
            for place, event in enumerate(self._events)
            if isinstance(event.what, Incoming) and event.what.request.method in _COMPARED_METHODS
        ]
        self._by_incoming = {each.incoming: each for each in self._expected}
        self._last_place: dict[tuple[Agent, str | None, str | None], int] = {}
        self._waiting: dict[Agent, list[_Expected]] = {}
        for each in self._expected:
            self._waiting.setdefault(each.incoming.agent, []).append(each)
        self._answered: dict[tuple[str, str, str], bytes | None] = {}
        self._drawing = Drawing(lane_names(script.agents))
        self._patience = options.patience
        self._missed = 0  # in a row
        self._began = 0.0
        self._clients: Clients
        self._nursery: trio.Nursery

    async def play(self) -> Played:
        """NotReachable."""
        async with trio.open_nursery() as self._nursery:
            self._clients = Clients(self._nursery, self._options.target, self._take)
            for agent in self._script.agents:
                self._renaming.live[agent] = await self._clients.open(agent)
            self._began = trio.current_time()
            self._drawing.began = self._began
            for place, event in enumerate(self._events):
                self._position = place
                await self._follow(event)
            self._position = len(self._events)
            await trio.sleep(self._options.linger)
            self._nursery.cancel_scope.cancel()
        return self._finish()

    # -- one after the other ------------------------------------------------------------------------------------------

    async def _follow(self, event: Event) -> None:
        if event.kind == "request":
            assert isinstance(event.what, Exchange)
            await self._wait_time(event.at)
            self._last_request = event.at
            send = await self._clients.way(event.what, self._rewriter.transport_of(event.what))
            out = _Out(event.what, self._rewriter.request(event.what))
            self._outs[event.what] = out
            self._send(out, send)
            self._nursery.start_soon(self._carry, out, send)
        elif isinstance(event.what, Exchange):
            took = event.at - event.what.at
            await self._wait(self._outs[event.what].done, took)
        elif event.what in self._by_incoming:
            expected = self._by_incoming[event.what]
            await self._wait(expected.came, event.at - self._last_request)
            expected.waited_until = self._now()

    async def _wait_time(self, at: float) -> None:
        if self._options.speed is not None and self._events:
            await trio.sleep_until(self._began + (at - self._events[0].at) / self._options.speed)

    async def _wait(self, event: trio.Event, took: float) -> None:
        """Wait as long as was recorded, and the patience; which is shorter once it was of no use."""
        if event.is_set():
            return
        with trio.move_on_after(min(took, _TIMER_F) + self._patience):
            await event.wait()
            self._missed = 0
            return
        self._missed += 1
        shortest = _SHORTEST_PATIENCE if self._missed < _HOPELESS_AFTER else _NO_PATIENCE
        self._patience = max(self._patience / 2, min(shortest, self._options.patience))

    def _now(self) -> float:
        return trio.current_time() - self._began

    # -- requests of the clients --------------------------------------------------------------------------------------

    def _send(self, out: _Out, send: Send) -> None:
        branch = out.request.via.branch
        assert branch is not None
        self._by_branch[branch] = out
        self._drawing.draw(out.exchange.agent, out.request, is_up=True)
        self._drawing.played.requests += 1
        send(out.request.render())

    async def _carry(self, out: _Out, send: Send) -> None:
        """To its final response, over challenges."""
        for _ in range(_MAX_ATTEMPTS):
            final = await self._transact(out, send)
            if final is None or not self._rewriter.learn(out.exchange, final):
                break
            self._drawing.draw(out.exchange.agent, final, is_up=False)
            out.request = self._rewriter.request(out.exchange)
            out.responses.clear()
            self._send(out, send)
        out.final = final
        if final is not None:
            self._judge(out.exchange, final)
        out.done.set()

    async def _transact(self, out: _Out, send: Send) -> Response | None:
        """The final response; the request is sent again over UDP while there is none."""
        data = out.request.render()
        interval = _T1 if self._rewriter.transport_of(out.exchange) == "udp" else _TIMER_F
        with trio.move_on_after(_TIMER_F):
            while True:
                with trio.move_on_after(interval):
                    await out.heard.wait()
                out.heard = trio.Event()
                final = next((each for each in out.responses if each.is_final), None)
                if final is not None:
                    return final
                if out.responses:
                    interval = max(interval, _T2)
                else:
                    send(data)
                    interval = min(2 * interval, _T2)
        return None

    def _judge(self, exchange: Exchange, final: Response) -> None:
        self._drawing.played.responses += 1
        mark: Mark | None
        if exchange.final is None:
            mark = Mark("extra", "no final response was recorded")
        else:
            self._renaming.learn_tag(exchange.final.to.tag, final.to.tag)
            problems = self._comparison.responses(exchange.final, final)
            mark = Mark("differs", "; ".join(problems)) if problems else None
        if final.status in (401, 407) and (exchange.final is None or exchange.final.status != final.status):
            self._drawing.hint(
                f"the target asked {self._drawing.names[exchange.agent]} for a password; give it with --users"
            )
        self._drawing.draw(exchange.agent, final, is_up=False, mark=mark)

    # -- what comes ---------------------------------------------------------------------------------------------------

    def _take(self, agent: Agent, data: bytes, send: Send) -> None:
        try:
            message = parse_message(data, is_datagram=True)
        except BadMessage as error:
            self._drawing.row(agent, f"unreadable: {error}", data, is_up=False, mark=Mark("extra", str(error)))
            return
        if isinstance(message, Response):
            out = self._by_branch.get(message.via.branch or "")
            if out is not None and out.request.via.branch == message.via.branch and not out.done.is_set():
                out.responses.append(message)
                out.heard.set()
        elif message.method != "ACK":
            self._request(agent, message, send)

    def _request(self, agent: Agent, request: Request, send: Send) -> None:
        key = request.via.branch or request.call_id, request.via.sent_by, request.method
        if key not in self._answered:
            answer = self._answer(agent, request)
            self._answered[key] = None if answer is None else answer.render()
        data = self._answered[key]
        if data is not None:
            send(data)

    def _answer(self, agent: Agent, request: Request) -> Response | None:
        if request.method not in _COMPARED_METHODS:
            return answer_ok(request)
        self._drawing.played.messages += 1
        expected = self._find(agent, request)
        if expected is None:
            self._drawing.draw(agent, request, is_up=False, mark=Mark("extra", "was not recorded"))
            answer: Response | None = answer_ok(request)
        else:
            problems = self._comparison.requests(expected.incoming.request, request)
            problems += self._order(expected, request)
            self._drawing.draw(
                agent, request, is_up=False, mark=Mark("differs", "; ".join(problems)) if problems else None
            )
            expected.came.set()
            self._waiting[agent].remove(expected)
            answer = self._rewriter.response(expected.incoming, request)
        if answer is not None:
            self._drawing.draw(agent, answer, is_up=True)
        return answer

    def _order(self, expected: _Expected, request: Request) -> list[str]:
        """Whether one of the same sender to the same recipient has come that was recorded behind it."""
        key = expected.incoming.agent, aor(request.to.uri), aor(request.from_.uri)
        last = self._last_place.get(key, -1)
        self._last_place[key] = max(last, expected.place)
        return ["came behind one that was recorded after it"] if expected.place < last else []

    def _find(self, agent: Agent, request: Request) -> _Expected | None:
        """What was recorded for this one: the same; else, of what is due and of the same sender, what is a copy of
        the same text, or a notice as it is, and best of the same event; else what has the same event."""
        waiting = [each for each in self._waiting.get(agent, ()) if self._is_for(each.incoming, request)]
        sender = aor(request.from_.uri)
        event = request.headers.get("IMC-Event")
        is_copy = self._comparison.is_copy_of_same
        due = [
            each
            for each in waiting
            if each.place <= self._due() and not each.waited_until and self._sender(each.incoming.request) == sender
        ]
        tests: list[tuple[list[_Expected], Callable[[Request], bool]]] = [
            (due, lambda old: self._comparison.is_same(old, request) and is_copy(old, request)),
            (waiting, lambda old: self._comparison.is_same(old, request) and is_copy(old, request)),
            (due, lambda old: event is not None and event == old.headers.get("IMC-Event") and is_copy(old, request)),
            (due, lambda old: is_copy(old, request)),
            (due, lambda old: event is not None and event == old.headers.get("IMC-Event")),
        ]
        for candidates, test in tests:
            for each in candidates:
                if test(each.incoming.request):
                    return each
        return None

    def _due(self) -> int:
        """The place of the last event before the next request that was not sent."""
        place = self._position
        while place + 1 < len(self._events) and self._events[place + 1].kind != "request":
            place += 1
        return place

    def _is_for(self, incoming: Incoming, request: Request) -> bool:
        recorded = aor(incoming.request.to.uri)
        return recorded is None or self._renaming.address(recorded) == aor(request.to.uri)

    def _sender(self, recorded: Request) -> str | None:
        sender = aor(recorded.from_.uri)
        return None if sender is None else self._renaming.address(sender)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> Played:
        for exchange, out in self._outs.items():
            if exchange.final is not None and out.final is None:
                recorded = exchange.final
                words = f"{recorded.status} {recorded.reason} ({recorded.cseq.method})"
                self._drawing.row(exchange.agent, words, None, is_up=False, mark=Mark("missing", "did not come"))
        for expected in self._expected:
            if not expected.came.is_set():
                words = summary(expected.incoming.request)
                mark = Mark("missing", "did not come")
                self._drawing.row(
                    expected.incoming.agent, words, None, is_up=False, mark=mark, at=expected.waited_until or None
                )
        return self._drawing.finish()


async def play(script: Script, options: PlayOptions) -> Played:
    """Replay a script. NotReachable where the target is not there."""
    transports = {each.recorded.transport for each in script.exchanges}
    await probe(options.target, options.transport or ("tcp" if transports == {"tcp"} else "udp"))
    return await Player(script, options).play()
