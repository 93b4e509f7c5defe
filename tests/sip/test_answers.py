"""The short way of usual answers leads where the long one does."""

from __future__ import annotations

import random
import re

from hypothesis import example, given
from hypothesis import strategies as st

from imc.sip.answers import Usual
from imc.sip.events import Event, FinalsReceived, ResponseReceived
from imc.sip.ids import BRANCH, Ids
from imc.sip.message import parse_message
from imc.sip.stack import Stack, StackConfig
from tests.sip.wire import HEAD, LOCAL, TAIL, UDP

_PART = re.compile(rb"(?im)^(via|v|from|to|call-id|cseq)[ \t]*:[^\r\n]*\r\n")
_ESSENTIAL = re.compile(
    rb"SIP/2\.0 (?P<status>[2-6]\d\d) [^\r\n]*\r\nVia: SIP/2\.0/UDP [^\r\n,\"]*;branch=(?P<branch>[^;\r]+)"
)


def answer(request: bytes, status: int = 200, *, end: bytes = b";received=192.0.2.1", extra: bytes = b"") -> bytes:
    """As most programs would: what is to be copied is copied."""
    lines = [match[0] for match in _PART.finditer(request)]
    lines = [line[:-2] + end + b"\r\n" if line[:3] == b"Via" else line for line in lines]
    lines = [line[:-2] + b";tag=peer\r\n" if line[:3] == b"To:" else line for line in lines]
    return b"SIP/2.0 %d Fine\r\n" % status + b"".join(lines) + extra + b"Content-Length: 0\r\n\r\n"


class Pair:
    """Two stacks with the same transactions under way; one is given answers by the short way first."""

    def __init__(self, count: int = 3) -> None:
        self.short, self.long = (Stack(StackConfig(), Ids(random.Random(1))) for _ in range(2))
        self.sent: list[bytes] = []
        for number in range(count):
            for stack in (self.short, self.long):
                stack.start(UDP, HEAD, TAIL, number, 0.0)
            ((_, data),) = self.short.output()
            assert [(UDP, data)] == self.long.output()
            self.sent.append(data)

    def give(self, data: bytes, now: float = 0.1) -> tuple[list[object], list[object], bool]:
        """What each reports, and whether the short way took it."""
        others, events = self.short.receive_usual([data], now)
        if others:
            events = events + self.short.receive(data, UDP, now)
        return seen(events), seen(self.long.receive(data, UDP, now)), not others

    def figures(self) -> tuple[dict[str, int], dict[str, int]]:
        """What each counted; how timers are kept is its own affair."""
        one, other = self.short.statistics(), self.long.statistics()
        return one | {"timers": 0}, other | {"timers": 0}


def seen(events: list[Event]) -> list[object]:
    found: list[object] = []
    for event in events:
        if isinstance(event, FinalsReceived):
            found += event.answers
        else:
            assert isinstance(event, ResponseReceived)
            found.append((event.token, event.response.status))
    return found


def is_answer_in_essence(data: bytes, status: int, branch: bytes) -> bool:
    """Spec S-TXC-6, said another way than in the code."""
    match = _ESSENTIAL.match(data)
    lines = data.split(b"\r\n")
    return (
        match is not None
        and (int(match["status"]), match["branch"]) == (status, branch)
        and sum(re.match(rb"(?i)(via|v)[ \t]*:", line) is not None for line in lines) == 1
        and b"CSeq: 1 MESSAGE" in lines
        and data.endswith(b"\r\n\r\n")
    )


def mutate(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, new in changes:
        place = at % (len(data) + 1)
        data = data[:place] + new + data[place + length :]
    return data


LINES = [
    b"Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n",
    b"v: SIP/2.0/TCP h\r\n",
    b"\r\nVIA: x\r\n",
    b"CSeq: 2 MESSAGE\r\n",
    b"CSeq: 1 INVITE\r\n",
    b"From: x\r\n",
    b"Content-Length: 5\r\n",
    b";branch=z9hG4bKx",
    b";received=1",
    b"\r\n\r\n",
]
BITS = st.sampled_from(LINES) | st.sampled_from(
    [b"", b" ", b"\t", b"\r\n", b"\r\n ", b",", b'"', b";", b"=", b":", b"V", b"v", b"\n", b"\x00", b"\xff", b"(", b"<"]
)
CHANGES = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 9), BITS), max_size=4)


@given(
    st.integers(100, 699),
    st.sampled_from([b"", b";received=192.0.2.1", b";rport=5060;received=192.0.2.1", b";x=y", b";ttl=1"]),
    st.sampled_from([b"", b"Server: x, y (v1.2)\r\n", b"Contact: <sip:x@192.0.2.9>\r\n", b'Warning: 399 imc "V"\r\n']),
    CHANGES,
    st.booleans(),
)
@example(200, b"", b"", [(14, 0, b"\r\n")], True)
def test_short_and_long_way_have_the_same_effect(
    status: int, end: bytes, extra: bytes, changes: list[tuple[int, int, bytes]], is_mutant_learned: bool
) -> None:
    # spec S-TXC-6
    pair = Pair()
    first = answer(pair.sent[0], status, end=end, extra=extra)
    if is_mutant_learned:
        first = mutate(first, changes)
    short, long, is_short = pair.give(first)
    assert short == long
    assert not is_short
    data = mutate(answer(pair.sent[1], status, end=end, extra=extra), changes)
    short, long, is_short = pair.give(data)
    if short != long:
        assert is_short
        assert long == []
        assert short == [(1, status)]
        branch = pair.sent[1].partition(b"branch=")[2][:BRANCH]
        assert is_answer_in_essence(data, status, branch)
        return
    pair.give(data)  # absorbed, stray or bad, by both
    one, other = pair.figures()
    assert one == other


def test_usual_answers_take_the_short_way_from_the_second_on() -> None:
    pair = Pair(4)
    for number, sent in enumerate(pair.sent):
        short, long, is_short = pair.give(answer(sent))
        assert short == long == [(number, 200)]
        assert is_short == (number > 0)
    one, other = pair.figures()
    assert one == other
    assert one["client_transactions_absorbing"] == 4


def test_a_stranger_teaches_nothing() -> None:
    pair = Pair()
    stranger = answer(pair.sent[0]).replace(b";branch=z9hG4bK0", b";branch=z9hG4bK1")
    assert pair.give(stranger) == ([], [], False)
    assert pair.short._clients._usual == {}


def test_what_is_learned_is_bounded() -> None:
    usual = Usual()
    for number in range(2500):
        usual.learn(answer(HEAD + b"z9hG4bK1" + TAIL, end=b";received=%d" % number), b"z9hG4bK1", 200)
        usual.learn(b"SIP/2.0 200 %d" % number + answer(HEAD + b"z9hG4bK1" + TAIL)[14:], b"z9hG4bK1", 200)
    assert len(usual) <= 1000
    assert max(len(ends) for _, ends in usual.values()) <= 8


def test_an_answer_that_comes_again_is_absorbed_and_after_timer_k_it_is_stray() -> None:
    pair = Pair()
    for at in (0.1, 0.2, 5.0):
        pair.give(answer(pair.sent[0]), at)
    for stack in (pair.short, pair.long):
        stack.tick(5.15)
    pair.give(answer(pair.sent[0]), 5.15)
    one, other = pair.figures()
    assert one == other
    assert (one["responses_final"], one["responses_absorbed"], one["stray_responses"]) == (1, 2, 1)


def test_the_answers_made_here_are_good() -> None:
    sent = Pair(1).sent[0]
    assert LOCAL[0].encode() in sent
    parse_message(answer(sent), is_datagram=True)
