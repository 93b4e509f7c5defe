"""What cannot be shown is an escape, and nothing else is."""

from __future__ import annotations

import sys

import pytest

from conformance.report.plain import Piece, pieces, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 名前 <b>&amp;", "Zoë 名前 <b>&amp;"),
        ("a\x00b\x1b[31m\x7f", "a\\x00b\\x1b[31m\\x7f"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\u202eevil\u2066\u200b\ufeff", "\\u202eevil\\u2066\\u200b\\ufeff"),
        ("\ud800 \udcff", "\\ud800 \\xff"),
        ("\ufffe\uffff\U0010ffff", "\\ufffe\\uffff\\U0010ffff"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
    ],
)
def test_what_cannot_be_seen_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_nothing_is_left_that_utf8_or_xml_would_refuse() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = visible(everything)
    assert shown.isprintable()
    shown.encode()


def test_characters_that_are_kept() -> None:
    assert visible("a\nb\rc", keep="\n") == "a\nb\\rc"


def test_crlf_is_a_new_line_and_a_lone_one_is_seen() -> None:
    assert pieces(b"a\r\nb\nc\rd\r\n\r\n") == [
        Piece("a\nb", False),
        Piece("\\n\n", True),
        Piece("c", False),
        Piece("\\r", True),
        Piece("d\n\n", False),
    ]


def test_octets_that_are_no_utf8() -> None:
    assert pieces("né".encode() + b"\xff\x00\xc3") == [Piece("né", False), Piece("\\xff\\x00\\xc3", True)]


def test_no_more_than_so_many_octets_are_shown() -> None:
    assert pieces(b"x" * 1010, most=10) == [Piece("x" * 10, False), Piece("\n… 1,000 octets more", True)]
    assert pieces(b"", most=10) == []
