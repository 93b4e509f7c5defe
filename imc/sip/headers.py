"""Header field values: each has a reader ``parse_…`` and renders by ``str()``.

Invariants:

* Values are immutable. Parameters are kept in order and as written, names in lower case; ``.param(name)`` gives what a
  value stands for (unquoted), "" for a parameter without value, None for none.
* ``parse_x(str(parse_x(text))) == parse_x(text)``.
* Readers raise `imc.errors.BadMessage` and nothing else. What is written can not end its line or start a parameter of
  its own: names and tokens come from readers, free text is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import NamedTuple

from imc.errors import BadMessage
from imc.sip.grammar import (
    MAX_UINT32,
    PLAIN_PARAMS,
    QUOTED_STRING,
    WSP,
    is_display_tokens,
    is_gen_value,
    is_token,
    parse_digits,
    parse_host_port,
    quote,
    split_outside,
    unquote,
)
from imc.sip.uri import Params, SipUri, Uri, find_param, parse_uri, render_params

# RFC 3261 §8.1.1.5: "The sequence number value MUST be expressible as a 32-bit unsigned integer and MUST be less than
# 2**31."
MAX_CSEQ = 2**31 - 1
# RFC 3261 §20.10: malformed values of the expires parameter "SHOULD be treated as equivalent to 3600".
DEFAULT_EXPIRES = 3600

# SLASH = SWS "/" SWS ;  sent-protocol = protocol-name SLASH protocol-version SLASH transport
# via-parm = sent-protocol LWS sent-by *( SEMI via-params ) ;  sent-by = host [ COLON port ] ;  COLON = SWS ":" SWS
_VIA = re.compile(
    r"([^\s/;]++)[ \t]*+/[ \t]*+([^\s/;]++)[ \t]*+/[ \t]*+([^\s/;]++)[ \t]++"
    r"(\[[^\]\s;]*+\]|[^\s:;\[\]]++)(?:[ \t]*+:[ \t]*+([0-9]++))?[ \t]*+(;.*)?"
)
# qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
_QVALUE = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
# rfc1123-date = wkday "," SP 2DIGIT SP month SP 4DIGIT SP 2DIGIT ":" 2DIGIT ":" 2DIGIT SP "GMT"
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([0-9]{4}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# warning-value = warn-code SP warn-agent SP warn-text ;  warn-code = 3DIGIT ;  warn-agent = hostport / pseudonym
_WARNING = re.compile(r'([0-9]{3}) ([^\s",;]++) (".*")')
# Retry-After = delta-seconds [ comment ] *( SEMI retry-param ): what follows the seconds is not interpreted.
_RETRY_AFTER = re.compile(r"([0-9]++)[ \t]*+(?:[(;].*)?")


def _value(params: Params, name: str) -> str | None:
    value = find_param(params, name)
    return unquote(value) if value else value


def _with_param(params: Params, name: str, value: str | None) -> Params:
    raw = value if value is None or is_gen_value(value) else quote(value)
    if any(key == name for key, _ in params):
        return tuple((key, raw if key == name else old) for key, old in params)
    return (*params, (name, raw))


class NameAddr(NamedTuple):
    """``name-addr / addr-spec`` with header parameters: From, To, Contact, Route, Path, P-Asserted-Identity …

    ``display`` is the display name without quotes and escapes, None where there is none.
    """

    display: str | None
    uri: Uri
    params: Params = ()

    def param(self, name: str) -> str | None:
        return _value(self.params, name)

    def with_param(self, name: str, value: str | None) -> NameAddr:
        """A copy in which the parameter has this value (None: no value)."""
        return self._replace(params=_with_param(self.params, name, value))

    @property
    def tag(self) -> str | None:
        return find_param(self.params, "tag") or None

    @property
    def sip_uri(self) -> SipUri:
        """The URI where it is SIP or SIPS, else BadMessage."""
        if not isinstance(self.uri, SipUri):
            raise BadMessage("Not a SIP URI")
        return self.uri

    @property
    def expires(self) -> int | None:
        """The expires parameter of a Contact in seconds, None without (RFC 3261 §20.10)."""
        value = find_param(self.params, "expires")
        if value is None:
            return None
        try:
            return parse_digits(value, "expires", MAX_UINT32, is_clamped=True)
        except BadMessage:
            return DEFAULT_EXPIRES

    @property
    def q(self) -> int:
        """The q parameter of a Contact in thousandths, 1000 without it. BadMessage where it is no qvalue."""
        value = find_param(self.params, "q")
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
        return _value(self.params, name)

    def with_param(self, name: str, value: str | None) -> Via:
        """A copy in which the parameter has this value (None: no value)."""
        return self._replace(params=_with_param(self.params, name, value))

    @property
    def branch(self) -> str | None:
        return find_param(self.params, "branch") or None

    @property
    def received(self) -> str | None:
        """The received parameter, without the brackets that some put around IPv6 (RFC 5118 §4.5)."""
        value = find_param(self.params, "received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The port in rport; 0 where it is there without value, as a request asks (RFC 3581 §3); None without it."""
        value = find_param(self.params, "rport")
        return None if value is None else parse_digits(value or "0", "rport", 65535)

    @property
    def maddr(self) -> str | None:
        return find_param(self.params, "maddr") or None

    @property
    def sent_by(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.protocol}/{self.transport} {self.sent_by}{render_params(self.params)}"


