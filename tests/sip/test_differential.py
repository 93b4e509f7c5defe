"""Two other SIP parsers as oracles, on input where they are right.

sipmessage 0.7.1 and sippy read well what is plain; each has its limits, so the input keeps to what both sides must
read alike: a top label of letters, lower-case schemes, no quotes or escapes in a display name, values without ``%``.
Where they are alone on the torture messages is written down, so that nobody takes them for the truth. Input is kept
short: their patterns are not linear, and credentials are never given to them.
"""

from __future__ import annotations

import contextlib
from urllib.parse import unquote

import pytest
import sipmessage
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import BadMessage
from imc.sip.headers import parse_cseq, parse_media_type, parse_name_addr, parse_via
from imc.sip.message import Request, Response, parse_message
from imc.sip.uri import SipUri, TelUri, parse_uri
from tests import strategies as sip
from tests.sip.torture import RFC4475, RFC5118, Torture

with contextlib.redirect_stdout(None):
    from sippy.SipRequest import SipRequest
    from sippy.SipResponse import SipResponse
    from sippy.SipURL import SipURL

names = st.from_regex(r"[a-z][a-z0-9-]{0,5}[a-z0-9]", fullmatch=True).filter(lambda name: name != "self")
values = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
hosts = st.builds("{}.{}".format, names, st.sampled_from(("com", "example.org", "x"))) | sip.ipv4
any_hosts = hosts | st.sampled_from(("[2001:db8::1]", "[::1]", "[2001:db8:0:0:0:0:0:1]"))
users = st.from_regex(r"(?:[A-Za-z0-9_.!~*'()&=+$,-]|%4[1-9A-F]|%20|%40|%3B){1,10}", fullmatch=True)
params = st.dictionaries(names, st.none() | values, max_size=3).map(
    lambda items: "".join(f";{name}" if value is None else f";{name}={value}" for name, value in items.items())
)
ports = st.just("") | sip.ports.map(":{}".format)
userinfos = st.just("") | users.map("{}@".format) | st.builds("{}:{}@".format, users, values)
uris = st.builds("sip{}:{}{}{}{}".format, st.sampled_from(("", "s")), userinfos, any_hosts, ports, params)
# An addr-spec holds no comma (RFC 3261 §20).
plain_uris = st.builds("sip:{}@{}{}".format, users.filter(lambda user: "," not in user), any_hosts, ports)
displays = st.sampled_from(("", "Alice ", '"Alice" ', '"A, <b>; c" ', "T. Watson "))
addresses = st.builds("{}<{}>{}".format, displays, uris, params) | st.builds("{}{}".format, plain_uris, params)
via_texts = st.builds(
    "SIP/2.0/{} {}{};branch=z9hG4bK{}{}".format,
    st.sampled_from(("UDP", "TCP", "TLS")),
    any_hosts,
    ports,
    values,
    params,
)


def raw_params(value: object) -> dict[str, str | None]:
    return dict(value.params)  # type: ignore[attr-defined]


@given(uris)
def test_uris_as_sipmessage_reads_them(text: str) -> None:
    ours, theirs = parse_uri(text), sipmessage.URI.parse(text)
    assert isinstance(ours, SipUri)
    assert (ours.scheme, ours.host, ours.port) == (theirs.scheme, theirs.host, theirs.port)
    assert unquote(ours.user or "") == (theirs.user or "")
    assert ours.password == theirs.password
    assert raw_params(ours) == dict(theirs.parameters)


@given(st.from_regex(r"\+?[0-9][0-9.()-]{0,10}", fullmatch=True), params)
def test_tel_uris_as_sipmessage_reads_them(number: str, tail: str) -> None:
    ours, theirs = parse_uri(f"tel:{number}{tail}"), sipmessage.URI.parse(f"tel:{number}{tail}")
    assert isinstance(ours, TelUri)
    assert (ours.number, raw_params(ours)) == (theirs.user, dict(theirs.parameters))


# sippy keeps some parameters by their meaning, and ttl as a number: they are left out here.
@given(
    st.builds("sip:{}@{}{};{}".format, users, any_hosts, ports, st.sampled_from(("lr", "transport=tcp", "x=y", "z")))
)
def test_uris_as_sippy_reads_them(text: str) -> None:
    ours, theirs = parse_uri(text), SipURL(text)
    assert isinstance(ours, SipUri)
    assert (ours.scheme, ours.host, ours.port) == (theirs.scheme, theirs.host, theirs.port)
    assert unquote(ours.user or "") == theirs.username
    assert (ours.is_lr, ours.transport) == (theirs.lr, theirs.transport)


@given(addresses)
def test_addresses_as_sipmessage_reads_them(text: str) -> None:
    ours, theirs = parse_name_addr(text), sipmessage.Address.parse(text)
    assert (ours.display or "") == theirs.name
    assert sipmessage.URI.parse(str(ours.uri)) == theirs.uri
    assert raw_params(ours) == dict(theirs.parameters)
    assert sipmessage.Address.parse(str(ours)) == theirs


@given(via_texts)
def test_vias_as_sipmessage_reads_them(text: str) -> None:
    ours, theirs = parse_via(text), sipmessage.Via.parse(text)
    assert (ours.transport, ours.host, ours.port) == (theirs.transport, theirs.host, theirs.port)
    assert raw_params(ours) == dict(theirs.parameters)
    assert sipmessage.Via.parse(str(ours)) == theirs


