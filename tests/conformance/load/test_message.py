"""`conformance.load.message`: requests are SIP, and a delivery is read and answered as any server may write it."""

from __future__ import annotations

import pytest

from conformance.load import message
from imc.sip.message import Request, Response, parse_message

HEAD = (
    b"MESSAGE sip:user12@127.0.0.1:5070 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKfirst\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bKsecond\r\n"
    b"From: <sip:chat-1@example.com>;tag=a\r\n"
    b"To: <sip:user12@example.com>\r\n"
    b"Call-ID: abc\r\n"
    b"CSeq: 10 MESSAGE\r\n"
)
TEXT = HEAD + b"Content-Length: 20\r\n\r\n[user0]: hi ~00000042"
PREFIX = len("sip:user")


def test_a_request_is_sip() -> None:
    body = message.text(7, 50)
    outgoing = message.Outgoing(
        number=7,
        method="MESSAGE",
        uri="sip:chat-1@example.com",
        user=3,
        sender="sip:user3@example.com",
        to="sip:chat-1@example.com",
        headers="Content-Type: text/plain\r\n",
        body=body,
    )
    data = outgoing.render(cseq=9, run="abcd", via="127.0.0.1:9", credentials="Authorization: Digest a=b\r\n")
    found = parse_message(data, is_datagram=True)
    assert isinstance(found, Request)
    assert (found.method, found.cseq.number, found.call_id, found.body) == ("MESSAGE", 9, "7.abcd", body)
    assert found.headers.get("Authorization") == "Digest a=b"


@pytest.mark.parametrize("size", [9, 50, 1000])
def test_a_text_ends_with_its_number(size: int) -> None:
    found = message.text(42, size)
    assert len(found) == size
    assert found.endswith(b"~00000042")


def test_a_copy_names_its_text_and_its_recipient() -> None:
    found = message.take(TEXT, PREFIX)
    assert found is not None
    assert (found.user, found.number) == (12, 42)
    assert found.via == b"Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKfirst"


def test_the_answer_is_what_rfc_3261_asks_for() -> None:
    found = message.take(TEXT, PREFIX)
    assert found is not None
    answer = parse_message(found.answer, is_datagram=True)
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert [via.branch for via in answer.vias] == ["z9hG4bKfirst", "z9hG4bKsecond"]
    assert answer.headers.get("To") == "<sip:user12@example.com>;tag=sink"
    assert answer.headers.get("From") == "<sip:chat-1@example.com>;tag=a"
    assert (answer.headers.get("Call-ID"), answer.headers.get("CSeq")) == ("abc", "10 MESSAGE")


def test_a_notice_names_its_command() -> None:
    found = message.take(HEAD + b"In-Reply-To: 17.abcd\r\n\r\nsomebody joined", PREFIX)
    assert found is not None
    assert found.number == 17


def test_a_notice_without_in_reply_to_names_none() -> None:
    found = message.take(HEAD + b"\r\nsomebody joined", PREFIX)
    assert found is not None
    assert found.number == message.UNKNOWN


@pytest.mark.parametrize(
    ("usual", "written"),
    [
        (b"Via:", b"v:"),
        (b"Via:", b"VIA:"),
        (b"To:", b"t:"),
        (b"From:", b"FROM :"),
        (b"Call-ID:", b"i:"),
        (b"CSeq:", b"cSeq :"),
        (b"SIP/2.0/UDP 127.0.0.1:5060", b"SIP/2.0/UDP\r\n  127.0.0.1:5060"),
    ],
)
def test_other_spellings_are_answered_too(usual: bytes, written: bytes) -> None:
    found = message.take(TEXT.replace(usual, written, 1), PREFIX)
    assert found is not None
    answer = parse_message(found.answer, is_datagram=True)
    assert isinstance(answer, Response)
    assert len(answer.vias) == 2
    assert (found.user, found.number) == (12, 42)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        TEXT.replace(b"MESSAGE", b"OPTIONS"),
        TEXT.replace(b"Call-ID: abc\r\n", b""),
        HEAD.replace(b"Via:", b"Vie:"),
    ],
)
def test_what_cannot_be_answered_is_nothing(data: bytes) -> None:
    assert message.take(data, PREFIX) is None


def test_a_recipient_without_a_number_is_unknown() -> None:
    found = message.take(TEXT.replace(b"user12@127", b"alice@127"), PREFIX)
    assert found is not None
    assert found.user == message.UNKNOWN
