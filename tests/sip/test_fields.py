from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import BadMessage
from imc.sip.fields import Headers, canonical_name
from tests import strategies as sip


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("Via", "Via"), ("v", "Via"), ("V", "Via"), ("VIA", "Via"), ("vIa", "Via"), ("i", "Call-ID"),
        ("call-id", "Call-ID"),
        ("cseq", "CSeq"), ("CSEQ", "CSeq"), ("l", "Content-Length"), ("www-authenticate", "WWW-Authenticate"),
        ("imc-event", "IMC-Event"), ("x-Foo-BAR", "X-Foo-Bar"), ("-", "-"), ("X" * 300, "X" + "x" * 299),
        ("C%6Fntact", "C%6fntact"),
    ],
)  # fmt: skip
def test_a_name_has_one_spelling(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical
    assert canonical_name(canonical) == canonical


@pytest.mark.parametrize("name", ["", " ", "Via ", "Vi a", "Via:", "Vía", "\u212a", "V\r\nia", "a@b", "\0", "é" * 100])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="header name"):
        canonical_name(name)
    headers = Headers()
    for change in (headers.add, headers.set):
        with pytest.raises(ValueError, match="header name"):
            change(name, "x")
    assert len(headers) == 0


def test_an_ordered_multimap() -> None:
    headers = Headers([("Via", "a"), ("To", "x"), ("v", " b ")])
    headers.add("VIA", "c")
    assert headers.get("via") == "a"
    assert headers.all("V") == ["a", "b", "c"]
    assert headers.get("From") is None
    assert headers.all("From") == []
    assert list(headers.items()) == [("Via", "a"), ("Via", "b"), ("Via", "c"), ("To", "x")]
    assert ("t" in headers, "From" in headers, len(headers)) == (True, False, 4)
    headers.set("via", "d", "e")
    assert headers.all("Via") == ["d", "e"]
    headers.set("Via")
    headers.remove("To")
    headers.remove("To")
    assert list(headers.items()) == []


def test_a_list_of_values_is_the_callers() -> None:
    headers = Headers([("Via", "a")])
    headers.all("Via").append("b")
    assert headers.all("Via") == ["a"]


def test_a_copy_is_another() -> None:
    headers = Headers([("Via", "a")])
    copy = headers.copy()
    assert copy == headers
    copy.add("Via", "b")
    assert copy != headers
    assert headers.all("Via") == ["a"]
    assert headers != [("Via", "a")]


def test_values_of_a_list() -> None:
    headers = Headers([("Supported", "path, gruu"), ("k", ""), ("k", "outbound")])
    assert headers.values("Supported") == ["path", "gruu", "outbound"]
    headers.set("Contact", '"a,b" <sip:a,b@c>, <sip:d@e>')
    assert headers.values("m") == ['"a,b" <sip:a,b@c>', "<sip:d@e>"]
    headers.set("Contact", '<sip:a@b>, "c')
    with pytest.raises(BadMessage):
        headers.values("Contact")


@pytest.mark.parametrize("value", ["a\r\nVia: x", "a\r", "\n", "a\0b", "\x1b", "\x7f", '"\0"', "\ud800", "a\r\n b"])
def test_what_cannot_be_sent_is_refused(value: str) -> None:
    headers = Headers([("To", "x")])
    for change in (headers.add, headers.set):
        with pytest.raises(ValueError, match="header value"):
            change("To", value)
    assert list(headers.items()) == [("To", "x")]


@pytest.mark.parametrize("value", ["", "a%0d%0aVia:%20x", "é\t大", "\udcff", '"\\\0"'])
def test_what_can_be_sent_is_kept_as_it_is(value: str) -> None:
    assert Headers([("To", value)]).get("To") == value


@given(st.lists(st.tuples(sip.tokens, sip.header_texts), max_size=6))
def test_the_order_of_one_names_values_is_kept(items: list[tuple[str, str]]) -> None:
    headers = Headers(items)
    for name, _ in items:
        expected = [value.strip(" \t") for other, value in items if canonical_name(other) == canonical_name(name)]
        assert headers.all(name) == expected
    assert Headers(headers.items()) == headers
    assert len(headers) == len(items)
