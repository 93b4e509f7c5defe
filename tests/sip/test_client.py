"""Client transactions, row by row of `imc.sip.transactions.CLIENT`."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import Overloaded
from imc.sip.events import Event, FlowFailed, RequestSlow, RequestsRepeated, RequestTimedOut, ResponseReceived
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.stack import Stack, StackConfig
from imc.sip.transactions import CLIENT, ClientEvent, ClientState
from tests.sip.wire import HEAD, TAIL, TCP, UDP, answer_to, read_response

SCHEDULE = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def make_stack(bound: int = 100) -> Stack:
    return Stack(StackConfig(max_client_transactions=bound), Ids(random.Random(1)))


class Scene:
    """One started transaction, and a clock that goes from deadline to deadline."""

    def __init__(self, flow: Flow = UDP, at: float = 0.0) -> None:
        self.stack = make_stack()
        self.flow = flow
        self.now = at
        self.token = object()
        self.branch = self.stack.start(flow, HEAD, TAIL, self.token, at)
        self.sent = [(at, data) for _, data in self.stack.output()]
        self.events: list[Event] = []
        self.slow: list[float] = []
        self.repeats: list[object] = []

    def run(self, until: float) -> Scene:
        """Let time go on as far as ``until``, included."""
        while (at := self.stack.next_deadline()) is not None and at <= until:
            self.now = at
            self.note(self.stack.tick(at))
        self.now = until
        return self

    def answer(self, status: int) -> Scene:
        self.note(self.stack.receive(answer_to(self.sent[0][1], status), self.flow, self.now))
        return self

    def close(self) -> Scene:
        self.note(self.stack.flow_closed(self.flow, self.now))
        return self

    def abandon(self) -> Scene:
        self.stack.abandon(self.branch)
        self.note([])
        return self

    def note(self, events: list[Event]) -> None:
        self.repeats += [token for event in events if isinstance(event, RequestsRepeated) for token in event.tokens]
        self.slow += [self.now for event in events if isinstance(event, RequestSlow)]
        self.events += [event for event in events if not isinstance(event, RequestsRepeated | RequestSlow)]
        self.sent += [(self.now, data) for _, data in self.stack.output()]

    @property
    def seen(self) -> list[object]:
        assert all(getattr(event, "token", None) is self.token for event in self.events)
        return [event.response.status if isinstance(event, ResponseReceived) else type(event) for event in self.events]

    @property
    def tables(self) -> tuple[int, int]:
        """Transactions that wait, and that absorb."""
        figures = self.stack.statistics()
        return figures["client_transactions"], figures["client_transactions_absorbing"]


# -- timers -----------------------------------------------------------------------------------------------------------


def test_an_unanswered_datagram_is_repeated_by_timer_e_until_timer_f() -> None:
    # spec S-TXC-1
    scene = Scene().run(100)
    assert [at for at, _ in scene.sent] == SCHEDULE
    assert {data for _, data in scene.sent} == {HEAD + scene.branch + TAIL}
    assert scene.seen == [RequestTimedOut]
    assert scene.repeats == [scene.token]  # told once, of the first one
    assert scene.tables == (0, 0)
    assert scene.stack.next_deadline() is None


def test_an_answer_that_is_long_in_coming_is_told_of() -> None:
    # spec S-LANE-17
    assert Scene().run(100).slow == [1.5]
    assert Scene().run(1.4).answer(200).run(100).slow == []
    assert Scene(TCP).run(100).slow == [4.0]
    assert Scene(TCP).run(3.9).answer(200).run(100).slow == []
    assert Scene().answer(100).run(9).slow[0] <= 8.5


def test_timer_f_fires_at_64_t1_and_not_before() -> None:
    # spec S-TXC-2
    scene = Scene().run(31.95)
    assert scene.seen == []
    assert scene.run(32.0).seen == [RequestTimedOut]


@given(st.floats(0, 1e6))
def test_whenever_it_starts_each_copy_is_less_than_a_tick_late(start: float) -> None:
    scene = Scene(at=start).run(start + 100)
    late = [at - start - due for (at, _), due in zip(scene.sent, SCHEDULE, strict=True)]
    assert all(-1e-6 <= by < 0.05 + 1e-6 for by in late)


def test_a_clock_that_stood_still_does_not_let_copies_burst() -> None:
    scene = Scene()
    scene.now = 10.0
    scene.note(scene.stack.tick(10.0))
    scene.run(100)
    # 1 s after the first repetition, and so on from there; timer F is not moved
    assert [at for at, _ in scene.sent] == [0.0, 10.0, 11.0, 13.0, 17.0, 21.0, 25.0, 29.0]
    assert scene.seen == [RequestTimedOut]
    assert scene.now == 100


def test_over_a_stream_there_is_no_timer_e_and_timer_k_is_zero() -> None:
    # spec S-TXC-1
    scene = Scene(TCP).run(31.95)
    assert [at for at, _ in scene.sent] == [0.0]
    assert scene.run(32).seen == [RequestTimedOut]
    answered = Scene(TCP).answer(200)
    assert answered.seen == [200]
    assert answered.tables == (0, 0)
    assert answered.run(4.0).stack.statistics()["timers"] == 0
    assert answered.run(100).seen == [200]


def test_timer_k_absorbs_repeated_answers_for_t4() -> None:
    # spec S-TXC-2
    scene = Scene().run(0.2).answer(200)
    assert scene.tables == (0, 1)
    assert scene.run(5.15).answer(200).answer(500).answer(180).seen == [200]
    assert scene.stack.statistics()["responses_absorbed"] == 3
    assert scene.run(5.2).tables == (0, 0)
    assert scene.answer(200).seen == [200]
    assert scene.stack.statistics()["stray_responses"] == 1
    assert len(scene.sent) == 1


def test_after_a_provisional_answer_copies_come_every_t2() -> None:
    # spec S-TXC-1
    scene = Scene().run(0.1).answer(100).run(100)
    # The timer E that runs is not stopped (§17.1.2.2: it is reset to T2 when it fires).
    assert [at for at, _ in scene.sent] == [0.0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert scene.seen == [100, RequestTimedOut]


# -- rows -------------------------------------------------------------------------------------------------------------

REACH: dict[ClientState, Callable[[], Scene]] = {
    ClientState.TRYING: Scene,
    ClientState.PROCEEDING: lambda: Scene().answer(100),
    ClientState.COMPLETED: lambda: Scene().answer(200),
}
FIRE: dict[ClientEvent, Callable[[Scene], object]] = {
    ClientEvent.PROVISIONAL: lambda scene: scene.answer(183),
    ClientEvent.FINAL: lambda scene: scene.answer(404),
    ClientEvent.TIMER_E: lambda scene: scene.run(0.5),
    ClientEvent.TIMER_F: lambda scene: scene.run(32),
    ClientEvent.TIMER_K: lambda scene: scene.run(5),
    ClientEvent.ABANDONED: lambda scene: scene.abandon(),
}
WAITS, ABSORBS, GONE = (1, 0), (0, 1), (0, 0)
# state, event: further copies sent, further events, tables after
EFFECTS: dict[tuple[ClientState, ClientEvent], tuple[int, list[object], tuple[int, int]]] = {
    (ClientState.TRYING, ClientEvent.PROVISIONAL): (0, [183], WAITS),
    (ClientState.TRYING, ClientEvent.FINAL): (0, [404], ABSORBS),
    (ClientState.TRYING, ClientEvent.TIMER_E): (1, [], WAITS),
    (ClientState.TRYING, ClientEvent.TIMER_F): (10, [RequestTimedOut], GONE),
    (ClientState.TRYING, ClientEvent.ABANDONED): (0, [], GONE),
    (ClientState.PROCEEDING, ClientEvent.PROVISIONAL): (0, [183], WAITS),
    (ClientState.PROCEEDING, ClientEvent.FINAL): (0, [404], ABSORBS),
    (ClientState.PROCEEDING, ClientEvent.TIMER_E): (1, [], WAITS),
    (ClientState.PROCEEDING, ClientEvent.TIMER_F): (8, [RequestTimedOut], GONE),
    (ClientState.PROCEEDING, ClientEvent.ABANDONED): (0, [], GONE),
    (ClientState.COMPLETED, ClientEvent.PROVISIONAL): (0, [], ABSORBS),
    (ClientState.COMPLETED, ClientEvent.FINAL): (0, [], ABSORBS),
    (ClientState.COMPLETED, ClientEvent.TIMER_K): (0, [], GONE),
}


@pytest.mark.parametrize(("state", "event"), EFFECTS, ids=lambda value: value.name)
def test_row(state: ClientState, event: ClientEvent) -> None:
    # spec S-TXC-2
    scene = REACH[state]()
    sent, events = len(scene.sent), len(scene.events)
    FIRE[event](scene)
    assert (len(scene.sent) - sent, scene.seen[events:], scene.tables) == EFFECTS[state, event]


def test_every_row_has_its_test() -> None:
    rows = {(state, event) for state in REACH for event in CLIENT[state]}
    waiting = (ClientState.TRYING, ClientState.PROCEEDING)
    assert rows == set(EFFECTS) | {(state, ClientEvent.FLOW_FAILED) for state in waiting}


@pytest.mark.parametrize("provisional", [False, True])
def test_row_flow_failed(provisional: bool) -> None:
    scene = Scene(TCP)
    if provisional:
        scene.answer(100)
    before = len(scene.events)
    assert scene.close().seen[before:] == [FlowFailed]
    assert scene.tables == GONE
    assert scene.run(100).close().seen[before:] == [FlowFailed]


def test_what_is_answered_is_neither_abandoned_nor_failed() -> None:
    scene = Scene().answer(200).abandon().close()
    assert (scene.seen, scene.tables) == ([200], ABSORBS)
    assert Scene(TCP).answer(200).abandon().close().seen == [200]
    # A datagram's flow is never closed, but nothing breaks where someone says so.
    assert Scene().close().tables == WAITS


def test_a_closed_stream_fails_its_own_transactions_only() -> None:
    stack = make_stack()
    other = TCP._replace(conn=8)
    stack.start(TCP, HEAD, TAIL, "a", 0.0)
    stack.start(TCP, HEAD, TAIL, "b", 0.0)
    stack.start(other, HEAD, TAIL, "c", 0.0)
    stack.start(UDP, HEAD, TAIL, "d", 0.0)
    assert [getattr(event, "token", None) for event in stack.flow_closed(TCP, 1.0)] == ["a", "b"]
    assert stack.flow_closed(TCP, 1.0) == []
    assert stack.statistics()["requests_failed"] == 2
    assert stack.statistics()["client_transactions"] == 2


# -- matching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"branch=z9hG4bK", b"branch=z9hG4bKx"),
        (b"1 MESSAGE", b"1 OPTIONS"),
        (b"\r\nFrom:", b", SIP/2.0/UDP a.example;branch=z9hG4bKq\r\nFrom:"),
        (b"\r\nFrom:", b"\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bKq\r\nFrom:"),
        (b";branch=", b";brunch="),
    ],
)
def test_an_answer_that_is_not_ours_is_stray(old: bytes, new: bytes) -> None:
    # spec S-TXC-3
    scene = Scene()
    data = answer_to(scene.sent[0][1], 200)
    assert old in data
    assert scene.stack.receive(data.replace(old, new, 1), UDP, 0.1) == []
    assert scene.stack.statistics()["stray_responses"] == 1
    assert scene.tables == WAITS
    assert scene.answer(200).seen == [200]


def test_a_bad_answer_is_dropped() -> None:
    scene = Scene()
    data = answer_to(scene.sent[0][1], 200).replace(b"Call-ID: c1\r\n", b"")
    assert scene.stack.receive(data, UDP, 0.1) == []
    assert scene.stack.output() == []
    assert scene.stack.statistics()["bad_messages"] == 1


def test_an_answer_may_come_from_elsewhere_and_with_what_a_server_adds_to_via() -> None:
    # spec S-TXC-3
    scene = Scene()
    data = answer_to(scene.sent[0][1], 200).replace(b";rport;", b" ;received=192.0.2.1 ; rport=5060;")
    events = scene.stack.receive(data, UDP._replace(remote=("198.51.100.1", 9)), 0.1)
    assert [event.is_final for event in events if isinstance(event, ResponseReceived)] == [True]


def test_the_method_of_a_transaction_may_be_another() -> None:
    stack = make_stack()
    stack.start(
        UDP, HEAD.replace(b"MESSAGE", b"OPTIONS"), TAIL.replace(b"1 MESSAGE", b"1 OPTIONS"), "t", 0.0, method="OPTIONS"
    )
    ((flow, data),) = stack.output()
    assert flow is UDP
    (event,) = stack.receive(answer_to(data, 486), UDP, 0.0)
    assert isinstance(event, ResponseReceived)
    assert (event.token, event.response.status, event.is_final) == ("t", 486, True)


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_a_full_table_starts_nothing_until_one_ends() -> None:
    # spec S-TXC-5
    stack = make_stack(bound=2)
    first = stack.start(UDP, HEAD, TAIL, 1, 0.0)
    stack.start(UDP, HEAD, TAIL, 2, 0.0)
    with pytest.raises(Overloaded):
        stack.start(UDP, HEAD, TAIL, 3, 0.0)
    assert len(stack.output()) == 2
    stack.abandon(first)
    stack.abandon(first)
    stack.abandon(b"unknown")
    stack.start(UDP, HEAD, TAIL, 3, 0.0)
    assert stack.statistics()["requests_abandoned"] == 1


def test_absorbing_ones_leave_room_and_are_bounded_themselves() -> None:
    stack = make_stack(bound=2)
    for n in range(5):
        stack.start(UDP, HEAD, TAIL, n, 0.0)
        ((_, data),) = stack.output()
        assert len(stack.receive(answer_to(data, 200), UDP, 0.0)) == 1
    figures = stack.statistics()
    assert (figures["client_transactions"], figures["client_transactions_absorbing"]) == (0, 2)
    assert figures["responses_final"] == 5
    assert stack.tick(10) == []
    assert stack.statistics()["timers"] == 0
    assert stack.statistics()["client_transactions_absorbing"] == 0


def test_branches_differ_and_read_back() -> None:
    stack = make_stack(bound=1000)
    branches = {stack.start(UDP, HEAD, TAIL, n, 0.0) for n in range(1000)}
    assert len(branches) == 1000
    data = answer_to(stack.output()[0][1], 200)
    branch = read_response(data).via.branch
    assert branch is not None
    assert branch.encode() in branches
