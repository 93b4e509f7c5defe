"""Usual requests: a MESSAGE of a form that its sender's program has used before, read by one expression.

A program writes the same header lines in the same order; what differs are URIs, the sent-by and branch of Via, the From
tag, Call-ID, the number of CSeq, and values that are not looked at when a request is read. The form is learned from a
request that was read in full and understood (`Shapes.learn`); of the next one of that form only what differs is read,
with the same readers.

Invariants

- What `Shapes.read` gives is what `imc.sip.message.parse_message` gives, and `imc.sip.uas.UasPolicy` refuses none of
  it: what a policy looks at is the same as in the request that was learned from. A differential test holds this.
- What is not of a known form, or odd in any way, is None: it goes the full way.
- Time is linear (possessive quantifiers). Forms, sources, and forms learned in a second are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from imc.errors import BadMessage
from imc.sip.fields import Headers
from imc.sip.flow import Flow
from imc.sip.grammar import WSP
from imc.sip.headers import CSeq, NameAddr, Via, parse_sent, parse_via
from imc.sip.message import Request
from imc.sip.uri import Params, parse_uri

_WORD: Final = r"[A-Za-z0-9\-.!%*_+`'~]++"
_URI: Final = r"sip:[A-Za-z0-9_.+\-]++@[A-Za-z0-9.\-]++(?::[0-9]{1,5}+)?+"
_SENT: Final = r"SIP/2\.0/UDP [A-Za-z0-9.\-]{1,60}+(?::[0-9]{1,5}+)?+"
_BRANCH: Final = rf"z9hG4bK{_WORD}"
_FREE: Final = r"[!-~]++(?: ++[!-~]++)*+"
# Each is read with the request, and is there once.
_READ: Final = {
    "From": rf"<(?P<from_uri>{_URI})>;tag=(?P<from_tag>{_WORD})",
    "To": rf"<(?P<to_uri>{_URI})>",
    "Call-ID": rf"{_WORD}(?:@{_WORD})?+",
    "CSeq": r"(?P<number>[0-9]{1,9}+) MESSAGE",
    "Content-Length": r"[0-9]{1,9}+",
}
# No reading of a request, and no policy, looks at these; whoever does reads the text.
_UNREAD: Final = frozenset(
    ("Authorization", "Contact", "Date", "P-Asserted-Identity", "Record-Route", "Route", "User-Agent")
)
_OTHERS: Final = frozenset(
    ("Accept", "Allow", "Content-Disposition", "Content-Type", "Expires", "Max-Forwards", "Privacy", "Supported")
)
_MAX_LINES = 24
_MAX_HEAD = 4096
_MAX_SHAPES = 64
_MAX_SOURCES = 1000
_SHAPES_EACH = 4
_NO_TAG: Final = ()


class Known(NamedTuple):
    """A request that was read, its top Via, and the keys of `imc.sip.server`."""

    request: Request
    via: Via
    key: str
    merge_key: str


class _Shape:
    """One form. ``places`` are the header names in their order, each with its group, or with None and the value."""

    __slots__ = ("branch_at", "groups", "match", "params", "places")

    def __init__(self, pattern: str, names: list[str], constants: dict[str, str], params: Params) -> None:
        compiled = re.compile(pattern)
        self.match: Callable[[str], re.Match[str] | None] = compiled.fullmatch
        index = compiled.groupindex
        order = ("uri", "sent", "branch", "from_uri", "from_tag", "to_uri", "number", "length")
        self.groups = tuple(index[name] - 1 for name in order)
        self.places = [
            (name, None if name in constants else index["v_" + name.replace("-", "_")] - 1, constants.get(name, ""))
            for name in names
            if name != "Content-Length"
        ]
        self.params = params
        self.branch_at = [name for name, _ in params].index("branch")

    def read(self, head: str, body: bytes) -> Known | None:
        match = self.match(head)
        if match is None:
            return None
        groups = match.groups()
        uri_at, sent_at, branch_at, from_at, tag_at, to_at, number_at, length_at = self.groups
        if int(groups[length_at]) != len(body):
            return None
        uri, branch, from_tag, number = groups[uri_at], groups[branch_at], groups[tag_at], groups[number_at]
        fields = {name: [constant if at is None else groups[at]] for name, at, constant in self.places}
        try:
            parse_uri(uri)
            sender = NameAddr(None, parse_uri(groups[from_at]), (("tag", from_tag),))
            to = NameAddr(None, parse_uri(groups[to_at]), _NO_TAG)
            protocol, transport, host, port = parse_sent(groups[sent_at])
        except BadMessage:
            return None
        params = list(self.params)
        params[self.branch_at] = ("branch", branch)
        via = Via(protocol, transport, host, port, tuple(params))
        cseq = CSeq(int(number), "MESSAGE")
        request = Request("MESSAGE", uri, Headers.wrap(fields), body)
        call_id = fields["Call-ID"][0]
        request._typed = {
            "Via": (fields["Via"][0], via),
            "From": (fields["From"][0], sender),
            "To": (fields["To"][0], to),
            "Call-ID": (call_id, call_id),
            "CSeq": (fields["CSeq"][0], cseq),
        }
        key = f"{branch} {host}:{port} MESSAGE"
        return Known(request, via, key, f"{call_id} {from_tag} {cseq.number} MESSAGE")


class Shapes:
    """``may_learn(now)`` says whether an unknown form may be learned: that costs as much as some ten requests."""

    __slots__ = ("_by_source", "_may_learn", "_shapes")

    def __init__(self, may_learn: Callable[[float], bool]) -> None:
        self._may_learn = may_learn
        self._by_source: dict[tuple[str, int], tuple[_Shape, ...]] = {}
        self._shapes: dict[str, _Shape] = {}

    def read(self, data: bytes, flow: Flow) -> Known | None:
        """A datagram of a form that its source has used before."""
        shapes = self._by_source.get(flow.remote)
        if shapes is None:
            return None
        end = data.find(b"\r\n\r\n")
        if not 0 < end <= _MAX_HEAD or len(data) == end + 4:
            return None
        try:
            head = str(data[:end], "ascii")
        except UnicodeDecodeError:
            return None
        body = data[end + 4 :]
        for shape in shapes:
            known = shape.read(head, body)
            if known is not None:
                return known
        return None

    def learn(self, data: bytes, flow: Flow, now: float) -> None:
        """``data`` is a datagram that was read in full, and that the policy did not refuse."""
        end = data.find(b"\r\n\r\n")
        if not 0 < end <= _MAX_HEAD or len(data) == end + 4 or not data.startswith(b"MESSAGE sip:"):
            return
        form = _form_of(data[:end].decode("latin-1"))
        if form is None:
            return
        pattern = form[0]
        shape = self._shapes.get(pattern)
        if shape is None:
            if not self._may_learn(now):
                return
            shape = _Shape(*form)
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
                self._by_source.clear()
            self._shapes[pattern] = shape
        if len(self._by_source) >= _MAX_SOURCES:
            self._by_source.clear()
        mine = self._by_source.get(flow.remote, ())
        if shape not in mine:
            self._by_source[flow.remote] = (shape, *mine[: _SHAPES_EACH - 1])


def _form_of(head: str) -> tuple[str, list[str], dict[str, str], Params] | None:
    """Pattern, header names, constant values and parameters of Via of a request; None where it has anything odd."""
    start, *lines = head.split("\r\n")
    if len(lines) > _MAX_LINES or not head.isascii():
        return None
    patterns = [rf"MESSAGE (?P<uri>{_URI}) SIP/2\.0"]
    names: list[str] = []
    constants: dict[str, str] = {}
    params: Params = ()
    for line in lines:
        name, colon, value = line.partition(": ")
        if not colon or name in names or not value or value != value.strip(WSP) or not value.isprintable():
            return None
        names.append(name)
        if name in _READ:
            pattern = _READ[name]
        elif name in _UNREAD:
            pattern = _FREE
        elif name in _OTHERS:
            constants[name] = value
            patterns.append(re.escape(line))
            continue
        elif name == "Via":
            form = _via_form(value)
            if form is None:
                return None
            pattern, params = form
        else:
            return None
        if re.fullmatch(pattern, value) is None:
            return None
        group = "length" if name == "Content-Length" else "v_" + name.replace("-", "_")
        patterns.append(rf"{name}: (?P<{group}>{pattern})")
    if not params or not _READ.keys() <= set(names) or re.fullmatch(patterns[0], start) is None:
        return None
    return "\r\n".join(patterns), names, constants, params


def _via_form(value: str) -> tuple[str, Params] | None:
    """Pattern and parameters of one Via value with a branch of RFC 3261."""
    if any(odd in value for odd in '",<>()\\\t') or value.count(" ") != 1:
        return None
    try:
        via = parse_via(value)
    except BadMessage:
        return None
    _, *texts = value.split(";")
    branches = [text for text in texts if text.startswith("branch=")]
    if len(branches) != 1 or len(texts) != len(via.params):
        return None
    rest = "".join(f";branch=(?P<branch>{_BRANCH})" if text in branches else re.escape(";" + text) for text in texts)
    return rf"(?P<sent>{_SENT}){rest}", via.params
