from __future__ import annotations

import contextlib
import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import BadMessage
from imc.sip import message as message_module
from imc.sip.headers import CSeq, NameAddr, Via
from imc.sip.message import Headers, Request, Response, parse_message
from imc.sip.uri import parse_uri
from tests import strategies as sip

HEADERS = (
    "Via: SIP/2.0/UDP 192.0.2.17:5060;branch=z9hG4bK776;rport",
    "Max-Forwards: 70",
    'From: "Alice" <sip:alice@example.com>;tag=49583',
    "To: <sip:chat-room@example.com>",
    "Call-ID: 9f2c1b8a@192.0.2.17",
    "CSeq: 1021 MESSAGE",
)
START = "MESSAGE sip:chat-room@example.com SIP/2.0"


def octets(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def without(name: str, *extra: str) -> bytes:
    """The usual request without one header, and with others."""
    return octets(START, *(line for line in HEADERS if not line.startswith(name)), *extra)


def parse_request(data: bytes, *, is_datagram: bool = True) -> Request:
    message = parse_message(data, is_datagram=is_datagram)
    assert isinstance(message, Request)
    return message


def refusal(data: bytes, *, is_datagram: bool = True) -> BadMessage:
    with pytest.raises(BadMessage) as info:
        parse_message(data, is_datagram=is_datagram)
    return info.value


def test_a_request() -> None:
    request = parse_request(octets(START, *HEADERS, "Content-Type: text/plain", "Content-Length: 5", body=b"hello"))
    assert (request.method, request.uri, request.body) == ("MESSAGE", "sip:chat-room@example.com", b"hello")
    assert request.request_uri == parse_uri("sip:chat-room@example.com")
    assert request.via == Via("SIP/2.0", "UDP", "192.0.2.17", 5060, (("branch", "z9hG4bK776"), ("rport", None)))
    assert request.vias == [request.via]
    assert request.from_ == NameAddr("Alice", parse_uri("sip:alice@example.com"), (("tag", "49583"),))
    assert request.to.tag is None
    assert request.call_id == "9f2c1b8a@192.0.2.17"
    assert request.cseq == CSeq(1021, "MESSAGE")
    assert request.max_forwards == 70
    assert str(request.content_type) == "text/plain"
    assert "Content-Length" not in request.headers


def test_what_a_request_need_not_have() -> None:
    request = parse_request(without("Max-Forwards"))
    assert (request.max_forwards, request.content_type, request.expires, request.accept) == (None, None, None, None)
    assert (request.contacts, request.routes, request.record_routes, request.paths) == ([], [], [], [])
    assert (request.content_encodings, request.tokens("Require"), request.name_addrs("P-Asserted-Identity")) == (
        [],
        [],
        [],
    )
    assert not request.is_contact_star
    assert request.body == b""


def test_other_headers_of_a_request() -> None:
    request = parse_request(
        octets(
            START,
            *HEADERS,
            "m: <sip:alice@192.0.2.17>;q=0.5, <sip:alice@192.0.2.18>",
            "Route: <sip:a;lr>",
            "Route: <sip:b;lr>, <sip:c;lr>",
            "Record-Route: <sip:d;lr>",
            "Path: <sip:e;lr>",
            "Require: path, gruu",
            "P-Asserted-Identity: <sip:a@b>, <tel:+1>",
            "Accept: text/plain;q=0.1",
            "Accept: ",
            "e: gzip",
            "Expires: 60",
        )
    )
    assert [contact.q for contact in request.contacts] == [500, 1000]
    assert [str(route) for route in request.routes] == ["<sip:a;lr>", "<sip:b;lr>", "<sip:c;lr>"]
    assert [str(route) for route in (*request.record_routes, *request.paths)] == ["<sip:d;lr>", "<sip:e;lr>"]
    assert request.tokens("require") == ["path", "gruu"]
    assert [str(item.uri) for item in request.name_addrs("p-asserted-identity")] == ["sip:a@b", "tel:+1"]
    assert [item.q for item in request.accept or ()] == [100]
    assert request.content_encodings == ["gzip"]
    assert request.expires == 60


def test_a_contact_star() -> None:
    request = parse_request(octets(START, *HEADERS, "Contact: *"))
    assert request.is_contact_star
    assert request.contacts == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Contact: x", "contacts"), ("Contact: *, <sip:a@b>", "contacts"), ("Contact: *, *", "is_contact_star"),
        ("Route: sip:a?b=c", "routes"), ("Record-Route:", "record_routes"), ("Path: ;", "paths"),
        ("Accept: x", "accept"),
        ("Content-Type: x", "content_type"), ("Content-Encoding: a b", "content_encodings"), ("Expires: x", "expires"),
    ],
)  # fmt: skip
def test_a_bad_header_that_is_not_mandatory_is_refused_when_it_is_read(line: str, name: str) -> None:
    request = parse_request(octets(START, *HEADERS, line))
    with pytest.raises(BadMessage) as info:
        getattr(request, name)
    assert info.value.request is request
    assert info.value.status == 400


