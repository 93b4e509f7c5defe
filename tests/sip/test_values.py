from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import BadMessage
from imc.sip.values import (
    Auth,
    MediaType,
    Warn,
    parse_accept,
    parse_auth,
    parse_date,
    parse_delta_seconds,
    parse_max_forwards,
    parse_media_type,
    parse_qvalue,
    parse_retry_after,
    parse_tokens,
    parse_warnings,
    render_date,
    split_values,
)
from tests import strategies as sip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text/plain", MediaType("text", "plain")),
        ("Text / PLAIN", MediaType("text", "plain")),
        ("text/plain;Charset=UTF-8", MediaType("text", "plain", (("charset", "UTF-8"),))),
        ('multipart/mixed ; boundary = "a;b"', MediaType("multipart", "mixed", (("boundary", '"a;b"'),))),
        ("application/im-iscomposing+xml", MediaType("application", "im-iscomposing+xml")),
        ("*/*;q=0.1", MediaType("*", "*", (("q", "0.1"),))),
    ],
)
def test_reading_a_media_type(text: str, value: MediaType) -> None:
    assert parse_media_type(text) == value
    assert parse_media_type(str(value)) == value


@pytest.mark.parametrize(
    "text", ["", "text", "text/", "/plain", "text/plain/x", "text/pl ain", "a,b/c", "text/plain;", "text/plain x"]
)
def test_what_is_no_media_type(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_media_type(text)


def test_the_parts_of_a_media_type() -> None:
    value = parse_media_type('multipart/mixed;boundary="a b";q=0.25')
    assert (value.essence, value.param("boundary"), value.q) == ("multipart/mixed", "a b", 250)
    assert parse_media_type("text/plain").q == 1000


def test_ranges_of_accept() -> None:
    assert parse_accept([""]) == []
    ranges = parse_accept(["text/*;q=0.5, application/sdp", "*/*"])
    assert [str(item) for item in ranges] == ["text/*;q=0.5", "application/sdp", "*/*"]
    plain = MediaType("text", "plain")
    assert [item.covers(plain) for item in ranges] == [True, False, True]


def test_lists_of_tokens() -> None:
    assert parse_tokens([]) == []
    assert parse_tokens([""]) == []
    assert parse_tokens(["path, outbound", "gruu"]) == ["path", "outbound", "gruu"]
    assert split_values(["", 'a ,"b,c"']) == ["a", '"b,c"']


@pytest.mark.parametrize("values", [["a,"], [",a"], ["a,,b"], ["a b"], ["a;q=1"], ['"a"'], ["a", ","]])
def test_what_are_no_lists_of_tokens(values: list[str]) -> None:
    with pytest.raises(BadMessage):
        parse_tokens(values)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("3600", 3600), ("4294967295", 2**32 - 1), ("1" + "0" * 100, 2**32 - 1)]
)
def test_delta_seconds(text: str, value: int) -> None:
    assert parse_delta_seconds(text) == value


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("0068", 68), ("255", 255), ("300", 255)])
def test_max_forwards(text: str, value: int) -> None:
    assert parse_max_forwards(text) == value


@pytest.mark.parametrize("parse", [parse_delta_seconds, parse_max_forwards])
@pytest.mark.parametrize("text", ["", "-1", "1 ", "1;x", "a", "1.5"])
def test_numbers_that_are_none(parse: Callable[[str], int], text: str) -> None:
    with pytest.raises(BadMessage):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("0.", 0), ("0.5", 500), ("0.123", 123), ("1", 1000), ("1.000", 1000)]
)
def test_qvalue(text: str, value: int) -> None:
    assert parse_qvalue(text) == value


