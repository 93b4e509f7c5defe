"""Requests and responses: reading them from octets, their header fields, and writing them.

Invariants:

* `parse_message` raises `imc.errors.BadMessage` and nothing else, whatever the octets; its cost is linear in their
  number, and what costs a call each (lines, values, parameters) is bounded. Where the top Via of a bad request can be
  read, the exception carries the request as far as it was read, so that it can be answered (RFC 3261 §8.2.6); its other
  headers, From and To included, may be missing or malformed then. It leaves no cycles for the garbage collector.
* A message that was parsed has its mandatory headers (RFC 3261 §8.1.1), each once, and well-formed: `from_`, `to`,
  `call_id`, `cseq`, `via` and, of a request, `request_uri` do not raise.
* Every value in a `Headers` may be sent as it is: no CR, LF or NUL gets in by `add` or `set`, and what `parse_message`
  lets in, `add` accepts. ``%0d%0a`` is never decoded.
* Content-Length is the business of `parse_message` and `render` alone: it is not among the headers that were parsed,
  and what is rendered says the size of the body. ``parse_message(message.render())`` gives the same message.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from imc.errors import BadMessage
from imc.sip.fields import NAMES, Headers, canonical_name
from imc.sip.grammar import MAX_UINT32, WSP, is_call_id, is_header_text, is_token, parse_digits, split_outside
from imc.sip.headers import (
    MAX_VIAS,
    METHODS,
    CSeq,
    MediaType,
    NameAddr,
    Via,
    parse_accept,
    parse_contacts,
    parse_cseq,
    parse_delta_seconds,
    parse_max_forwards,
    parse_media_type,
    parse_name_addr,
    parse_name_addrs,
    parse_tokens,
    parse_via,
    parse_vias,
    salvage_vias,
)
from imc.sip.uri import Uri, parse_uri

__all__ = ["Headers", "Message", "Request", "Response", "canonical_name", "parse_message"]

T = TypeVar("T")
U = TypeVar("U")

# Header fields of which a message holds one value; one that is repeated with another value makes the message
# ambiguous (RFC 4475 §3.3.8, §3.3.9).
_SINGLE: Final = (
    "Call-ID", "Content-Length", "Content-Type", "CSeq", "Date", "Expires", "From", "Max-Forwards", "To",
)  # fmt: skip

# What no header section holds, besides its CRLFs (`is_header_text` decides about what is left).
_CONTROLS: Final = bytes(code for code in range(32) if code != 9) + b"\x7f"

_VERSION: Final = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE | re.ASCII)
_NONE: Final = (None,)
_FORBIDDEN_IN_URI: Final = frozenset(' \t\r\n<>"')

# Lines of a head, as they came (not unfolded). Of a head with more, or of more octets than are let pass, so many are
# read for the answer.
_MAX_LINES: Final = 256


class Message:
    """What requests and responses share. A typed property raises BadMessage where its header is malformed.

    Typed values are kept beside the text they were read from: a header that is changed is read anew.
    """

    __slots__ = ("_typed", "body", "headers")

    headers: Headers
    body: bytes
    _typed: dict[str, tuple[str, object]]

    def _read(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The first value of ``name``, read by ``parse``; None without one."""
        values = self.headers._fields.get(name)
        if values is None:
            return None
        text = values[0]
        known = self._typed.get(name)
        if known is not None and known[0] is text:
            return known[1]  # type: ignore[return-value]
        value = self._attempt(parse, text)
        self._typed[name] = (text, value)
        return value

    def _attempt(self, parse: Callable[[U], T], text: U) -> T:
        """``parse(text)``; a BadMessage of it names the request, so that it can be answered."""
        try:
            return parse(text)
        except BadMessage as exc:
            if isinstance(self, Request):
                exc.request = self
            raise

    def _read_all(self, name: str, parse: Callable[[list[str]], T]) -> T:
        """All values of ``name``, read by ``parse``."""
        return self._attempt(parse, self.headers._fields.get(name, []))

    def _must_read(self, name: str, parse: Callable[[str], T]) -> T:
        known = self._typed.get(name)
        if known is not None and self.headers._fields.get(name, _NONE)[0] is known[0]:
            return known[1]  # type: ignore[return-value]
        value = self._read(name, parse)
        if value is None:
            raise BadMessage(f"Missing {name}", request=self if isinstance(self, Request) else None)
        return value

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return self._must_read("Via", _parse_top_via)

    @property
    def vias(self) -> list[Via]:
        return self._read_all("Via", parse_vias)

    @property
    def from_(self) -> NameAddr:
        return self._must_read("From", parse_name_addr)

    @property
    def to(self) -> NameAddr:
        return self._must_read("To", parse_name_addr)

    @property
    def call_id(self) -> str:
        return self._must_read("Call-ID", _parse_call_id)

    @property
    def cseq(self) -> CSeq:
        return self._must_read("CSeq", parse_cseq)

    @property
    def contacts(self) -> list[NameAddr]:
        """All contacts; none for ``*`` (`is_contact_star`)."""
        return self._read_all("Contact", parse_contacts) or []

    @property
    def is_contact_star(self) -> bool:
        return "Contact" in self.headers and self._read_all("Contact", parse_contacts) is None

    @property
    def record_routes(self) -> list[NameAddr]:
        return self._read_all("Record-Route", parse_name_addrs)

    @property
    def paths(self) -> list[NameAddr]:
        return self._read_all("Path", parse_name_addrs)

    @property
    def content_type(self) -> MediaType | None:
        return self._read("Content-Type", parse_media_type)

    @property
    def content_encodings(self) -> list[str]:
        return self._read_all("Content-Encoding", parse_tokens)

    @property
    def expires(self) -> int | None:
        """Seconds; None without the header."""
        return self._read("Expires", parse_delta_seconds)

    def tokens(self, name: str) -> list[str]:
        """A list of tokens: Require, Supported, Allow, Unsupported …"""
        return self._read_all(canonical_name(name), parse_tokens)

    def name_addrs(self, name: str) -> list[NameAddr]:
        """A list of addresses: P-Asserted-Identity, Reply-To, Service-Route …"""
        return self._read_all(canonical_name(name), parse_name_addrs)

    def _render(self, start_line: str) -> bytes:
        lines = [start_line]
        for name, values in self.headers._fields.items():
            if name != "Content-Length":
                lines += [f"{name}: {value}" for value in values]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


