"""Subscriptions on a clock of their own, with a stack that only notes what it is told to send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
from immutables import Map

from imc.aor import Aor
from imc.delivery.hops import Hops, Target
from imc.errors import BadMessage, Overloaded, StoreUnavailable, Unreachable
from imc.rooms.model import Role, Room, member
from imc.service.inbound import Outcome
from imc.service.roster import RosterOptions, Rosters
from imc.service.subscription import Subscription
from imc.sip.events import RequestReceived
from imc.sip.flow import Flow
from imc.sip.message import Request, parse_message
from imc.sip.subscriptions import Intervals

AOR = Aor("chat-x", "example.com")
FLOW = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.7", 5070))
STREAM = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.7", 40000), 3)


def user(name: str) -> Aor:
    return Aor(name, "example.com")


def room(*names: str) -> Room:
    roles = dict.fromkeys(map(user, names), member(Role.MEMBER))
    return Room(AOR, False, Map({user("alice"): member(Role.OWNER), **roles}))


class Bench:
    """Rosters with all around them. ``refuses`` is raised by the stack; ``targets`` and ``opens`` are the network's."""

    def __init__(self, **bounds: int) -> None:
        self.now = 100.0
        self.room = room("bob")
        self.sent: list[tuple[Flow, Request, Subscription]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.outcomes: list[Outcome] = []
        self.refuses = False
        self.closed: set[Flow] = set()
        self.opens = False
        self.tasks: list[Callable[[], Awaitable[None]]] = []
        self.count = 0
        options = RosterOptions(intervals=Intervals(), **bounds)
        self.hops = Hops(self, spawn=self.tasks.append, clock=lambda: self.now, bound=10)
        self.rosters = Rosters(
            options, stack=self, carrier=self, hops=self.hops, watch=self.watch, clock=lambda: self.now,
            wake=lambda: None,
        )  # fmt: skip

    def watch(self, _aor: Aor, _user: Aor, then: Callable[[Room], None], _fail: Callable[[Outcome], None]) -> None:
        then(self.room)

    # the stack
    def start(
        self, flow: Flow, head: bytes, tail: bytes, token: object, _now: float, *, method: str = "MESSAGE"
    ) -> bytes:
        if self.refuses:
            raise Overloaded("client transactions")
        request = parse_message(head + b"z9hG4bKx" + tail, is_datagram=True)
        assert isinstance(request, Request)
        assert isinstance(token, Subscription)
        assert request.method == method == "NOTIFY"
        self.sent.append((flow, request, token))
        return b"z9hG4bKx"

    # the carrier
    def is_open(self, flow: Flow) -> bool:
        return flow not in self.closed

    def sent_by(self, flow: Flow) -> str:
        return f"{flow.local[0]}:{flow.local[1]}"

    def datagram_flow(self, ip: str, port: int) -> Flow:
        return Flow("udp", FLOW.local, (ip, port))

    async def open_stream(self, transport: str, ip: str, port: int, name: str = "") -> Flow:
        if not self.opens:
            raise Unreachable("refused")
        return Flow(transport, FLOW.local, (ip, port), 9)

    async def resolve(self, uri: str) -> Sequence[Target]:
        return [_Target(uri)]

    # what is done
    def subscribe(self, name: str, expires: int = 600, flow: Flow = FLOW, *, to: str = "", more: str = "") -> None:
        self.count += 1
        text = (
            "SUBSCRIBE sip:chat-x@example.com SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK{self.count}\r\n"
            f"From: <sip:{name}@example.com>;tag=f{name}\r\nTo: <sip:chat-x@example.com>{to}\r\nCall-ID: c{name}\r\n"
            f"CSeq: {self.count} SUBSCRIBE\r\nContact: <sip:{name}@192.0.2.7:5070>\r\nEvent: conference\r\n"
            f"Expires: {expires}\r\n{more}Content-Length: 0\r\n\r\n"
        )
        request = parse_message(text.encode(), is_datagram=True)
        assert isinstance(request, Request)
        event = RequestReceived(request, flow, flow, str(self.count), str(self.count))
        self.rosters.take(
            event, user(name), AOR, tag="ours",
            answer=lambda status, headers: self.answers.append((status, dict(headers))), fail=self.outcomes.append,
        )  # fmt: skip

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass in steps of the wheel."""
        until = self.now + seconds
        self.rosters.tick(self.now)
        while (at := self.rosters.next_deadline()) is not None and at <= until:
            self.now = max(self.now, at)
            self.rosters.tick(self.now)
        self.now = until

    def take(self, status: int = 200) -> list[Request]:
        """What was sent since the last call; each is answered."""
        sent, self.sent = self.sent, []
        for _, _, subscription in sent:
            self.rosters.on_answer(subscription, status)
        return [request for _, request, _ in sent]

    def change(self, *names: str) -> None:
        self.room = room(*names)
        self.rosters.room_changed(AOR, self.room)


class _Target:
    transport = "udp"
    name = ""

    def __init__(self, uri: str) -> None:
        host, _, port = uri.removeprefix("sip:").removesuffix(";lr").rpartition("@")[2].partition(":")
        self.ip, self.port = host, int(port or 5060)


def states(requests: list[Request]) -> list[str | None]:
    return [request.headers.get("Subscription-State") for request in requests]


def test_it_expires() -> None:
    """S-EVT-3: with a last NOTIFY that says so and no more; refreshed, it does not."""
    bench = Bench()
    bench.subscribe("bob", 60)
    bench.tick(50)
    assert states(bench.take()) == ["active;expires=60"]
    bench.subscribe("bob", 60, to=";tag=ours")
    bench.tick(50)
    assert states(bench.take()) == ["active;expires=60"]
    bench.tick(9)
    assert bench.take() == []
    bench.tick(2)
    (last,) = bench.take()
    assert (states([last]), last.body) == (["terminated;reason=timeout"], b"")
    assert bench.rosters.statistics()["subscriptions"] == 0
    assert bench.rosters.next_deadline() is None or not bench.rosters.has_unsent


def test_changes_are_told_once_in_an_interval() -> None:
    """S-EVT-6: the first at once, those of the next five seconds together, what came and went not at all."""
    bench = Bench()
    bench.subscribe("alice")
    bench.tick(0.2)
    bench.take()
    bench.change("bob", "carol")
    bench.tick(0.2)
    (first,) = bench.take()
    assert b"carol" in first.body
    for names in (("bob", "carol", "dave"), ("bob", "dave"), ("bob", "dave", "eve"), ("bob", "dave")):
        bench.change(*names)
        bench.tick(1.0)
    assert bench.take() == []
    bench.tick(1.0)
    (second,) = bench.take()
    assert [name in second.body for name in (b"carol", b"dave", b"eve", b"bob@")] == [True, True, False, False]
    bench.change("bob", "dave", "eve")
    bench.change("bob", "dave")
    bench.tick(10)
    assert bench.take() == []


def test_one_notify_in_flight() -> None:
    """S-EVT-6: what happens meanwhile is told when the answer is there, in the next version."""
    bench = Bench()
    bench.subscribe("alice")
    bench.tick(0.2)
    bench.change("bob", "carol")
    bench.tick(6)
    bench.change("bob", "carol", "dave")
    bench.tick(6)
    assert len(bench.sent) == 1
    assert b'version="1"' in bench.take()[0].body
    bench.tick(0.2)
    (next_one,) = bench.take()
    assert b'state="partial" version="2"' in next_one.body
    assert b"carol" in next_one.body
    assert b"dave" in next_one.body


def test_an_end_waits_for_what_is_in_flight() -> None:
    """S-EVT-3."""
    bench = Bench()
    bench.subscribe("bob")
    bench.tick(0.2)
    bench.change()
    bench.tick(1)
    assert states(bench.take()) == ["active;expires=600"]
    bench.tick(0.2)
    assert states(bench.take(503)) == ["terminated;reason=rejected"]
    assert bench.rosters.statistics()["subscriptions"] == 0


def test_silence_and_a_full_table_end_it() -> None:
    """S-EVT-10."""
    bench = Bench()
    bench.subscribe("bob")
    bench.tick(0.2)
    bench.rosters.on_answer(bench.sent[0][2], 100)
    bench.rosters.on_failure(bench.sent[0][2])
    assert bench.rosters.statistics()["subscriptions"] == 0
    bench.rosters.on_failure(bench.sent[0][2])  # said twice, done once
    bench.refuses = True
    bench.subscribe("bob")
    bench.tick(0.2)
    assert bench.rosters.statistics()["subscriptions"] == bench.rosters.statistics()["rooms_watched"] == 0


def test_notifies_leave_a_few_at_a_time() -> None:
    """S-EVT-9."""
    bench = Bench(max_subscriptions_per_user=1, max_entries=1)
    bench.room = room(*(f"u{number}" for number in range(150)))
    for number in range(150):
        bench.subscribe(f"u{number}")
    counts = []
    while bench.rosters.has_unsent:
        bench.rosters.tick(bench.now)
        counts.append(len(bench.take()))
        assert bench.rosters.has_unsent == (bench.rosters.next_deadline() == bench.now + 0.05)
        bench.now += 0.05
    assert counts == [64, 64, 22]


def test_over_a_stream_it_ends_with_it() -> None:
    """S-EVT-8, S-EVT-10."""
    bench = Bench()
    bench.subscribe("bob", flow=STREAM)
    bench.tick(0.2)
    assert bench.answers[0][1]["Contact"] == "<sip:chat-x@192.0.2.1:5060;transport=tcp>"
    assert bench.sent[0][0] == STREAM
    assert bench.take()[0].via.transport == "TCP"
    bench.closed.add(STREAM)
    bench.change("bob", "carol")
    bench.tick(0.2)
    assert bench.take() == []
    assert bench.rosters.statistics()["notifies_failed"] == 1


@pytest.mark.parametrize("opens", [True, False])
async def test_what_is_too_large_for_a_datagram(opens: bool) -> None:
    """S-EVT-8: TCP to where the request came from, else all the same."""
    bench = Bench()
    bench.opens = opens
    bench.room = room(*(f"somebody{number}" for number in range(30)))
    for name, straight in (("alice", True), ("somebody1", False)):
        bench.subscribe(name, more="" if straight else "Record-Route: <sip:192.0.2.9;lr>\r\n")
        while bench.rosters.has_unsent or bench.tasks:
            bench.tick(0.2)
            while bench.tasks:
                await bench.tasks.pop()()
    assert [flow.transport for flow, _, _ in bench.sent] == ["tcp" if opens else "udp"] * 2
    assert [flow.remote for flow, _, _ in bench.sent] == [("192.0.2.7", 5070), ("192.0.2.9", 5060)]
    assert all(len(request.render()) > 1_300 for request in bench.take())


async def test_nowhere_to_go() -> None:
    """S-EVT-10."""
    bench = Bench()

    async def resolve(_uri: str) -> Sequence[Target]:
        raise Unreachable("no such name")

    bench.resolve = resolve  # type: ignore[assignment,method-assign]
    bench.subscribe("bob", more="Record-Route: <sip:nowhere.example;lr>\r\n")
    bench.tick(0.2)
    await bench.tasks.pop()()
    bench.tick(0.2)
    assert (bench.sent, bench.rosters.statistics()["subscriptions"]) == ([], 0)


def test_what_cannot_be_a_dialog() -> None:
    """S-EVT-8."""
    bench = Bench()
    for more in (
        "Record-Route: <tel:1>\r\n",
        "Contact: <sip:two@192.0.2.8>\r\n",
        f"Record-Route: {'<sip:a;lr>,' * 600}<sip:b>\r\n",
    ):
        with pytest.raises(BadMessage):
            bench.subscribe("bob", more=more)


async def test_accounts_that_cannot_be_read(autojump_clock: trio.abc.Clock) -> None:
    """S-EVT-3: it is tried again, though nothing changed."""
    bench = Bench()
    bench.subscribe("alice")
    bench.subscribe("bob")
    tries = 0

    async def load(who: Aor) -> object | None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StoreUnavailable("away")
        return None if who.user == "bob" else who

    async def wait_change(seen: int) -> int:
        if seen:
            await trio.sleep_forever()
        return seen + 1

    with trio.move_on_after(60):
        await bench.rosters.follow(load, wait_change)
    bench.tick(0.2)
    assert [(request.to.uri, states([request])) for request in bench.take()][1][1] == ["terminated;reason=rejected"]
