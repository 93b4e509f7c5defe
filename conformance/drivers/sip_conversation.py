"""One case over SIP: its actors' user agents, what they do and get, and the barrier. See `conformance.drivers.base`."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import trio

from conformance.agent.client import NoAnswer, NoMessage, Received, SipClient
from conformance.drivers.events import Classifier
from conformance.drivers.furnish import commands
from conformance.drivers.ladder import Ladder
from conformance.suite.case import Case, Room
from conformance.suite.conversation import Answer, BarrierLost, Conversation, Delivery, Lacks, Sent, header
from conformance.suite.features import FEATURES
from conformance.suite.matching import bare
from imc.sip.message import Request, Response

if TYPE_CHECKING:
    from conformance.drivers.base import SipTarget

ANSWER_WITHIN = 8.0
"""Seconds for a final response."""
SENTINEL = "sentinel"
BARRIER_ROOM = "barrier"
_DATAGRAM = 30_000
_LOST = (408, 480, 500, 503, 504)
"""How a barrier's message is answered where it did not arrive, and might another time."""


class CannotPlay(Exception):
    """The server does not do what every case rests on: registering, making a room."""


@dataclass(slots=True)
class Server:
    """A server that listens. ``addresses``: ip and port by transport."""

    addresses: dict[str, tuple[str, int]]
    pid: int | None = None


