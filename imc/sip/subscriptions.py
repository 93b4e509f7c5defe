"""What SUBSCRIBE says, and Subscription-State (RFC 6665): the headers, without any event package's own rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from imc.errors import BadMessage
from imc.sip.grammar import is_token
from imc.sip.message import Request
from imc.sip.params import param_value, parse_params
from imc.sip.values import parse_media_type

_HOUR = 3_600


class Event(NamedTuple):
    """The header Event: the package, and the id that tells subscriptions of one dialog apart (RFC 6665 §8.2.1)."""

    package: str
    id: str | None = None

    def __str__(self) -> str:
        return self.package if self.id is None else f"{self.package};id={self.id}"


def read_event(request: Request) -> Event | None:
    """None without the header. BadMessage."""
    text = request.headers.get("Event")
    if text is None:
        return None
    package, semicolon, rest = text.partition(";")
    package = package.strip()
    if not is_token(package):
        raise BadMessage("Bad Event")
    name = param_value(parse_params(semicolon + rest), "id") if semicolon else None
    if name is not None and not is_token(name):
        raise BadMessage("Bad Event")
    return Event(package, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """In seconds; ``shortest`` is at most an hour, since nobody who asks for longer may be refused."""

    shortest: int = 60
    longest: int = 3_600
    default: int = 3_600  # RFC 4575 §3.3

    # spec S-EVT-5
    def read(self, request: Request) -> int | None:
        """How long a subscription lasts; 0 to end it, None where it is too brief (RFC 6665 §4.2.1.1). BadMessage."""
        asked = request.expires
        if asked is None:
            asked = self.default
        if 0 < asked < min(self.shortest, _HOUR):
            return None
        return min(asked, self.longest)


def accepts(request: Request, media_type: str) -> bool:
    """Whether a body of this type may be sent: all may, where there is no Accept (RFC 6665 §3.1.3). BadMessage."""
    ranges = request.accept
    kind = parse_media_type(media_type)
    return ranges is None or any(each.covers(kind) and each.q for each in ranges)


def allow_events(packages: tuple[str, ...]) -> tuple[str, str]:
    return "Allow-Events", ", ".join(packages)