class CSeq(NamedTuple):
    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


class MediaType(NamedTuple):
    """Content-Type, or one range of Accept. Type and subtype are in lower case, ``*`` in a range."""

    type: str
    subtype: str
    params: Params = ()

    def param(self, name: str) -> str | None:
        return _value(self.params, name)

    @property
    def essence(self) -> str:
        """``type/subtype``, without parameters."""
        return f"{self.type}/{self.subtype}"

    @property
    def q(self) -> int:
        """The q parameter in thousandths, 1000 without it. BadMessage where it is no qvalue."""
        value = find_param(self.params, "q")
        return 1000 if value is None else parse_qvalue(value)

    def covers(self, other: MediaType) -> bool:
        """Whether this range holds ``other``, parameters left aside."""
        return self.type in ("*", other.type) and self.subtype in ("*", other.subtype)

    def __str__(self) -> str:
        return f"{self.type}/{self.subtype}{render_params(self.params)}"


class Warn(NamedTuple):
    """One value of Warning (RFC 3261 §20.43): a code of three digits, who says so, and the text, unquoted."""

    code: int
    agent: str
    text: str

    def __str__(self) -> str:
        return f"{self.code:03} {self.agent} {quote(self.text)}"


class Auth(NamedTuple):
    """Credentials or a challenge (RFC 3261 §20.7, §20.44): the scheme as written, values unquoted, names in lower case.

    It has no ``str()`` of its own: which parameters are quoted depends on the scheme (`imc.sip.digest`).
    """

    scheme: str
    params: Mapping[str, str]


# -- readers ----------------------------------------------------------------------------------------------------------


def parse_params(text: str) -> Params:
    """``*( SEMI generic-param )``, the whole of ``text``, which is empty or starts at its first ``;``."""
    if not text:
        return ()
    params: Params
    if PLAIN_PARAMS.fullmatch(text) is not None:
        split = [item.partition("=") for item in text[1:].split(";")]
        params = tuple([(name.lower(), value if equal else None) for name, equal, value in split])
    else:
        first, *items = split_outside(text, ";")
        if first:
            raise BadMessage("Bad parameter")
        params = tuple([_parse_param(item) for item in items])
    # RFC 3261 §7.3.1: "any given parameter-name MUST NOT appear more than once"
    if len(params) > 1 and len({name for name, _ in params}) != len(params):
        raise BadMessage("Repeated parameter")
    return params


def _parse_param(item: str) -> tuple[str, str | None]:
    name, equal, value = item.partition("=")
    name = name.rstrip(WSP)
    if not is_token(name):
        raise BadMessage("Bad parameter name")
    if not equal:
        return name.lower(), None
    value = value.lstrip(WSP)
    if not is_gen_value(value) and QUOTED_STRING.fullmatch(value) is None:
        raise BadMessage("Bad parameter value")
    return name.lower(), value


def parse_name_addr(text: str) -> NameAddr:
    """``( name-addr / addr-spec ) *( SEMI generic-param )``."""
    text = text.strip(WSP)
    display: str | None = None
    if text.startswith('"'):
        quoted = QUOTED_STRING.match(text)
        if quoted is None:
            raise BadMessage("Unterminated quoted-string")
        display = unquote(quoted[0])
        left = text.find("<", quoted.end())
        if left < 0 or text[quoted.end() : left].strip(WSP):
            raise BadMessage("Bad display name")
    else:
        left = text.find("<")
        if left < 0:
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
    if text.startswith("SIP/2.0/"):
        head, semicolon, tail = text.partition(";")
        transport, _, sent_by = head[8:].partition(" ")
        if is_token(transport) and " " not in sent_by and "\t" not in sent_by:
            host, port = parse_host_port(sent_by)
            return Via("SIP/2.0", transport.upper(), host, port, parse_params(semicolon + tail))
    return _parse_odd_via(text)


def _parse_odd_via(text: str) -> Via:
    match = _VIA.fullmatch(text.strip(WSP))
    if match is None or not (is_token(match[1]) and is_token(match[2]) and is_token(match[3])):
        raise BadMessage("Bad Via")
    host, port = parse_host_port(match[4] if match[5] is None else f"{match[4]}:{match[5]}")
    return Via(f"{match[1].upper()}/{match[2]}", match[3].upper(), host, port, parse_params(match[6] or ""))


