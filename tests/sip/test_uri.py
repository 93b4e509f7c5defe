from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.errors import BadMessage
from imc.sip.uri import OtherUri, SipUri, TelUri, canonical_escapes, parse_uri
from tests import strategies as sip


def sip_uri(text: str) -> SipUri:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    return uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:example.com", SipUri("sip", None, None, "example.com")),
        ("sip:alice@Example.com", SipUri("sip", "alice", None, "example.com")),
        ("SIPS:alice:secret@example.com:5061", SipUri("sips", "alice", "secret", "example.com", 5061)),
        ("sip:alice:@example.com", SipUri("sip", "alice", "", "example.com")),
        (
            "sip:alice@example.com;transport=TCP;lr?Subject=x&Priority=",
            SipUri(
                "sip",
                "alice",
                None,
                "example.com",
                None,
                (("transport", "TCP"), ("lr", None)),
                (("Subject", "x"), ("Priority", "")),
            ),
        ),
        ("sip:a?b;c/d@example.com", SipUri("sip", "a?b;c/d", None, "example.com")),
        ("sip:%61;par=u%40example.net@example.com", SipUri("sip", "%61;par=u%40example.net", None, "example.com")),
        ("sip:user@[2001:db8::1]:5070", SipUri("sip", "user", None, "[2001:db8::1]", 5070)),
        ("tel:+1-201-555-0123", TelUri("+1-201-555-0123")),
        ("TEL:7042;phone-context=example.com", TelUri("7042", (("phone-context", "example.com"),))),
        ("HTTP://example.com/a?b=c", OtherUri("http", "//example.com/a?b=c")),
        ("soap.beep://192.0.2.103:3002", OtherUri("soap.beep", "//192.0.2.103:3002")),
    ],
)
def test_reading_a_uri(text: str, uri: object) -> None:
    assert parse_uri(text) == uri
    assert parse_uri(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    [
        "", "sip", "sip:", ":", "alice@example.com", "sip:@example.com", "sip:alice@", "sip:alice@@example.com",
        "sip:alice@example.com@example.org", "sip:a b@example.com", "sip:alice@example.com ", " sip:alice@example.com",
        "<sip:alice@example.com>", "sip:alice@example.com>", 'sip:"alice"@example.com', "sip:alice@exa mple.com",
        "sip:al%6ice@example.com", "sip:al%6@example.com", "sip:alice%@example.com", "sip:a\\b@example.com",
        "sip:alice@example.com:", "sip:alice@example.com:0", "sip:alice@example.com:99999", "sip:a@example.com:5060x",
        "sip:alice@example.com;", "sip:alice@example.com;;lr", "sip:alice@example.com;=x", "sip:alice@example.com;lr=",
        "sip:a@example.com;a;A", "sip:a@example.com;%61;a", "sip:alice@example.com;a=b=c", "sip:alice@example.com;é",
        "sip:alice@example.com?", "sip:alice@example.com?a", "sip:alice@example.com?=b", "sip:alice@example.com?a=b&",
        "sip:alice@example.com?a=b?c=d;e", "sip:2001:db8::10", "sip:[2001:db8::10", "sip:alice\r\n@example.com",
        "sip:alice@example.com\r\nVia: x", "sip:alice\0@example.com", "tel:", "tel:+", "tel:abcxyz", "tel:+1;", "1a:b",
        "http:", "http:a b", "http:<a>", "http:é", "http:a%zz", "ſip:alice@example.com",
    ],
)  # fmt: skip
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_uri(text)


@pytest.mark.parametrize("text", ["sip:a:b@example.com:5060;lr;x=y?h=v", "tel:+1;a=b", "urn:service:sos"])
@pytest.mark.parametrize("tail", [" ", ">", '"', "\r\n", "\0", "\t", "^", "{", "é"])
def test_nothing_may_trail_a_uri(text: str, tail: str) -> None:
    with pytest.raises(BadMessage):
        parse_uri(text + tail)


