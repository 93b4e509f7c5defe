"""Every matcher: what is right passes, and what is deliberately wrong does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.suite.conversation import Answer, Delivery
from conformance.suite.matching import Wanted, answer_problems, bare, compare, fits, header_problems

ROOM = "chat-1@example.com"
MARY = "mary@example.com"
SENDERS = frozenset((ROOM,))


def delivery(**more: Any) -> Delivery:
    """A notice to mary."""
    given: dict[str, Any] = {
        "recipient": "mary",
        "sender_uri": f"sip:{ROOM}",
        "to_uri": f"sip:{MARY}",
        "display": None,
        "content_type": "text/plain;charset=utf-8",
        "body": b"rita@example.com has joined the room chat-1@example.com.",
        "event": "member-joined",
        "in_reply_to": "call-7",
    }
    return Delivery(**{**given, **more})


def copy(**more: Any) -> Delivery:
    """A copy of what rita said."""
    return delivery(**{"event": "message", "display": "rita", "body": b"[rita]: hello", "in_reply_to": None, **more})


NOTICE = Wanted(event="member-joined", senders=SENDERS)
COPY = Wanted(event="message", senders=SENDERS, speaker="rita@example.com", ends=b"hello")

# What is wanted, what comes and fits, what comes and does not, and a word of the problem
PAIRS: dict[str, tuple[Wanted, Delivery, Delivery, str]] = {
    "event": (NOTICE, delivery(), delivery(event="member-left"), "must not: member-left"),
    "no event": (NOTICE, delivery(), delivery(event=None), "something unknown"),
    "sender": (NOTICE, delivery(), delivery(sender_uri="sip:chat-2@example.com"), "From is chat-2@example.com"),
    "sender's host": (NOTICE, delivery(), delivery(sender_uri="sip:chat-1@example.org"), "From is"),
    "sender's case": (
        NOTICE,
        delivery(sender_uri="sip:chat-1@EXAMPLE.com;x=y"),
        delivery(sender_uri="sip:Chat-1@example.com"),
        "From is",
    ),
    "recipient": (NOTICE, delivery(), delivery(to_uri="sip:rita@example.com"), "To is rita@example.com"),
    "cause": (
        replace(NOTICE, call_ids=frozenset(("call-7",))),
        delivery(),
        delivery(in_reply_to="call-6"),
        "In-Reply-To is call-6",
    ),
    "no cause": (
        replace(NOTICE, call_ids=frozenset(("call-7",))),
        delivery(),
        delivery(in_reply_to=None),
        "In-Reply-To is None",
    ),
    "speaker": (COPY, copy(), copy(display="mary", body=b"[mary]: hello"), "must tell rita@example.com"),
    "speaker, prefix alone": (COPY, copy(display=None), copy(display=None, body=b"hello"), "must tell"),
    "speaker, display alone": (COPY, copy(body=b"hello"), copy(display="mary", body=b"hello"), "must tell"),
    "speaker's address": (
        COPY,
        copy(display="rita@example.com", body=b"[rita@example.com]: hello"),
        copy(display="rita@example.org", body=b"[rita@example.org]: hello"),
        "must tell",
    ),
    "text": (COPY, copy(), copy(body=b"[rita]: hello!"), "must say 'hello'"),
    "lines": (
        replace(COPY, ends=b"one\r\ntwo"),
        copy(body=b"[rita]: one\r\n| two"),
        copy(body=b"[rita]: one\r\n| three"),
        "must say",
    ),
    "body": (
        replace(COPY, ends=None, body=b"[rita]: hello"),
        copy(),
        copy(body=b"[rita]: hello "),
        "the body must be '[rita]: hello'",
    ),
    "type": (
        replace(COPY, type="text/plain"),
        copy(),
        copy(content_type="text/html"),
        "Content-Type must be text/plain",
    ),
    "no type": (replace(COPY, type="text/plain"), copy(), copy(content_type=None), "Content-Type must be"),
    "type's parameter": (
        replace(COPY, type="text/plain;charset=UTF-8"),
        copy(content_type='text/plain; x=1; charset="utf-8"'),
        copy(content_type="text/plain;charset=utf-16"),
        "Content-Type must be",
    ),
    "has": (replace(NOTICE, has=("rita@example.com",)), delivery(), delivery(body=b"somebody"), "must be in it"),
    "lacks": (replace(NOTICE, lacks=("ivan",)), delivery(), delivery(body=b"ivan"), "must not be in it"),
    "header is there": (
        replace(NOTICE, headers={"Date": True}),
        delivery(headers=(("date", "today"),)),
        delivery(),
        "Date is missing",
    ),
    "header is not there": (
        replace(NOTICE, headers={"IMC-Event": False}),
        delivery(),
        delivery(headers=(("imc-event", "forged"),)),
        "IMC-Event must not be there",
    ),
    "header's value": (
        replace(NOTICE, headers={"Subject": "a*c"}),
        delivery(headers=(("Subject", "abc"),)),
        delivery(headers=(("Subject", "abcd"),)),
        "Subject must be 'a*c'",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_each_matcher(name: str) -> None:
    wanted, right, wrong, words = PAIRS[name]
    assert compare("mary", MARY, [wanted], [right]) == []
    problems = compare("mary", MARY, [wanted], [wrong])
    assert problems
    assert any(words in problem for problem in problems), problems
    assert all(problem.startswith("mary") for problem in problems)


def test_nothing_may_come_that_is_not_wanted() -> None:
    assert compare("mary", MARY, [], []) == []
    assert compare("mary", MARY, [], [delivery()]) == [
        "mary gets what they must not: member-joined from chat-1@example.com "
        "'rita@example.com has joined the room chat-1@example.com.'"
    ]


def test_what_is_wanted_must_come() -> None:
    assert compare("mary", MARY, [COPY], []) == ["mary must get message by rita@example.com says 'hello', and does not"]


def test_twice_is_not_once() -> None:
    assert len(compare("mary", MARY, [NOTICE], [delivery(), delivery()])) == 1
    assert len(compare("mary", MARY, [NOTICE, NOTICE], [delivery()])) == 1
    assert compare("mary", MARY, [NOTICE, NOTICE], [delivery(), delivery()]) == []


def test_the_order_counts() -> None:
    wanted = [NOTICE, COPY]
    assert compare("mary", MARY, wanted, [delivery(), copy()]) == []
    problems = compare("mary", MARY, wanted, [copy(), delivery()])
    assert problems[0] == "mary gets it in the wrong order"


def test_the_order_of_alike_events_counts() -> None:
    first, second = replace(COPY, ends=b"one"), replace(COPY, ends=b"two")
    came = [copy(body=b"[rita]: one"), copy(body=b"[rita]: two")]
    assert compare("mary", MARY, [first, second], came) == []
    assert len(compare("mary", MARY, [second, first], came)) == 2


def test_the_pages_of_a_list_are_one_message() -> None:
    wanted = Wanted(event="member-list", senders=SENDERS, has=("alice", "x9"))
    pages = [delivery(event="member-list", body=text) for text in (b"alice", b"x9")]
    assert compare("mary", MARY, [wanted], pages) == []
    assert compare("mary", MARY, [wanted], pages[:1])
    assert compare("mary", MARY, [wanted], pages * 2)  # the whole list twice
    short = replace(wanted, has=())
    assert compare("mary", MARY, [short], pages[:1]) == []
    assert compare("mary", MARY, [short], pages[:1] * 2)
    others = [pages[0], replace(pages[1], in_reply_to="call-8")]
    assert compare("mary", MARY, [wanted], others)


def test_copies_are_never_taken_together() -> None:
    assert compare("mary", MARY, [COPY], [copy(), copy()])


@pytest.mark.parametrize(
    ("status", "allowed", "is_right"),
    [
        (200, (200,), True),
        (202, (200,), False),
        (202, (200, 202), True),
        (202, ("2xx",), True),
        (302, ("2xx",), False),
        (100, ("2xx", 403), False),
        (None, ("2xx", "4xx"), False),
    ],
)
def test_statuses(status: int | None, allowed: tuple[Any, ...], is_right: bool) -> None:
    assert fits(status, allowed) is is_right
    problems = answer_problems(Answer(status=status, reason="R"), allowed, {})
    assert (problems == []) is is_right
    assert is_right or str(allowed[0]) in problems[0]


def test_headers_of_an_answer() -> None:
    answer = Answer(status=403, reason="Forbidden", headers=(("Warning", '399 imc "no"'),))
    assert answer_problems(answer, (403,), {"warning": "399 *", "Retry-After": False}) == []
    assert answer_problems(answer, (403,), {"Warning": "398 *"}) == [
        "the answer's Warning must be '398 *', and is '399 imc \"no\"'"
    ]
    assert answer_problems(answer, (403,), {"Retry-After": True}) == ["the answer's Retry-After is missing"]


def test_any_value_of_a_header_will_do() -> None:
    headers = (("X", "one"), ("X", "two"))
    assert list(header_problems(headers, {"x": "two"})) == []
    assert list(header_problems(headers, {"x": "three"})) == ["x must be 'three', and is 'one'"]
    assert list(header_problems((), {"x": "three"})) == ["x is missing"]


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sip:a@b", "a@b"),
        ("SIPS:a@B:5061;transport=tcp?x=y", "a@b"),
        ("A@b.example", "A@b.example"),
        ("sip:example.com", "example.com"),
    ],
)
def test_addresses_are_compared_bare(uri: str, address: str) -> None:
    assert bare(uri) == address
