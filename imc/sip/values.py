"""Header field values that are no addresses: media types, lists, numbers, dates, warnings, credentials.

Readers raise `imc.errors.BadMessage` and nothing else; values are immutable and render by ``str()``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple

from imc.errors import BadMessage
from imc.sip.grammar import (
    MAX_PARAMS,
    MAX_UINT32,
    QUOTED_STRING,
    WSP,
    is_token,
    parse_digits,
    quote,
    split_outside,
    unquote,
)
from imc.sip.params import param_value, parse_params, raw_value
from imc.sip.uri import Params, render_params

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


class MediaType(NamedTuple):
    """Content-Type, or one range of Accept. Type and subtype are in lower case, ``*`` in a range."""

    type: str
    subtype: str
    params: Params = ()

    def param(self, name: str) -> str | None:
        return param_value(self.params, name)

    @property
    def essence(self) -> str:
        """``type/subtype``, without parameters."""
        return f"{self.type}/{self.subtype}"

    @property
    def q(self) -> int:
        """The q parameter in thousandths, 1000 without it. BadMessage where it is no qvalue."""
        value = raw_value(self.params, "q")
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


def parse_media_type(text: str) -> MediaType:
    """Content-Type, or one media-range."""
    return _parse_media_type_cached(text) if len(text) <= 80 else _parse_media_type(text)


def _parse_media_type(text: str) -> MediaType:
    essence, semicolon, rest = text.partition(";")
    main, slash, sub = essence.partition("/")
    main, sub = main.strip(WSP).lower(), sub.strip(WSP).lower()
    if not slash or not is_token(main) or not is_token(sub):
        raise BadMessage("Bad media type")
    return MediaType(main, sub, parse_params(semicolon + rest))


# Nearly all texts have one of a few, and each is asked for its own several times.
_parse_media_type_cached = lru_cache(maxsize=256)(_parse_media_type)


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
    """Expires, Min-Expires: seconds, at most 2**32-1 (RFC 3261 §10.2: more may be taken as that)."""
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
    parts = text.split(None, 1)
    if len(parts) != 2 or not is_token(parts[0]):
        raise BadMessage("Bad authentication scheme")
    params: dict[str, str] = {}
    for item in split_outside(parts[1], ",", MAX_PARAMS):
        name, equal, value = item.partition("=")
        name, value = name.rstrip(WSP).lower(), value.lstrip(WSP)
        if not equal or not is_token(name) or name in params:
            raise BadMessage("Bad authentication parameter")
        if not is_token(value) and QUOTED_STRING.fullmatch(value) is None:
            raise BadMessage("Bad authentication parameter")
        params[name] = unquote(value)
    return Auth(parts[0], params)
