"""What any user agent server does with a request, whatever the request is about (RFC 3261 §8.2), and how it answers.

Invariants

- `UasPolicy.check` looks at the request in the order of §8.2: method, Request-URI, Require, content. What passes is for
  the method's own code. Max-Forwards is not looked at: imc is the endpoint, it forwards nothing (RFC 4475 §3.3.11).
- A response copies Via, From, To, Call-ID and CSeq as text, so that the client reads back what it wrote, oddities
  included. Record-Route it never copies: only an answer that makes a dialog does (`imc.service.roster`).
- A request that was only read in part can be answered too: what it lacks, the answer lacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from imc.errors import BadMessage
from imc.sip.fields import Headers
from imc.sip.grammar import MAX_PARAMS
from imc.sip.message import Request, Response
from imc.sip.subscriptions import allow_events, read_event
from imc.sip.values import parse_media_type

# RFC 3261 §21; 202: RFC 6665 §8.3.1; 412: RFC 3903 §11.2.1; 422: RFC 4028 §6; 428, 436-438: RFC 8224 §6.2.2;
# 429: RFC 3892 §5; 433: RFC 5079 §5; 439, 430: RFC 5626 §11; 440: RFC 5393 §5; 469, 470: RFC 6086 §4.2.2, RFC 5360 §5.9
# 489: RFC 6665 §8.3.2; 494: RFC 3329 §2.3.1; 580: RFC 3312 §8; 607: RFC 8197 §3; 608: RFC 8688 §3
REASONS: dict[int, str] = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    423: "Interval Too Brief",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    470: "Consent Needed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}
_CLASSES = {1: "Trying", 2: "OK", 3: "Redirection", 4: "Bad Request", 5: "Server Internal Error", 6: "Global Failure"}


_COPIED = ("From", "To", "Call-ID", "CSeq")


def reason_phrase(status: int) -> str:
    """The RFC's phrase for ``status``, or that of its class (RFC 3261 §8.1.3.2: x00)."""
    return REASONS.get(status) or _CLASSES[status // 100]


# spec S-UAS-3
def build_response(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """The response of RFC 3261 §8.2.6.2 to ``request``, with further ``headers`` (name, value).

    ``to_tag`` is used where the request's To has none; 100 never gets one. ``received`` and ``rport`` are in the
    request's Via already: `imc.sip.stack` puts them there when the request comes in (§18.2.1).
    """
    source = request.headers
    fields = {"Via": source.all("Via")}
    for name in _COPIED:
        value = source.get(name)
        if value is not None:
            fields[name] = [value]
    if status == 100:
        if "Timestamp" in source:  # §8.2.6.1
            fields["Timestamp"] = source.all("Timestamp")
    elif "To" in fields and not _has_tag_or_is_bad(request):
        fields["To"] = [f"{fields['To'][0]};tag={to_tag}"]
    wrapped = Headers.wrap(fields)  # what was parsed may be sent
    for name, value in headers:
        wrapped.add(name, value)
    return Response(status, reason_phrase(status) if reason is None else reason, wrapped, body)


def render_plain(request: Request, status: int, *, to_tag: str) -> bytes:
    """What `build_response` without further headers renders, for a request that was read in full; not for 100."""
    fields = request.headers._fields
    tag = f";tag={to_tag}" if request.to.tag is None else ""
    vias = "\r\nVia: ".join(fields["Via"])
    return (
        f"SIP/2.0 {status} {reason_phrase(status)}\r\nVia: {vias}\r\nFrom: {fields['From'][0]}\r\n"
        f"To: {fields['To'][0]}{tag}\r\nCall-ID: {fields['Call-ID'][0]}\r\nCSeq: {fields['CSeq'][0]}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode("utf-8", "surrogateescape")


def _has_tag_or_is_bad(request: Request) -> bool:
    try:
        return request.to.tag is not None
    except BadMessage:
        return True  # it is sent back as it came: a parameter after a broken value could end up anywhere


class Refusal(NamedTuple):
    """A status and the headers that must go with it."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UasPolicy:
    """What this server understands. Each tuple is listed in answers in its order.

    ``events`` are the packages of SUBSCRIBE, where that is among the methods.
    """

    methods: tuple[str, ...] = ("MESSAGE", "OPTIONS", "REGISTER")
    events: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ("sip", "sips")
    extensions: tuple[str, ...] = ("path", "outbound")
    accept: tuple[str, ...] = ()  # media ranges; empty: every body is for the method's own code
    codings: tuple[str, ...] = ("identity",)
    languages: tuple[str, ...] = ("en",)

    def check(self, request: Request) -> Refusal | None:
        """Why this server cannot understand the request, None when it can.

        BadMessage where a header that must be understood cannot be read.
        """
        # spec S-UAS-1
        if request.method not in self.methods:  # §8.2.1
            return Refusal(405, (self._allow(),))
        if request.request_uri.scheme not in self.schemes:  # §8.2.2.1
            return Refusal(416)
        # spec S-UAS-2
        # §8.2.2.3. Proxy-Require is for proxies (§20.29), which imc is not.
        if "Require" in request.headers:
            unknown = [tag for tag in request.tokens("Require") if tag.lower() not in self.extensions]
            if unknown:
                return Refusal(420, (("Unsupported", ", ".join(unknown)),))
        # spec S-EVT-1
        if request.method == "SUBSCRIBE":  # RFC 6665 §4.2.1.1, §8.3.2
            event = read_event(request)
            if event is None or event.package not in self.events:
                return Refusal(489, (allow_events(self.events),))
        if request.body and not _is_optional(request):  # §8.2.3
            return self._check_content(request)
        return None

    def answer_options(self, request: Request, to_tag: str) -> Response:
        """200 with what this server understands (RFC 3261 §11.2)."""
        headers = (
            self._allow(),
            ("Accept", ", ".join(self.accept) or "*/*"),
            self._accept_encoding(),
            ("Accept-Language", ", ".join(self.languages)),
            ("Supported", ", ".join(self.extensions)),
            *([allow_events(self.events)] if self.events else []),  # RFC 6665 §4.4.4
        )
        return build_response(request, 200, to_tag=to_tag, headers=headers)

    def _allow(self) -> tuple[str, str]:
        return "Allow", ", ".join(self.methods)

    def _accept_encoding(self) -> tuple[str, str]:
        return "Accept-Encoding", ", ".join(self.codings)

    def _check_content(self, request: Request) -> Refusal | None:
        if "Content-Encoding" in request.headers and any(
            coding.lower() not in self.codings for coding in request.content_encodings
        ):
            return Refusal(415, (self._accept_encoding(),))
        if self.accept:
            given = request.content_type
            if given is None or not any(parse_media_type(text).covers(given) for text in self.accept):
                return Refusal(415, (("Accept", ", ".join(self.accept)),))
        return None


# spec S-UAS-6
def _is_optional(request: Request) -> bool:
    """§20.11: handling=optional in Content-Disposition lets a server leave aside a body that it does not understand."""
    disposition = request.headers.get("Content-Disposition")
    if disposition is None:
        return False
    params = [part.partition("=") for part in disposition.lower().split(";", MAX_PARAMS)[1:]]
    return any(name.strip() == "handling" and value.strip(' "\t') == "optional" for name, _, value in params)
