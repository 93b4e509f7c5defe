"""Hypothesis strategies for SIP: URIs, header values and messages. Texts are valid unless the name says otherwise."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from imc.sip.grammar import quote
from imc.sip.message import Headers, Request, Response

ALNUM = string.ascii_letters + string.digits
TOKEN_CHARS = ALNUM + "-.!%*_+`'~"
UNRESERVED = ALNUM + "-_.!~*'()"
METHODS = ("MESSAGE", "REGISTER", "OPTIONS", "INVITE", "ACK", "CANCEL", "BYE")

tokens = st.text(TOKEN_CHARS, min_size=1, max_size=12)
escapes = st.integers(0, 255).map(lambda code: f"%{code:02X}") | st.integers(0, 255).map(lambda code: f"%{code:02x}")


def _escaped(chars: str, *, min_size: int = 1, max_size: int = 8) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(chars) | escapes, min_size=min_size, max_size=max_size).map("".join)


users = _escaped(UNRESERVED + "&=+$,;?/")
plain_users = st.from_regex(r"[a-z][a-z0-9._-]{0,11}", fullmatch=True)
passwords = _escaped(UNRESERVED + "&=+$,", min_size=0)
labels = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,6}[A-Za-z0-9])?", fullmatch=True)
hostnames = st.lists(labels, min_size=1, max_size=3).map(".".join)
ipv4 = st.ip_addresses(v=4).map(str)
ipv6_references = st.ip_addresses(v=6).map(lambda address: f"[{address}]")
hosts = hostnames | ipv4 | ipv6_references
ports = st.integers(1, 65535)

_param_texts = _escaped(UNRESERVED + "[]/:&+$")


def _unique_params(params: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    from imc.sip.uri import canonical_escapes

    seen = {canonical_escapes(name).lower(): (name, value) for name, value in params}
    return list(seen.values())


def _join_params(params: list[tuple[str, str | None]]) -> str:
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


uri_params = (
    st.lists(st.tuples(_param_texts, st.none() | _param_texts), max_size=3).map(_unique_params).map(_join_params)
)
_hnv_texts = _escaped(UNRESERVED + "[]/?:+$")
uri_headers = st.lists(st.tuples(_hnv_texts, st.just("") | _hnv_texts), max_size=2).map(
    lambda items: "?" + "&".join(f"{name}={value}" for name, value in items) if items else ""
)


@st.composite
def sip_uris(draw: st.DrawFn, *, is_plain: bool = False) -> str:
    """SIP and SIPS URIs; ``is_plain``: ``sip:user@host`` and nothing more, as most are."""
    if is_plain:
        return f"sip:{draw(plain_users)}@{draw(hostnames)}"
    text = draw(st.sampled_from(("sip:", "sips:", "SIP:")))
    if draw(st.booleans()):
        text += draw(users)
        if draw(st.booleans()):
            text += ":" + draw(passwords)
        text += "@"
    text += draw(hosts)
    if draw(st.booleans()):
        text += f":{draw(ports)}"
    return text + draw(uri_params) + draw(uri_headers)


other_uris = st.sampled_from(
    ("tel:+358-555-1234567;phone-context=example.com", "http://example.com/a?b=c", "isbn:2983792873", "urn:service:sos")
)
uris = sip_uris() | other_uris

# Text that may stand in a header: no controls but HTAB; letters of any language, and octets that are no UTF-8.
header_chars = st.characters(exclude_categories=["Cc", "Cs"]) | st.just("\t") | st.integers(0xDC80, 0xDCFF).map(chr)


def _as_read(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


header_texts = st.text(header_chars, max_size=30).map(_as_read)
quoted_strings = st.text(header_chars | st.sampled_from('"\\'), max_size=12).map(_as_read).map(quote)
display_names = st.just("") | quoted_strings | st.lists(tokens, min_size=1, max_size=3).map(" ".join)


def _unique_names(params: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    return list({name.lower(): (name, value) for name, value in params}.values())


generic_params = (
    st.lists(st.tuples(tokens, st.none() | tokens | hosts | quoted_strings), max_size=3)
    .map(_unique_names)
    .map(_join_params)
)
tags = st.text(ALNUM, min_size=1, max_size=10)


@st.composite
def name_addrs(draw: st.DrawFn) -> str:
    """name-addr with parameters; now and then an addr-spec."""
    if draw(st.integers(0, 4)) == 0:
        return draw(sip_uris(is_plain=True)) + draw(generic_params)
    return f"{draw(display_names)}<{draw(uris)}>{draw(generic_params)}"


@st.composite
def vias(draw: st.DrawFn) -> str:
    sent_by = draw(hosts) + (f":{draw(ports)}" if draw(st.booleans()) else "")
    params = draw(st.sampled_from(("", ";rport", ";ttl=1;rport=5060", ";received=192.0.2.1", ";received=2001:db8::1")))
    return f"SIP/2.0/{draw(st.sampled_from(('UDP', 'TCP', 'tls')))} {sent_by};branch=z9hG4bK{draw(tags)}{params}"


extension_headers = st.lists(st.tuples(tokens.map("X-".__add__), header_texts), max_size=3)
bodies = st.binary(max_size=60)


def _headers(
    draw: st.DrawFn, method: str, from_: st.SearchStrategy[str], to: st.SearchStrategy[str]
) -> list[tuple[str, str]]:
    items = [("Via", via) for via in draw(st.lists(vias(), min_size=1, max_size=3))]
    items += [("Max-Forwards", str(draw(st.integers(0, 255))))]
    items += [("From", draw(from_)), ("To", draw(to))]
    items += [("Call-ID", draw(tags)), ("CSeq", f"{draw(st.integers(0, 2**31 - 1))} {method}")]
    return items + draw(extension_headers)


@st.composite
def requests(draw: st.DrawFn, *, method: str | None = None) -> Request:
    """Well-formed requests of any method, with any body."""
    chosen = method or draw(st.sampled_from(METHODS) | tokens)
    return Request(chosen, draw(uris), Headers(_headers(draw, chosen, name_addrs(), name_addrs())), draw(bodies))


@st.composite
def responses(draw: st.DrawFn) -> Response:
    """Well-formed responses."""
    method = draw(st.sampled_from(METHODS))
    headers = Headers(_headers(draw, method, name_addrs(), name_addrs()))
    return Response(draw(st.integers(100, 699)), draw(header_texts).strip(" \t"), headers, draw(bodies))


messages = requests() | responses()


@st.composite
def mutated_messages(draw: st.DrawFn) -> bytes:
    """Valid messages with a few octets changed, left out, doubled or put in: mostly invalid."""
    data = bytearray(draw(messages).render())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + draw(st.integers(0, 9))] = b""
            case 1:
                data[at:at] = draw(
                    st.sampled_from((b"\r\n", b"\r\n ", b'"', b"<", b">", b";", b",", b"\0", b"\\", b"%"))
                )
            case 2:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
            case _:
                data[at:at] = data[max(at - 20, 0) : at]
    return bytes(data)
