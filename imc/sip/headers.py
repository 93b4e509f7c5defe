"""Header field values: each has a reader ``parse_…`` and renders by ``str()``.

Here are those of addresses and of the transaction; `imc.sip.values` has the rest, and all are offered here.

Invariants:

* Values are immutable. Parameters are kept in order and as written, names in lower case; ``.param(name)`` gives what a
  value stands for (unquoted), "" for a parameter without value, None for none.
* ``parse_x(str(parse_x(text))) == parse_x(text)``.
* Readers raise `imc.errors.BadMessage` and nothing else. What is written can not end its line or start a parameter of
  its own: names and tokens come from readers, free text is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from imc.errors import BadMessage
from imc.sip.grammar import (
    MAX_PARAMS,
    MAX_UINT32,
    QUOTED_STRING,
    WSP,
    is_display_tokens,
    is_token,
    parse_digits,
    parse_host_port,
    quote,
    split_outside,
    unquote,
)
from imc.sip.params import param_value, parse_params, raw_value, with_param
from imc.sip.uri import Params, SipUri, Uri, parse_uri, render_params
from imc.sip.values import (
    Auth,
    MediaType,
    Warn,
    parse_accept,
    parse_auth,
    parse_date,
    parse_delta_seconds,
    parse_max_forwards,
    parse_media_type,
    parse_qvalue,
    parse_retry_after,
    parse_tokens,
    parse_warnings,
    render_date,
    split_values,
)

__all__ = [
    "DEFAULT_EXPIRES",
    "MAX_CSEQ",
    "MAX_VIAS",
    "METHODS",
    "Auth",
    "CSeq",
    "MediaType",
    "NameAddr",
    "Params",
    "Via",
    "Warn",
    "parse_accept",
    "parse_auth",
    "parse_contacts",
    "parse_cseq",
    "parse_date",
    "parse_delta_seconds",
    "parse_max_forwards",
    "parse_media_type",
    "parse_name_addr",
    "parse_name_addrs",
    "parse_qvalue",
    "parse_retry_after",
    "parse_sent",
    "parse_tokens",
    "parse_via",
    "parse_vias",
    "parse_warnings",
    "render_date",
    "salvage_vias",
    "split_values",
]

# RFC 3261 §8.1.1.5: "The sequence number value MUST be expressible as a 32-bit unsigned integer and MUST be less than
# 2**31."
MAX_CSEQ = 2**31 - 1
# RFC 3261 §20.10: malformed values of the expires parameter "SHOULD be treated as equivalent to 3600".
DEFAULT_EXPIRES = 3600
# Each hop adds one, and RFC 3261 §8.1.1.6 has requests start with 70 hops to go.
MAX_VIAS = 70
_MAX_VIA_SIZE = 8192  # of all Vias together
# What `salvage_vias` looks at. More is worth no answer.
_MAX_SALVAGED_PARAMS = 256

# SLASH = SWS "/" SWS ;  sent-protocol = protocol-name SLASH protocol-version SLASH transport
# via-parm = sent-protocol LWS sent-by *( SEMI via-params ) ;  sent-by = host [ COLON port ] ;  COLON = SWS ":" SWS
_SENT = re.compile(
    r"[ \t]*+([^\s/]++)[ \t]*+/[ \t]*+([^\s/]++)[ \t]*+/[ \t]*+([^\s/]++)[ \t]++"
    r"(\[[^\]\s]*+\]|[^\s:\[\]]++)(?:[ \t]*+:[ \t]*+([0-9]++))?[ \t]*+"
)


class NameAddr(NamedTuple):
    """``name-addr / addr-spec`` with header parameters: From, To, Contact, Route, Path, P-Asserted-Identity …

    ``display`` is the display name without quotes and escapes, None where there is none.
    """

    display: str | None
    uri: Uri
    params: Params = ()

    def param(self, name: str) -> str | None:
        return param_value(self.params, name)

    def with_param(self, name: str, value: str | None) -> NameAddr:
        """A copy in which the parameter has this value (None: no value)."""
        return self._replace(params=with_param(self.params, name, value))

    @property
    def tag(self) -> str | None:
        return raw_value(self.params, "tag") or None

    @property
    def sip_uri(self) -> SipUri:
        """The URI where it is SIP or SIPS, else BadMessage."""
        if not isinstance(self.uri, SipUri):
            raise BadMessage("Not a SIP URI")
        return self.uri

    @property
    def expires(self) -> int | None:
        """The expires parameter of a Contact in seconds, None without (RFC 3261 §20.10)."""
        value = raw_value(self.params, "expires")
        if value is None:
            return None
        try:
            return parse_digits(value, "expires", MAX_UINT32, is_clamped=True)
        except BadMessage:
            return DEFAULT_EXPIRES

    @property
    def q(self) -> int:
        """The q parameter of a Contact in thousandths, 1000 without it. BadMessage where it is no qvalue."""
        value = raw_value(self.params, "q")
        return 1000 if value is None else parse_qvalue(value)

    def __str__(self) -> str:
        display = "" if self.display is None else quote(self.display) + " "
        return f"{display}<{self.uri}>{render_params(self.params)}"


class Via(NamedTuple):
    """One Via value. ``transport`` is in upper case; ``sent_by`` is ``host`` or ``host:port``, host in lower case."""

    protocol: str
    transport: str
    host: str
    port: int | None = None
    params: Params = ()

    def param(self, name: str) -> str | None:
        return param_value(self.params, name)

    def with_param(self, name: str, value: str | None) -> Via:
        """A copy in which the parameter has this value (None: no value)."""
        return self._replace(params=with_param(self.params, name, value))

    @property
    def branch(self) -> str | None:
        return raw_value(self.params, "branch") or None

    @property
    def received(self) -> str | None:
        """The received parameter, without the brackets that some put around IPv6 (RFC 5118 §4.5)."""
        value = raw_value(self.params, "received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The port in rport; 0 where it is there without value, as a request asks (RFC 3581 §3); None without it."""
        value = raw_value(self.params, "rport")
        return None if value is None else parse_digits(value or "0", "rport", 65535)

    @property
    def maddr(self) -> str | None:
        return raw_value(self.params, "maddr") or None

    @property
    def sent_by(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.protocol}/{self.transport} {self.sent_by}{render_params(self.params)}"