class Request(Message):
    """A request. ``uri`` is the Request-URI as text, `request_uri` what it stands for."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, headers: Headers, body: bytes = b"") -> None:
        self.headers = headers
        self.body = body
        self._typed = {}
        self.method = method
        self.uri = uri

    @property
    def request_uri(self) -> Uri:
        return parse_uri(self.uri)

    @property
    def max_forwards(self) -> int | None:
        """0..255, None without the header (RFC 2543 had none)."""
        return self._read("Max-Forwards", parse_max_forwards)

    @property
    def routes(self) -> list[NameAddr]:
        return self._read_all("Route", parse_name_addrs)

    @property
    def accept(self) -> list[MediaType] | None:
        """The ranges of Accept, None without the header."""
        return self._read_all("Accept", parse_accept) if "Accept" in self.headers else None

    def render(self) -> bytes:
        """The octets to send. ValueError where method or URI cannot stand in a request line."""
        if not is_token(self.method) or not _FORBIDDEN_IN_URI.isdisjoint(self.uri) or not is_header_text(self.uri):
            raise ValueError(f"not a request line: {self.method!r} {self.uri!r}")
        return self._render(f"{self.method} {self.uri} SIP/2.0")

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.uri!r}, {self.headers!r}, {self.body!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Request):
            return NotImplemented
        return (self.method, self.uri, self.headers, self.body) == (other.method, other.uri, other.headers, other.body)

    __hash__ = None  # type: ignore[assignment]


class Response(Message):
    """A response: ``status`` 100..699 and its reason phrase."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers, body: bytes = b"") -> None:
        self.headers = headers
        self.body = body
        self._typed = {}
        self.status = status
        self.reason = reason

    @property
    def is_final(self) -> bool:
        return self.status >= 200

    def render(self) -> bytes:
        """The octets to send. ValueError where status or reason cannot stand in a status line."""
        if not 100 <= self.status <= 699 or not is_header_text(self.reason):
            raise ValueError(f"not a status line: {self.status} {self.reason!r}")
        return self._render(f"SIP/2.0 {self.status} {self.reason}")

    def __repr__(self) -> str:
        return f"Response({self.status}, {self.reason!r}, {self.headers!r}, {self.body!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        mine = (self.status, self.reason, self.headers, self.body)
        return mine == (other.status, other.reason, other.headers, other.body)

    __hash__ = None  # type: ignore[assignment]


