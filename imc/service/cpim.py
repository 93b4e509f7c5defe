"""message/cpim in rooms (RFC 3862): the wrapper says who speaks, so the room sees to it that it says so truly.

Invariants

- What leaves here names its sender in From, and the room in To. What was right already keeps its octets, and all other
  headers and the content keep theirs, in their order (RFC 3862 §2.2).
- A wrapper that could be read in two ways is refused: a header in other letters, a namespace that gives From a second
  name.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from imc.aor import Aor
from imc.errors import BadMessage
from imc.sip.uri import canonical_escapes
from imc.sip.values import MediaType, parse_media_type

CPIM = "message/cpim"
IMDN_NAMESPACE = "urn:ietf:params:imdn"  # RFC 5438 §6.1
_CORE_NAMESPACE = "urn:ietf:params:cpim-headers:"
_MAX_HEADERS = 64
# RFC 3862 §3.6: Header = Header-name ":" *( ";" Parameter ) SP Header-value. Of a value no control characters.
_NAME = r"[!#-'*+\-^-`|~A-Za-z0-9]+"
_HEADER = re.compile(rf"((?:{_NAME}\.)?{_NAME}):((?:;[^ \x00-\x1f\x7f]+)*) ([^\x00-\x1f\x7f]*)")
# [ Formal-name ] "<" URI ">"
_ADDRESS = re.compile(r'(?:"((?:[^"\\]|\\.)*)" ?|([^"<>]*?) ?)<([^<>" ]+)>')
_NS = re.compile(rf"(?:({_NAME}) )?<([^<>]*)>")
_OWN = ("From", "To", "cc", "DateTime", "Subject", "NS", "Require")
_SCHEMES = ("sip", "sips", "im", "pres")


class Cpim(NamedTuple):
    """``headers`` are (name, parameters, value) as they stand; ``content`` are the MIME headers and what follows."""

    headers: tuple[tuple[str, str, str], ...]
    content: bytes

    def values(self, name: str) -> list[str]:
        return [value for each, _, value in self.headers if each == name]

    @property
    def imdn_prefix(self) -> str | None:
        """By which the headers of RFC 5438 are named in this message, None where they are not."""
        for value in self.values("NS"):
            found = _NS.fullmatch(value)
            if found is not None and found[1] and found[2] == IMDN_NAMESPACE:
                return found[1]
        return None

    def imdn_value(self, name: str) -> str | None:
        """The first value of one of those headers."""
        prefix = self.imdn_prefix
        values = [] if prefix is None else self.values(f"{prefix}.{name}")
        return values[0] if values else None

    @property
    def content_type(self) -> MediaType:
        """Of what is wrapped. BadMessage."""
        head = self.content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        for line in head.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon and name.strip().lower() == "content-type":
                return parse_media_type(value.strip())
        raise BadMessage("what is wrapped has no Content-Type")  # RFC 3862 §2.4

    @property
    def payload(self) -> bytes:
        """What is wrapped, without its MIME headers."""
        return self.content.partition(b"\r\n\r\n")[2]

    def render(self) -> bytes:
        lines = "".join(f"{name}:{params} {value}\r\n" for name, params, value in self.headers)
        return lines.encode() + b"\r\n" + self.content


def parse_cpim(body: bytes) -> Cpim:
    """BadMessage where it breaks RFC 3862, or could be read in two ways."""
    head, end, content = body.partition(b"\r\n\r\n")
    if not end:
        raise BadMessage("no empty line after the headers of message/cpim")
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise BadMessage("message/cpim is not UTF-8") from None
    if len(lines) > _MAX_HEADERS:
        raise BadMessage("too many headers in message/cpim")
    headers = []
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise BadMessage("a header of message/cpim is none")
        headers.append((found[1], found[2], found[3]))
        _check_unambiguous(found[1], found[3])
    message = Cpim(tuple(headers), content)
    _ = message.content_type
    return message


def _check_unambiguous(name: str, value: str) -> None:
    for own in _OWN:
        if name.lower() == own.lower() and name != own:
            raise BadMessage(f"a header of message/cpim must be written {own}")
    if name == "NS":
        found = _NS.fullmatch(value)
        if found is None or not found[1] or found[2].startswith(_CORE_NAMESPACE.rstrip(":")):
            raise BadMessage("a namespace of message/cpim gives its headers second names")


# spec R-MSG-12
def in_room(message: Cpim, *, sender: Aor, label: str, room: Aor, wall: float) -> Cpim:
    """The message as the room sends it on. ``label`` is what room messages show of the sender."""
    headers: list[tuple[str, str, str]] = []
    has_from = has_to = False
    is_right_to = [_names(value) for value in message.values("To")] == [("", room)]
    for name, params, value in message.headers:
        if name == "From":
            if not has_from:
                formal, who = _names(value)
                is_right = who == sender and formal in ("", label)
                headers.append((name, params, value) if is_right else _from(sender, label))
            has_from = True
        elif name == "To" and not is_right_to:
            if not has_to:
                headers.append(("To", "", f"<{room}>"))
            has_to = True
        else:
            has_to |= name == "To"
            headers.append((name, params, value))
    if not has_to:
        headers.insert(0, ("To", "", f"<{room}>"))
    if not has_from:
        headers.insert(0, _from(sender, label))
    if not message.values("DateTime"):
        at = max(place for place, header in enumerate(headers) if header[0] in ("From", "To")) + 1
        stamp = datetime.fromtimestamp(int(wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # RFC 3339
        headers.insert(at, ("DateTime", "", stamp))
    return _with_way_back(Cpim(tuple(headers), message.content), room)


def _from(sender: Aor, label: str) -> tuple[str, str, str]:
    return "From", "", f'"{_escaped(label)}" <{sender}>'


def _escaped(text: str) -> str:
    """RFC 3862 §2.3.1; there are no control characters in a label."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


# spec R-MSG-13
def _with_way_back(message: Cpim, room: Aor) -> Cpim:
    """Where notifications are asked for they come by the room (RFC 5438 §8, IMDN-Record-Route)."""
    prefix = message.imdn_prefix
    names = [name for name, _, _ in message.headers]
    if prefix is None or f"{prefix}.Disposition-Notification" not in names:
        return message
    record = f"{prefix}.IMDN-Record-Route"
    at = names.index(record) if record in names else len(names)
    return message._replace(headers=(*message.headers[:at], (record, "", f"<{room}>"), *message.headers[at:]))


def _names(value: str) -> tuple[str, Aor | None]:
    """Formal name and address of From or To; no address where it is none of ours."""
    found = _ADDRESS.fullmatch(value)
    if found is None:
        return "", None
    formal = found[1] if found[1] is not None else found[2] or ""
    return formal, address_of(found[3])


def address_of(uri: str) -> Aor | None:
    """The address-of-record that a SIP, im or pres URI means (RFC 3860, RFC 3859: the same address)."""
    scheme, colon, rest = uri.strip().partition(":")
    if not colon or scheme.lower() not in _SCHEMES:
        return None
    try:
        return Aor.parse(f"sip:{canonical_escapes(rest)}")
    except ValueError:
        return None
