"""The short way of usual requests leads where the long one does."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import partial

from hypothesis import example, given
from hypothesis import strategies as st

from imc.errors import BadMessage
from imc.sip.events import Event, RequestReceived
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.shapes import Shapes
from imc.sip.stack import Stack, StackConfig
from imc.sip.uas import UasPolicy

FLOW = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.9", 5080))
POLICY = UasPolicy(accept=("text/plain", "message/cpim"))


def message(number: int, *, via: str = ";rport", extra: str = "", body: str = "hello") -> bytes:
    """As most programs would."""
    return (
        f"MESSAGE sip:room{number}@example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.9:5080{via};branch=z9hG4bK{number}.x\r\n"
        f"From: <sip:user{number}@example.com>;tag=t{number}\r\nTo: <sip:room{number}@example.com>\r\n"
        f"Call-ID: {number}.x@h\r\nCSeq: {number} MESSAGE\r\nMax-Forwards: 70\r\n{extra}"
        f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Pair:
    """Two stacks of which one learns nothing."""

    def __init__(self) -> None:
        self.short, self.long = (Stack(StackConfig(), Ids(random.Random(1)), POLICY) for _ in range(2))
        self.long._shapes = Shapes(lambda _now: False)

    def give(self, data: bytes, flow: Flow = FLOW) -> bool:
        """The same effect on both; whether the short way was taken."""
        is_short = self.short._shapes.read(data, flow) is not None
        events, others = (stack.receive(data, flow, 0.0) for stack in (self.short, self.long))
        assert seen(events) == seen(others)
        for stack, told in ((self.short, events), (self.long, others)):
            for event in told:
                assert isinstance(event, RequestReceived)
                if stack.accept(event, 0.0):
                    stack.respond_plain(event, 202, 0.0)
        assert self.short.output() == self.long.output()
        assert self.short.statistics() == self.long.statistics()
        return is_short


def seen(events: list[Event]) -> list[object]:
    """All that a user of the stack can ask a request for."""
    found: list[object] = []
    for event in events:
        assert isinstance(event, RequestReceived)
        got = event.request
        found += [got, list(got.headers.items()), event.flow, event.reply_flow, event.key, event.merge_key]
        found += [got.via, got.vias, got.from_, got.to, got.call_id, got.cseq, got.request_uri, got.max_forwards]
        found += [got.render(), asked(partial(getattr, got, "content_type")), asked(partial(getattr, got, "contacts"))]
    return found


def asked(read: Callable[[], object]) -> object:
    """What is read when it is asked for may be bad."""
    try:
        return read()
    except BadMessage as error:
        return error.reason


EXTRAS = [
    "", "User-Agent: x (1)\r\n", "Contact: <sip:a@192.0.2.9>\r\n", "Expires: 5\r\n",
    'Authorization: Digest r="x"\r\n',
]  # fmt: skip
LINES = [
    b"Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n", b"v: SIP/2.0/TCP h\r\n", b"CSeq: 2 MESSAGE\r\n", b"From: x\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 4\r\n", b"Require: x\r\n", b"Content-Encoding: gzip\r\n", b"To: x\r\n",
    b";branch=z9hG4bKx", b";received=1", b"\r\n\r\n", b";tag=x", b"sips:", b"z9hG4bK", b"\r\nx", b"Max-Forwards: x\r\n",
]  # fmt: skip
BITS = st.sampled_from(LINES) | st.sampled_from(
    [b"", b" ", b"\t", b"\r\n", b"\r\n ", b",", b'"', b";", b"=", b":", b"V", b"0", b"\n", b"\x00", b"\xff", b"%", b"<"]
)
CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9), BITS), max_size=3)


def mutate(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, new in changes:
        place = at % (len(data) + 1)
        data = data[:place] + new + data[place + length :]
    return data


@given(
    st.sampled_from(["", ";rport", ";alias;rport", ";received=192.0.2.1", ";RPORT"]),
    st.sampled_from(EXTRAS),
    CHANGES,
    CHANGES,
)
@example(";rport", "", [], [(0, 0, b"\r\n")])
def test_short_and_long_way_have_the_same_effect(
    via: str, extra: str, taught: list[tuple[int, int, bytes]], changes: list[tuple[int, int, bytes]]
) -> None:
    pair = Pair()
    pair.give(mutate(message(1, via=via, extra=extra), taught))
    pair.give(mutate(message(2, via=via, extra=extra), taught))
    pair.give(mutate(message(2, via=via, extra=extra), changes))
    pair.give(mutate(message(3, via=via, extra=extra), changes))
    pair.give(message(3, via=via, extra=extra))


def test_usual_requests_take_the_short_way_from_the_second_on() -> None:
    for extra in EXTRAS:
        pair = Pair()
        assert [pair.give(message(number, extra=extra)) for number in range(1, 4)] == [False, True, True]
        assert pair.give(message(3, extra=extra))  # a copy
        assert not pair.give(message(4, extra=extra), FLOW._replace(remote=("192.0.2.9", 5081)))


def test_what_was_refused_is_not_learned() -> None:
    pair = Pair()
    for number in range(1, 4):
        data = message(number).replace(b"text/plain", b"text/html")
        assert not pair.give(data)
        assert not pair.give(message(number, extra="Require: x\r\n"))
    assert not pair.short._shapes._by_source


def test_other_forms_of_one_source_are_kept_beside_each_other() -> None:
    pair = Pair()
    forms = ["", "User-Agent: x\r\n", "Expires: 5\r\n"]
    for extra in forms:
        pair.give(message(1 + forms.index(extra), extra=extra))
    assert all(pair.give(message(11 + forms.index(extra), extra=extra)) for extra in forms)


def test_what_is_learned_is_bounded() -> None:
    shapes = Shapes(lambda _now: True)
    for number in range(300):
        shapes.learn(message(1, extra=f"Expires: {number}\r\n"), FLOW, 0.0)
    assert len(shapes._shapes) <= 64
    assert all(len(mine) <= 4 for mine in shapes._by_source.values())
    for number in range(2500):
        shapes.learn(message(1), FLOW._replace(remote=("192.0.2.9", number)), 0.0)
    assert len(shapes._by_source) <= 1000


def test_forms_that_come_too_fast_are_not_learned() -> None:
    stack = Pair().short
    for number in range(1, 100):
        stack.receive(message(number, extra=f"Expires: {number}\r\n"), FLOW, 0.0)
    assert len(stack._shapes._shapes) == 20


def test_a_form_is_one_expression_that_never_goes_back() -> None:
    shapes = Shapes(lambda _now: True)
    shapes.learn(message(1, extra=EXTRAS[1]), FLOW, 0.0)
    ((pattern, _),) = shapes._shapes.items()
    bare = re.sub(r"\[[^\]]*\]", "x", pattern).replace(r"\.", "")
    assert not re.search(r"[+*}](?<![+*}?]\+)(?!\+)", bare), bare
