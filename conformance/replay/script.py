"""From messages to a script: who is the server, who are its clients, what each asked and was told.

Invariants

- A request that was sent again, over UDP or captured twice, is one. A request that was challenged and sent again with
  credentials is one `Exchange`, with the final response to the last of them.
- What is neither to nor from the server is left out, and so are calls (INVITE and what belongs to one), with a note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from conformance.replay.recording import Address, Recorded, Recording, canonical_ip
from imc.errors import BadMessage
from imc.sip.message import Request, Response
from imc.sip.uri import SipUri

_CHALLENGES = (401, 407)
_CREDENTIALS = ("Authorization", "Proxy-Authorization")
_CALL_METHODS = frozenset(("INVITE", "ACK", "CANCEL", "PRACK"))
# Seconds after a request within which a client that answers at all has answered.
_ANSWERS_WITHIN = 2.0


class NoServer(Exception):
    """It cannot be told who is the server."""


@dataclass(slots=True, eq=False)
class Agent:
    """A client: a program with its sockets.

    ``addresses`` are those it was seen at, or gave as its own in Contact and Via; ``users`` its addresses-of-record,
    ``user@host``, the most frequent first.
    """

    number: int
    home: Address
    addresses: set[Address] = field(default_factory=set)
    users: list[str] = field(default_factory=list)
    seen_at: set[Address] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.users[0].partition("@")[0] if self.users else str(self.home)


@dataclass(slots=True, eq=False)
class Exchange:
    """A request of a client, and what became of it.

    ``credentials``: "none" were sent, though there was a challenge; "wrong" ones; or "right" ones, or none were needed.
    ``final_at`` is when the final response came, None where there is none.
    """

    agent: Agent
    recorded: Recorded
    request: Request
    final: Response | None = None
    final_at: float | None = None
    credentials: Literal["right", "wrong", "none"] = "right"
    has_credentials: bool = False
    cseq: int = 0  # of the last request of it

    @property
    def at(self) -> float:
        return self.recorded.at


@dataclass(slots=True, eq=False)
class Incoming:
    """A request of the server to a client. ``answer`` None: the client was silent, or it cannot be known what it said,
    and then ``is_silent`` is False."""

    agent: Agent
    recorded: Recorded
    request: Request
    answer: Response | None = None
    is_silent: bool = True

    @property
    def at(self) -> float:
        return self.recorded.at


@dataclass(frozen=True, slots=True)
class Event:
    """One thing in the order of the recording."""

    at: float
    kind: Literal["request", "final", "incoming"]
    what: Exchange | Incoming


@dataclass(slots=True)
class Script:
    """``server_side`` are the addresses that the server sends from or listens on."""

    server: Address
    server_side: set[Address] = field(default_factory=set)
    agents: list[Agent] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_anonymous: bool = False

    def events(self) -> list[Event]:
        found = [Event(each.at, "request", each) for each in self.exchanges]
        found += [Event(each.final_at, "final", each) for each in self.exchanges if each.final_at is not None]
        found += [Event(each.at, "incoming", each) for each in self.incoming]
        return sorted(found, key=lambda event: event.at)


def lane_names(agents: Iterable[Agent]) -> dict[Agent, str]:
    """Each agent's user, with a number where two have the same."""
    found: dict[Agent, str] = {}
    for agent in agents:
        name, count = agent.name, 1
        while name in found.values() or name == "server":
            count += 1
            name = f"{agent.name}/{count}"
        found[agent] = name
    return found


# -- who is the server ------------------------------------------------------------------------------------------------


def guess_server(messages: Iterable[Recorded]) -> tuple[Address, list[Address]]:
    """The address to which MESSAGE requests go that are commands or that rooms relay, and what else could be it.

    NoServer where no request but answers were captured.
    """
    points: Counter[Address] = Counter()
    sources: dict[Address, set[Address]] = {}
    for recorded in messages:
        try:
            message = recorded.message
        except BadMessage:
            continue
        if not isinstance(message, Request):
            continue
        worth = 1
        if message.method == "REGISTER":
            worth = 3
        elif message.method == "MESSAGE" and message.body.startswith(b"#"):
            worth = 10
        points[recorded.target] += worth
        sources.setdefault(recorded.target, set()).add(recorded.source)
    if not points:
        raise NoServer("there is no request in it")
    ranked = sorted(points, key=lambda address: (points[address], len(sources[address])), reverse=True)
    best = ranked[0]
    return best, [address for address in ranked[1:] if points[address] * 2 > points[best] and points[address] >= 10]


def build(recording: Recording, server: Address | None = None) -> Script:
    """The script of a recording. NoServer."""
    notes: list[str] = []
    server = server or recording.server
    if server is None:
        server, others = guess_server(recording.messages)
        if others:
            notes.append(f"taken as the server: {server}; it could be {', '.join(map(str, others))} (--server)")
    builder = _Builder(Script(server, notes=notes, is_anonymous=recording.is_anonymous))
    for recorded in recording.messages:
        builder.take(recorded)
    return builder.finish(recording.messages[-1].at if recording.messages else 0.0)