class SipConversation(Conversation):
    """One case. ``clients`` are its actors' user agents."""

    def __init__(self, target: SipTarget, case: Case, server: Server, nursery: trio.Nursery) -> None:
        self.target = target
        self.case = case
        self.server = server
        self.domain = target.domain
        self.features = target.features
        self.clients: dict[str, SipClient] = {}
        self._nursery = nursery
        self._began = trio.current_time()
        self._token = secrets.token_hex(6)
        self._barriers = 0
        self._marks: list[bytes] = []
        self._ladder = Ladder(self._began, self._is_ours)
        self.ladder = self._ladder.arrows
        self._answers: dict[str, int | None] = {}
        self._away: set[str] = set()
        self._stuck: set[str] = set()  # did not answer the last thing they got
        self._came: dict[str, list[Received]] = {}
        self._has_refused = False
        self._was_killed = False
        self._streams: dict[str, SipClient] = {}
        self._classifier = Classifier(target.options.profile.events, self._is_actor)

    # --- life -------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """The actors, registered, and the sentinel. CannotPlay."""
        for actor in (*self.case.people, SENTINEL):
            await self._open_client(actor)
        self._marks = [each.encode() for each in (self._token, self.address(SENTINEL), self.room(BARRIER_ROOM))]
        async with trio.open_nursery() as nursery:
            for actor in self.case.people:
                nursery.start_soon(self._register_first, actor)
        if not self.target.relays(self.case):
            await self._open_barrier_room()
        for actor in self.case.people:
            self.clients[actor].tap = self._ladder.tap(actor)

    async def close(self) -> None:
        """Accounts that others use too are left as they were found."""
        if self.target.shares_accounts(self.case) and "register" in self.features:
            for actor in self.case.people:
                if actor not in self._away:
                    await self.unregister(actor)

    async def _open_client(self, actor: str) -> None:
        account = self.target.account(self.case, actor)
        client = await self.target.open_client(self._nursery, self.server, account, self.target.options.transport)
        client.answer = lambda request: self._answer(actor, request)
        self.clients[actor] = client

    async def _register_first(self, actor: str) -> None:
        if "register" not in self.features:
            return
        answer = await self.register(actor)
        if answer.status is None or answer.status >= 300:
            raise CannotPlay(f"REGISTER of {self.address(actor)}: {_told(answer)}")

    # --- names ------------------------------------------------------------------------------------------------------

    def address(self, actor: str) -> str:
        return self.clients[actor].address.partition(":")[2]

    def room(self, name: str = "room") -> str:
        return self.target.room(self.case, name)

    @property
    def manager(self) -> str | None:
        return self.target.manager

    def _is_actor(self, address: str) -> bool:
        return any(bare(client.address) == address for client in self.clients.values())

    def _is_ours(self, data: bytes) -> bool:
        """Whether a message belongs to the barrier, and to no case."""
        return any(mark in data for mark in self._marks)

    # --- what actors do ---------------------------------------------------------------------------------------------

    async def send(self, sent: Sent) -> Answer:
        client = await self._sender(sent.by, len(sent.body))
        headers = list(sent.headers)
        if sent.content_type is not None:
            headers.insert(0, ("Content-Type", sent.content_type))
        with _credentials(client, sent.credentials):
            return await self._ask(
                client, "MESSAGE", sent.to, to=sent.to_header, from_=sent.claims, headers=headers, body=sent.body
            )

    async def _sender(self, actor: str, size: int) -> SipClient:
        """The actor's user agent; for what no datagram takes, one over TCP."""
        client = self.clients[actor]
        if size < _DATAGRAM or client.transport == "tcp":
            return client
        if "tcp" not in self.server.addresses:
            raise Lacks(FEATURES["long-text"])
        if actor not in self._streams:
            account = self.target.account(self.case, actor)
            stream = await self.target.open_client(self._nursery, self.server, account, "tcp")
            stream.tap = client.tap
            self._streams[actor] = stream
        return self._streams[actor]

    async def _ask(
        self,
        client: SipClient,
        method: str,
        uri: str,
        *,
        to: str | None = None,
        from_: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        call_id = header(headers, "Call-ID")
        others = [each for each in headers if each[0].lower() != "call-id"]
        with trio.move_on_after(ANSWER_WITHIN):
            try:
                response = await client.request(
                    method, uri, to=to, from_=from_, call_id=call_id, headers=others, body=body
                )
            except NoAnswer as error:
                return Answer(status=None, reason=str(error))
            return _answer(response)
        return Answer(status=None, reason=f"nothing within {ANSWER_WITHIN:g} s")

    async def retransmit(self, actor: str) -> Answer:
        return await self._repeat(actor, self._last(actor))

    async def merge(self, actor: str) -> Answer:
        last = self._last(actor)
        headers = last.headers.copy()
        via = headers.all("Via")[0]
        branch = last.via.branch or ""
        headers.set("Via", via.replace(branch, f"z9hG4bK{secrets.token_hex(8)}"))
        return await self._repeat(actor, Request(last.method, last.uri, headers, last.body))

    def _last(self, actor: str) -> Request:
        last = self.clients[actor].last
        if last is None:
            raise CannotPlay(f"{actor} has sent nothing yet")
        return last

    async def _repeat(self, actor: str, request: Request) -> Answer:
        try:
            return _answer(await self.clients[actor].transact(request, ANSWER_WITHIN))
        except NoAnswer as error:
            return Answer(status=None, reason=str(error))

    async def register(self, actor: str) -> Answer:
        return await self._bind(actor, 3600)

    async def unregister(self, actor: str) -> Answer:
        return await self._bind(actor, 0)

    async def _bind(self, actor: str, expires: int) -> Answer:
        client = self.clients[actor]
        with trio.move_on_after(ANSWER_WITHIN):
            try:
                answer = _answer(await client.register(expires=expires))
            except NoAnswer as error:
                return Answer(status=None, reason=str(error))
            if answer.status is not None and answer.status < 300:
                (self._away.discard if expires else self._away.add)(actor)
            return answer
        return Answer(status=None, reason=f"nothing within {ANSWER_WITHIN:g} s")

    def answer_with(self, actor: str, status: int | None) -> None:
        self._answers[actor] = status

    def _answer(self, actor: str, request: Request) -> int | None:
        if self._is_barrier(request):
            return 200
        status = self._answers.get(actor, 200)
        if status is None or status >= 300 or actor in self._stuck:
            self._has_refused = True
        (self._stuck.discard if status is not None else self._stuck.add)(actor)
        return status

    # --- a room that stands beforehand ------------------------------------------------------------------------------

    async def furnish(self, room: Room) -> None:
        if not await self.target.preload(self.case, room):
            for actor, words in commands(room, self.address):
                await self.command(actor, words)
        await self.settle(dict.fromkeys(self.case.people, 0))

    async def command(self, actor: str, words: str, to: str | None = None) -> None:
        """One that must succeed. CannotPlay."""
        start = str(self.case.settings.get("imc_cmd_start_char", "#"))
        uri = f"sip:{to or self.room()}"
        answer = await self._ask(
            self.clients[actor],
            "MESSAGE",
            uri,
            headers=[("Content-Type", "text/plain")],
            body=f"{start}{words}".encode(),
        )
        if answer.status is None or answer.status >= 300:
            raise CannotPlay(f"{actor}: {start}{words} to {uri}: {_told(answer)}")

    # --- the barrier ------------------------------------------------------------------------------------------------

    async def settle(self, awaited: Mapping[str, int]) -> dict[str, list[Delivery]]:
        await self.wait_arrived(awaited)
        if self._has_refused:
            await self.pass_barrier(awaited)
            await self.target.consequences(self)
            self._has_refused = False
        await self.pass_barrier(awaited)
        return {
            actor: [self._delivery(actor, one) for one in (*self._came.pop(actor, ()), *self._unread(actor))]
            for actor in awaited
        }

    def _unread(self, actor: str) -> list[Received]:
        return [one for one in self.clients[actor].take_unread() if self._counts(one)]

    async def wait_arrived(self, awaited: Mapping[str, int]) -> None:
        with trio.move_on_after(self.target.patience + (self.target.gives_up if self._stuck else 0)):
            for actor, count in awaited.items():
                came = self._came.setdefault(actor, [])
                while len(came) < count:
                    came.append(await self.clients[actor].wait_message(matches=self._counts, within=math.inf))

    def _counts(self, received: Received) -> bool:
        return not (self._is_barrier(received.request) or (self._was_killed and self._is_repeat(received)))

    def _is_repeat(self, received: Received) -> bool:
        """What was answered just before a kill may come once more, known by its Call-ID (spec S-LANE-7, S-LANE-8)."""
        call_id = received.request.call_id
        return any(
            one.at < received.at and one.request.call_id == call_id and client.has_answered(one.request)
            for client in self.clients.values()
            for one in client.messages
        )

    def _is_barrier(self, request: Request) -> bool:
        return self._token.encode() in request.body or bare(str(request.from_.uri)) == bare(self.room(BARRIER_ROOM))

    async def pass_barrier(self, actors: Iterable[str]) -> None:
        """Nobody who is away or silent can be asked: nothing can reach the one, the other is waited for in vain."""
        asked = [actor for actor in actors if actor not in self._away and actor not in self._stuck]
        self._barriers += 1
        mark = f"{self._token} {self._barriers}"
        async with trio.open_nursery() as nursery:
            if self.target.relays(self.case):
                for actor in asked:
                    nursery.start_soon(self._send_mark, self.clients[actor].address, mark, actor)
            else:
                nursery.start_soon(self._send_mark, f"sip:{self.room(BARRIER_ROOM)}", mark, "the barrier room")
            for actor in asked:
                nursery.start_soon(self._wait_mark, actor, mark)

    async def _send_mark(self, uri: str, mark: str, name: str) -> None:
        sentinel = self.clients[SENTINEL]
        answer = await self._ask(sentinel, "MESSAGE", uri, headers=[("Content-Type", "text/plain")], body=mark.encode())
        if answer.status is None or answer.status >= 300:
            kind = BarrierLost if answer.status is None or answer.status in _LOST else CannotPlay
            raise kind(f"the barrier's message to {name}: {_told(answer)}")

    async def _wait_mark(self, actor: str, mark: str) -> None:
        try:
            await self.clients[actor].wait_message(matches=lambda one: mark in one.text, within=ANSWER_WITHIN)
        except NoMessage:
            raise BarrierLost(f"the barrier's message does not come to {actor}") from None

    async def _open_barrier_room(self) -> None:
        room = self.room(BARRIER_ROOM)
        await self._register_first(SENTINEL)
        await self.command(SENTINEL, "create", room)
        for actor in self.case.people:
            await self.command(actor, "join", room)

    # --- what came --------------------------------------------------------------------------------------------------

    def _delivery(self, actor: str, received: Received) -> Delivery:
        request = received.request
        return Delivery(
            recipient=actor,
            sender_uri=received.sender,
            to_uri=str(request.to.uri),
            display=received.display,
            content_type=request.headers.get("Content-Type"),
            body=request.body,
            event=self._classifier.event(bare(received.sender), received.event, received.text),
            in_reply_to=request.headers.get("In-Reply-To"),
            headers=tuple(request.headers.items()),
            at=received.at - self._began,
        )

    # --- restart ----------------------------------------------------------------------------------------------------

    async def restart(self, *, kill: bool) -> None:
        transport = self.target.options.transport
        if transport != "udp":
            raise Lacks("a restart over a transport whose connections do not outlive it")
        self._was_killed |= kill
        await self.target.restart(self.server, kill=kill)
        for client in self.clients.values():
            client.turn_to(self.server.addresses[transport])
        self._streams.clear()


@contextmanager
def _credentials(client: SipClient, how: Literal["own", "wrong", "none"]) -> Iterator[None]:
    """How challenges are answered meanwhile."""
    password = client.password
    if how != "own":
        client.password = None if how == "none" else f"not {password}"
    try:
        yield
    finally:
        client.password = password


def _told(answer: Answer) -> str:
    """Status and reason; where there was no answer, how it ended."""
    return answer.reason if answer.status is None else f"{answer.status} {answer.reason}"


def _answer(response: Response) -> Answer:
    return Answer(
        status=response.status,
        reason=response.reason,
        headers=tuple(response.headers.items()),
        call_id=response.call_id,
    )