@pytest.mark.parametrize("text", ["", "2", "1.1", "0.1234", ".5", "-0", "0,5", "0.5 ", "٠"])
def test_what_is_no_qvalue(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_qvalue(text)


def test_a_date() -> None:
    date = datetime(2010, 11, 13, 23, 29, 0, tzinfo=UTC)
    assert parse_date("Sat, 13 Nov 2010 23:29:00 GMT") == date
    assert render_date(date.timestamp()) == "Sat, 13 Nov 2010 23:29:00 GMT"


@pytest.mark.parametrize(
    "text",
    ["", "Fri, 01 Jan 2010 16:00:00 EST", "Fri, 01 Jan 2010 16:00:00 UTC", "Fri, 1 Jan 2010 16:00:00 GMT",
     "Fri, 31 Feb 2010 16:00:00 GMT", "Fri, 01 Jan 2010 24:00:00 GMT", "Fri, 01 Jan 0000 00:00:00 GMT",
     "Fri, 01 Jan 2010 16:00:00 GMT ", "01 Jan 2010 16:00:00 GMT"],
)  # fmt: skip
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_date(text)


@given(st.integers(0, 2**32))
def test_a_date_is_read_as_it_was_rendered(wall: int) -> None:
    assert parse_date(render_date(wall)).timestamp() == wall


def test_warnings() -> None:
    values = ['307 isi.edu "Session, \\"x\\"", 301 192.0.2.1:5060 "No"', '399 [2001:db8::1] ""']
    assert parse_warnings(values) == [
        Warn(307, "isi.edu", 'Session, "x"'),
        Warn(301, "192.0.2.1:5060", "No"),
        Warn(399, "[2001:db8::1]", ""),
    ]
    assert str(Warn(307, "isi.edu", 'a "b"')) == '307 isi.edu "a \\"b\\""'
    with pytest.raises(ValueError, match="CR and LF"):
        str(Warn(399, "imc", "a\r\nb"))


@pytest.mark.parametrize(
    "text",
    [
        '1812 overture "x"',
        '30 a "x"',
        "307 a x",
        '307 "x"',
        '307 a "x" y',
        '307  a "x"',
        '307 a "x',
        '307 a "x" "y"',
    ],
)
def test_what_are_no_warnings(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_warnings([text])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), ("18000;duration=3600", 18000), ("120 (I'm in a meeting)", 120), ("1 (a) ;x", 1), ("9" * 30, 2**32 - 1)],
)
def test_retry_after(text: str, seconds: int) -> None:
    assert parse_retry_after(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "a", "1 a", "1,2", "(x)"])
def test_what_is_no_retry_after(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_retry_after(text)


def test_credentials() -> None:
    auth = parse_auth(
        'Digest username="bob",realm = "a, b" , NONCE="x=\\"y\\"",uri="sip:a,b@c" ,\tnc=00000001, qop=auth, '
        'response="00"'
    )
    assert auth == Auth(
        "Digest",
        {
            "username": "bob",
            "realm": "a, b",
            "nonce": 'x="y"',
            "uri": "sip:a,b@c",
            "nc": "00000001",
            "qop": "auth",
            "response": "00",
        },
    )


def test_credentials_of_an_unknown_scheme() -> None:
    # RFC 4475 §3.3.7
    assert parse_auth("NoOneKnowsThisScheme opaque-data=here") == Auth("NoOneKnowsThisScheme", {"opaque-data": "here"})
    assert parse_auth(" Digest \t a=b ") == Auth("Digest", {"a": "b"})


@pytest.mark.parametrize(
    "text",
    ["", "Digest", "Digest ", "Di@gest a=b", "Digest a", "Digest a=", "Digest =b", "Digest a=b,", "Digest a=b,,c=d",
     "Digest a=b, A=c", 'Digest a="b', 'Digest a="b"c', "Digest a=b c", "Digest a=<b>", "Digest a b=c", "Basic YTpi"],
)  # fmt: skip
def test_what_are_no_credentials(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_auth(text)


PARSERS: list[Callable[[str], Any]] = [
    parse_media_type,
    parse_delta_seconds,
    parse_max_forwards,
    parse_qvalue,
    parse_date,
    parse_retry_after,
    parse_auth,
    lambda text: parse_tokens([text]),
    lambda text: parse_accept([text]),
    lambda text: parse_warnings([text]),
    lambda text: split_values([text]),
]


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text(st.sampled_from('<>";,=\\*/ \tab01.GMT:') | sip.header_chars, max_size=30))
def test_only_bad_message_escapes(parse: Callable[[str], Any], text: str) -> None:
    try:
        parse(text)
    except BadMessage:
        return


def test_lists_and_credentials_are_bounded() -> None:
    assert len(parse_tokens([",".join(["x"] * 256)])) == 256
    with pytest.raises(BadMessage):
        parse_tokens([",".join(["x"] * 257)])
    params = [f'p{n}="x"' for n in range(65)]
    assert len(parse_auth("Digest " + ",".join(params[1:])).params) == 64
    with pytest.raises(BadMessage):
        parse_auth("Digest " + ",".join(params))
