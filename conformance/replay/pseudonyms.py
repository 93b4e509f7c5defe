"""Names and words of a recording, and what stands for them in an anonymous one.

Invariants

- The same stands for the same, everywhere: users, rooms, hosts, tokens and words each have one pseudonym.
- A pseudonym is never one of the names that were replaced. Addresses are those set aside for documentation (RFC 5737,
  RFC 3849, RFC 2606).
- A word keeps its size in octets and its capitals, so that limits of length are met as before.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

from imc.aor import canonical_user

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_V4_BLOCKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15")
_MANAGER = "chat-manager"  # the usual one, which names nobody
_ROOM_PREFIX = "chat-"
_KEPT_URI_PARAM = re.compile(
    r"(?:transport=(?:udp|tcp|tls|sctp|ws|wss)|lr(?:=on|=true)?|ob|user=(?:phone|ip)|ttl=[0-9]{1,3})", re.IGNORECASE
)

_HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_V4 = r"\d{1,3}(?:\.\d{1,3}){3}"
_V6 = rf"(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:{_V4}(?![\d.])|[0-9A-Fa-f]{{0,4}})"
# In the order in which they are tried at each place.
_TOKEN = re.compile(
    rf"(?P<uri>sips?:(?:[^\s@<>\",]*@)?(?:{_HOST})(?::\d+)?(?:[;?][^\s<>\",]*)?)"
    rf"|(?P<aor>(?:[A-Za-z0-9._!~*'&=+$%-]+)@(?:{_HOST}))"
    rf"|(?P<v4>(?<![\d.]){_V4}(?![\d.]))"
    rf"|(?P<v6>(?<![0-9A-Za-z:]){_V6}(?![0-9A-Za-z:]))"
    rf"|(?P<host>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{{2,}})"
    rf"|(?P<name>[A-Za-z0-9_+](?:[A-Za-z0-9._+-]*[A-Za-z0-9_])?)"
    rf"|(?P<word>[^\W\d_]+)"
    rf"|(?P<digits>\d+)",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\W\d_]+|\d+")
# An address may be glued to other words, and have other characters for its dots.
_PARTS = re.compile(rf"(?<!\d)(?<!\d\.)\d{{1,3}}([._-])\d{{1,3}}(?:\1\d{{1,3}}){{2}}(?!\.?\d)|{_WORDS.pattern}")


class Pseudonyms:
    """``rooms`` are user parts of rooms. ``seed`` makes a run repeatable; by default each is its own."""

    def __init__(self, rooms: set[str], seed: int | None = None) -> None:
        self._rooms = {room.lower() for room in rooms}
        self._random = Random(secrets.randbits(128) if seed is None else seed)  # noqa: S311 - nothing is kept secret
        self._users: dict[str, str] = {}
        self._hosts: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._displays: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._used: set[str] = set()
        self._v4 = _addresses()

    def forget_words(self) -> None:
        """Choose words anew: by now all names are known that they must not be."""
        self._words.clear()
        self._used = {part.lower() for name in self.names() for part in _WORDS.findall(name)}

    def names(self) -> set[str]:
        """What is replaced: user parts, hosts, display names."""
        return {*self._users, *self._hosts, *self._displays}

    # -- names --------------------------------------------------------------------------------------------------------

    def user(self, user: str) -> str:
        """Of a user part; its capitals do not count, but two spellings stay two."""
        with suppress(ValueError):
            user = canonical_user(user)
        if user.lower() == _MANAGER:
            return user
        name = self._users.get(user.lower())
        if name is None:
            name = self._users[user.lower()] = self._new_user(user.lower())
        return name if user == user.lower() else name.upper() if user == user.upper() else name.capitalize()

    def _new_user(self, user: str) -> str:
        number = len(self._users) + 1
        if user not in self._rooms:
            return f"user{number}"
        return f"{_ROOM_PREFIX}room{number}" if user.startswith(_ROOM_PREFIX) else f"room{number}"

    def host(self, host: str) -> str:
        """Of a name or IP address, IPv6 with or without brackets."""
        bare = host.strip("[]").rstrip(".").lower()
        if bare not in self._hosts:
            try:
                address = ipaddress.ip_address(bare)
            except ValueError:
                self._hosts[bare] = f"host{len(self._hosts) + 1}.example"
            else:
                if str(address) != bare:
                    self._hosts[bare] = self.host(str(address)).strip("[]")
                elif address.version == 4:
                    self._hosts[bare] = next(self._v4)
                else:
                    self._hosts[bare] = f"2001:db8::{len(self._hosts) + 1:x}"
        return f"[{self._hosts[bare]}]" if host.startswith("[") else self._hosts[bare]

    def token(self, token: str, kind: str = "t") -> str:
        """Of a tag, branch, nonce, Call-ID …"""
        known = self._tokens.get(token)
        if known is None:
            known = self._tokens[token] = f"{kind}{len(self._tokens) + 1}"
        return known

    def display(self, text: str) -> str:
        """Of a display name. One that is somebody's name or address stands for it."""
        if text.lower() in self._users or "@" in text:
            return self.text(text)
        known = self._displays.get(text)
        if known is None:
            known = self._displays[text] = f"Name {len(self._displays) + 1}"
        return known

    def uri(self, text: str) -> str:
        """Of a URI; passwords and headers in it go."""
        scheme, _, rest = text.partition(":")
        if scheme.lower() not in ("sip", "sips"):
            return f"{scheme.lower() if scheme.lower() == 'tel' else 'urn'}:{self._other(scheme, rest)}"
        rest = rest.partition("?")[0]
        userinfo, at, place = rest.rpartition("@")
        host_port, *params = place.split(";")
        found = re.fullmatch(rf"({_HOST})(?::([0-9]{{1,5}}))?", host_port, re.IGNORECASE)
        host = f"{self.host(found[1])}{':' + found[2] if found[2] else ''}" if found else self.host(host_port)
        user = self.user(userinfo.partition(":")[0]) + "@" if at and userinfo else ""
        return f"{scheme}:{user}{host}" + "".join(f";{self._uri_param(param)}" for param in params)

    def _other(self, scheme: str, rest: str) -> str:
        number = int(self.token(f"{scheme}:{rest}", "n").lstrip("n"))
        return f"+1555{number:07}" if scheme.lower() == "tel" else f"x-anonymous:{number}"

    def _uri_param(self, param: str) -> str:
        name, equal, value = param.partition("=")
        if name.lower() == "maddr":
            return f"maddr={self.host(value)}"
        if _KEPT_URI_PARAM.fullmatch(param) is not None:
            return param
        return f"{self.token(name, 'p')}{equal}{self.token(value) if value else ''}"

    def address_word(self, word: str) -> str:
        """Of an address as a command has it: a user part, ``user@host``, a URI, with or without angle brackets."""
        if word.startswith("<"):
            return f"<{self.address_word(word.strip('<>'))}>"
        if word.lower().startswith(("sip:", "sips:")):
            return self.uri(word)
        user, at, host = word.partition("@")
        return self.user(user) + (f"@{self.host(host)}" if at else "")

    # -- text ---------------------------------------------------------------------------------------------------------

    def text(self, text: str) -> str:
        """Of what people wrote: names by their pseudonyms, every other word and number by another one."""
        return _TOKEN.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        kind, text = match.lastgroup, match[0]
        if kind == "uri":
            return self.uri(text)
        if kind == "aor":
            user, _, host = text.rpartition("@")
            return f"{self.user(user)}@{self.host(host)}"
        if kind in ("v4", "v6") and _is_ip(text):
            return self.host(text)
        if text.lower() in self._hosts:
            return self.host(text)
        if text.lower() in self._users:
            return self.user(text)
        return _PARTS.sub(self._part, text)

    def _part(self, match: re.Match[str]) -> str:
        text, joint = match[0], match[1]
        if joint is None:
            return self._digits(text) if text.isdigit() else self.word(text)
        address = text.replace(joint, ".")
        if address in self._hosts or (joint == "." and _is_ip(address)):
            return self.host(address).replace(".", joint)
        return _WORDS.sub(lambda each: self._digits(each[0]), text)

    def _digits(self, text: str) -> str:
        size = len(text.encode())
        if len(text) > 2:
            return self._invented(text, self._number, size=size)
        # There are too few of these for each to have its own.
        known = self._words.get(text)
        while known is None or known == text:
            known = self._number(size)
        self._words[text] = known
        return known

    def _number(self, size: int) -> str:
        return "".join(self._random.choices("0123456789", k=size))

    def word(self, word: str) -> str:
        """Of one word; its capitals are kept."""
        known = self._invented(word.lower(), self._letters, size=len(word.encode("utf-8", "surrogateescape")))
        if word == word.lower():
            return known
        return known.upper() if len(word) > 1 and word == word.upper() else known.capitalize()

    def _invented(self, text: str, invent: Callable[[int], str], size: int = 0) -> str:
        known = self._words.get(text)
        if known is None:
            size = size or len(text)
            tries = 0
            known = invent(size)
            while known in self._used or known == text:
                tries += 1
                known = invent(size + tries // 50)
            self._words[text] = known
            self._used.add(known)
        return known

    def _letters(self, size: int) -> str:
        start = self._random.random() < 0.5
        return "".join(
            self._random.choice(_VOWELS if (place % 2 == 0) == start else _CONSONANTS) for place in range(size)
        )


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _addresses() -> Iterator[str]:
    for block in _V4_BLOCKS:
        for address in ipaddress.ip_network(block).hosts():
            yield str(address)
    raise ValueError("more IPv4 addresses than are set aside for documentation")
