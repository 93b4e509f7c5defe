"""Server transactions, row by row of `imc.sip.transactions.SERVER`, and what tells requests apart."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from imc.sip.events import RequestReceived
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.stack import Stack, StackConfig
from imc.sip.transactions import SERVER, ServerAction, ServerEvent, ServerState
from tests.sip.wire import TCP, UDP, read_response, request


def make_stack(**bounds: int) -> Stack:
    return Stack(StackConfig(**bounds), Ids(random.Random(1)))  # type: ignore[arg-type]


class Scene:
    """One accepted request, and a clock that goes from deadline to deadline."""

    def __init__(self, flow: Flow = UDP, at: float = 0.0) -> None:
        self.stack = make_stack()
        self.flow = flow
        self.now = at
        (event,) = self.stack.receive(request(), flow, at)
        assert isinstance(event, RequestReceived)
        self.event = event
        assert self.stack.accept(event, at)
        self.sent: list[tuple[float, int]] = []

    def run(self, until: float) -> Scene:
        while (at := self.stack.next_deadline()) is not None and at <= until:
            self.now = at
            assert self.stack.tick(at) == []
            self._note()
        self.now = until
        return self

    def repeat(self) -> Scene:
        assert self.stack.receive(request(), self.flow, self.now) == []
        self._note()
        return self

    def answer(self, status: int = 200) -> Scene:
        self.stack.respond(self.event, self.stack.build(self.event.request, status), self.now)
        self._note()
        return self

    def _note(self) -> None:
        for flow, data in self.stack.output():
            assert flow == self.event.reply_flow
            self.sent.append((self.now, read_response(data).status))

    @property
    def is_alive(self) -> bool:
        return self.stack.statistics()["server_transactions"] == 1


# -- rows -------------------------------------------------------------------------------------------------------------

REACH: dict[ServerState, Callable[[], Scene]] = {
    ServerState.TRYING: Scene,
    ServerState.PROCEEDING: lambda: Scene().run(3.5),
    ServerState.COMPLETED: lambda: Scene().answer(),
}
FIRE: dict[ServerEvent, Callable[[Scene], object]] = {
    ServerEvent.REQUEST: lambda scene: scene.repeat(),
    ServerEvent.FINAL: lambda scene: scene.answer(404),
    ServerEvent.TIMER_100: lambda scene: scene.run(3.5),
    ServerEvent.TIMER_GIVE_UP: lambda scene: scene.run(32),
    ServerEvent.TIMER_J: lambda scene: scene.run(32),
}
# state, event: further answers, whether the transaction is still there
EFFECTS: dict[tuple[ServerState, ServerEvent], tuple[list[int], bool]] = {
    (ServerState.TRYING, ServerEvent.REQUEST): ([], True),
    (ServerState.TRYING, ServerEvent.FINAL): ([404], True),
    (ServerState.TRYING, ServerEvent.TIMER_100): ([100], True),
    (ServerState.PROCEEDING, ServerEvent.REQUEST): ([100], True),
    (ServerState.PROCEEDING, ServerEvent.FINAL): ([404], True),
    (ServerState.PROCEEDING, ServerEvent.TIMER_GIVE_UP): ([], False),
    (ServerState.COMPLETED, ServerEvent.REQUEST): ([200], True),
    (ServerState.COMPLETED, ServerEvent.FINAL): ([], True),
    (ServerState.COMPLETED, ServerEvent.TIMER_J): ([], False),
}


@pytest.mark.parametrize(("state", "event"), EFFECTS, ids=lambda value: value.name)
def test_row(state: ServerState, event: ServerEvent) -> None:
    # spec S-TXS-8
    scene = REACH[state]()
    sent = len(scene.sent)
    FIRE[event](scene)
    assert ([status for _, status in scene.sent[sent:]], scene.is_alive) == EFFECTS[state, event]


def test_every_row_has_its_test() -> None:
    assert {(state, event) for state in REACH for event in SERVER[state]} == set(EFFECTS)


# -- timers -----------------------------------------------------------------------------------------------------------


def test_100_is_sent_when_a_clients_timer_e_has_grown_to_t2_and_again_for_each_copy() -> None:
    # RFC 4320 §4.1
    # spec S-TXS-3
    scene = Scene().run(3.45).repeat()
    assert scene.sent == []
    scene.run(3.5).run(7.5).repeat().run(11.5).repeat().run(12).answer(202).run(15.5).repeat()
    assert scene.sent == [(3.5, 100), (7.5, 100), (11.5, 100), (12, 202), (15.5, 202)]


def test_100_has_no_to_tag_and_the_timestamp_of_the_request() -> None:
    stack = make_stack()
    (event,) = stack.receive(request(headers=["Timestamp: 54"]), UDP, 0.0)
    assert isinstance(event, RequestReceived)
    assert stack.accept(event, 0.0)
    stack.tick(3.5)
    ((_, data),) = stack.output()
    response = read_response(data)
    assert (response.status, response.reason, response.to.tag) == (100, "Trying", None)
    assert response.headers.get("Timestamp") == "54"


def test_timer_j_answers_copies_for_64_t1() -> None:
    # spec S-TXS-5
    scene = Scene().run(1).answer().run(32.95).repeat()
    assert [status for _, status in scene.sent] == [200, 200]
    assert not scene.run(33).is_alive
    assert scene.stack.next_deadline() is None


def test_streams_are_no_exception_to_timer_j() -> None:
    # See the docstring of imc.sip.stack: a client repeats its request on another connection when one broke.
    # spec S-TXS-5
    scene = Scene(TCP).answer().run(10).repeat()
    assert [status for _, status in scene.sent] == [200, 200]
    assert scene.stack.receive(request(), TCP._replace(conn=8), 11) == []
    assert [flow for flow, _ in scene.stack.output()] == [TCP]


def test_an_answer_after_64_t1_is_not_sent() -> None:
    # RFC 4320 §4.2
    # spec S-TXS-4
    scene = Scene().run(32)
    assert not scene.is_alive
    assert scene.stack.statistics()["requests_given_up"] == 1
    scene.answer()
    assert scene.sent == [(3.5, 100)]
    assert scene.stack.statistics()["answers_discarded"] == 1


def test_408_is_not_sent() -> None:
    # RFC 4320 §4.2
    # spec S-TXS-4, S-RELAY-2
    scene = Scene().answer(408).run(32)
    assert scene.sent == [(3.5, 100)]
    assert scene.stack.statistics()["requests_given_up"] == 1


def test_there_is_no_provisional_answer_for_the_service_to_give() -> None:
    # RFC 4320 §4.1
    # spec S-TXS-3
    with pytest.raises(ValueError, match="final"):
        Scene().answer(183)


def test_an_answer_can_be_given_by_key() -> None:
    scene = Scene()
    scene.stack.respond(scene.event.key, scene.stack.build(scene.event.request, 200), 0.0)
    assert len(scene.stack.output()) == 1
    assert scene.stack.statistics()["requests_answered"] == 1


# -- duplicates and merged requests -----------------------------------------------------------------------------------


def test_the_service_sees_each_request_once_even_before_it_accepts() -> None:
    # spec S-TXS-2
    stack = make_stack()
    first, second = (stack.receive(request(), UDP, 0.0)[0] for _ in range(2))
    assert isinstance(first, RequestReceived)
    assert isinstance(second, RequestReceived)
    assert stack.accept(first, 0.0)
    assert not stack.accept(second, 0.0)
    stack.reply_stateless(second, stack.build(second.request, 401))
    assert stack.output() == []
    assert stack.statistics()["requests_absorbed"] == 2


OTHER_VIA = "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKb;rport"


def test_the_same_request_by_another_way_is_482_while_the_first_is_known() -> None:
    # RFC 3261 §8.2.2.2
    # spec S-TXS-6
    scene = Scene()
    for at in (0.1, 5.0, 31.0):
        assert scene.run(at).stack.receive(request(via=OTHER_VIA), UDP, at) == []
        ((_, data),) = scene.stack.output()
        response = read_response(data)
        assert (response.status, response.via.branch) == (482, "z9hG4bKb")
        scene.answer()
    assert scene.stack.statistics()["merged"] == 3
    assert len(scene.run(33).stack.receive(request(via=OTHER_VIA), UDP, 33)) == 1


def test_merged_requests_that_are_accepted_at_once_are_told_apart() -> None:
    stack = make_stack()
    first, second = stack.receive(request(), UDP, 0.0) + stack.receive(request(via=OTHER_VIA), UDP, 0.0)
    assert isinstance(first, RequestReceived)
    assert isinstance(second, RequestReceived)
    assert stack.accept(first, 0.0)
    assert not stack.accept(second, 0.0)
    assert [read_response(data).status for _, data in stack.output()] == [482]


@pytest.mark.parametrize(
    "change",
    [
        {"call_id": "another"},
        {"from_": "<sip:alice@example.com>;tag=other"},
        {"cseq": "2 MESSAGE"},
        {"to": "<sip:chat-a@example.com>;tag=t"},
    ],
)
def test_another_request_is_not_merged(change: dict[str, str]) -> None:
    scene = Scene()
    assert len(scene.stack.receive(request(via=OTHER_VIA, **change), UDP, 0.0)) == 1  # type: ignore[arg-type]


def test_requests_with_a_to_tag_are_never_merged() -> None:
    # spec S-TXS-6
    stack = make_stack()
    tagged = "<sip:chat-a@example.com>;tag=t"
    for via in ("SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKa", OTHER_VIA):
        (event,) = stack.receive(request(via=via, to=tagged), UDP, 0.0)
        assert isinstance(event, RequestReceived)
        assert stack.accept(event, 0.0)
    stack.tick(100)
    stack.tick(200)
    assert stack.statistics()["server_transactions"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"via": "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKb;rport"},
        {"via": "SIP/2.0/UDP 192.0.2.9:5071;branch=z9hG4bKa;rport"},
        {"via": "SIP/2.0/UDP 192.0.2.8:5070;branch=z9hG4bKa;rport"},
        {"method": "OPTIONS"},
    ],
)
def test_branch_sent_by_and_method_name_a_transaction(change: dict[str, str]) -> None:
    # RFC 3261 §17.2.3; a different Call-ID keeps 482 out of it
    # spec S-TXS-1
    scene = Scene()
    assert len(scene.stack.receive(request(**change, call_id="other"), UDP, 0.0)) == 1  # type: ignore[arg-type]
    assert scene.stack.receive(request(call_id="other", uri="sip:x@example.com"), UDP, 0.0) == []


@pytest.mark.parametrize("branch", ["", ";branch=1", ";branch=z9hG4bK"])
def test_without_an_rfc_3261_branch_the_rest_names_it(branch: str) -> None:
    # RFC 3261 §17.2.3, for clients of RFC 2543; RFC 4475 §3.3.15 has the bare cookie
    # spec S-TXS-1
    stack = make_stack()
    via = f"SIP/2.0/UDP 192.0.2.9:5070{branch}"
    (event,) = stack.receive(request(via=via), UDP, 0.0)
    assert isinstance(event, RequestReceived)
    assert stack.accept(event, 0.0)
    assert stack.receive(request(via=via), UDP, 0.1) == []
    assert len(stack.receive(request(via=via, cseq="2 MESSAGE"), UDP, 0.1)) == 1
    assert len(stack.receive(request(via=via, call_id="other"), UDP, 0.1)) == 1


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_a_full_table_answers_503_at_a_bounded_rate_then_nothing() -> None:
    # spec S-TXS-7
    stack = make_stack(max_server_transactions=2, overload_answers=3, retry_after=9)
    accepted = 0
    for n in range(10):
        (event,) = stack.receive(
            request(via=f"SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK{n}", call_id=str(n)), UDP, 50.0
        )
        assert isinstance(event, RequestReceived)
        accepted += stack.accept(event, 50.0)
    answers = [read_response(data) for _, data in stack.output()]
    assert accepted == 2
    assert [answer.status for answer in answers] == [503] * 3
    assert {answer.headers.get("Retry-After") for answer in answers} == {"9"}
    assert stack.statistics()["overloaded"] == 8
    # A third of a second later there is one more answer to give.
    for n in range(20, 23):
        (event,) = stack.receive(
            request(via=f"SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK{n}", call_id=str(n)), UDP, 50.4
        )
        assert isinstance(event, RequestReceived)
        assert not stack.accept(event, 50.4)
    assert len(stack.output()) == 1
    # A copy of what was accepted is still absorbed, and there is room again when a transaction has ended.
    assert stack.receive(request(via="SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK0", call_id="0"), UDP, 50.5) == []
    stack.tick(53.5)
    stack.tick(90.0)
    stack.output()
    (event,) = stack.receive(request(), UDP, 90.0)
    assert isinstance(event, RequestReceived)
    assert stack.accept(event, 90.0)


def test_the_clock_may_stand_still_for_the_allowance() -> None:
    stack = make_stack(max_server_transactions=1, overload_answers=1)
    for n, at in enumerate((5.0, 5.0, 4.0, 4.0)):
        (event,) = stack.receive(request(via=f"SIP/2.0/UDP h;branch=z9hG4bK{n}", call_id=str(n)), UDP, at)
        assert isinstance(event, RequestReceived)
        stack.accept(event, at)
    assert len(stack.output()) == 1


def test_the_default_table_holds_timer_j_of_5000_requests_a_second() -> None:
    assert StackConfig().max_server_transactions >= 5000 * 32


def test_an_answered_transaction_keeps_bytes_only() -> None:
    scene = Scene().answer()
    (transaction,) = scene.stack._servers._by_key.values()
    assert transaction.request is None
    assert isinstance(transaction.answer, bytes)


def test_the_rows_that_have_a_short_way_say_what_it_does() -> None:
    action, state = ServerAction, ServerState
    assert SERVER[state.NEW][ServerEvent.REQUEST] == ((action.SET_100,), state.TRYING)
    assert SERVER[state.TRYING][ServerEvent.FINAL] == ((action.SEND_FINAL, action.SET_J), state.COMPLETED)
