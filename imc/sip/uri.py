"""URIs: SIP and SIPS (RFC 3261 §19.1), tel (RFC 3966), and any other absoluteURI, of which only the scheme is read.

Invariants:

* A URI is immutable, and ``parse_uri(str(uri)) == uri``.
* Parts are kept as they were written, escapes included; only scheme and host are brought to lower case. What an escape
  stands for matters in comparison (`SipUri.matches`), in `SipUri.aor` and in `SipUri.param`, nowhere else: it is never
  decoded into text that is sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from imc.aor import Aor
from imc.errors import BadMessage
from imc.sip.grammar import MAX_PARAMS, parse_host_port

Params = tuple[tuple[str, str | None], ...]
"""Parameters in their order, as (name, raw value): None for one without value, quotes kept where it is quoted."""

# unreserved = alphanum / mark ;  mark = "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")"
# escaped = "%" HEXDIG HEXDIG
_UNRESERVED_CHARS = r"A-Za-z0-9\-_.!~*'()"
_HEX = "%[0-9A-Fa-f]{2}"
# user = 1*( unreserved / escaped / user-unreserved ) ;  user-unreserved = "&" / "=" / "+" / "$" / "," / ";" / "?" / "/"
_USER = re.compile(rf"(?:[{_UNRESERVED_CHARS}&=+$,;?/]++|{_HEX})++")
# password = *( unreserved / escaped / "&" / "=" / "+" / "$" / "," )
_PASSWORD = re.compile(rf"(?:[{_UNRESERVED_CHARS}&=+$,]++|{_HEX})*+")
# uri-parameters = *( ";" uri-parameter) ;  other-param = pname [ "=" pvalue ] ;  pname = 1*paramchar, so is pvalue
# paramchar = param-unreserved / unreserved / escaped ;  param-unreserved = "[" / "]" / "/" / ":" / "&" / "+" / "$"
_PARAM = rf"(?:[{_UNRESERVED_CHARS}\[\]/:&+$]++|{_HEX})++"
_PARAMS = re.compile(rf"(?:;{_PARAM}(?:={_PARAM})?)*+")
# headers = "?" header *( "&" header ) ;  header = hname "=" hvalue
# hname = 1*( hnv-unreserved / unreserved / escaped ) ;  hnv-unreserved = "[" / "]" / "/" / "?" / ":" / "+" / "$"
_HNV = rf"(?:[{_UNRESERVED_CHARS}\[\]/?:+$]++|{_HEX})"
_HEADERS = re.compile(rf"{_HNV}++={_HNV}*+(?:&{_HNV}++={_HNV}*+)*+")
# scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*")
# uric = reserved / unreserved / escaped ;  reserved = ";" / "/" / "?" / ":" / "@" / "&" / "=" / "+" / "$" / ","
# "[" and "]" are let pass: hosts of other schemes may be IPv6 (RFC 3986 §3.2.2).
_OPAQUE = re.compile(rf"(?:[{_UNRESERVED_CHARS};/?:@&=+$,\[\]]++|{_HEX})++")
# RFC 3966 §3: global-number-digits = "+" *phonedigit DIGIT *phonedigit ; local ones may hold HEXDIG "*" "#" too
_TEL_NUMBER = re.compile(r"\+[\-.()]*+[0-9][0-9\-.()]*+|[\-.()]*+[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*+")

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")

# RFC 3261 §19.1.4: these never match a URI that has none; every other parameter of one side alone is ignored.
_NEVER_IGNORED = ("user", "ttl", "method", "maddr", "transport")


def _unescape(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else "%" + match[1].upper()


def canonical_escapes(text: str) -> str:
    """``text`` in its one canonical escaping: unreserved characters bare, all other escapes with upper-case digits.

    RFC 3261 §19.1.4: characters outside of the reserved set are equivalent to their escapes. Done once, never again on
    its own result (RFC 4475 §3.1.1.3).
    """
    return _ESCAPED.sub(_unescape, text) if "%" in text else text


def find_param(params: Params, name: str) -> str | None:
    """The raw value of the parameter ``name`` (in lower case): "" where it has no value, None where it is absent."""
    for key, value in params:
        if key == name or (key.lower() == name) or ("%" in key and canonical_escapes(key).lower() == name):
            return value or ""
    return None


def render_params(params: Params) -> str:
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


@dataclass(frozen=True, slots=True)
class SipUri:
    """A SIP or SIPS URI. ``==`` compares the parts as written; use `matches` for the comparison of RFC 3261."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None = None
    params: Params = ()
    headers: tuple[tuple[str, str], ...] = ()
    _aor: Aor | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def aor(self) -> Aor:
        """The address-of-record. ValueError where there is no user part."""
        aor = self._aor
        if aor is None:
            if self.user is None:
                raise ValueError("a URI without user part is no address-of-record")
            aor = Aor.make(self.user, self.host)
            object.__setattr__(self, "_aor", aor)
        return aor

    def param(self, name: str) -> str | None:
        """The value of a parameter as written, "" for one without value, None for none. ``name`` is in lower case."""
        return find_param(self.params, name)

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case, None without."""
        value = find_param(self.params, "transport")
        return canonical_escapes(value).lower() if value else None

    @property
    def maddr(self) -> str | None:
        """The maddr parameter, None without."""
        return find_param(self.params, "maddr") or None

    @property
    def is_lr(self) -> bool:
        """Whether it names a loose router (RFC 3261 §16.12.1.1)."""
        return find_param(self.params, "lr") is not None

    @property
    def is_secure(self) -> bool:
        return self.scheme == "sips"

    def matches(self, other: object) -> bool:
        """Equivalence of RFC 3261 §19.1.4. It is not transitive."""
        if not isinstance(other, SipUri):
            return False
        if (self.scheme, self.host, self.port) != (other.scheme, other.host, other.port):
            return False
        if _component(self.user) != _component(other.user) or _component(self.password) != _component(other.password):
            return False
        mine, theirs = _comparable_params(self.params), _comparable_params(other.params)
        if any((name in mine) != (name in theirs) for name in _NEVER_IGNORED):
            return False
        if any(theirs.get(name, value) != value for name, value in mine.items()):
            return False
        return _comparable_headers(self.headers) == _comparable_headers(other.headers)

    def __str__(self) -> str:
        text = f"{self.scheme}:"
        if self.user is not None:
            text += f"{self.user}@" if self.password is None else f"{self.user}:{self.password}@"
        text += self.host if self.port is None else f"{self.host}:{self.port}"
        if self.params:
            text += render_params(self.params)
        if self.headers:
            text += "?" + "&".join(f"{name}={value}" for name, value in self.headers)
        return text


@dataclass(frozen=True, slots=True)
class TelUri:
    """A tel URI (RFC 3966): the number as written, visual separators included."""

    number: str
    params: Params = ()

    scheme = "tel"

    def param(self, name: str) -> str | None:
        return find_param(self.params, name)

    def __str__(self) -> str:
        return f"tel:{self.number}{render_params(self.params)}"


@dataclass(frozen=True, slots=True)
class OtherUri:
    """Any other absoluteURI: its scheme in lower case, and the rest as written."""

    scheme: str
    rest: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


Uri = SipUri | TelUri | OtherUri


def parse_uri(text: str) -> Uri:
    """One URI, the whole of ``text``. BadMessage where it breaks the grammar of RFC 3261 §25.1."""
    # A cached text is short, so that what the cache holds is bounded in octets as well.
    return _parse_cached(text) if len(text) <= 128 else _parse(text)


def _parse(text: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    lower = scheme.lower()
    if lower in ("sip", "sips") and colon:
        return _parse_sip(lower, rest)
    if not colon or _SCHEME.fullmatch(scheme) is None:
        raise BadMessage("Bad URI")
    if lower == "tel":
        return _parse_tel(rest)
    if _OPAQUE.fullmatch(rest) is None:
        raise BadMessage("Bad URI")
    return OtherUri(lower, rest)


_parse_cached = lru_cache(maxsize=4096)(_parse)


def _parse_sip(scheme: str, rest: str) -> SipUri:
    user: str | None = None
    password: str | None = None
    # "@" can stand nowhere else: user, password, parameters and headers all must escape it.
    userinfo, at, after = rest.partition("@")
    if at:
        rest = after
        user, colon, secret = userinfo.partition(":")
        if _USER.fullmatch(user) is None:
            raise BadMessage("Bad user part in URI")
        if colon:
            if _PASSWORD.fullmatch(secret) is None:
                raise BadMessage("Bad password in URI")
            password = secret
    rest, question, header_part = rest.partition("?")
    if header_part.count("&") >= MAX_PARAMS:
        raise BadMessage("Too many headers in URI")
    if question and _HEADERS.fullmatch(header_part) is None:
        raise BadMessage("Bad headers in URI")
    host_port, semicolon, param_part = rest.partition(";")
    host, port = parse_host_port(host_port)
    params = _parse_params(";" + param_part) if semicolon else ()
    headers = tuple(_parse_header(item) for item in header_part.split("&")) if question else ()
    return SipUri(scheme, user, password, host, port, params, headers)


def _parse_header(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _parse_params(text: str) -> Params:
    if text.count(";") > MAX_PARAMS:
        raise BadMessage("Too many parameters in URI")
    if _PARAMS.fullmatch(text) is None:
        raise BadMessage("Bad parameter in URI")
    params: list[tuple[str, str | None]] = []
    for item in text[1:].split(";"):
        name, equal, value = item.partition("=")
        params.append((name, value if equal else None))
    # RFC 3261 §19.1.1: "any given parameter-name MUST NOT appear more than once"
    if len(params) > 1 and len({canonical_escapes(name).lower() for name, _ in params}) != len(params):
        raise BadMessage("Repeated parameter in URI")
    return tuple(params)


def _parse_tel(rest: str) -> TelUri:
    number, semicolon, param_part = rest.partition(";")
    if _TEL_NUMBER.fullmatch(number) is None:
        raise BadMessage("Bad tel URI")
    return TelUri(number, _parse_params(";" + param_part) if semicolon else ())


def _component(text: str | None) -> str | None:
    return None if text is None else canonical_escapes(text)


def _comparable_params(params: Params) -> dict[str, str]:
    return {canonical_escapes(name).lower(): canonical_escapes(value or "").lower() for name, value in params}


def _comparable_headers(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return sorted((canonical_escapes(name).lower(), canonical_escapes(value)) for name, value in headers)