@given(st.integers(0, 2**31 - 1), st.sampled_from(sip.METHODS))
def test_cseqs_as_sipmessage_reads_them(number: int, method: str) -> None:
    ours, theirs = parse_cseq(f"{number} {method}"), sipmessage.CSeq.parse(f"{number} {method}")
    assert (ours.number, ours.method) == (theirs.sequence, theirs.method)


@given(names, names, params.filter(lambda text: "=" in text and ";" not in text[1:]))
def test_media_types_as_sipmessage_reads_them(main: str, sub: str, tail: str) -> None:
    text = f"{main}/{sub}{tail}"
    ours, theirs = parse_media_type(text), sipmessage.MediaType.parse(text)
    assert (ours.essence, raw_params(ours)) == (theirs.mime_type, dict(theirs.parameters))


@st.composite
def plain_messages(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from(sip.METHODS))
    start = draw(st.just("SIP/2.0 200 OK") | plain_uris.map(f"{method} {{}} SIP/2.0".format))
    body = draw(st.sampled_from((b"", b"Hello", "Привет\r\n\r\nvoilà".encode())))
    lines = [
        start,
        *(f"{draw(st.sampled_from(('Via', 'v')))}: {via}" for via in draw(st.lists(via_texts, min_size=1, max_size=3))),
    ]
    lines += [f"{draw(st.sampled_from(('From', 'f', 'FROM')))}: {draw(addresses)}", f"t:  {draw(addresses)} "]
    lines += [f"Call-ID: {draw(values)}@{draw(hosts)}", f"CSeq: {draw(st.integers(1, 2**31 - 1))} {method}"]
    lines += [
        "Max-Forwards: 70",
        f"Subject: {draw(values)}",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@given(plain_messages())
def test_messages_as_sipmessage_reads_them(data: bytes) -> None:
    ours, theirs = parse_message(data, is_datagram=True), sipmessage.Message.parse(data)
    if isinstance(ours, Request):
        assert isinstance(theirs, sipmessage.Request)
        assert (ours.method, str(sipmessage.URI.parse(ours.uri))) == (theirs.method, str(theirs.uri))
    else:
        assert isinstance(ours, Response)
        assert isinstance(theirs, sipmessage.Response)
        assert (ours.status, ours.reason) == (theirs.code, theirs.phrase)
    assert [str(via) for via in ours.vias] == [str(via) for via in theirs.via]
    assert sipmessage.Address.parse(str(ours.from_)) == theirs.from_address
    assert sipmessage.Address.parse(str(ours.to)) == theirs.to_address
    assert (ours.call_id, ours.cseq.number, ours.cseq.method) == (
        theirs.call_id,
        theirs.cseq.sequence,
        theirs.cseq.method,
    )
    assert (ours.headers.get("Subject"), ours.body) == (theirs.headers.get("Subject"), theirs.body)
    # and what is written here is read there
    assert sipmessage.Message.parse(ours.render()).body == theirs.body


@given(plain_messages())
def test_messages_as_sippy_reads_them(data: bytes) -> None:
    ours = parse_message(data, is_datagram=True)
    theirs = (SipRequest if isinstance(ours, Request) else SipResponse)(data.decode("latin-1"))
    assert ours.call_id == str(theirs.getHFBody("call-id"))
    assert (ours.cseq.number, ours.cseq.method) == theirs.getHFBody("cseq").getCSeq()
    assert ours.from_.tag == theirs.getHFBody("from").getTag()
    assert ours.to.tag == theirs.getHFBody("to").getTag()
    branches = []
    for via in theirs.getHFBodys("via"):
        via.parse()
        branches.append((via.hostname, via.port, via.getBranch()))
    assert [(via.host, via.port, via.branch) for via in ours.vias] == branches


# Where sipmessage is alone with its verdict: it refuses white space about "/" and "=", an absoluteURI that is not tel,
# headers in a URI, and some IPv6; it accepts what it does not look at.
SIPMESSAGE_REFUSES = frozenset(
    {
        "escruri",
        "ipv6-correct-abnf-2-colons",
        "novelsc",
        "unkscm",
        "unksm2",
        "via-received-param-no-delim",
        "wsinv",
    }
)
SIPMESSAGE_ACCEPTS = frozenset({"bigcode", "clerr", "mcl01", "mismatch01", "mismatch02", "multi01", "ncl", "scalarlg"})


def is_accepted_by_sipmessage(case: Torture) -> bool:
    try:
        message = sipmessage.Message.parse(case.data)
        _ = (message.via, message.from_address, message.to_address, message.call_id, message.cseq, message.max_forwards)
    except (ValueError, KeyError):
        return False
    return True


@pytest.mark.parametrize("case", RFC4475 + RFC5118, ids=repr)
def test_where_sipmessage_is_alone(case: Torture) -> None:
    try:
        parse_message(case.data, is_datagram=True)
        is_accepted = True
    except BadMessage:
        is_accepted = False
    is_alone = is_accepted_by_sipmessage(case) != is_accepted
    assert is_alone == (case.name in (SIPMESSAGE_REFUSES if is_accepted else SIPMESSAGE_ACCEPTS))
