"""The stack as its users see it: bytes in, events and bytes out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc.sip.events import RequestReceived
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.stack import Stack, StackConfig
from imc.sip.uas import UasPolicy
from tests.sip.wire import HEAD, LOCAL, TAIL, TCP, UDP, answer_to, request

POLICY = UasPolicy(methods=("MESSAGE", "OPTIONS", "REGISTER"), accept=("text/plain", "message/cpim"))


def make_stack(**bounds: object) -> Stack:
    return Stack(StackConfig(**bounds), Ids(random.Random(1)), POLICY)  # type: ignore[arg-type]


def receive(stack: Stack, data: bytes, flow: Flow = UDP) -> RequestReceived:
    (event,) = stack.receive(data, flow, 0.0)
    assert isinstance(event, RequestReceived)
    return event


def reply(data: bytes, flow: Flow = UDP, **bounds: int) -> tuple[Flow, list[str]]:
    """Where the stack's own answer goes, and its lines, for a request that is no event."""
    stack = make_stack(**bounds)
    assert stack.receive(data, flow, 0.0) == []
    ((to, answer),) = stack.output()
    assert stack.statistics()["server_transactions"] == 0
    return to, answer.decode().split("\r\n")


VIA = "Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKa;rport=5070;received=192.0.2.9"


def own_answer(data: bytes, **bounds: int) -> tuple[str, list[str]]:
    """Status line and what goes beyond §8.2.6 in the stack's own answer."""
    to, lines = reply(data, UDP, **bounds)
    assert to == UDP
    assert lines[1] == VIA
    assert lines[-3:] == ["Content-Length: 0", "", ""]
    return lines[0], [line for line in lines[2:-3] if line.partition(":")[0] not in ("From", "To", "Call-ID", "CSeq")]


# -- §8.2 in bytes ----------------------------------------------------------------------------------------------------


def test_a_refusal_byte_by_byte() -> None:
    _, lines = reply(request("INVITE", "sip:chat-a@example.com"))
    tag = lines[3].rpartition("=")[2]
    assert len(tag) == 16
    assert "\r\n".join(lines) == (
        "SIP/2.0 405 Method Not Allowed\r\n"
        f"{VIA}\r\n"
        "From: <sip:alice@example.com>;tag=f\r\n"
        f"To: <sip:chat-a@example.com>;tag={tag}\r\n"
        "Call-ID: call\r\n"
        "CSeq: 1 INVITE\r\n"
        "Allow: MESSAGE, OPTIONS, REGISTER\r\n"
        "Content-Length: 0\r\n"
        "\r\n"
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (request("SUBSCRIBE"), ("405 Method Not Allowed", ["Allow: MESSAGE, OPTIONS, REGISTER"])),
        (request("message"), ("405 Method Not Allowed", ["Allow: MESSAGE, OPTIONS, REGISTER"])),
        (request(uri="tel:+123"), ("416 Unsupported URI Scheme", [])),
        (request(uri="nobodyKnowsThisScheme:totallyopaquecontent"), ("416 Unsupported URI Scheme", [])),
        (
            request(headers=["Require: path, nothingSupportsThis, nothingSupportsThisEither"]),
            ("420 Bad Extension", ["Unsupported: nothingSupportsThis, nothingSupportsThisEither"]),
        ),
        (request(headers=["Require: 100rel", "Require: x"]), ("420 Bad Extension", ["Unsupported: 100rel, x"])),
        (request(headers=["Require: (bad)"]), ("400", [])),
        (request(headers=["Content-Encoding: gzip"]), ("415 Unsupported Media Type", ["Accept-Encoding: identity"])),
        (request(headers=["e: Identity, gzip"]), ("415 Unsupported Media Type", ["Accept-Encoding: identity"])),
        (
            request(headers=["Content-Type: application/unknownformat"]),
            ("415 Unsupported Media Type", ["Accept: text/plain, message/cpim"]),
        ),
        (
            request().replace(b"Content-Type: text/plain\r\n", b""),
            ("415 Unsupported Media Type", ["Accept: text/plain, message/cpim"]),
        ),
        (request(headers=["Content-Type: nonsense"]), ("400", [])),
        (request().replace(b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1), ("505 Version Not Supported", [])),
        (request(cseq="1 REGISTER"), ("400", [])),
        (request(body=b"").replace(b"Content-Length: 0", b"Content-Length: 5"), ("400", [])),
    ],
)
def test_what_is_not_understood_is_refused(data: bytes, expected: tuple[str, list[str]]) -> None:
    # spec S-UAS-1
    status, headers = own_answer(data)
    if expected[0] == "400":  # its wording is the parser's
        status = status[:11]
    assert (status.removeprefix("SIP/2.0 "), headers) == expected


