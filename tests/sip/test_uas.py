"""Building responses (RFC 3261 §8.2.6). `UasPolicy` is tested through the stack, in bytes."""

from __future__ import annotations

import pytest

from imc.errors import BadMessage
from imc.sip.message import Headers, Request, parse_message
from imc.sip.uas import REASONS, Refusal, UasPolicy, build_response, reason_phrase, render_plain
from tests.sip.wire import request


def parsed(data: bytes) -> Request:
    message = parse_message(data, is_datagram=True)
    assert isinstance(message, Request)
    return message


def test_what_a_response_copies_and_what_it_does_not() -> None:
    # spec S-UAS-3
    source = parsed(
        request(
            via="SIP/2.0/TCP p.example;branch=z9hG4bK1 , SIP/2.0/UDP q.example",
            headers=[
                "v: SIP/2.0/UDP r.example;branch=z9hG4bK2",
                "Record-Route: <sip:p.example;lr>",
                "Subject: x",
                "Timestamp: 1",
            ],
        )
    )
    response = build_response(
        source, 202, to_tag="t", headers=[("Warning", '399 imc "a"'), ("Warning", '399 imc "b"')], body=b"z"
    )
    assert list(response.headers.items()) == [
        ("Via", "SIP/2.0/TCP p.example;branch=z9hG4bK1 , SIP/2.0/UDP q.example"),
        ("Via", "SIP/2.0/UDP r.example;branch=z9hG4bK2"),
        ("From", "<sip:alice@example.com>;tag=f"),
        ("To", "<sip:chat-a@example.com>;tag=t"),
        ("Call-ID", "call"),
        ("CSeq", "1 MESSAGE"),
        ("Warning", '399 imc "a"'),
        ("Warning", '399 imc "b"'),
    ]
    assert (response.status, response.reason, response.body) == (202, "Accepted", b"z")
    response.headers.set("Via", "SIP/2.0/UDP changed")
    assert len(source.vias) == 3


def test_text_goes_back_as_it_came() -> None:
    # spec S-READ-7
    source = parsed(request(from_='"J\u00e4s\\"\udcff" <sip:alice@example.com> ; TAG=f', to="sip:a@example.com;x=y"))
    response = build_response(source, 200, to_tag="t")
    assert response.headers.get("From") == '"J\u00e4s\\"\udcff" <sip:alice@example.com> ; TAG=f'
    assert response.headers.get("To") == "sip:a@example.com;x=y;tag=t"
    assert b'"J\xc3\xa4s\\"\xff"' in response.render()


def test_a_reason_may_be_given() -> None:
    assert build_response(parsed(request()), 400, "Bad Via", to_tag="t").reason == "Bad Via"


def test_a_header_of_the_service_cannot_break_out() -> None:
    # spec S-READ-7
    with pytest.raises(ValueError, match="header"):
        build_response(parsed(request()), 200, to_tag="t", headers=[("IMC-Event", "x\r\nVia: y")])


@pytest.mark.parametrize(
    ("status", "phrase"),
    [(200, "OK"), (482, "Loop Detected"), (299, "OK"), (499, "Bad Request"), (699, "Global Failure")],
)
def test_reason_phrases(status: int, phrase: str) -> None:
    assert reason_phrase(status) == phrase
    assert all(100 <= known <= 699 and text for known, text in REASONS.items())


def test_checks_go_in_the_order_of_section_8_2() -> None:
    # spec S-UAS-1
    policy = UasPolicy(accept=("text/plain",))
    headers = ["Require: x", "Content-Encoding: gzip", "Content-Type: a/b"]
    assert policy.check(parsed(request("INVITE", "tel:+1", headers=headers))) == Refusal(
        405, (("Allow", "MESSAGE, OPTIONS, REGISTER"),)
    )
    assert policy.check(parsed(request(uri="tel:+1", headers=headers))) == Refusal(416)
    assert policy.check(parsed(request(headers=headers))) == Refusal(420, (("Unsupported", "x"),))
    assert policy.check(parsed(request(headers=headers[1:]))) == Refusal(415, (("Accept-Encoding", "identity"),))
    assert policy.check(parsed(request(headers=headers[2:]))) == Refusal(415, (("Accept", "text/plain"),))
    assert policy.check(parsed(request())) is None


def test_without_accept_every_type_is_for_the_methods_own_code() -> None:
    assert UasPolicy().check(parsed(request(headers=["Content-Type: a/b"]))) is None


def test_what_must_be_understood_and_cannot_be_read_is_bad() -> None:
    with pytest.raises(BadMessage):
        UasPolicy().check(parsed(request(headers=['Require: "x'])))


def test_a_request_read_in_part_is_answered_in_part() -> None:
    partial = Request("MESSAGE", "?", Headers([("Via", "SIP/2.0/UDP a.example"), ("CSeq", "x")]))
    response = build_response(partial, 400, to_tag="t")
    assert list(response.headers.items()) == [("Via", "SIP/2.0/UDP a.example"), ("CSeq", "x")]


@pytest.mark.parametrize("status", [200, 202, 404])
@pytest.mark.parametrize("to", ["<sip:chat-a@example.com>", "<sip:chat-a@example.com>;tag=x", '"\u00e9" <sip:a@b>'])
@pytest.mark.parametrize("headers", [[], ["v: SIP/2.0/UDP r.example;branch=z9hG4bK2", "Subject: x", "Timestamp: 1"]])
def test_a_plain_response_is_what_the_long_way_gives(status: int, to: str, headers: list[str]) -> None:
    source = parsed(request(to=to, headers=headers))
    assert render_plain(source, status, to_tag="t") == build_response(source, status, to_tag="t").render()
