"""The grammar of RFC 3261 §25 that every other module of `imc.sip` builds on.

Invariants:

* Every pattern is linear in its input: character classes, and repetition that is possessive (``*+``) wherever two
  repetitions meet, so that nothing is ever tried twice. A reader that scans (`split_outside`) stops at the first error.
* What is read one by one, at the cost of a call each, is counted first: a list has `MAX_VALUES` values on a line, a
  value or a URI has `MAX_PARAMS` parameters. More is BadMessage.
* Text is `str`: UTF-8 decoded with ``surrogateescape``, so that any octets of a header come out again as they went in.
* Only `imc.errors.BadMessage` escapes from a reader; only ValueError from a writer that is given what cannot be sent.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from imc.aor import canonical_host
from imc.errors import BadMessage

# LWS = [*WSP CRLF] 1*WSP    (folding is undone before anything here sees the text)
WSP: Final = " \t"

# alphanum = ALPHA / DIGIT
# token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
_TCHARS = r"A-Za-z0-9\-.!%*_+`'~"
_TOKEN = re.compile(rf"[{_TCHARS}]+")

# word = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" / "(" / ")" / "<" / ">" / ":" / "\" /
#        DQUOTE / "/" / "[" / "]" / "?" / "{" / "}" )
# callid = word [ "@" word ]
_WORD_CHARS = _TCHARS + r'()<>:\\"/\[\]?{}'
_CALL_ID = re.compile(rf"[{_WORD_CHARS}]++(?:@[{_WORD_CHARS}]++)?")

# display-name = *(token LWS) / quoted-string         (this is the first form; RFC 4475 §3.1.1.6: the last LWS may lack)
_DISPLAY_TOKENS = re.compile(rf"[{_TCHARS} \t]*")

# quoted-string = SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE
# qdtext = LWS / %x21 / %x23-5B / %x5D-7E / UTF8-NONASCII
# quoted-pair = "\" (%x00-09 / %x0B-0C / %x0E-7F)
QUOTED_STRING: Final = re.compile(r'"([^"\\]*+(?:\\[^\r\n][^"\\]*+)*+)"')
_TO_QUOTE = re.compile(r'["\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')

# generic-param = token [ EQUAL gen-value ] ;  gen-value = token / host / quoted-string
# The plain form, without white space or quotes: what nearly every peer sends. ":" "[" "]" are there for host, and for
# via-received, which is an IPv6address with or without brackets (RFC 5118 §4.5).
_GEN_VALUE_CHARS = _TCHARS + r":\[\]"
PLAIN_PARAMS: Final = re.compile(rf"(?:;[{_TCHARS}]++(?:=[{_GEN_VALUE_CHARS}]++)?)*+")
_GEN_VALUE = re.compile(rf"[{_GEN_VALUE_CHARS}]+")

# Octets that no header line may hold: controls but HTAB, and CR or LF outside of CRLF. One exception: a quoted-pair
# within a quoted-string may be any octet but CR and LF (RFC 4475 §3.1.1.2 has a NUL there).
_CONTROLS = r"\x00-\x08\x0a-\x1f\x7f"
_CONTROL = re.compile(rf"[{_CONTROLS}]")
_ONLY_QUOTED_CONTROLS = re.compile(rf'(?:[^"{_CONTROLS}]++|"(?:[^"\\{_CONTROLS}]++|\\[^\r\n])*+")*+')
_STOPS = {",": re.compile('[",<]'), ";": re.compile('[";<]')}

# delta-seconds is at most this (RFC 3261 §20.19)
MAX_UINT32: Final = 2**32 - 1

# Far beyond what any peer has a use for.
MAX_VALUES: Final = 256
MAX_PARAMS: Final = 64
# Where `split_outside` stops for each part there may be: at quoted-strings and brackets, and at the separator.
_STOPS_PER_PART = 4


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def is_call_id(text: str) -> bool:
    return _CALL_ID.fullmatch(text) is not None


def is_display_tokens(text: str) -> bool:
    return _DISPLAY_TOKENS.fullmatch(text) is not None


def is_gen_value(text: str) -> bool:
    """Whether ``text`` is the token or host form of gen-value; a quoted-string is not."""
    return _GEN_VALUE.fullmatch(text) is not None


def is_header_text(text: str) -> bool:
    """Whether ``text`` may stand in a header line as it is: nothing in it can end the line, or hide the rest of it."""
    if text.isprintable():
        return True
    if _CONTROL.search(text) is not None and _ONLY_QUOTED_CONTROLS.fullmatch(text) is None:
        return False
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def quote(text: str) -> str:
    """``text`` as a quoted-string. ValueError where it holds CR or LF, which cannot be quoted (RFC 3261 §25.1)."""
    if "\r" in text or "\n" in text:
        raise ValueError("CR and LF cannot be quoted")
    return '"' + _TO_QUOTE.sub(lambda match: "\\" + match[0], text) + '"'


def unquote(text: str) -> str:
    """What a quoted-string stands for; any other text as it is."""
    if text[:1] != '"':
        return text
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    # Of backslashes in a row, each two are one; what is left of the others stands before what it escapes.
    return "\\".join([part.replace("\\", "") for part in inner.split("\\\\")])


def split_outside(text: str, separator: str, most: int = MAX_VALUES) -> list[str]:
    """Split at ``,`` or ``;`` where they stand outside of quoted-strings and ``<>``; each part without its outer LWS.

    BadMessage where a quote or an angle bracket is not closed, or where there are more than ``most`` parts.
    """
    if separator not in text:
        return [text.strip(WSP)]
    if '"' not in text and "<" not in text:
        if text.count(separator) >= most:
            raise BadMessage("Too many values")
        return [part.strip(WSP) for part in text.split(separator)]
    stops = _STOPS[separator]
    parts: list[str] = []
    start = pos = 0
    for _ in range(_STOPS_PER_PART * most):
        stop = stops.search(text, pos)
        if stop is None:
            parts.append(text[start:].strip(WSP))
            return parts
        at = stop.start()
        if text[at] == '"':
            quoted = QUOTED_STRING.match(text, at)
            if quoted is None:
                raise BadMessage("Unterminated quoted-string")
            pos = quoted.end()
        elif text[at] == "<":
            pos = text.find(">", at) + 1
            if pos == 0:
                raise BadMessage("Unterminated angle bracket")
        else:
            parts.append(text[start:at].strip(WSP))
            if len(parts) == most:
                break
            start = pos = at + 1
    raise BadMessage("Too many values")


def parse_digits(text: str, what: str, maximum: int, *, is_clamped: bool = False) -> int:
    """1*DIGIT as a number up to ``maximum``. More is BadMessage, or is taken as ``maximum`` if ``is_clamped``."""
    if not (text.isascii() and text.isdigit()):
        raise BadMessage(f"Bad {what}")
    # The length comes first: int() of a very long text is slow, and refused by CPython.
    value = int(text) if len(text) <= 20 else int((text.lstrip("0") or "0")[:21])
    if value <= maximum:
        return value
    if is_clamped:
        return maximum
    raise BadMessage(f"{what} too large")


def parse_port(text: str) -> int:
    """port = 1*DIGIT, in 1..65535: nothing can be sent to port 0."""
    port = parse_digits(text, "port", 65535)
    if port == 0:
        raise BadMessage("Bad port")
    return port


def parse_host_port(text: str) -> tuple[str, int | None]:
    """``hostport = host [ ":" port ]``: the host in lower case and without a root dot, and the port if there is one."""
    return _host_port_cached(text) if len(text) <= 64 else _host_port(text)


def _host_port(text: str) -> tuple[str, int | None]:
    # host = hostname / IPv4address / IPv6reference ;  IPv6reference = "[" IPv6address "]"
    if text.startswith("["):
        host, bracket, tail = text.partition("]")
        host += bracket
        if tail and tail[0] != ":":
            raise BadMessage("Bad host")
        colon, port = tail[:1], tail[1:]
    else:
        host, colon, port = text.partition(":")
    try:
        host = canonical_host(host)
    except ValueError:
        raise BadMessage("Bad host") from None
    return host, parse_port(port) if colon else None


# Peers name themselves and their domain again and again.
_host_port_cached = lru_cache(maxsize=1024)(_host_port)
