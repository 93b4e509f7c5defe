"""The usual answer to a MESSAGE of ours, recognised by its bytes.

Nearly all that comes in during a fan-out are answers that differ in branch, tags and names only. What stands before the
branch, and behind it as far as the next line, is the same in each answer of one program: it is learned from an answer
that was read in full and belonged to a transaction (`Usual.learn`), and then compared. Nothing that is not learned so
is taken here, and a stranger teaches nothing.

What is left to the parser: provisional answers, bodies, a second Via, lines that go on in the next, header names that
are not written as in RFC 3261, CSeq other than ``1 MESSAGE``.
"""

from __future__ import annotations

import re

MARK = b";branch="
# What follows the branch: the end of its line, header lines that are no Via and do not go on in the next, our CSeq
# among them, the empty line, no body. Lines are not tried again (atomic, possessive): the time is linear.
# spec S-TXC-6
_LINE = rb"[A-UW-Za-uw-z][^\r]*+\r\n"
_REST = re.compile(rb"[^\r]*+\r\n(?>(?:%b)*?CSeq: 1 MESSAGE\r\n)(?:%b)*+\r\n" % (_LINE, _LINE))
match_rest = _REST.fullmatch
_BOUND = 1000
_MAX_ENDS = 8
_VIA = b"Via: SIP/2.0/UDP "
_ODD = (b'"', b",", b"(", b"\\", b"\t", b"\n")


class Usual(dict[bytes, tuple[int, tuple[bytes, ...]]]):
    """Bytes before the branch's value → status, and what may follow the branch: to the first octet of the next line."""

    __slots__ = ()

    def learn(self, data: bytes, branch: bytes, status: int) -> None:
        """``data`` is a final answer, read in full, to the transaction of ``branch``."""
        at = data.find(branch)
        beginning = data[:at]
        eol = data.find(b"\r\n", at)
        end = data[at + len(branch) : eol + 3]
        _, _, via = beginning.partition(b"\r\n")
        if not (beginning.endswith(MARK) and via.startswith(_VIA) and end[:1] in (b";", b"\r")):
            return
        if any(odd in via or odd in end[:-3] for odd in _ODD) or not end[-1:].isalpha():
            return
        if len(self) >= _BOUND:
            self.clear()
        ends = self.get(beginning, (status, ()))[1]
        if end not in ends:
            self[beginning] = status, (*ends[-_MAX_ENDS + 1 :], end)
