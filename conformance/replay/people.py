"""Who is who in a script: the users, the rooms, the domains."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from conformance.replay.script import Script
from conformance.replay.vocabulary import read_command
from imc.errors import BadMessage
from imc.sip.message import Request
from imc.sip.uri import SipUri, Uri


@dataclass(slots=True)
class People:
    """Addresses as ``user@host``. ``domain`` is the one that most are of; None where there is none."""

    users: set[str] = field(default_factory=set)
    rooms: set[str] = field(default_factory=set)
    domain: str | None = None


def aor(uri: Uri) -> str | None:
    """``user@host`` of a SIP URI, None for any other."""
    if not isinstance(uri, SipUri) or uri.user is None:
        return None
    try:
        return f"{uri.aor.user}@{uri.aor.host}"
    except ValueError:
        return None


def text_of(request: Request) -> str | None:
    """The body of a text/plain MESSAGE, None for any other."""
    try:
        kind = request.content_type
    except BadMessage:
        return None
    if request.method != "MESSAGE" or (kind is not None and kind.essence != "text/plain"):
        return None
    return request.body.decode("utf-8", "surrogateescape")


def people_of(script: Script, command_char: str = "#") -> People:
    """A room is what a command names as one, or is sent to and means itself, or to which a text went that the server
    took for delivery (202) and that is no user's address."""
    found = People()
    domains: Counter[str] = Counter()
    for exchange in script.exchanges:
        request = exchange.request
        for uri in (request.from_.uri, *([request.to.uri] if request.method == "REGISTER" else [])):
            user = aor(uri)
            if user is not None:
                found.users.add(user)
                domains[user.partition("@")[2]] += 1
    for exchange in script.exchanges:
        text, to = text_of(exchange.request), aor(exchange.request.to.uri)
        if text is None or to is None:
            continue
        domains[to.partition("@")[2]] += 1
        command = read_command(text, command_char)
        if command is None:
            if exchange.final is not None and exchange.final.status == 202 and to not in found.users:
                found.rooms.add(to)
        elif command.is_for_a_room:
            found.rooms.add(to)
        elif command.is_known and command.room is not None:
            found.rooms.add(_named(command.room, to))
    found.rooms -= found.users
    if domains:
        found.domain = domains.most_common(1)[0][0]
    return found


def _named(word: str, to: str) -> str:
    """An address as a command has it: ``name``, ``name@host``, a URI."""
    bare = word.strip("<>")
    for scheme in ("sip:", "sips:"):
        if bare.lower().startswith(scheme):
            bare = bare[len(scheme) :]
    bare = bare.partition(";")[0]
    user, at, host = bare.partition("@")
    return f"{user}@{host.partition(':')[0].lower()}" if at else f"{bare}@{to.partition('@')[2]}"