# The sets of RFC 3261 §19.1.4, and what follows from its rules.
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a%3ab@c", "sip:a%3Ab@c"),
        ("sip:a@c;%6C%72", "sip:a@c;lr"),
        ("sip:a@c.", "sip:a@c"),
    ],
)
def test_uris_that_match(one: str, other: str) -> None:
    assert sip_uri(one).matches(sip_uri(other))
    assert sip_uri(other).matches(sip_uri(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:b"),
        ("sip:a@b", "sip:a:x@b"),
        ("sip:a:@b", "sip:a@b"),
        ("sip:a:x@b", "sip:a:X@b"),
        ("sip:a@b", "sip:a@b;user=phone"),
        ("sip:a@b", "sip:a@b;ttl=1"),
        ("sip:a@b", "sip:a@b;method=INVITE"),
        ("sip:a@b", "sip:a@b;maddr=192.0.2.1"),
        ("sip:a%40b@c", "sip:a%2540b@c"),
        ("sip:%00@c", "sip:%00%00@c"),
    ],
)
def test_uris_that_do_not_match(one: str, other: str) -> None:
    assert not sip_uri(one).matches(sip_uri(other))
    assert not sip_uri(other).matches(sip_uri(one))


def test_a_sip_uri_matches_no_other_uri() -> None:
    assert not sip_uri("sip:a@b").matches(parse_uri("tel:+1"))


@given(sip.sip_uris())
def test_a_uri_matches_itself_whatever_its_escapes(text: str) -> None:
    uri = sip_uri(text)
    assert uri.matches(uri)
    assert uri.matches(sip_uri(str(uri)))


@given(sip.uris)
def test_a_uri_is_rendered_as_it_was_read(text: str) -> None:
    uri = parse_uri(text)
    assert parse_uri(str(uri)) == uri
    assert str(parse_uri(str(uri))) == str(uri)
    assert hash(parse_uri(str(uri))) == hash(uri)


@given(st.text(st.sampled_from('sip:tel@.;?=&%0aZ[]<>"+-é \r\n') | st.characters(), max_size=30), st.booleans())
def test_only_bad_message_escapes(text: str, has_scheme: bool) -> None:
    try:
        uri = parse_uri("sip:" + text if has_scheme else text)
    except BadMessage:
        return
    assert parse_uri(str(uri)) == uri


def test_the_parts_of_a_uri() -> None:
    uri = sip_uri("sips:%61lice@example.com;Transport=%54CP;maddr=192.0.2.1;LR;x=%41")
    assert uri.aor == Aor("alice", "example.com")
    assert uri.aor is uri.aor
    assert uri.transport == "tcp"
    assert uri.maddr == "192.0.2.1"
    assert uri.is_lr
    assert uri.is_secure
    assert uri.param("x") == "%41"
    assert uri.param("lr") == ""
    assert uri.param("y") is None


def test_the_parts_of_a_bare_uri() -> None:
    uri = sip_uri("sip:example.com")
    assert (uri.transport, uri.maddr, uri.is_lr, uri.is_secure) == (None, None, False, False)
    with pytest.raises(ValueError, match="without user"):
        _ = uri.aor


def test_a_parameter_is_found_by_what_its_name_stands_for() -> None:
    # RFC 4475 §3.1.1.3: unescaped once, never again
    uri = sip_uri("sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31")
    assert uri.is_lr
    assert canonical_escapes(uri.param("name") or "") == "value%2541"


def test_escapes_of_line_ends_stay_escapes() -> None:
    uri = sip_uri("sip:a%0d%0aVia:%20x@example.com")
    assert str(uri) == "sip:a%0d%0aVia:%20x@example.com"
    assert uri.aor.user == "a%0D%0AVia"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("abc", "abc"), ("%61", "a"), ("%3b", "%3B"), ("%2541", "%2541"), ("%7e%7E", "~~"), ("%00%c3%a9", "%00%C3%A9")],
)
def test_canonical_escapes(text: str, canonical: str) -> None:
    assert canonical_escapes(text) == canonical
    assert canonical_escapes(canonical) == canonical


def test_a_long_uri_is_read_too() -> None:
    text = f"sip:{'a' * 5000}@example.com;{'b' * 5000}"
    assert str(parse_uri(text)) == text


def test_parameters_and_headers_of_a_uri_are_bounded() -> None:
    params, headers = [f";p{n}" for n in range(65)], [f"h{n}=x" for n in range(65)]
    uri = parse_uri("sip:a@b" + "".join(params[1:]) + "?" + "&".join(headers[1:]))
    assert isinstance(uri, SipUri)
    assert (len(uri.params), len(uri.headers)) == (64, 64)
    for text in ("sip:a@b" + "".join(params), "tel:1" + "".join(params), "sip:a@b?" + "&".join(headers)):
        with pytest.raises(BadMessage):
            parse_uri(text)