@pytest.mark.parametrize(
    "data",
    [
        request(headers=["Proxy-Require: whatever"]),
        request(headers=["Require: path"]),
        request(headers=["Require: PATH"]),
        request(headers=["Content-Encoding: identity"]),
        request(headers=["Content-Encoding: gzip"], body=b""),
        request(headers=["Content-Encoding: gzip", "Content-Disposition: render;handling=optional"]),
        request(headers=["Content-Type: image/png", "Content-Disposition: icon ; Handling = Optional ; x"]),
        request(headers=["Content-Type: text/PLAIN;charset=utf-8"]),
        request(to="<tel:+123>"),
        request("REGISTER", "sips:example.com"),
        request().replace(b"Max-Forwards: 70", b"Max-Forwards: 0"),  # RFC 4475 §3.3.11: we are the endpoint
        request().replace(b"Max-Forwards: 70\r\n", b""),
    ],
)
def test_what_is_understood_goes_up(data: bytes) -> None:
    # spec S-UAS-2
    stack = make_stack()
    event = receive(stack, data)
    assert (event.flow, event.reply_flow) == (UDP, UDP)
    assert stack.output() == []


def test_handling_required_is_not_optional() -> None:
    # spec S-UAS-6
    status, _ = own_answer(request(headers=["Content-Encoding: gzip", "Content-Disposition: render;handling=required"]))
    assert status == "SIP/2.0 415 Unsupported Media Type"


def test_options_are_answered_with_what_there_is() -> None:
    stack = make_stack()
    event = receive(stack, request("OPTIONS", "sip:example.com", body=b""))
    stack.reply_stateless(event, POLICY.answer_options(event.request, stack.to_tag(event.request)))
    ((_, data),) = stack.output()
    assert data == (
        b"SIP/2.0 200 OK\r\n" + VIA.encode() + b"\r\n"
        b"From: <sip:alice@example.com>;tag=f\r\n"
        b"To: <sip:chat-a@example.com>;tag=" + stack.to_tag(event.request).encode() + b"\r\n"
        b"Call-ID: call\r\n"
        b"CSeq: 1 OPTIONS\r\n"
        b"Allow: MESSAGE, OPTIONS, REGISTER\r\n"
        b"Accept: text/plain, message/cpim\r\n"
        b"Accept-Encoding: identity\r\n"
        b"Accept-Language: en\r\n"
        b"Supported: path, outbound\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_without_a_policy_everything_goes_up() -> None:
    stack = Stack(StackConfig(), Ids())
    assert len(stack.receive(request("INVITE"), UDP, 0.0)) == 1


def test_sizes_are_bounded() -> None:
    # spec S-READ-6
    assert own_answer(request(body=b"x" * 11), max_body=10)[0] == "SIP/2.0 413 Request Entity Too Large"
    long = request(headers=["Subject: " + "x" * 1000])
    assert own_answer(long, max_head=1000)[0] == "SIP/2.0 513 Message Too Large"
    receive(make_stack(max_body=2, max_head=len(request()) - 2), request())
    assert own_answer(request(), max_head=len(request()) - 3)[0] == "SIP/2.0 513 Message Too Large"
    stack = make_stack()
    assert stack.receive(request("ACK", headers=["Subject: " + "x" * 60_000]), UDP, 0.0) == []
    assert stack.output() == []


# -- what is never answered -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
@pytest.mark.parametrize("damage", [b"", b"broken line\r\n"])
def test_ack_and_cancel_are_never_answered(method: str, damage: bytes) -> None:
    # spec S-READ-5
    stack = make_stack()
    data = request(method, body=b"")
    assert stack.receive(data.replace(b"Max-Forwards: 70\r\n", damage), UDP, 0.0) == []
    assert stack.output() == []
    figures = stack.statistics()
    assert figures["bad_messages" if damage else "stray_requests"] == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\x00\x00\x00",
        b"hello",
        request(via=""),
        request(via="nonsense"),
        request(via="SIP/2.0/UDP"),
        answer_to(HEAD + b"z9hG4bKunknown" + TAIL, 200),
        answer_to(HEAD + b"z9hG4bKunknown" + TAIL, 200).replace(b"SIP/2.0 200", b"SIP/2.0 999"),
        answer_to(HEAD + b"z9hG4bKunknown" + TAIL, 200).replace(b"SIP/2.0 200", b"SIP/3.0 200"),
        answer_to(HEAD + b"z9hG4bKunknown" + TAIL, 200).replace(b"SIP/2.0 200", b"sip/2.0 200"),
    ],
)
def test_what_gives_no_way_back_is_not_answered(data: bytes) -> None:
    # spec S-READ-5
    stack = make_stack()
    assert stack.receive(data, UDP, 0.0) == []
    assert stack.output() == []
    figures = stack.statistics()
    assert figures["received"] == figures["bad_messages"] + figures["stray_responses"] == 1


