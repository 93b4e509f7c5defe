"""The names of a recording, and what they are called where it is replayed.

Invariants

- One name is called the same wherever it stands: in a Request-URI, a header, a body that is sent, or one that is
  expected. So what is compared was renamed by the same rules as what was sent.
- Text that is no name stays as it is, to the octet.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from conformance.replay.people import People
from conformance.replay.recording import Address, canonical_ip
from conformance.replay.script import Agent

# sip:user@host:port, wherever it stands in a header or a body
_URI = re.compile(
    r"(?P<scheme>sips?:)(?:(?P<user>[^\s@<>\",]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?)"
    r"(?::(?P<port>\d{1,5}))?",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Renaming:
    """``domains`` and ``users`` (user parts) by their old names; ``suffix`` is put behind the names of rooms.

    ``live`` is where each agent is now; it must be filled before anything is renamed.
    """

    people: People
    server: Address
    target: Address
    domains: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""
    users: Mapping[str, str] = field(default_factory=dict)
    live: dict[Agent, Address] = field(default_factory=dict)
    _call_ids: dict[str, str] = field(default_factory=dict)
    _tags: dict[str, str] = field(default_factory=dict)
    _words: re.Pattern[str] | None = None
    _by_word: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        words: dict[str, str] = {}
        if self.suffix:
            for room in self.people.rooms:
                words[room.partition("@")[0]] = room.partition("@")[0] + self.suffix
        words |= self.users
        words |= self.domains
        self._by_word = {old: new for old, new in words.items() if old != new}
        if self._by_word:
            names = "|".join(re.escape(name) for name in sorted(self._by_word, key=len, reverse=True))
            self._words = re.compile(rf"(?<![\w.%+-])(?:{names})(?![\w%+-]|\.\w)")

    def call_id(self, recorded: str) -> str:
        """A Call-ID of a client; the same one for the same one."""
        return self._call_ids.setdefault(recorded, secrets.token_hex(12))

    def known_call_id(self, recorded: str) -> str:
        """What stands for a Call-ID that was sent before; one that was not stays as it is."""
        return self._call_ids.get(recorded, recorded)

    def tag(self, recorded: str) -> str:
        return self._tags.setdefault(recorded, secrets.token_hex(8))

    def learn_tag(self, recorded: str | None, seen: str | None) -> None:
        """The other side's tag, for requests within a dialog."""
        if recorded is not None and seen is not None:
            self._tags.setdefault(recorded, seen)

    def uris(self, text: str, agent: Agent | None = None) -> str:
        """All SIP URIs in a header value. What is ``agent``'s own counts first, where two have the same address."""
        return _URI.sub(lambda match: self._uri(match, agent), text)

    def text(self, text: str) -> str:
        """Names in what people read and write: URIs, names of rooms, domains."""
        parts: list[str] = []
        end = 0
        for match in _URI.finditer(text):
            parts += [self._plain(text[end : match.start()]), self._uri(match, None)]
            end = match.end()
        return "".join([*parts, self._plain(text[end:])])

    def _plain(self, text: str) -> str:
        """Text without URIs."""
        return text if self._words is None else self._words.sub(lambda match: self._by_word[match[0]], text)

    def body(self, body: bytes) -> bytes:
        """As `text`; a body that is not UTF-8 stays as it is."""
        try:
            return self.text(body.decode()).encode()
        except UnicodeDecodeError:
            return body

    def address(self, text: str) -> str:
        """``user@host`` as it is called now."""
        return self.uris(f"sip:{text}").removeprefix("sip:")

    def _uri(self, match: re.Match[str], agent: Agent | None) -> str:
        user, port = match["user"], match["port"]
        host = canonical_ip(match["host"])
        is_domain = host in self.domains or host == self.people.domain
        address = Address(host, int(port or 5060))
        place = None
        if not is_domain or port is not None:  # a client may call itself by the name of its domain in Via
            place = self._place_of_client(address, agent)
        if place is None and address == self.server and (user is None or not is_domain):
            place = str(self.target)
        if place is None:
            new_host = self.domains.get(host)
            if new_host is None:
                new_host = match["host"]
            elif port is not None and int(port) == self.server.port:
                port = None
            place = new_host + (f":{port}" if port is not None else "")
        if user is None:
            return f"{match['scheme']}{place}"
        name, colon, rest = user.partition(":")
        if f"{name}@{host}" in self.people.rooms:
            name += self.suffix
        name = self.users.get(name, name)
        return f"{match['scheme']}{name}{colon}{rest}@{place}"

    def _place_of_client(self, address: Address, agent: Agent | None) -> str | None:
        """Where a recorded address of a client is now; None for what is none."""
        agents: Iterable[Agent] = [agent, *self.live] if agent is not None else self.live
        return next((str(self.live[each]) for each in agents if address in each.addresses and each in self.live), None)
