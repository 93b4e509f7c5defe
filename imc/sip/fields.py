"""The header fields of a message: names without case, long or compact, and the values in order.

Invariants:

* Every value may be sent as it is: nothing with CR or LF gets in by `Headers.add` or `Headers.set`, a NUL only where a
  quoted-pair stands for it (RFC 4475 §3.1.1.2), and no escape is ever decoded into a value.
* What `imc.sip.message.parse_message` lets in, `Headers.add` accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from imc.sip.grammar import WSP, is_header_text, is_token, split_outside

# RFC 3261 §7.3.3 and §20, RFC 6665 §8.2, RFC 3515, RFC 4028, RFC 3841, RFC 8224 §4: compact forms
_COMPACT: Final = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding",
    "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact",
    "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires",
    "y": "Identity",
}  # fmt: skip
_KNOWN: Final = (
    "Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Allow-Events", "Authentication-Info",
    "Authorization", "Auto-Submitted", "Call-ID", "Call-Info", "Contact", "Content-Disposition", "Content-Encoding",
    "Content-Language", "Content-Length", "Content-Type", "CSeq", "Date", "Error-Info", "Event", "Expires", "From",
    "IMC-Event", "In-Reply-To", "Max-Forwards", "MIME-Version", "Min-Expires", "Organization",
    "P-Asserted-Identity", "P-Preferred-Identity", "Path", "Priority", "Privacy", "Proxy-Authenticate",
    "Proxy-Authorization", "Proxy-Require", "Record-Route", "Reply-To", "Require", "Retry-After", "Route", "Server",
    "Service-Route", "SIP-ETag", "SIP-If-Match", "Subject", "Subscription-State", "Supported", "Timestamp", "To",
    "Unsupported", "User-Agent", "Via", "Warning", "WWW-Authenticate",
)  # fmt: skip
# How names are spelled here, by each spelling that peers use often. The rest goes through `_canonical_slow`.
_LOWER: Final = {name.lower(): name for name in _KNOWN} | _COMPACT
_SPELLED: Final = frozenset(_KNOWN)
NAMES: Final = {name: name for name in _KNOWN} | _LOWER | {name.upper(): full for name, full in _LOWER.items()}


def canonical_name(name: str) -> str:
    """The one spelling of a header name: ``v`` and ``VIA`` are ``Via``. ValueError where it is no token."""
    return NAMES.get(name) or _canonical_slow(name)


@lru_cache(maxsize=512)
def _canonical_cached(name: str) -> str:
    if not is_token(name):  # first: a letter outside of ASCII may have its lower case in it
        raise ValueError(f"not a header name: {name!r}")
    lower = name.lower()
    known = _LOWER.get(lower)
    if known is not None:
        return known
    return "-".join([part.capitalize() for part in lower.split("-")])


def _canonical_slow(name: str) -> str:
    # Long names do not stay in the cache, so that it is bounded in octets as well.
    return _canonical_cached(name) if len(name) <= 64 else _canonical_cached.__wrapped__(name)


class Headers:
    """An ordered multimap of header fields, names without case, compact forms understood.

    Values of one name stay in order; the order between names does not count (RFC 3261 §7.3.1). Values are text as it
    stands on the line, unfolded.
    """

    __slots__ = ("_fields",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in items:
            self.add(name, value)

    @classmethod
    def wrap(cls, fields: dict[str, list[str]]) -> Headers:
        """Around what is known to keep the invariants: canonical names, values that may be sent."""
        headers = cls.__new__(cls)
        headers._fields = fields
        return headers

    def get(self, name: str) -> str | None:
        """The first value, None without any."""
        values = self._fields.get(name)
        if values is None and name not in _SPELLED:
            values = self._fields.get(canonical_name(name))
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """The values line by line, a new list."""
        values = self._fields.get(name)
        if values is None and name not in _SPELLED:
            values = self._fields.get(canonical_name(name))
        return list(values or ())

    def values(self, name: str) -> list[str]:
        """The values of a comma-separated header one by one. BadMessage where a quote or ``<`` is not closed."""
        return [item for line in self.all(name) if line for item in split_outside(line, ",")]

    # spec S-READ-7
    def add(self, name: str, value: str) -> None:
        """One more value, after those there are. ValueError where name or value could not be sent as they are."""
        if not is_header_text(value):
            raise ValueError(f"not a header value: {value!r}")
        self._fields.setdefault(canonical_name(name), []).append(value.strip(WSP))

    def set(self, name: str, *values: str) -> None:
        """These values in place of those there are, each on its own line. ValueError as in `add`."""
        for value in values:
            if not is_header_text(value):
                raise ValueError(f"not a header value: {value!r}")
        if values:
            self._fields[canonical_name(name)] = [value.strip(WSP) for value in values]
        else:
            self.remove(name)

    def remove(self, name: str) -> None:
        """All values of ``name``, if there are any."""
        self._fields.pop(canonical_name(name), None)

    def items(self) -> Iterator[tuple[str, str]]:
        """(canonical name, value), line by line."""
        return ((name, value) for name, values in self._fields.items() for value in values)

    def copy(self) -> Headers:
        return self.wrap({name: list(values) for name, values in self._fields.items()})

    def __contains__(self, name: str) -> bool:
        return name in self._fields or (name not in _SPELLED and canonical_name(name) in self._fields)

    def __len__(self) -> int:
        return sum(map(len, self._fields.values()))

    def __eq__(self, other: object) -> bool:
        return self._fields == other._fields if isinstance(other, Headers) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({list(self.items())!r})"