# -- reading ----------------------------------------------------------------------------------------------------------


def _parse_top_via(text: str) -> Via:
    return parse_via(split_outside(text, ",", MAX_VIAS)[0] if "," in text else text)


def _parse_call_id(text: str) -> str:
    if not is_call_id(text):
        raise BadMessage("Bad Call-ID")
    return text


class _Fault(NamedTuple):
    """What a BadMessage says. The exception itself would hold the frames it went through, and they hold it."""

    reason: str
    status: int = 400


def parse_message(data: bytes, *, is_datagram: bool, max_head: int = sys.maxsize) -> Request | Response:
    """One whole message.

    In a datagram the body ends with the datagram, or where Content-Length says; what follows is dropped, and a shorter
    body is an error (RFC 3261 §18.3). Of a stream, ``data`` is what `imc.sip.framing` cut out: Content-Length must be
    there and fit. Of a head of more than ``max_head`` octets, its empty line included, or of too many lines, only the
    first lines are read, for an answer with 513.

    BadMessage carries the status and reason of the answer, and the request as far as it was read, or None where there
    must be no answer: to a response, and where the top Via cannot be read.
    """
    if data[:2] == b"\r\n":  # RFC 3261 §7.5: CRLF before the start line is ignored
        data = data.lstrip(b"\r\n")
    faults: list[_Fault] = []
    end = data.find(b"\r\n\r\n")
    if end < 0:
        faults.append(_Fault("No Empty Line After Headers"))
        head, body = data.rstrip(b"\r\n"), b""
    else:
        head, body = data[:end], data[end + 4 :]
    if len(data) - len(body) > max_head or head.count(b"\r\n") > _MAX_LINES:
        faults = [_Fault("Message Too Large", 513)]
        head = b"\r\n".join(head.split(b"\r\n", _MAX_LINES)[:_MAX_LINES])
    lines = str(head, "utf-8", "surrogateescape").split("\r\n")
    # The whole head is looked at once; only a head with something odd is looked at line by line.
    has_controls = len(head.translate(None, _CONTROLS)) + 2 * (len(lines) - 1) != len(head)
    fields = _read_fields(lines, faults, has_controls=has_controls)
    if fields is None:
        lines = _unfold(lines)
        fields = _read_fields(lines, faults, has_controls=has_controls) or {}
    try:
        body = _cut_body(body, fields.pop("Content-Length", None), is_datagram=is_datagram)
    except BadMessage as exc:
        faults.append(_Fault(exc.reason, exc.status))
    if has_controls and not is_header_text(lines[0]):
        faults.append(_Fault("Bad Start Line"))
    headers = Headers.wrap(fields)
    if head[:4].upper() == b"SIP/":
        return _read_response(lines[0], headers, body, faults)
    return _read_request(lines[0], headers, body, faults)


def _unfold(lines: list[str]) -> list[str]:
    # RFC 3261 §7.3.1: a line that begins with SP or HTAB continues the one before.
    return "\r\n".join(lines).replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")


def _read_fields(lines: list[str], faults: list[_Fault], *, has_controls: bool) -> dict[str, list[str]] | None:
    """The header fields of the lines after the first, None where they must be unfolded first.

    A line that is no header field is left out, and is a fault.
    """
    fields: dict[str, list[str]] = {}
    bad: list[_Fault] = []
    is_repeated = False
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        known = NAMES.get(name)
        if known is None:
            if line[:1] in (" ", "\t"):
                return None
            try:
                known = canonical_name(name.rstrip(WSP))
            except ValueError:
                colon = ""
        if known is None or not colon or (has_controls and not is_header_text(value)):
            bad.append(_Fault("Bad Header Field"))
        elif known in fields:
            fields[known].append(value.strip(WSP))
            is_repeated = True
        else:
            fields[known] = [value.strip(WSP)]
    if is_repeated:
        _check_repeated(fields, bad)
    faults += bad
    return fields