def test_a_response() -> None:
    message = parse_message(octets("SIP/2.0 200 All is well", *HEADERS), is_datagram=True)
    assert isinstance(message, Response)
    assert (message.status, message.reason, message.is_final) == (200, "All is well", True)
    assert message.via.branch == "z9hG4bK776"
    assert message.cseq.method == "MESSAGE"


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [("SIP/2.0 100 ", 100, ""), ("SIP/2.0 100", 100, ""), ("sip/2.0 699 é\tx  y", 699, "é\tx  y")],
)
def test_status_lines(line: str, status: int, reason: str) -> None:
    message = parse_message(octets(line, *HEADERS), is_datagram=True)
    assert isinstance(message, Response)
    assert (message.status, message.reason, message.is_final) == (status, reason, status >= 200)


@pytest.mark.parametrize(
    "line",
    ["SIP/2.0", "SIP/2.0 ", "SIP/2.0  200 OK", "SIP/2.0 99 x", "SIP/2.0 099 x", "SIP/2.0 700 x", "SIP/2.0 2000 x",
     "SIP/2.0 +20 x", "SIP/2.0 ٢٠٠ x", "SIP/2.0 200 \0", "SIP/1.0 200 OK", "SIP/ 200 OK", "SIP/2.0\t200 OK"],
)  # fmt: skip
def test_a_bad_response_is_never_answered(line: str) -> None:
    assert refusal(octets(line, *HEADERS)).request is None


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_mandatory_header_is_missing(name: str) -> None:
    # spec S-READ-4
    error = refusal(without(name))
    assert (error.status, error.reason) == (400, f"Missing {name}")
    assert (error.request is None) == (name == "Via")
    assert refusal(without(name).replace(START.encode(), b"SIP/2.0 200 OK")).request is None


@pytest.mark.parametrize(
    "line",
    ['From: "x', "From: ", "To: x y", "To: <>", "Call-ID:", "Call-ID: a b", "CSeq: 1", "CSeq: 1 OPTIONS",
     "CSeq: x MESSAGE",
     "CSeq: 2147483648 MESSAGE", "Max-Forwards: -1", "Max-Forwards:", "Content-Length: -1", "Content-Length: 1",
     "Content-Length: 1x", "Content-Length:", "Content-Length: 2147483648", "Content-Length: " + "9" * 99],
)  # fmt: skip
def test_a_bad_mandatory_header_can_be_answered(line: str) -> None:
    name = line.partition(":")[0]
    error = refusal(without(name, line))
    assert error.status == 400
    assert error.request.headers.get("Via") == HEADERS[0].partition(": ")[2]
    assert error.request.method == "MESSAGE"
    if name != "Content-Length":
        assert error.request.headers.get(name) == line.partition(":")[2].strip()


@pytest.mark.parametrize(
    "line", ["Via: x", "Via: SIP/2.0/UDP", "Via: SIP/2.0/UDP a:0;branch=x", "Via:", 'Via: SIP/2.0/UDP a;x="']
)
def test_without_a_good_via_there_is_no_answer(line: str) -> None:
    error = refusal(without("Via", line))
    assert (error.status, error.request) == (400, None)