def test_a_datagram_from_port_0_cannot_be_answered() -> None:
    # spec S-VIA-2
    stack = make_stack()
    nowhere = UDP._replace(remote=("192.0.2.9", 0))
    assert stack.receive(request(), nowhere, 0.0) == []
    assert stack.receive(request(cseq="x"), nowhere, 0.0) == []
    assert stack.output() == []
    assert stack.statistics()["unanswerable"] == 2


@pytest.mark.parametrize("missing", ["from_", "to", "call_id"])
def test_a_request_without_its_mandatory_headers_is_answered_with_those_it_has(missing: str) -> None:
    # RFC 4475 §3.3.1: "Ideally, it will respond with a 400 Bad Request error."
    _, lines = reply(request(**{missing: ""}))  # type: ignore[arg-type]
    assert lines[0].startswith("SIP/2.0 400 ")
    names = [line.partition(":")[0] for line in lines[1:-2]]
    wanted = {"from_": "From", "to": "To", "call_id": "Call-ID"}
    assert names == [
        name for name in ("Via", "From", "To", "Call-ID", "CSeq", "Content-Length") if name != wanted[missing]
    ]


def test_a_to_that_cannot_be_read_is_sent_back_as_it_came() -> None:
    # RFC 4475 §3.1.2.6: an unterminated quoted string
    _, lines = reply(request(to='"Mr. J. User <sip:j.user@example.com>'))
    assert lines[0].startswith("SIP/2.0 400 ")
    assert 'To: "Mr. J. User <sip:j.user@example.com>' in lines


# -- where answers go -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("via", "stamped", "remote"),
    [
        # RFC 3581 §4: rport asks for the source port, and gets received with it even where it is the same
        ("192.0.2.9:5070;branch=z9hG4bKa;rport", "192.0.2.9:5070;branch=z9hG4bKa;rport=5070;received=192.0.2.9", 5070),
        ("10.0.0.1:9;rport;branch=z9hG4bKa", "10.0.0.1:9;rport=5070;received=192.0.2.9;branch=z9hG4bKa", 5070),
        ("10.0.0.1;branch=z9hG4bKa;RPORT", "10.0.0.1;branch=z9hG4bKa;rport=5070;received=192.0.2.9", 5070),
        # RFC 3261 §18.2.1 and §18.2.2: without it, to the source's address and the port of sent-by
        ("192.0.2.9:5070;branch=z9hG4bKa", "192.0.2.9:5070;branch=z9hG4bKa", 5070),
        ("192.0.2.9:6000;branch=z9hG4bKa", "192.0.2.9:6000;branch=z9hG4bKa", 6000),
        ("192.0.2.9;branch=z9hG4bKa", "192.0.2.9;branch=z9hG4bKa", 5060),
        ("client.example.com:6000;branch=z9hG4bKa", "client.example.com:6000;branch=z9hG4bKa;received=192.0.2.9", 6000),
        # what a client has no business to write is put right, or means nothing
        ("10.0.0.1:7;branch=z9hG4bKa;received=203.0.113.1", "10.0.0.1:7;branch=z9hG4bKa;received=192.0.2.9", 7),
        ("192.0.2.9:7;branch=z9hG4bKa;rport=99", "192.0.2.9:7;branch=z9hG4bKa;rport=99", 7),
        ("192.0.2.9:7;branch=z9hG4bKa;maddr=203.0.113.1", "192.0.2.9:7;branch=z9hG4bKa;maddr=203.0.113.1", 7),
        (
            '10.0.0.1:9;x=";rport;";rport;branch=z9hG4bKa',
            '10.0.0.1:9;x=";rport;";rport=5070;branch=z9hG4bKa;received=192.0.2.9',
            5070,
        ),
    ],
)
def test_via_says_where_a_datagram_is_answered(via: str, stamped: str, remote: int) -> None:
    # spec S-VIA-1, S-VIA-2, S-VIA-3
    for data in (request("INVITE", via="SIP/2.0/UDP " + via), request(via="SIP/2.0/UDP " + via, cseq="bad")):
        to, lines = reply(data)
        assert lines[1] == "Via: SIP/2.0/UDP " + stamped
        assert to == Flow("udp", LOCAL, ("192.0.2.9", remote))


