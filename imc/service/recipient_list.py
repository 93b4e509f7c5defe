"""A message to a list of recipients that comes with it (RFC 5365): read, and put together anew for those recipients.

Invariants

- What a document could be used for beside a flat list is refused: document types, lists by reference.
- Whoever is tagged bcc, or is not tagged, or wants to be anonymous, is named to nobody (RFC 5364).
- What is said keeps its octets.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import NamedTuple

from imc.aor import Aor
from imc.errors import BadMessage
from imc.service.cpim import address_of
from imc.sip.values import MediaType, parse_media_type

OPTION_TAG = "recipient-list-message"
RESOURCE_LISTS = "application/resource-lists+xml"
_LISTS = "urn:ietf:params:xml:ns:resource-lists"
_COPY = "urn:ietf:params:xml:ns:copycontrol"
_MAX_PARTS = 16
_MAX_LIST = 65_536  # bytes
_TRANSPARENT = ("", "7bit", "8bit", "binary")


class Entry(NamedTuple):
    """``copy`` is to, cc or bcc, "" where nothing is said."""

    user: Aor
    copy: str
    is_anonymous: bool


class Part(NamedTuple):
    """One body of a multipart: its MIME headers by names in lower case, what it holds, and all of it as it came."""

    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def disposition(self) -> str:
        return self.headers.get("content-disposition", "").partition(";")[0].strip().lower()


class ListMessage(NamedTuple):
    entries: tuple[Entry, ...]
    parts: tuple[Part, ...]


def read_list_message(kind: MediaType | None, body: bytes, limit: int) -> ListMessage:
    """BadMessage: 400, or 413 where there are more than ``limit`` recipients."""
    if kind is None or kind.essence != "multipart/mixed":
        raise BadMessage("a message to a list must be multipart/mixed")
    parts = split_parts(kind, body)
    lists = [part for part in parts if part.disposition == "recipient-list"]
    others = tuple(part for part in parts if part.disposition != "recipient-list")
    if len(lists) != 1 or not others:
        raise BadMessage("there must be one list of recipients, and something to send")
    if parse_media_type(lists[0].headers.get("content-type", "")).essence != RESOURCE_LISTS:
        raise BadMessage(f"a list of recipients must be {RESOURCE_LISTS}")
    entries = _read_entries(lists[0].body, limit)
    return ListMessage(entries, others)


# RFC 2046 §5.1.1
def split_parts(kind: MediaType, body: bytes) -> list[Part]:
    """The bodies of a multipart. BadMessage."""
    boundary = kind.param("boundary")
    if not boundary or len(boundary) > 70 or not boundary.isascii():
        raise BadMessage("multipart without a boundary")
    mark = b"\r\n--" + boundary.encode()
    pieces = (b"\r\n" + body).split(mark, _MAX_PARTS + 2)
    found: list[Part] = []
    for index, piece in enumerate(pieces[1:], 1):
        if piece.startswith(b"--"):
            if index == len(pieces) - 1 or piece[2:].strip() == b"":
                return found
            raise BadMessage("something follows on the end of a multipart")
        line, end, raw = piece.partition(b"\r\n")
        if not end or line.strip(b" \t"):
            raise BadMessage("a boundary of multipart is none")
        found.append(_read_part(raw))
    raise BadMessage("multipart without an end, or with too many parts")


def _read_part(raw: bytes) -> Part:
    head, end, body = (b"\r\n" + raw).partition(b"\r\n\r\n")
    if not end:
        raise BadMessage("a part of multipart has no empty line")
    headers: dict[str, str] = {}
    text = head.decode("utf-8", "replace").replace("\r\n ", " ").replace("\r\n\t", " ")
    for line in text.split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadMessage("a header of a part is none")
        headers.setdefault(name.strip().lower(), value.strip())
    return Part(headers, body, raw)


def _read_entries(document: bytes, limit: int) -> tuple[Entry, ...]:
    """RFC 4826 §3, flat, with the attributes of RFC 5364; each recipient once (RFC 5363 §4.1)."""
    try:
        if len(document) > _MAX_LIST or b"<!DOCTYPE" in document:
            raise BadMessage("the list of recipients cannot be read")
        root = ET.fromstring(document.decode())  # noqa: S314
    except (UnicodeDecodeError, ET.ParseError, ValueError):
        raise BadMessage("the list of recipients cannot be read") from None
    by_reference = {f"{{{_LISTS}}}entry-ref", f"{{{_LISTS}}}external"}
    if root.tag != f"{{{_LISTS}}}resource-lists" or any(each.tag in by_reference for each in root.iter()):
        raise BadMessage("the list of recipients must be a flat one")
    found: dict[Aor, Entry] = {}
    for element in root.iter(f"{{{_LISTS}}}entry"):
        user = address_of((element.get("uri") or "").partition("?")[0])
        if user is None:
            raise BadMessage("a recipient is no SIP address")
        copy = (element.get(f"{{{_COPY}}}copyControl") or "").lower()
        is_anonymous = (element.get(f"{{{_COPY}}}anonymize") or "").lower() in ("true", "1")
        found.setdefault(user, Entry(user, copy, is_anonymous))
    if not found:
        raise BadMessage("the list of recipients is empty")
    if len(found) > limit:
        raise BadMessage("too many recipients", status=413)
    return tuple(found.values())


# spec S-LIST-4
def compose(message: ListMessage, boundary: str) -> tuple[str, bytes]:
    """Content-Type and body for each recipient: what was said, and who else is told (RFC 5365 §7.3)."""
    shown = [entry for entry in message.entries if entry.copy in ("to", "cc")]
    raws = [part.raw for part in message.parts]
    if shown:
        head = (
            f"Content-Type: {RESOURCE_LISTS}\r\nContent-Disposition: recipient-list-history; handling=optional\r\n\r\n"
        )
        raws.append(head.encode() + _history(shown))
    elif len(raws) == 1:
        (part,) = message.parts
        if part.headers.get("content-transfer-encoding", "").lower() in _TRANSPARENT:
            return part.headers.get("content-type", "text/plain"), part.body
    mark = b"--" + boundary.encode()
    body = b"".join(mark + b"\r\n" + raw + b"\r\n" for raw in raws) + mark + b"--\r\n"
    return f'multipart/mixed;boundary="{boundary}"', body


def _history(entries: Iterable[Entry]) -> bytes:
    """RFC 5364 §4: who wants to be anonymous is counted, and not named."""
    root = ET.Element("resource-lists", {"xmlns": _LISTS, "xmlns:cp": _COPY})
    list_ = ET.SubElement(root, "list")
    hidden: dict[str, int] = {}
    for entry in entries:
        if entry.is_anonymous:
            hidden[entry.copy] = hidden.get(entry.copy, 0) + 1
        else:
            ET.SubElement(list_, "entry", {"uri": str(entry.user), "cp:copyControl": entry.copy})
    for copy, count in hidden.items():
        attributes = {"uri": "sip:anonymous@anonymous.invalid", "cp:copyControl": copy, "cp:count": str(count)}
        ET.SubElement(list_, "entry", attributes)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data