def test_of_a_partly_bad_via_the_good_part_is_kept() -> None:
    error = refusal(without("Via", "Via: SIP/2.0/UDP a;;branch=x;,;,SIP/2.0/UDP b", "Via: ,"))
    assert error.request.headers.all("Via") == ["SIP/2.0/UDP a;branch=x", "SIP/2.0/UDP b"]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("MESSAGE sip:a@b SIP/3.0", 505), ("MESSAGE sip:a@b SIP/2.1", 505), ("MESSAGE sip:a@b SIP/2", 400),
        ("MESSAGE sip:a@b", 400), ("MESSAGE", 400), ("MESSAGE  sip:a@b SIP/2.0", 400),
        ("MESSAGE sip:a@b  SIP/2.0", 400), ("MESSAGE sip:a@b SIP/2.0 ", 400), (" MESSAGE sip:a@b SIP/2.0", 400),
        ("MESSAGE\tsip:a@b SIP/2.0", 400), ("ME;SS sip:a@b SIP/2.0", 400), ("MESSAGE sip:a b SIP/2.0", 400),
        ("MESSAGE <sip:a@b> SIP/2.0", 400), ("MESSAGE a@b SIP/2.0", 400), ("MESSAGE sip:a@b HTTP/1.1", 400),
        ("MÉSSAGE sip:a@b SIP/2.0", 400), ("MESSAGE sip:a\0@b SIP/2.0", 400), ("MESSAGE sip:a@b \u017fIP/2.0", 400),
    ],
)  # fmt: skip
def test_bad_request_lines(line: str, status: int) -> None:
    # spec S-READ-4
    error = refusal(octets(line, *HEADERS))
    assert error.status == status
    assert error.request is not None


@pytest.mark.parametrize("version", ["SIP/2.0", "sip/2.0", "Sip/2.0"])
def test_the_version_has_no_case(version: str) -> None:
    # RFC 3261 §7.1
    assert parse_request(octets(f"MESSAGE sip:a@b {version}", *HEADERS)).method == "MESSAGE"


@pytest.mark.parametrize(
    "line",
    [
        "X",
        "X y: z",
        ": x",
        "X\0: y",
        "X: \0",
        "X: a\rb",
        "X: a\nb",
        "X: \x1b",
        "X: \x7f",
        'X: "\0"',
        "Xé: y",
        "\u212a: y",
    ],
)
def test_a_line_that_is_no_header_is_a_fault_and_is_left_out(line: str) -> None:
    error = refusal(octets(START, *HEADERS, line))
    assert (error.status, error.reason) == (400, "Bad Header Field")
    assert len(error.request.headers) == len(HEADERS)


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type", "Expires"])
def test_a_single_header_that_is_repeated_with_another_value(name: str) -> None:
    # spec S-READ-4
    values = {"CSeq": ("1021 MESSAGE", "1 MESSAGE"), "Max-Forwards": ("1", "2"), "Expires": ("1", "2")}
    one, other = values.get(name, ("<sip:a@b>", "<sip:c@d>"))
    error = refusal(without(name, f"{name}: {one}", f"{name.upper()}: {other}"))
    assert error.reason == f"Repeated {name}"
    assert error.request.headers.all(name) == [one]


def test_a_single_header_that_is_repeated_as_it_is_counts_once() -> None:
    request = parse_request(octets(START, *HEADERS, *HEADERS[2:], "Content-Length: 2", "l: 2", body=b"ab"))
    assert request.headers.all("From") == [request.headers.get("From")]
    assert request.body == b"ab"


@pytest.mark.parametrize("lines", [("Content-Length: 2", "l: 1"), ("l: 2", "l: 02")])
def test_lengths_that_differ(lines: tuple[str, ...]) -> None:
    error = refusal(octets(START, *HEADERS, *lines, body=b"ab"))
    assert error.reason == "Repeated Content-Length"
    assert error.request is not None


def test_the_body_of_a_datagram() -> None:
    # RFC 3261 §18.3
    # spec S-READ-2
    assert parse_request(octets(START, *HEADERS, body=b"to the end\r\n\r\n\0")).body == b"to the end\r\n\r\n\0"
    assert parse_request(octets(START, *HEADERS, "l: 2", body=b"abc")).body == b"ab"
    assert parse_request(octets(START, *HEADERS, "l: 0", body=b"abc")).body == b""
    assert refusal(octets(START, *HEADERS, "l: 4", body=b"abc")).request.method == "MESSAGE"


def test_the_body_in_a_stream() -> None:
    assert parse_request(octets(START, *HEADERS, "l: 3", body=b"abc"), is_datagram=False).body == b"abc"
    for data in (
        octets(START, *HEADERS, body=b"abc"),
        octets(START, *HEADERS, "l: 2", body=b"abc"),
        octets(START, *HEADERS, "l: 4", body=b"abc"),
    ):
        assert refusal(data, is_datagram=False).status == 400


def test_crlf_before_the_start_line_is_ignored() -> None:
    # RFC 3261 §7.5
    assert parse_request(b"\r\n\r\n\r\n" + octets(START, *HEADERS)).method == "MESSAGE"


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b"\n", b"x", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 9]
)
def test_what_is_not_sip_is_not_answered(data: bytes) -> None:
    assert refusal(data).request is None


