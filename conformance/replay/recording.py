"""What every reader gives and every user takes: SIP messages with their time, transport and addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from imc.errors import BadMessage
from imc.sip.message import Request, Response, parse_message

MAX_MESSAGES = 200_000
MAX_OCTETS = 512 * 1024 * 1024
"""Of all messages of a recording together."""
_MAX_NOTES = 200

# Request-Line = Method SP Request-URI SP SIP-Version ;  Status-Line = SIP-Version SP Status-Code SP Reason-Phrase
START_LINE = re.compile(
    rb"[A-Z][A-Z0-9._-]{0,30} [^\s]{1,4096} SIP/[0-9]\.[0-9]\r\n|SIP/[0-9]\.[0-9] [1-6][0-9]{2}[ \r]"
)


class Unreadable(Exception):
    """Nothing of a file can be used. The text says where and why."""


class Address(NamedTuple):
    """An address of a socket; ``ip`` is a canonical address, or a name where a trace has one."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    @property
    def host(self) -> str:
        """As the host of a URI has it."""
        return f"[{self.ip}]" if ":" in self.ip else self.ip

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> Address:
        """``HOST:PORT``, ``[IPv6]:PORT``. ValueError."""
        match = re.fullmatch(r"\[?([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\](?::(\d{1,5}))?|([^\s:\[\]]+)(?::(\d{1,5}))?", text)
        if match is None:
            raise ValueError(f"not an address: {text!r}")
        port = match[2] or match[4]
        if port is None and default_port is None:
            raise ValueError(f"no port: {text!r}")
        number = int(port) if port else default_port
        assert number is not None
        if number > 65535:
            raise ValueError(f"not a port: {text!r}")
        return cls(canonical_ip(match[1] or match[3]), number)


def is_time(seconds: float) -> bool:
    """Whether a message may have this time, so that it has a date wherever a recording is made to begin."""
    return 0 <= seconds < 2**33


def canonical_ip(text: str) -> str:
    """An IP address in its one spelling; any other text in lower case."""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return text.lower()


@dataclass(slots=True)
class Recorded:
    """One message as it was on the wire. ``at`` is Unix seconds, ``transport`` "udp" or "tcp", ``where`` its place in
    the file: ``packet 7``, ``line 12``."""

    at: float
    transport: str
    source: Address
    target: Address
    data: bytes
    where: str
    _parsed: Request | Response | str | None = None

    @property
    def message(self) -> Request | Response:
        """BadMessage where it is none."""
        if self._parsed is None:
            try:
                self._parsed = parse_message(self.data, is_datagram=self.transport == "udp")
            except BadMessage as error:
                self._parsed = error.reason
        if isinstance(self._parsed, str):
            raise BadMessage(self._parsed)
        return self._parsed

    @property
    def summary(self) -> str:
        """A line for people."""
        try:
            message = self.message
        except BadMessage as error:
            return f"unreadable: {error}"
        if isinstance(message, Response):
            return f"{message.status} {message.reason} ({message.cseq.method})"
        text = message.body.split(b"\r\n")[0].split(b"\n")[0].decode("utf-8", "replace") if message.body else ""
        if message.method == "MESSAGE" and text:
            return f"MESSAGE {text if len(text) <= 60 else text[:59] + '…'}"
        return f"{message.method} {message.uri}"


@dataclass(slots=True)
class Notes:
    """What a reader had to leave out, in order. Beyond a bound they are only counted."""

    lines: list[str] = field(default_factory=list)
    further: int = 0

    def add(self, text: str) -> None:
        if len(self.lines) < _MAX_NOTES:
            self.lines.append(text)
        else:
            self.further += 1

    def __iter__(self) -> Iterator[str]:
        return iter([*self.lines, *([f"and {self.further} more"] if self.further else [])])

    def __bool__(self) -> bool:
        return bool(self.lines)


@dataclass(slots=True)
class Recording:
    """The messages of a file in the order of their times, and the notes of its reader.

    ``is_anonymous``: its texts are not those that were sent (`conformance.replay.anonymize`). ``server`` is where the
    file itself says who is the server.
    """

    name: str
    messages: list[Recorded] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    is_anonymous: bool = False
    server: Address | None = None
    octets: int = 0

    def add(self, message: Recorded) -> bool:
        """False where there is no room for more."""
        if len(self.messages) >= MAX_MESSAGES or self.octets + len(message.data) > MAX_OCTETS:
            return False
        self.octets += len(message.data)
        self.messages.append(message)
        return True