class _Builder:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._server_side = script.server_side
        self._server_side.add(script.server)
        self._agents: dict[Address, Agent] = {}
        self._users: dict[Agent, Counter[str]] = {}
        self._asked: dict[tuple[Address, str, str], Exchange] = {}
        self._got: dict[tuple[Address, str, str], Incoming] = {}
        self._challenged: dict[tuple[str, str, str | None], Exchange] = {}
        self._calls: set[str] = set()
        self._others = self._of_calls = self._stray = 0

    def take(self, recorded: Recorded) -> None:
        try:
            message = recorded.message
            is_from_server = self._is_from_server(recorded, message)
            if is_from_server is None:
                self._others += 1
            elif self._is_of_call(message):
                self._of_calls += 1
            elif isinstance(message, Request):
                (self._incoming if is_from_server else self._request)(recorded, message)
            else:
                (self._response if is_from_server else self._answer)(recorded, message)
        except BadMessage as error:
            self._script.notes.append(f"{recorded.where}: {error}; left out")

    def finish(self, ended: float) -> Script:
        script = self._script
        for agent, users in self._users.items():
            agent.users = [user for user, _ in users.most_common()]
        for exchange in script.exchanges:
            if exchange.final is not None and exchange.final.status in _CHALLENGES:
                exchange.credentials = "wrong" if exchange.has_credentials else "none"
        for incoming in script.incoming:
            if incoming.answer is None and ended - incoming.at < _ANSWERS_WITHIN:
                incoming.is_silent = False  # the recording ended before
        for count, what in (
            (self._others, "messages between others than the server and its clients"),
            (self._of_calls, "messages of calls (INVITE)"),
            (self._stray, "responses to requests that were not captured"),
        ):
            if count:
                script.notes.append(f"{count} {what} are left out")
        return script

    def _is_from_server(self, recorded: Recorded, message: Request | Response) -> bool | None:
        """None: between others."""
        if recorded.target in self._server_side:
            return False
        if recorded.source in self._server_side:
            return True
        server = self._script.server
        if recorded.transport != "tcp" or server.ip not in (recorded.source.ip, recorded.target.ip):
            return None
        # A connection that the server opened has another port on its side: the Vias tell.
        via = message.via
        is_of_server = canonical_ip(via.host) == server.ip and (via.port or 5060) == server.port
        if not is_of_server:
            return None
        own = recorded.source if isinstance(message, Request) else recorded.target
        if own.ip == server.ip:
            self._server_side.add(own)
        return isinstance(message, Request)

    def _is_of_call(self, message: Request | Response) -> bool:
        if message.cseq.method in _CALL_METHODS:
            self._calls.add(message.call_id)
        return message.call_id in self._calls

    def _agent(self, address: Address, via: Address | None = None) -> Agent:
        """The agent at this address; ``via`` is what it calls itself, the same program where the IP is the same."""
        found = self._agents.get(address)
        if found is None and via is not None and via.ip == address.ip:
            found = self._agents.get(via)
        if found is None:
            found = Agent(len(self._script.agents), via if via is not None and via.ip == address.ip else address)
            self._script.agents.append(found)
            self._users[found] = Counter()
        self._agents[address] = found
        found.addresses.add(address)
        found.seen_at.add(address)
        if via is not None:
            found.addresses.add(via)
            if via.ip == address.ip:
                self._agents[via] = found
        return found

    def _request(self, recorded: Recorded, request: Request) -> None:
        via = request.via
        sent_by = Address(canonical_ip(via.host), via.port or 5060)
        key = recorded.source, via.branch or request.call_id + str(request.cseq), request.method
        if key in self._asked:
            return
        agent = self._agent(recorded.source, sent_by)
        agent.addresses.update(_contact_addresses(request))
        user = _aor(request.from_.uri)
        if user is not None:
            self._users[agent][user] += 1
        has_credentials = any(name in request.headers for name in _CREDENTIALS)
        challenged = self._challenged.pop((request.method, request.call_id, request.from_.tag), None)
        if challenged is not None and has_credentials and request.cseq.number > challenged.cseq:
            challenged.final = challenged.final_at = None
            challenged.cseq = request.cseq.number
            challenged.has_credentials = True
            self._asked[key] = challenged
            return
        exchange = Exchange(agent, recorded, request, has_credentials=has_credentials, cseq=request.cseq.number)
        self._asked[key] = exchange
        self._script.exchanges.append(exchange)

    def _response(self, recorded: Recorded, response: Response) -> None:
        via = response.via
        key = recorded.target, via.branch or response.call_id + str(response.cseq), response.cseq.method
        exchange = self._asked.get(key)
        if exchange is None:
            self._stray += 1
            return
        if not response.is_final or exchange.final is not None or response.cseq.number != exchange.cseq:
            return
        exchange.final, exchange.final_at = response, recorded.at
        if response.status in _CHALLENGES:
            request = exchange.request
            self._challenged[request.method, request.call_id, request.from_.tag] = exchange

    def _incoming(self, recorded: Recorded, request: Request) -> None:
        key = recorded.target, request.via.branch or request.call_id, request.method
        if key in self._got:
            return
        agent = self._agent(recorded.target)
        incoming = Incoming(agent, recorded, request)
        self._got[key] = incoming
        self._script.incoming.append(incoming)

    def _answer(self, recorded: Recorded, response: Response) -> None:
        via = response.via
        incoming = self._got.get((recorded.source, via.branch or response.call_id, response.cseq.method))
        if incoming is None:
            self._stray += 1
        elif response.is_final and incoming.answer is None:
            incoming.answer = response
            incoming.is_silent = False


def _contact_addresses(request: Request) -> set[Address]:
    found = set()
    for contact in request.contacts:
        if isinstance(contact.uri, SipUri):
            found.add(Address(canonical_ip(contact.uri.host), contact.uri.port or 5060))
    return found


def _aor(uri: object) -> str | None:
    if not isinstance(uri, SipUri) or uri.user is None:
        return None
    try:
        return f"{uri.aor.user}@{uri.aor.host}"
    except ValueError:
        return None