def test_only_the_topmost_via_is_stamped() -> None:
    # spec S-VIA-1
    first, second, third = "SIP/2.0/UDP 10.0.0.1;rport", "SIP/2.0/TCP b.example;rport", "SIP/2.0/UDP c.example;rport"
    _, lines = reply(request("INVITE", via=f"{first}, {second}", headers=[f"Via: {third}"]))
    assert lines[1:3] == [f"Via: {first}=5070;received=192.0.2.9, {second}", f"Via: {third}"]


def test_ipv6_sources_are_stamped_without_brackets_and_zone() -> None:
    flow = Flow("udp", ("::", 5060), ("fe80::1%eth0", 5070))
    to, lines = reply(request("INVITE", via="SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bKa;rport"), flow)
    assert lines[1] == "Via: SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bKa;rport=5070;received=fe80::1"
    assert to == flow
    _, lines = reply(request("INVITE", via="SIP/2.0/UDP [::1];branch=z9hG4bKa"), flow._replace(remote=("::1", 5060)))
    assert lines[1] == "Via: SIP/2.0/UDP [::1];branch=z9hG4bKa"


def test_streams_are_answered_on_the_stream() -> None:
    to, lines = reply(request("INVITE", via="SIP/2.0/TCP client.example.com:5060;branch=z9hG4bKa"), TCP)
    assert to == TCP
    assert lines[1] == "Via: SIP/2.0/TCP client.example.com:5060;branch=z9hG4bKa;received=192.0.2.9"


def test_rport_can_be_taken_for_granted() -> None:
    # spec S-VIA-2
    to, lines = reply(request("INVITE", via="SIP/2.0/UDP 192.0.2.9:1;branch=z9hG4bKa"), is_rport_assumed=True)
    assert to == UDP
    assert lines[1] == "Via: SIP/2.0/UDP 192.0.2.9:1;branch=z9hG4bKa"


# -- stateless answers ------------------------------------------------------------------------------------------------


def test_a_stateless_answer_is_the_same_for_each_copy_and_leaves_nothing() -> None:
    # RFC 3261 §8.2.7
    # spec S-UAS-4
    stack = make_stack()
    for _ in range(3):
        event = receive(stack, request())
        stack.reply_stateless(event, stack.build(event.request, 401, headers=[("WWW-Authenticate", "Digest")]))
    (first, *others) = stack.output()
    assert others == [first, first]
    figures = stack.statistics()
    assert (figures["server_transactions"], figures["timers"], figures["stateless_answers"]) == (0, 0, 3)
    assert stack.next_deadline() is None


def test_to_tags_differ_by_request_and_by_process() -> None:
    # spec S-UAS-4
    one, other = Stack(StackConfig(), Ids()), Stack(StackConfig(), Ids())
    first, second = receive(one, request()).request, receive(one, request(call_id="other")).request
    assert len({one.to_tag(first), one.to_tag(second), other.to_tag(first)}) == 3


def test_a_to_tag_of_the_client_stays() -> None:
    stack = make_stack()
    event = receive(stack, request(to="Room <sip:chat-a@example.com>;tag=theirs"))
    response = stack.build(event.request, 404)
    assert response.headers.get("To") == "Room <sip:chat-a@example.com>;tag=theirs"


# -- whatever comes ---------------------------------------------------------------------------------------------------

SEEDS = [
    request(),
    request("REGISTER", "sip:example.com", body=b"", headers=["Contact: <sip:alice@192.0.2.9>;expires=60"]),
    request("OPTIONS", body=b""),
    answer_to(HEAD + b"z9hG4bKx" + TAIL, 200),
]


@given(st.data())
@settings(max_examples=400)
def test_whatever_comes_in_nothing_is_raised_and_at_most_one_answer_goes_out(data: st.DataObject) -> None:
    # spec S-READ-1
    stack = make_stack()
    octets = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(octets)))
        octets[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    flow = data.draw(st.sampled_from([UDP, TCP]))
    events = stack.receive(bytes(octets), flow, 0.0)
    sent = stack.output()
    assert len(events) + len(sent) <= 1
    for event in events:
        assert isinstance(event, RequestReceived)
        assert stack.accept(event, 0.0)
        stack.respond(event, stack.build(event.request, 200), 0.0)
    for to, answer in sent + stack.output():
        assert to.remote[0] == flow.remote[0]
        assert answer.startswith(b"SIP/2.0 ")
        assert b"SIP/2.0 5" not in answer[:9] or answer.startswith((b"SIP/2.0 505", b"SIP/2.0 513"))
    assert stack.receive(bytes(octets), flow, 0.0) == [] or not events


@given(st.binary(max_size=300))
def test_noise_is_dropped(octets: bytes) -> None:
    stack = make_stack()
    assert stack.receive(octets, UDP, 0.0) == []
    assert stack.output() == []
