"""The bytes of a load: requests are filled into a form, deliveries are answered by copying lines.

Invariants: a request is known by its number, which is the beginning of its Call-ID and, in a text, the last
``~NNNNNNNN`` of the body. So a copy of a text names the text, and a notice names the command by In-Reply-To. A
delivery's recipient is the number in the user part of its Request-URI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

UNKNOWN = -1
_VIA, _TO, _FROM, _CALL_ID, _CSEQ, _REPLY = 1, 2, 4, 8, 16, 32
_NAMES = {
    "Via": _VIA, "v": _VIA, "To": _TO, "t": _TO, "From": _FROM, "f": _FROM, "Call-ID": _CALL_ID, "i": _CALL_ID,
    "CSeq": _CSEQ, "In-Reply-To": _REPLY,
}  # fmt: skip
_ALL = _VIA | _TO | _FROM | _CALL_ID | _CSEQ  # what a response must have, RFC 3261 §8.2.6.2
_KINDS = {form.encode(): kind for name, kind in _NAMES.items() for form in (name, name.lower(), name.upper())}
_FOLD = re.compile(rb"\r\n[ \t]+")
_NUMBER = re.compile(rb"\d+")
_MARK = 9  # ~NNNNNNNN


class Incoming(NamedTuple):
    """A MESSAGE for one of our users: ``via`` is its topmost Via line, which only a retransmission repeats."""

    answer: bytes
    via: bytes
    user: int
    number: int


def text(number: int, size: int) -> bytes:
    """A body of ``size`` bytes (at least the mark) whose end says which request it is."""
    words = b"hello, this is a message of usual length "
    filled = (words * (size // len(words) + 1))[: max(0, size - _MARK)]
    return filled + b"~%08d" % number


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request to be sent: ``sender`` and ``to`` are URIs, ``headers`` whole lines; ``user`` is the sender."""

    number: int
    method: str
    uri: str
    user: int
    sender: str
    to: str
    headers: str = ""
    body: bytes = b""

    def render(self, *, cseq: int, run: str, via: str, credentials: str = "") -> bytes:
        """Its bytes. ``via`` is our HOST:PORT; ``cseq`` is another one where it is asked again with ``credentials``."""
        head = (
            f"{self.method} {self.uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};rport;branch=z9hG4bK{run}.{cseq}\r\n"
            f"From: <{self.sender}>;tag=t{self.number}\r\nTo: <{self.to}>\r\nCall-ID: {self.number}.{run}\r\n"
            f"CSeq: {cseq} {self.method}\r\nMax-Forwards: 70\r\n{self.headers}{credentials}"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


def take(data: bytes, prefix: int) -> Incoming | None:
    """What a sink needs of a MESSAGE, its 200 included. None: not a MESSAGE that can be answered.

    ``prefix`` is how long the Request-URI's part before the user's number is: of ``sip:user`` 8.
    """
    head, _, body = data.partition(b"\r\n\r\n")
    if b"\r\n " in head or b"\r\n\t" in head:
        head = _FOLD.sub(b" ", head)
    lines = head.split(b"\r\n")
    found = _copy(lines) or _copy([_usual(line) for line in lines])
    if found is None:
        return None
    answer, via, number = found
    if body[-_MARK:][:1] == b"~" and body[1 - _MARK :].isdigit():
        number = int(body[1 - _MARK :])
    first = lines[0]
    user = first[8 + prefix : first.find(b"@")]
    return Incoming(answer, via, int(user) if user.isdigit() else UNKNOWN, number)


def _copy(lines: list[bytes]) -> tuple[bytes, bytes, int] | None:
    """The 200 of these header lines, their topmost Via, and the number in In-Reply-To. None: one is missing."""
    if not lines[0].startswith(b"MESSAGE "):
        return None
    kept, via, number, found = [b"SIP/2.0 200 OK"], b"", UNKNOWN, 0
    for line in lines:
        kind = _KINDS.get(line[: line.find(b":")])
        if kind is None:
            continue
        if kind == _REPLY:
            if digits := _NUMBER.search(line):
                number = int(digits[0])
            continue
        if kind == _VIA:
            via = via or line
        elif kind == _TO and b";tag=" not in line:
            line += b";tag=sink"  # noqa: PLW2901
        found |= kind
        kept.append(line)
    if found != _ALL:
        return None
    kept.append(b"Content-Length: 0\r\n\r\n")
    return b"\r\n".join(kept), via, number


def _usual(line: bytes) -> bytes:
    """A header line with its name as `_KINDS` has it: no space before the colon, small letters."""
    name, colon, value = line.partition(b":")
    return name.rstrip().lower() + colon + value if colon and b" " not in name.rstrip() else line