def test_without_an_empty_line_after_the_headers_it_is_answered() -> None:
    error = refusal(octets(START, *HEADERS)[:-2])
    assert (error.status, error.request.call_id) == (400, "9f2c1b8a@192.0.2.17")


def test_folding() -> None:
    # RFC 3261 §7.3.1
    request = parse_request(
        octets(
            START,
            *HEADERS[:5],
            "CSeq:",
            " 1021",
            "\tMESSAGE",
            "Subject: I know you're there,",
            "         pick up the phone",
            " ",
            "Foo",
            " : bar",
        )
    )
    assert request.cseq == CSeq(1021, "MESSAGE")
    assert (request.headers.get("Subject") or "").split() == [
        "I",
        "know",
        "you're",
        "there,",
        "pick",
        "up",
        "the",
        "phone",
    ]
    assert request.headers.get("Foo") == "bar"


def test_the_start_line_is_not_folded() -> None:
    assert refusal(octets(START, f" {HEADERS[0]}", *HEADERS[1:])).request is None
    assert refusal(octets("MESSAGE sip:a@b", " SIP/2.0", *HEADERS[1:])).request is None


def test_a_header_that_is_changed_is_read_anew() -> None:
    request = parse_request(octets(START, *HEADERS))
    assert request.to.tag is None
    request.headers.set("To", str(request.to.with_param("tag", "x")))
    assert request.to.tag == "x"
    request.headers.remove("To")
    with pytest.raises(BadMessage, match="Missing To"):
        _ = request.to
    request.headers.set("To", '"x')
    with pytest.raises(BadMessage):
        _ = request.to


def test_the_top_via_of_a_list() -> None:
    request = parse_request(without("Via", 'Via: SIP/2.0/UDP a;x=",", SIP/2.0/UDP b', "v: SIP/2.0/UDP c"))
    assert request.via.host == "a"
    assert [via.host for via in request.vias] == ["a", "b", "c"]


def test_rendering_a_request() -> None:
    request = Request("MESSAGE", "sip:a@b", Headers([("to", "é"), ("v", "x"), ("v", "y"), ("l", "99")]), b"hi")
    assert (
        request.render()
        == "MESSAGE sip:a@b SIP/2.0\r\nTo: é\r\nVia: x\r\nVia: y\r\nContent-Length: 2\r\n\r\nhi".encode()
    )


