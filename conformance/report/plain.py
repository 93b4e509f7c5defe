r"""What came from outside, made fit to be shown: on a terminal, in XML and on a page.

What Unicode calls not printable (controls, which move a cursor; format characters, which turn the direction of a line;
lone surrogates, which no encoding takes; what XML 1.0 forbids) and bytes that are no UTF-8 become escapes like ``\x00``
and ``\u202e``. Nothing here escapes markup: that is the business of jinja2 and xml.etree.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Piece(NamedTuple):
    """Text to show; ``is_escape`` where it stands for an octet or a character that cannot be shown."""

    text: str
    is_escape: bool


def visible(text: str, *, keep: str = "") -> str:
    """The text with an escape for each character that is not printable, except those in ``keep``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def pieces(data: bytes, most: int = 8192) -> list[Piece]:
    """A message's bytes, as text in which CRLF is a new line and everything else that cannot be seen is an escape.

    A CR or LF that stands alone is an escape (a LF with a new line after it). Octets beyond ``most`` are counted.
    """
    text = data[:most].decode("utf-8", "surrogateescape")
    found = [
        Piece("".join(piece.text for piece in run), is_escape)
        for is_escape, run in groupby(_split(text), key=lambda piece: piece.is_escape)
    ]
    if len(data) > most:
        found.append(Piece(f"\n… {len(data) - most:,} octets more", True))
    return found


def _split(text: str) -> Iterator[Piece]:
    lines = text.split("\r\n")
    for number, line in enumerate(lines):
        if number:
            yield Piece("\n", False)
        for is_printable, run in groupby(line, key=str.isprintable):
            if is_printable:
                yield Piece("".join(run), False)
            else:
                yield from (Piece(_escape(char) + "\n" * (char == "\n"), True) for char in run)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # an octet that is no UTF-8, by surrogateescape
        code -= 0xDC00
    if char in _SHORT:
        return _SHORT[char]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