# Methods that need no check of their letters.
METHODS = frozenset(
    ("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER")
)


class CSeq(NamedTuple):
    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_name_addr(text: str) -> NameAddr:
    """``( name-addr / addr-spec ) *( SEMI generic-param )``."""
    # Nearly all are an address in brackets, of which one peer has few, and perhaps a tag, which is new each time.
    address, mark, tag = text.partition(">;tag=")
    if len(address) <= 128:
        if not mark and address.endswith(">"):
            bare = _parse_bracketed_cached(address[:-1])
            if bare is not None:
                return bare
        elif mark and is_token(tag):
            bare = _parse_bracketed_cached(address)
            if bare is not None:
                return NameAddr(bare[0], bare[1], (("tag", tag),))
    return _parse_name_addr(text)


def _parse_bracketed(address: str) -> NameAddr | None:
    """``address`` and a bracket, where that closes it and all of it can be read; else None."""
    try:
        found = _parse_name_addr(address + ">")
    except BadMessage:
        return None
    return None if found.params else found


_parse_bracketed_cached = lru_cache(maxsize=4096)(_parse_bracketed)


def _parse_name_addr(text: str) -> NameAddr:
    text = text.strip(WSP)
    display: str | None = None
    if text.startswith('"'):
        display, end = _parse_quoted_display(text)
        left = text.find("<", end)
        if left < 0 or text[end:left].strip(WSP):
            raise BadMessage("Bad display name")
    else:
        left = text.find("<")
        if left < 0 or ";" in text[:left]:  # no bracket, or none outside of parameters
            return _parse_addr_spec(text)
        if left > 0:
            display = text[:left].rstrip(WSP) or None
            if display is not None and not is_display_tokens(display):
                raise BadMessage("Bad display name")
    right = text.find(">", left)
    if right < 0:
        raise BadMessage("Unterminated angle bracket")
    uri = parse_uri(text[left + 1 : right])
    return NameAddr(display, uri, parse_params(text[right + 1 :].lstrip(WSP)))


def _parse_quoted_display(text: str) -> tuple[str, int]:
    """The text of the quoted-string that ``text`` starts with, and where it ends."""
    end = text.find('"', 1)
    if end > 0 and text.find("\\", 1, end) < 0:  # nothing is escaped in it
        return text[1:end], end + 1
    quoted = QUOTED_STRING.match(text)
    if quoted is None:
        raise BadMessage("Unterminated quoted-string")
    return unquote(quoted[0]), quoted.end()


