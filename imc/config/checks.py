"""What single values must be. Each check takes and gives a value, or raises ValueError with words for its author."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from imc.aor import Aor, canonical_host
from imc.errors import BadMessage, ConfigError
from imc.sip.digest import ALGORITHMS
from imc.sip.uri import SipUri, parse_uri
from imc.transport.addresses import canonical_ip, parse_advertise, parse_listen

# What imc itself says in a MESSAGE that it sends; a second one would be wrong or would forge.
_OWN_HEADERS = frozenset(
    {
        *("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "max-forwards", "contact", "m"),
        *("route", "record-route", "require", "proxy-require", "authorization", "proxy-authorization"),
        *("content-length", "l", "content-type", "c", "content-encoding", "e", "imc-event", "in-reply-to"),
    }
)
# RFC 3261 §25.1   header-name = token
_HEADER_LINE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*:[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\Z")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://(?:[A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

# What a Content-Security-Policy takes as it is: no blank, no ; and no , in it.
_WEB_SOCKET_URL = re.compile(r"wss?://(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9/._~\-]*)?")


def start_char(text: str) -> str:
    if len(text) != 1 or not text.isprintable() or text.isspace():
        raise ValueError(f"{text!r} is not one visible character")
    return text


def extra_headers(text: str) -> tuple[tuple[str, str], ...]:
    """``Name: value`` lines, each ended by CRLF, as Kamailio writes them, to (name, value) pairs."""
    pairs = []
    for line in re.split(r"\r\n|\n", text):
        if not line:
            continue
        match = _HEADER_LINE.match(line)
        if match is None:
            raise ValueError(f"{line!r} is not a header: write 'Name: value\\r\\n'")
        if match[1].lower() in _OWN_HEADERS:
            raise ValueError(f"{match[1]} is a header that imc sets itself")
        pairs.append((match[1], match[2].rstrip()))
    return tuple(pairs)


def address(text: str) -> str:
    return str(Aor.parse(text))


def domains(texts: tuple[str, ...]) -> tuple[str, ...]:
    hosts = tuple(dict.fromkeys(canonical_host(text) for text in texts))
    if not hosts:
        raise ValueError("at least one domain must be served")
    return hosts


def listen_addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    addresses = [str(parse_listen(text)) for text in texts]
    if not addresses:
        raise ValueError("at least one address must be listened on")
    twice = {text for text in addresses if addresses.count(text) > 1 and not text.endswith(":0")}
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))} stands there twice")
    return tuple(addresses)


def networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses and networks in CIDR form, IPv4 and IPv6, in their canonical text."""
    found = []
    for text in texts:
        try:
            found.append(str(ipaddress.ip_network(text)))
        except ValueError as error:
            raise ValueError(f"{text!r} is neither an IP address nor a network: {error}") from None
    return tuple(dict.fromkeys(found))


def extra_hdrs(text: str) -> str:
    extra_headers(text)
    return text


def outbound_proxy(text: str | None) -> str | None:
    """A SIP or SIPS URI; ``""`` is None, so that the environment can say it."""
    if not text:
        return None
    try:
        uri = parse_uri(text)
    except BadMessage:
        raise ValueError(f"{text!r} is not a URI") from None
    if not isinstance(uri, SipUri):
        raise ValueError(f"{text!r} is not a sip: or sips: URI")  # noqa: TRY004 – a value of the user's
    known = ("tcp", "tls") if uri.is_secure else ("udp", "tcp", "tls")
    if uri.transport is not None and uri.transport not in known:
        raise ValueError(f"{text!r}: transport {uri.transport!r} is none of {', '.join(known)}")
    return text


def file(text: str | None) -> str | None:
    """``""`` is None, so that the environment can say it."""
    return text or None


def origins(texts: tuple[str, ...]) -> tuple[str, ...]:
    """As browsers write them (RFC 6454 §6.2): a scheme, a host, and a port where it is not the scheme's own."""
    for text in texts:
        if text != "*" and not _ORIGIN.fullmatch(text):
            raise ValueError(f"{text!r} is not an origin, as https://chat.example.com or http://localhost:8000")
    return tuple(text.lower() for text in texts)


def page_server(text: str | None) -> str | None:
    """A WebSocket URL; ``""`` is None, so that the environment can say it."""
    if text and not _WEB_SOCKET_URL.fullmatch(text):
        raise ValueError(f"{text!r} is not a URL as wss://sip.example.com:8443/ws")
    return text or None


def certificate_names(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(canonical_ip(text) or canonical_host(text) for text in texts))


def db_url(text: str) -> str:
    # SQLAlchemy takes longer to import than all else here, and the default needs no check.
    from imc.store.urls import engine_url

    try:
        engine_url(text)
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("db_url: ")) from None
    return text


def mask_password(url: str) -> str:
    """A database URL without its password, to be shown."""
    scheme, separator, rest = url.partition("://")
    # As `imc.store.urls` reads it: the last @ ends the password.
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}{separator}{user}{colon}{'***' if colon else ''}{at}{place}"


def advertise(text: str | None) -> str | None:
    if not text:
        return None
    parse_advertise(text)
    return text


def nameservers(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        host, _ = parse_advertise(text)
        if canonical_ip(host) is None:
            raise ValueError(f"{text!r} is not an IP address, or IP:PORT")
    return texts


def algorithms(texts: tuple[str, ...]) -> tuple[str, ...]:
    return _some_of(texts, ALGORITHMS)


def qop(texts: tuple[str, ...]) -> tuple[str, ...]:
    return _some_of(texts, ("auth", "auth-int"))


def _some_of(texts: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    names = tuple(known)
    if not texts or len(set(texts)) < len(texts) or not set(texts) <= set(names):
        raise ValueError(f"must be some of {', '.join(names)}, each once")
    return texts


def manage_listen(text: str) -> str:
    host, colon, port = text.rpartition(":")
    bare = canonical_ip(host) or host
    if text and not (colon and bare and port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ValueError(f"{text!r} is not HOST:PORT; an IPv6 address stands in []")
    return text


def is_loopback_listen(text: str) -> bool:
    """Whether only this machine reaches HOST:PORT, or nobody does, as it is empty."""
    host = text.rpartition(":")[0]
    ip = canonical_ip(host)
    return not text or (host.lower() == "localhost" if ip is None else ipaddress.ip_address(ip).is_loopback)


def file_mode(text: str) -> str:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError(f"{text!r} is not three octal digits, as 0660")
    return text
