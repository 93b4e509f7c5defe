"""RFC 4475 and RFC 5118: each message as the RFC says, as a datagram and over a stream."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imc.errors import BadMessage
from imc.sip.framing import StreamFramer
from imc.sip.headers import parse_auth, parse_date
from imc.sip.message import Message, Request, Response, parse_message
from imc.sip.uri import OtherUri, SipUri, canonical_escapes
from tests.sip.torture import MULTIPART, RFC4475, RFC5118, SDP, Torture

ALL = RFC4475 + RFC5118
BY_NAME = {case.name: case for case in ALL}
READ_LATER: dict[str, Callable[[Message], object]] = {
    "contacts": lambda message: message.contacts,
    "date": lambda message: parse_date(message.headers.get("Date") or ""),
}


def read(name: str) -> Request:
    message = parse_message(BY_NAME[name].data, is_datagram=True)
    assert isinstance(message, Request)
    return message


def read_response(name: str) -> Response:
    message = parse_message(BY_NAME[name].data, is_datagram=True)
    assert isinstance(message, Response)
    return message


def test_all_are_here() -> None:
    assert (len(RFC4475), len(RFC5118), len(BY_NAME)) == (49, 12, 61)


@pytest.mark.parametrize("case", [case for case in ALL if case.status is None], ids=repr)
def test_what_is_accepted(case: Torture) -> None:
    # spec S-READ-1
    message = parse_message(case.data, is_datagram=True)
    assert parse_message(message.render(), is_datagram=True) == message
    for name, later in READ_LATER.items():
        if name == case.lazy:
            with pytest.raises(BadMessage):
                later(message)


@pytest.mark.parametrize("case", [case for case in ALL if case.status is not None], ids=repr)
def test_what_is_refused(case: Torture) -> None:
    # spec S-READ-1
    with pytest.raises(BadMessage) as info:
        parse_message(case.data, is_datagram=True)
    assert info.value.status == case.status
    assert (info.value.request is not None) == case.is_answerable
    if info.value.request is not None:
        assert info.value.request.via.host


# What a stream makes of them: those that give no length that can be right end it.
ENDS_THE_STREAM = {"ncl", "mcl01", "inv2543"}
WAITS_FOR_MORE = {"clerr"}


@pytest.mark.parametrize("case", ALL, ids=repr)
def test_in_a_stream(case: Torture) -> None:
    framer = StreamFramer(100_000)
    items = []
    try:
        for at in range(len(case.data)):
            items += list(framer.feed(case.data[at : at + 1]))
    except BadMessage:
        assert case.name in ENDS_THE_STREAM
        return
    assert case.name not in ENDS_THE_STREAM
    assert framer.is_mid_message == (case.name in WAITS_FOR_MORE)
    assert b"".join(item for item in items if isinstance(item, bytes)) == (b"" if framer.is_mid_message else case.data)
    assert len(items) == {"dblreq": 2, "clerr": 0}.get(case.name, 1)


def test_wsinv() -> None:
    request = read("wsinv")
    assert request.to.tag == "1918181833n"
    assert request.from_.display == 'J Rosenberg \\"'
    assert request.from_.tag == "98asjd8"
    assert (request.max_forwards, request.cseq.number, request.cseq.method) == (68, 9, "INVITE")
    assert [(via.transport, via.host, via.branch) for via in request.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert request.headers.get("Subject") == ""
    assert (request.headers.get("NewFangledHeader") or "").split() == [
        "newfangled",
        "value",
        "continued",
        "newfangled",
        "value",
    ]
    assert request.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    (contact,) = request.contacts
    assert (contact.display, contact.q, contact.param("newparam"), contact.param("secondparam")) == (
        'Quoted string ""', 330, "newvalue", "",
    )  # fmt: skip
    (route,) = request.routes
    assert route.sip_uri.is_lr
    assert route.sip_uri.param("unknownwith") == "value"
    assert request.body == SDP


def test_intmeth() -> None:
    request = read("intmeth")
    assert request.method == request.cseq.method == "!interesting-Method0123456789_*+`.%indeed'~"
    uri = request.request_uri
    assert isinstance(uri, SipUri)
    assert uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert request.to.display == "BEL:\x07 NUL:\0 DEL:\x7f"
    assert request.from_.display == "token1~` token2'+_ token3*%!.-"
    assert request.from_.param("fromparam''~+*_!.-%") == "работающий"
    assert request.from_.tag == "_token~1'+`*%!-."
    assert request.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"


def test_esc01() -> None:
    request = read("esc01")
    uri = request.request_uri
    assert isinstance(uri, SipUri)
    assert uri.user == "sips%3Auser%40example.com"
    assert request.to.sip_uri.aor.user == "user"
    (contact,) = request.contacts
    assert contact.sip_uri.is_lr
    assert canonical_escapes(contact.sip_uri.param("name") or "") == "value%2541"


def test_escnull() -> None:
    request = read("escnull")
    assert request.to.sip_uri.aor.user == "null-%00-null"
    one, other = request.contacts
    assert not one.sip_uri.matches(other.sip_uri)


def test_esc02() -> None:
    request = read("esc02")
    assert request.method == "RE%47IST%45R"
    assert request.from_.display == "%Z%45"
    assert len(request.contacts) == 2


def test_longreq() -> None:
    request = read("longreq")
    assert len(request.vias) == 34
    assert request.via.host == "sip33.example.com"
    assert request.from_.tag == "12" + "982" * 50 + "424"


def test_dblreq() -> None:
    request = read("dblreq")
    assert (request.method, request.body) == ("REGISTER", b"")
    assert b"INVITE" not in request.render()


def test_mpart01() -> None:
    assert read("mpart01").body == MULTIPART


def test_transports() -> None:
    assert [via.transport for via in read("transports").vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_reason_phrases() -> None:
    assert read_response("unreason").reason.startswith("= 2**3 * 5**2 но сто")
    assert read_response("noreason").reason == ""


def test_unknown_schemes() -> None:
    assert read("unkscm").request_uri == OtherUri("nobodyknowsthisscheme", "totallyopaquecontent")
    assert read("novelsc").request_uri == OtherUri("soap.beep", "//192.0.2.103:3002")
    request = read("unksm2")
    with pytest.raises(BadMessage):
        _ = request.to.sip_uri


def test_an_unknown_scheme_of_authorization() -> None:
    assert parse_auth(read("regaut01").headers.get("Authorization") or "").scheme == "NoOneKnowsThisScheme"


def test_parameters_of_contacts() -> None:
    (contact,) = read("cparam01").contacts
    assert (contact.param("unknownparam"), contact.sip_uri.params) == ("", ())
    (contact,) = read("cparam02").contacts
    assert (contact.params, contact.sip_uri.param("unknownparam")) == ((), "")
    (contact,) = read("regescrt").contacts
    assert str(contact.uri) == "sip:user@example.com?Route=%3Csip:sip.example.com%3E"


def test_escaped_headers_never_become_headers() -> None:
    # spec S-READ-7
    request = read("escruri")
    assert "Route" not in request.headers
    assert b"\r\nRoute" not in request.render()


def test_an_old_request() -> None:
    request = read("inv2543")
    assert (request.via.branch, request.from_.tag, request.max_forwards, request.body) == (None, None, None, SDP)


def test_the_port_of_an_ipv6_reference() -> None:
    ports = []
    for name in ("port-ambiguous", "port-unambiguous"):
        uri = read(name).request_uri
        assert isinstance(uri, SipUri)
        ports.append((uri.host, uri.port))
    assert ports == [("[2001:db8::10:5070]", None), ("[2001:db8::10]", 5070)]


def test_received_with_and_without_brackets() -> None:
    names = ("via-received-param-with-delim", "via-received-param-no-delim")
    assert [read(name).via.received for name in names] == ["2001:db8::9:255", "2001:db8::9:255"]