def _parse_addr_spec(text: str) -> NameAddr:
    # RFC 3261 §20: a URI that contains a comma, question mark or semicolon must be enclosed in angle brackets. So the
    # first ";" starts the header's parameters (RFC 4475 §3.3.12), and a "?" is wrong (RFC 4475 §3.1.2.13).
    uri, semicolon, rest = text.partition(";")
    if "?" in uri or "," in uri:
        raise BadMessage("URI must be in angle brackets")
    return NameAddr(None, parse_uri(uri.rstrip(WSP)), parse_params(semicolon + rest))


def parse_name_addrs(values: Iterable[str]) -> list[NameAddr]:
    """All values of Route, Record-Route, Path, P-Asserted-Identity, over several lines."""
    return [parse_name_addr(item) for value in values for item in split_outside(value, ",")]


def parse_contacts(values: Iterable[str]) -> list[NameAddr] | None:
    """All contacts over several lines; None for ``Contact: *``. BadMessage where ``*`` is not alone."""
    items = [item for value in values for item in split_outside(value, ",")]
    if items == ["*"]:
        return None
    return [parse_name_addr(item) for item in items]


def parse_via(text: str) -> Via:
    """One via-parm."""
    head, semicolon, tail = text.partition(";")
    sent = parse_sent(head) if len(head) <= 80 else _parse_sent(head)
    return Via(*sent, parse_params(semicolon + tail))


def _parse_sent(head: str) -> tuple[str, str, str, int | None]:
    """Protocol with version, transport, host and port: ``sent-protocol LWS sent-by``."""
    match = _SENT.fullmatch(head)
    if match is None or not (is_token(match[1]) and is_token(match[2]) and is_token(match[3])):
        raise BadMessage("Bad Via")
    host, port = parse_host_port(match[4] if match[5] is None else f"{match[4]}:{match[5]}")
    return f"{match[1].upper()}/{match[2]}", match[3].upper(), host, port


# One peer sends from one address for long. For short texts only.
parse_sent = lru_cache(maxsize=1024)(_parse_sent)


def parse_vias(values: Sequence[str]) -> list[Via]:
    """All Vias over several lines; BadMessage where there are more than `MAX_VIAS`, or where they are too long."""
    if sum(map(len, values)) > _MAX_VIA_SIZE:
        raise BadMessage("Vias too large")
    vias: list[Via] = []
    for value in values:
        vias += [parse_via(item) for item in split_outside(value, ",", MAX_VIAS)]
        if len(vias) > MAX_VIAS:
            raise BadMessage("Too many Vias")
    return vias


def parse_cseq(text: str) -> CSeq:
    """``1*DIGIT LWS Method``."""
    number, _, method = text.partition(" ")
    if method in METHODS and len(number) < 10 and number.isascii() and number.isdigit():
        return CSeq(int(number), method)
    parts = text.split()
    if len(parts) != 2 or not text.isascii() or not is_token(parts[1]):
        raise BadMessage("Bad CSeq")
    return CSeq(parse_digits(parts[0], "CSeq", MAX_CSEQ), parts[1])


def salvage_vias(lines: Sequence[str]) -> list[str]:
    """What is good of the Vias of a bad request; none where the top one cannot take an answer back.

    Parameters that are none, and further values that are none, are left out. None too where there is so much that
    looking at all of it would cost more than a bad request is worth.
    """
    if sum(map(len, lines)) > _MAX_VIA_SIZE:
        return []
    good: list[str] = []
    left, params_left = MAX_VIAS, _MAX_SALVAGED_PARAMS
    try:
        for line in lines:
            items = split_outside(line, ",", left)
            left -= len(items)
            for item in items:
                sent, *params = split_outside(item, ";", MAX_PARAMS + 1)
                params_left -= len(params)
                if params_left < 0 or left < 0:
                    return []
                try:
                    via = parse_via(sent)
                except BadMessage:
                    if not good:
                        return []
                else:
                    good.append(str(via._replace(params=_salvage_params(params))))
    except BadMessage:  # a quote or a bracket that does not end, or too many values
        return []
    return good


def _salvage_params(items: list[str]) -> Params:
    params: dict[str, str | None] = {}
    for item in items:
        try:
            ((name, value),) = parse_params(f";{item}")
        except BadMessage:
            continue
        params.setdefault(name, value)
    return tuple(params.items())
