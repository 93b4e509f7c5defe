"""From the text of a case to octets, and how they are cut."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from conformance.suite.wire_case import Split
from conformance.suite.wire_text import Names, body_of, cut, fill_pattern, render

PORTS = {"first": ("192.0.2.1", 5070), "second": ("192.0.2.1", 5071), "six": ("2001:db8::1", 5072)}
NAMES = Names(
    server=("192.0.2.9", 5060), domain="example.com", user="alice", mate="mary", token="t0k3n", transport="UDP",
    socket="first", local=PORTS.__getitem__, authorization="Authorization: x",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a\nb\n\n", b"a\r\nb\r\n\r\n"),
        ("{{x}}", b"{x}"),
        ("{server} {server_host} {server_port}", b"192.0.2.9:5060 192.0.2.9 5060"),
        ("{local} {local_host} {local_port:second}", b"192.0.2.1:5070 192.0.2.1 5071"),
        ("{local:six} {local_host:six} {local_ip:six}", b"[2001:db8::1]:5072 [2001:db8::1] 2001:db8::1"),
        ("{user}@{domain} {mate} {transport} {token}", b"alice@example.com mary UDP t0k3n"),
        ("{upper:mate} {escaped:mate} {upper:domain}", b"MARY %6Dary EXAMPLE.COM"),
        ("{branch} {branch:b} {call_id} {tag:x}", b"z9hG4bKt0k3n z9hG4bKt0k3nb t0k3n@wire.invalid t0k3nx"),
        ("{long:12}{repeat:3:ab}", b"abcdefghijkkababab"),
        ("{lines:2:a: b}\n", b"a: b\r\na: b\r\n\r\n"),
        ("{hex:0a 00 ff}é", b"\n\0\xff\xc3\xa9"),
        ("Content-Length: {length}\n\na{hex:ff}b\n", b"Content-Length: 5\r\n\r\na\xffb\r\n"),
        ("\n\nl: {length}\n\nab", b"\r\n\r\nl: 2\r\n\r\nab"),
        ("{authorization}", b"Authorization: x"),
    ],
)
def test_render(text: str, data: bytes) -> None:
    assert render(text, NAMES) == data


def test_the_usual_headers() -> None:
    assert render("{usual:2}\n", NAMES).decode().splitlines() == [
        "Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKt0k3n2;rport",
        "Max-Forwards: 70",
        "From: <sip:alice@example.com>;tag=t0k3n",
        "To: <sip:mary@example.com>",
        "Call-ID: t0k3n@wire.invalid",
    ]


@pytest.mark.parametrize("text", ["{nothing}", "a { b", "a } b", "{hex:xx}"])
def test_what_is_no_placeholder(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        render(text, NAMES)


def test_a_pattern_takes_placeholders_literally() -> None:
    pattern = fill_pattern(r"{server_host}x{2}[a-z]{1,3}$", NAMES)
    assert re.fullmatch(pattern, "192.0.2.9xxabc")
    assert not re.fullmatch(pattern, "192a0.2.9xxabc")


@pytest.mark.parametrize("split", get_args(Split))
@pytest.mark.parametrize("data", [b"OPTIONS x SIP/2.0\r\nl: 4\r\n\r\na\r\nb", b"\r\n\r\n", b"no end", b""])
def test_pieces_are_the_whole(split: Split, data: bytes) -> None:
    assert b"".join(cut(data, split)) == data


def test_cuts() -> None:
    data = b"A b\r\nl: 4\r\n\r\nbody"
    assert cut(data, "whole") == [data]
    assert len(cut(data, "bytes")) == len(data)
    assert cut(data, "lines") == [b"A b\r\n", b"l: 4\r\n", b"\r\n", b"body"]
    assert cut(data, "crlf") == [b"A b\r", b"\nl: 4\r", b"\n\r", b"\nbody"]
    assert cut(data, "body") == [b"A b\r\nl: 4\r\n", b"\r\n", b"bo", b"dy"]


def test_body_of() -> None:
    assert body_of(b"\r\n\r\nA\r\nb: c\r\n\r\nd\r\n\r\ne") == b"d\r\n\r\ne"
    assert body_of(b"A\r\nb: c") == b""
