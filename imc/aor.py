"""Address-of-record: how a user or a room is known.

User part as is, in one canonical escaping (RFC 3261 §19.1.4: ``%61`` and ``a`` are the same, a reserved character and
its escape are not); host without case; scheme, port and parameters left aside (spec R-ADDR-1). Both `imc.sip` and
`imc.rooms` speak of addresses-of-record, and neither imports the other: so the type lives here, below both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# RFC 3261 §25.1   unreserved = alphanum / mark ;  mark = "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")"
# user = 1*( unreserved / escaped / user-unreserved ) ;  user-unreserved = "&" / "=" / "+" / "$" / "," / ";" / "?" / "/"
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+\Z")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
# hostname = *( domainlabel "." ) toplabel [ "." ]
# A last label that begins with a digit is let pass: IPv4address is one form of host. So is "_", which no name of the
# DNS for hosts has, but those of containers and of some local networks do.
_HOST = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
    r"|\[[0-9A-Fa-f:.]+\])\Z"
)


def _unescape(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else "%" + match[1].upper()


def canonical_user(user: str) -> str:
    """The user part in its one canonical escaping. ValueError where it breaks ``user`` of RFC 3261 §25.1."""
    if not _USER.match(user):
        raise ValueError(f"not a user part: {user!r}")
    return _ESCAPED.sub(_unescape, user) if "%" in user else user


def canonical_host(host: str) -> str:
    """The host in lower case, without a root dot. ValueError where it breaks the ``host`` grammar of RFC 3261 §25.1."""
    if len(host) > 255 or not _HOST.match(host):
        raise ValueError(f"not a host: {host!r}")
    return host.rstrip(".").lower()


class Aor(NamedTuple):
    """A canonical address-of-record. Build it with `make` or `parse`, which check; the plain constructor does not."""

    user: str
    host: str

    def __str__(self) -> str:
        return f"sip:{self.user}@{self.host}"

    @classmethod
    def make(cls, user: str, host: str) -> Aor:
        """From a user and a host part as they stand in a URI. ValueError where either breaks its grammar."""
        return cls(canonical_user(user), canonical_host(host))

    @classmethod
    def parse(cls, text: str, default_host: str | None = None) -> Aor:
        """From ``name``, ``name@host``, or a ``sip:``/``sips:`` URI, each with or without ``<>``.

        Port, parameters and headers of a URI are left aside; ``default_host`` is used where no host is given.
        ValueError for anything else.
        """
        bare = text[1:-1] if text.startswith("<") and text.endswith(">") else text
        if "<" in bare or ">" in bare:
            raise ValueError(f"not an address: {text!r}")
        scheme, colon, rest = bare.partition(":")
        has_scheme = bool(colon) and scheme.lower() in ("sip", "sips")
        if has_scheme:
            bare = rest
        user, at, host = bare.rpartition("@")
        if not at:
            if has_scheme or default_host is None:
                raise ValueError(f"not a complete address: {text!r}")
            return cls.make(bare, default_host)
        user = user.partition(":")[0]
        host = re.split(r"[;?]", host, maxsplit=1)[0]
        match = re.fullmatch(r"(.*?)(?::(\d{1,5}))?", host)
        if match is None:
            raise ValueError(f"not an address: {text!r}")
        return cls.make(user, match[1])