def test_rendering_a_response() -> None:
    assert Response(404, "Not Found", Headers()).render() == b"SIP/2.0 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "message",
    [
        Request("ME SS", "sip:a@b", Headers()), Request("", "sip:a@b", Headers()),
        Request("MESSAGE", "sip:a b", Headers()),
        Request("MESSAGE", "sip:a@b SIP/2.0\r\nVia: x", Headers()), Request("MESSAGE", "sip:a\0", Headers()),
        Request("MESSAGE", "<sip:a@b>", Headers()), Response(99, "x", Headers()), Response(700, "x", Headers()),
        Response(200, "OK\r\nVia: x", Headers()), Response(200, "\0", Headers()),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_not_rendered(message: Request | Response) -> None:
    with pytest.raises(ValueError, match="line"):
        message.render()


def test_messages_are_equal_where_all_is() -> None:
    request = parse_request(octets(START, *HEADERS))
    assert request == parse_request(octets(START, *HEADERS))
    assert request != parse_request(octets(START, *HEADERS, body=b"x"))
    assert request != parse_message(octets("SIP/2.0 200 OK", *HEADERS), is_datagram=True)
    assert repr(request).startswith("Request('MESSAGE', 'sip:chat-room@example.com', Headers([('Via', ")


@given(sip.messages)
def test_a_message_is_read_as_it_was_rendered(message: Request | Response) -> None:
    data = message.render()
    for is_datagram in (True, False):
        read = parse_message(data, is_datagram=is_datagram)
        assert read == message
        assert read.render() == data


@given(sip.messages, st.binary(max_size=20))
def test_what_trails_a_datagram_is_dropped(message: Request | Response, tail: bytes) -> None:
    assert parse_message(message.render() + tail, is_datagram=True) == message
    if tail:
        assert refusal(message.render() + tail, is_datagram=False).status == 400


@given(sip.requests(), st.data())
def test_a_datagram_that_is_cut_off_is_refused(request: Request, data: st.DataObject) -> None:
    whole = request.render()
    refusal(whole[: data.draw(st.integers(0, len(whole) - 1))])


def check(data: bytes, is_datagram: bool) -> None:
    """Only BadMessage escapes, what is accepted is stable, and all of it may be sent again."""
    try:
        message = parse_message(data, is_datagram=is_datagram)
    except BadMessage as exc:
        message = exc.request
        if message is None:
            return
        assert message.via
        Headers(message.headers.items())
        return
    for mandatory in (message.via, message.from_, message.to, message.cseq, message.call_id):
        assert mandatory
    again = parse_message(message.render(), is_datagram=is_datagram)
    assert again == message
    assert again.render() == message.render()
    assert Headers(message.headers.items()) == message.headers
    for name in ("vias", "contacts", "routes", "record_routes", "paths", "content_type", "content_encodings", "accept"):
        with contextlib.suppress(BadMessage):
            getattr(message, name, None)


@given(st.binary(max_size=300), st.booleans())
def test_any_octets(data: bytes, is_datagram: bool) -> None:
    check(data, is_datagram)


@given(sip.mutated_messages(), st.booleans())
def test_messages_with_octets_changed(data: bytes, is_datagram: bool) -> None:
    check(data, is_datagram)


PIECES = st.sampled_from(
    [line.encode() + b"\r\n" for line in (START, "SIP/2.0 200 OK", *HEADERS, "l: 0", "m: *", " folded", "\tx", "X: y")]
    + [b"\r\n", b"\r", b"\n", b'"', b"<", b">", b",", b";", b":", b" ", b"\0", b"\xff", b"\\", b"="]
)


@given(st.lists(PIECES, max_size=14), st.booleans(), st.booleans())
def test_pieces_of_messages(pieces: list[bytes], has_start: bool, is_datagram: bool) -> None:
    start = octets(START, *HEADERS)[:-2] if has_start else b""
    check(start + b"".join(pieces) + b"\r\n\r\n", is_datagram)


def test_a_head_that_is_too_large_is_read_as_far_as_the_answer_needs() -> None:
    data = octets(START, *HEADERS, "Subject: " + "x" * 100, body=b"x" * 5000)
    head = data.index(b"\r\n\r\n") + 4
    for is_datagram in (True, False):
        whole = data if is_datagram else data.replace(b"\r\nSubject", b"\r\nl: 5000\r\nSubject")
        size = whole.index(b"\r\n\r\n") + 4
        assert parse_message(b"\r\n" + whole, is_datagram=is_datagram, max_head=size).body == b"x" * 5000
    with pytest.raises(BadMessage) as info:
        parse_message(data, is_datagram=True, max_head=head - 1)
    assert (info.value.status, info.value.reason) == (513, "Message Too Large")
    assert info.value.request is not None
    assert info.value.request.call_id == "9f2c1b8a@192.0.2.17"
    with pytest.raises(BadMessage, match="Too Large"):
        parse_message(octets("SIP/2.0 200 OK", *HEADERS), is_datagram=True, max_head=10)


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    read_fields = message_module._read_fields

    def count(lines: list[str], faults: list[Any], *, has_controls: bool) -> dict[str, list[str]] | None:
        read.append(len(lines))
        return read_fields(lines, faults, has_controls=has_controls)

    monkeypatch.setattr(message_module, "_read_fields", count)
    assert len(parse_request(octets(START, *HEADERS, *["X: x"] * 250)).headers.all("X")) == 250
    for line in ("X: x", "@:", " folded", "Via: SIP/2.0/UDP a", "From: x", "x"):
        fault = refusal(octets(START, *HEADERS, *[line] * 10_000))
        assert fault.status == 513
        assert (fault.request is None) == line.startswith("Via")
    assert max(read) == 257


@pytest.mark.parametrize(
    "data",
    [
        without("Via"),
        without("Call-ID"),
        without("From", "From: <"),
        without("From", "From: <sip:a@[>"),
        without("CSeq", "CSeq: x"),
        without("Via", "Via: SIP/2.0/UDP a;;;branch=x,,;"),
        octets(START, *HEADERS, "no header field", "To: <sip:b@example.com>", "l: x"),
        octets(START, *HEADERS, *["x: y"] * 300),
        octets(START + "x", *HEADERS),
        octets("\0", *HEADERS),
        octets("SIP/2.0 99 x", *HEADERS),
        octets("SIP/2.0 200 OK", *HEADERS, "x"),
        b"x",
    ],
)
def test_a_bad_message_leaves_no_garbage(data: bytes) -> None:
    def read() -> None:
        for is_datagram in (True, False):
            with contextlib.suppress(BadMessage):
                parse_message(data, is_datagram=is_datagram)

    read()
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            read()
        assert gc.collect() < 100
    finally:
        gc.enable()
