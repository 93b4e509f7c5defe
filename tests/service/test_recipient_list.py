"""Lists of recipients as they come, and as they are sent on (RFC 5365, RFC 4826, RFC 5364)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.errors import BadMessage
from imc.service.recipient_list import Entry, compose, read_list_message, split_parts
from imc.sip.values import parse_media_type

KIND = parse_media_type('multipart/mixed;boundary="b 1"')
TEXT = b"Content-Type: text/plain;charset=utf-8\r\n\r\nhello\r\n--b\r\n"


def listed(*entries: str, more: str = "") -> bytes:
    """The part of a list; an entry is a URI, with further attributes behind a blank."""
    inner = "".join(f'<entry uri="{uri}" {rest}/>' for uri, _, rest in (each.partition(" ") for each in entries))
    return (
        "Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n"
        '<?xml version="1.0" encoding="UTF-8"?>\n<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists" '
        f'xmlns:cp="urn:ietf:params:xml:ns:copycontrol"><list>{inner}{more}</list></resource-lists>'
    ).encode()


def multipart(*parts: bytes, boundary: str = "b 1", end: bytes = b"--") -> bytes:
    mark = f"--{boundary}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + end


def user(name: str) -> Aor:
    return Aor(name, "example.com")


def test_a_list_is_read() -> None:
    """S-LIST-1, S-LIST-3: each once, headers of URIs left aside."""
    uris = ("sip:bob@example.com", "sip:BOB@example.com cp:copyControl='to'", "sips:bob@EXAMPLE.com;x=y?Subject=z")
    entries = listed(*uris, "sip:carol@example.com cp:copyControl='bcc' cp:anonymize='true'")
    message = read_list_message(KIND, b"preamble" + b"\r\n" + multipart(TEXT, entries) + b"\r\nepilogue"[:2], 3)
    assert message.entries == (
        Entry(user("bob"), "", False), Entry(user("BOB"), "to", False), Entry(user("carol"), "bcc", True),
    )  # fmt: skip
    assert [part.body for part in message.parts] == [b"hello\r\n--b\r\n"]


def test_one_body_is_sent_by_itself() -> None:
    """S-LIST-4."""
    message = read_list_message(KIND, multipart(listed("sip:bob@example.com"), TEXT), 3)
    assert compose(message, "new") == ("text/plain;charset=utf-8", b"hello\r\n--b\r\n")
    plain = read_list_message(KIND, multipart(listed("sip:bob@example.com"), b"\r\nhi"), 3)
    assert compose(plain, "new") == ("text/plain", b"hi")


def test_several_bodies_and_who_else_is_told() -> None:
    """S-LIST-4: to and cc are named, bcc and untagged are not, the anonymous are counted."""
    entries = listed(
        "sip:a@example.com cp:copyControl='to'", "sip:b@example.com cp:copyControl='cc'", "sip:c@example.com",
        "sip:d@example.com cp:copyControl='bcc'", "sip:e@example.com cp:copyControl='to' cp:anonymize='true'",
        "sip:f@example.com cp:copyControl='to' cp:anonymize='1'",
    )  # fmt: skip
    picture = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x89PNG\x00"
    message = read_list_message(KIND, multipart(TEXT, entries, picture), 9)
    content_type, body = compose(message, "new")
    kind = parse_media_type(content_type)
    parts = split_parts(kind, body)
    assert [part.raw for part in parts[:2]] == [TEXT, picture]
    history = parts[2]
    assert history.headers["content-disposition"] == "recipient-list-history; handling=optional"
    assert history.headers["content-type"] == "application/resource-lists+xml"
    assert history.body.decode().partition("<list>")[2] == (
        '<entry uri="sip:a@example.com" cp:copyControl="to" /><entry uri="sip:b@example.com" cp:copyControl="cc" />'
        '<entry uri="sip:anonymous@anonymous.invalid" cp:copyControl="to" cp:count="2" /></list></resource-lists>'
    )
    encoded = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGk="
    alone = compose(read_list_message(KIND, multipart(encoded, listed("sip:a@example.com")), 9), "new")
    assert alone == ('multipart/mixed;boundary="new"', b"--new\r\n" + encoded + b"\r\n--new--\r\n")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (multipart(TEXT), 400),
        (multipart(listed("sip:bob@example.com")), 400),
        (multipart(TEXT, listed("sip:bob@example.com"), listed("sip:bob@example.com")), 400),
        (multipart(TEXT, listed()), 400),
        (multipart(TEXT, listed("tel:+1")), 400),
        (multipart(TEXT, listed("bob")), 400),
        (multipart(TEXT, listed("sip:bob@example.com", more='<entry-ref ref="x"/>')), 400),
        (multipart(TEXT, listed("sip:bob@example.com").replace(b"resource-lists+xml", b"other+xml")), 400),
        (multipart(TEXT, listed("sip:bob@example.com").replace(b"<list>", b"<list")), 400),
        (multipart(TEXT, listed("sip:bob@example.com").replace(b"?>\n", b"?><!DOCTYPE x>")), 400),
        (multipart(TEXT, listed("sip:bob@example.com") + b" " * 66_000), 400),
        (multipart(TEXT, listed("sip:bob@example.com"), end=b""), 400),
        (multipart(TEXT, listed("sip:bob@example.com"), end=b"x"), 400),
        (multipart(TEXT, b"no empty line"), 400),
        (multipart(TEXT, b"no header\r\n\r\n"), 400),
        (multipart(*[TEXT] * 20, listed("sip:bob@example.com")), 400),
        (multipart(TEXT, listed(*(f"sip:u{number}@example.com" for number in range(4)))), 413),
    ],
)  # fmt: skip
def test_what_is_refused(body: bytes, status: int) -> None:
    """S-LIST-1, S-LIST-3."""
    with pytest.raises(BadMessage) as error:
        read_list_message(KIND, body, 3)
    assert error.value.status == status


@pytest.mark.parametrize(
    "text", ["text/plain", "multipart/mixed", 'multipart/mixed;boundary="\u00fc"', "multipart/related;boundary=b"]
)
def test_other_types_are_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        read_list_message(parse_media_type(text), multipart(TEXT, listed("sip:bob@example.com")), 3)
    with pytest.raises(BadMessage):
        read_list_message(None, b"", 3)


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_what_was_put_together_is_taken_apart(bodies: list[bytes]) -> None:
    """Octets are octets: with a boundary that is in none of them."""
    parts = [b"X: y\r\n\r\n" + body for body in bodies]
    kind = parse_media_type("multipart/mixed;boundary=0123456789abcdef")
    found = split_parts(kind, multipart(*parts, boundary="0123456789abcdef"))
    assert [part.raw for part in found] == parts
    assert [part.body for part in found] == bodies


@given(st.binary(max_size=200))
def test_whatever_comes_only_bad_message_is_raised(body: bytes) -> None:
    for data in (body, multipart(TEXT, body), multipart(TEXT, listed("sip:bob@example.com")[:120] + body)):
        with contextlib.suppress(BadMessage):
            read_list_message(KIND, data, 3)
