"""Two stacks over a channel that loses, doubles, delays and reorders: any history, by hypothesis.

What must hold whatever the channel does: the service sees a request at most once, and exactly once if any copy of it
arrives; who sent it learns of exactly one end, and an answer only if that answer was given; afterwards nothing is left
in any table. A packet lives 0.4 s at most: RFC 3261 dimensions timer J (32 s) for copies the last of which
is sent after 31.5 s.
"""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from imc.sip.events import Event, RequestReceived, RequestSlow, RequestsRepeated, RequestTimedOut, ResponseReceived
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.message import Request
from imc.sip.stack import Stack, StackConfig
from imc.sip.uas import UasPolicy

CLIENT, SERVER = ("192.0.2.9", 5070), ("192.0.2.1", 5060)
TO_SERVER, TO_CLIENT = Flow("udp", CLIENT, SERVER), Flow("udp", SERVER, CLIENT)
LIFETIME = 0.4  # seconds
HEAD = b"MESSAGE sip:chat-a@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5070;rport;branch="
TAIL = (
    "\r\nFrom: <sip:alice@example.com>;tag=1\r\nTo: <sip:chat-a@example.com>\r\nCall-ID: {}\r\nCSeq: 1 MESSAGE\r\n"
    "Max-Forwards: 70\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
)


class Exchange(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.client = Stack(StackConfig(), Ids(random.Random(1)))
        self.server = Stack(StackConfig(), Ids(random.Random(2)), UasPolicy())
        self.now = 1000.0
        self.packets: list[tuple[float, Flow, bytes]] = []  # sent at, as the receiver sees its flow, octets
        self.started = 0
        self.arrived: set[str] = set()  # Call-IDs of which a copy came to the server
        self.seen: dict[str, Request] = {}  # what the service was told of
        self.unanswered: list[RequestReceived] = []
        self.given: dict[str, int] = {}  # what the service answered
        self.ends: dict[str, int | None] = {}  # status, or None for a timeout

    # -- what the two users do ----------------------------------------------------------------------------------------

    @rule()
    def start(self) -> None:
        call_id = f"call-{self.started}"
        self.started += 1
        self.client.start(TO_SERVER, HEAD, TAIL.format(call_id).encode(), call_id, self.now)
        self._collect()

    @rule(which=st.integers(0, 9), status=st.sampled_from([200, 202, 404, 503]))
    def answer(self, which: int, status: int) -> None:
        if self.unanswered:
            event = self.unanswered.pop(which % len(self.unanswered))
            self.given[event.request.call_id] = status
            self.server.respond(event, self.server.build(event.request, status), self.now)
            self._collect()

    # -- what the channel does ----------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 9))
    def deliver(self, which: int) -> None:
        if self.packets:
            _, flow, data = self.packets.pop(which % len(self.packets))
            self._arrive(flow, data)

    @rule(which=st.integers(0, 9))
    def lose(self, which: int) -> None:
        if self.packets:
            self.packets.pop(which % len(self.packets))

    @rule(which=st.integers(0, 9))
    def double(self, which: int) -> None:
        if self.packets:
            self.packets.append(self.packets[which % len(self.packets)])

    @rule(seconds=st.sampled_from([1.0, 10.0, 31.9]))
    def lose_answers(self, seconds: float) -> None:
        """For a while all requests arrive, and the service answers them at once, but no answer comes back."""
        until = self.now + seconds
        while self.now < until:
            self._run(min(self.now + 0.2, until))
            for _, flow, data in [packet for packet in self.packets if packet[1] == TO_CLIENT]:
                self._arrive(flow, data)
            while self.unanswered:
                self.answer(0, 200)
            self.packets.clear()

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 4.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self._run(self.now + seconds)

    # -- time and wires -----------------------------------------------------------------------------------------------

    def _run(self, until: float) -> None:
        while True:
            deadlines = [at for at in (self.client.next_deadline(), self.server.next_deadline()) if at is not None]
            at = min(deadlines, default=until)
            if at > until:
                break
            self.now = max(self.now, at)
            self._take(self.client.tick(self.now))
            self._take(self.server.tick(self.now))
            self._collect()
            if not deadlines:
                break
        self.now = until
        self._collect()

    def _collect(self) -> None:
        for stack in (self.client, self.server):
            for flow, data in stack.output():
                assert flow in (TO_SERVER, TO_CLIENT)
                received = TO_CLIENT if flow == TO_SERVER else TO_SERVER
                self.packets.append((self.now, received, data))
        self.packets = [packet for packet in self.packets if packet[0] > self.now - LIFETIME]

    def _arrive(self, flow: Flow, data: bytes) -> None:
        if flow == TO_CLIENT:
            self.arrived.add(data.partition(b"Call-ID: ")[2].partition(b"\r\n")[0].decode())
            self._take(self.server.receive(data, flow, self.now))
        else:
            self._take(self.client.receive(data, flow, self.now))
        self._collect()

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, RequestReceived):
                call_id = event.request.call_id
                assert call_id not in self.seen
                assert self.server.accept(event, self.now)
                self.seen[call_id] = event.request
                self.unanswered.append(event)
            elif isinstance(event, RequestsRepeated | RequestSlow):
                continue
            elif isinstance(event, ResponseReceived):
                token = str(event.token)
                assert token not in self.ends
                if event.is_final:
                    assert event.response.status == self.given[token]
                    self.ends[token] = event.response.status
                else:
                    assert event.response.status == 100
            else:
                assert isinstance(event, RequestTimedOut)
                assert event.token not in self.ends
                self.ends[str(event.token)] = None

    @invariant()
    def what_arrived_was_seen_once(self) -> None:
        assert self.arrived == set(self.seen)

    def teardown(self) -> None:
        """The channel loses all that is left, and time goes on: everything ends."""
        self.packets.clear()
        self._run(self.now + 40)
        assert len(self.ends) == self.started
        self._run(self.now + 40)
        for stack in (self.client, self.server):
            figures = stack.statistics()
            assert figures["client_transactions"] == figures["server_transactions"] == figures["timers"] == 0
            assert figures["client_transactions_absorbing"] == 0
            assert figures["bad_messages"] == figures["merged"] == figures["unanswerable"] == 0


TestExchange = Exchange.TestCase
TestExchange.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_a_channel_that_is_merely_slow_lets_every_answer_through() -> None:
    exchange = Exchange()
    for n in range(20):
        exchange.start()
        exchange.wait(0.1)
        exchange.double(0)
        while exchange.packets:
            exchange.deliver(n)
        if n % 2:
            exchange.answer(0, 200)
            exchange.answer(0, 404)
    while exchange.packets:
        exchange.deliver(0)
    assert list(exchange.ends.values()).count(200) == list(exchange.ends.values()).count(404) == 10
    exchange.teardown()