def parse_vias(values: Iterable[str]) -> list[Via]:
    return [parse_via(item) for value in values for item in split_outside(value, ",")]


def parse_cseq(text: str) -> CSeq:
    """``1*DIGIT LWS Method``."""
    parts = text.split()
    if len(parts) != 2 or not text.isascii() or not is_token(parts[1]):
        raise BadMessage("Bad CSeq")
    return CSeq(parse_digits(parts[0], "CSeq", MAX_CSEQ), parts[1])


def parse_media_type(text: str) -> MediaType:
    """Content-Type, or one media-range."""
    essence, semicolon, rest = text.partition(";")
    main, slash, sub = essence.partition("/")
    main, sub = main.strip(WSP).lower(), sub.strip(WSP).lower()
    if not slash or not is_token(main) or not is_token(sub):
        raise BadMessage("Bad media type")
    return MediaType(main, sub, parse_params(semicolon + rest))


def parse_accept(values: Iterable[str]) -> list[MediaType]:
    """All ranges of Accept, over several lines; an empty list where there is the header without any."""
    return [parse_media_type(item) for item in split_values(values)]


def split_values(values: Iterable[str]) -> list[str]:
    """The elements of comma-separated lines, in order. An empty line has none; else none may be empty (BadMessage)."""
    items = [item for value in values if value.strip(WSP) for item in split_outside(value, ",")]
    if not all(items):
        raise BadMessage("Empty element in list")
    return items


def parse_tokens(values: Iterable[str]) -> list[str]:
    """Option tags, methods or content codings over several lines: Require, Supported, Allow, Content-Encoding …"""
    items = split_values(values)
    if not all(map(is_token, items)):
        raise BadMessage("Bad token in list")
    return items


def parse_delta_seconds(text: str) -> int:
    """Expires, Min-Expires: seconds, at most 2**32-1 (RFC 3261 §20.19: more is taken as that)."""
    return parse_digits(text, "delta-seconds", MAX_UINT32, is_clamped=True)


def parse_max_forwards(text: str) -> int:
    """0..255; more is taken as 255 (RFC 4475 §3.1.2.4 lets it be treated as if it were absent)."""
    return parse_digits(text, "Max-Forwards", 255, is_clamped=True)


def parse_qvalue(text: str) -> int:
    """A qvalue in thousandths, 0..1000."""
    if _QVALUE.fullmatch(text) is None:
        raise BadMessage("Bad q value")
    whole, _, fraction = text.partition(".")
    return int(whole) * 1000 + int(fraction.ljust(3, "0"))


def parse_date(text: str) -> datetime:
    """Date, always in UTC (RFC 3261 §20.17). BadMessage for any other zone (RFC 4475 §3.1.2.12)."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise BadMessage("Bad Date")
    day, month, year, hour, minute, second = match.groups()
    try:
        return datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        raise BadMessage("Bad Date") from None


def render_date(wall: float) -> str:
    """Unix seconds as a Date value."""
    return formatdate(wall, usegmt=True)


def parse_warnings(values: Iterable[str]) -> list[Warn]:
    return [_parse_warning(item) for item in split_values(values)]


def _parse_warning(text: str) -> Warn:
    match = _WARNING.fullmatch(text)
    if match is None or QUOTED_STRING.fullmatch(match[3]) is None:
        raise BadMessage("Bad Warning")
    return Warn(int(match[1]), match[2], unquote(match[3]))


def parse_retry_after(text: str) -> int:
    """The seconds of Retry-After; its comment and parameters are for people and are left aside."""
    match = _RETRY_AFTER.fullmatch(text)
    if match is None:
        raise BadMessage("Bad Retry-After")
    return parse_digits(match[1], "Retry-After", MAX_UINT32, is_clamped=True)


def parse_auth(text: str) -> Auth:
    """Credentials (Authorization) or one challenge (WWW-Authenticate). No parameter may come twice."""
    scheme, _, rest = text.strip(WSP).partition(" ")
    if not is_token(scheme):
        raise BadMessage("Bad authentication scheme")
    params: dict[str, str] = {}
    for item in split_outside(rest, ","):
        name, equal, value = item.partition("=")
        name, value = name.rstrip(WSP).lower(), value.lstrip(WSP)
        if not equal or not is_token(name) or name in params:
            raise BadMessage("Bad authentication parameter")
        if not is_token(value) and QUOTED_STRING.fullmatch(value) is None:
            raise BadMessage("Bad authentication parameter")
        params[name] = unquote(value)
    return Auth(scheme, params)