def _check_repeated(fields: dict[str, list[str]], faults: list[_Fault]) -> None:
    """Headers of one value have one; the same value repeated counts as one."""
    for name in _SINGLE:
        values = fields.get(name, ())
        if len(values) > 1:
            if len(set(values)) > 1:
                faults.append(_Fault(f"Repeated {name}"))
            del fields[name][1:]


# spec S-READ-2
def _cut_body(body: bytes, lengths: list[str] | None, *, is_datagram: bool) -> bytes:
    if lengths is None:
        if not is_datagram:
            raise BadMessage("Missing Content-Length")
        return body
    length = parse_content_length(lengths[0])
    if length > len(body) or (length < len(body) and not is_datagram):
        raise BadMessage("Content-Length Does Not Fit")
    return body[:length]


def parse_content_length(text: str) -> int:
    """1*DIGIT, at most 2**32-1 (RFC 3261 §20.14)."""
    return parse_digits(text, "Content-Length", MAX_UINT32)


def _read_request(start: str, headers: Headers, body: bytes, faults: list[_Fault]) -> Request:
    # Request-Line = Method SP Request-URI SP SIP-Version CRLF
    method, _, rest = start.partition(" ")
    uri, _, version = rest.rpartition(" ")
    request = Request(method, uri, headers, body)
    if faults:
        raise _refusal(request, faults[0])
    try:
        if version != "SIP/2.0":
            _check_version(version)
        if method not in METHODS and not is_token(method):
            raise BadMessage("Bad Method")
        parse_uri(uri)
        _check_mandatory(request)
        if request.cseq.method != method:
            raise BadMessage("CSeq Method Mismatch")
        if "Max-Forwards" in headers._fields:
            parse_max_forwards(headers._fields["Max-Forwards"][0])
    except BadMessage as exc:
        raise _refusal(request, _Fault(exc.reason, exc.status)) from None
    return request


def _refusal(request: Request, fault: _Fault) -> BadMessage:
    # RFC 4475 §3.1.2.1 wants an answer to a Via with parameters that are none.
    headers = request.headers
    headers.set("Via", *salvage_vias(headers.all("Via")))
    return BadMessage(fault.reason, status=fault.status, request=request if "Via" in headers else None)


def _read_response(start: str, headers: Headers, body: bytes, faults: list[_Fault]) -> Response:
    # Status-Line = SIP-Version SP Status-Code SP Reason-Phrase CRLF
    # The last SP may lack (RFC 4475 §3.1.1.13: "a liberal receiver would accept it anyway").
    version, _, rest = start.partition(" ")
    status, _, reason = rest.partition(" ")
    if faults:
        raise BadMessage(faults[0].reason, status=faults[0].status)
    _check_version(version)
    if not (len(status) == 3 and status.isascii() and status.isdigit() and "100" <= status <= "699"):
        raise BadMessage("Bad Status Code")
    response = Response(int(status), reason, headers, body)
    _check_mandatory(response)
    return response


def _check_version(version: str) -> None:
    # SIP-Version = "SIP" "/" 1*DIGIT "." 1*DIGIT ; RFC 3261 §7.1: "The SIP-Version string is case-insensitive"
    if _VERSION.fullmatch(version) is None:
        raise BadMessage("Bad SIP Version")
    if version[4:] != "2.0":
        raise BadMessage("Version Not Supported", status=505)


# spec S-READ-4
def _check_mandatory(message: Message) -> None:
    """RFC 3261 §8.1.1: To, From, CSeq, Call-ID, Via. (Max-Forwards is not in RFC 2543, RFC 4475 §3.4.1.)"""
    fields = message.headers._fields
    try:
        vias = fields["Via"]
        from_, to, call_id, cseq = fields["From"][0], fields["To"][0], fields["Call-ID"][0], fields["CSeq"][0]
    except KeyError as exc:
        raise BadMessage(f"Missing {exc.args[0]}") from None
    if len(vias) > 1 or "," in vias[0]:
        parse_vias(vias)
    typed = message._typed
    typed["Via"] = vias[0], _parse_top_via(vias[0])
    typed["From"] = from_, parse_name_addr(from_)
    typed["To"] = to, parse_name_addr(to)
    typed["Call-ID"] = call_id, _parse_call_id(call_id)
    typed["CSeq"] = cseq, parse_cseq(cseq)
