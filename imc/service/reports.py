"""Notifications of what became of a room message (IMDN, RFC 5438): to its sender alone, several as one.

Invariants

- A report goes to the one whose message it is about, if that message asked for it, came through this room, and its
  sender is in the room still; to nobody else, ever. Who reports says what became of it with themselves.
- Of one member there is one report of each kind for each message.
- What is remembered is bounded: the oldest messages go, and what is reported of them afterwards is dropped.
- Reports are not stored: they are of use while somebody looks.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from imc.aor import Aor
from imc.delivery.job import Dispatch
from imc.errors import BadMessage
from imc.rooms.model import Role, Room
from imc.service.copies import Copies, TextRefused, media_type, wrapped
from imc.service.cpim import CPIM, IMDN_NAMESPACE, address_of, parse_cpim
from imc.service.inbound import Inbound
from imc.sip.ids import Ids

IMDN = "message/imdn+xml"
_NAME = "{urn:ietf:params:xml:ns:imdn}"
_KINDS = ("delivery-notification", "display-notification", "processing-notification")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """``gather`` is in seconds, the rest are counts; ``max_size`` in bytes, of one document."""

    max_messages: int = 10_000
    gather: float = 5.0
    max_gathered: int = 100
    max_size: int = 4_096


@dataclass(frozen=True, slots=True)
class Report:
    """One IMDN: of which message, of which kind, and as it came."""

    message_id: str
    kind: str
    document: bytes


@dataclass(slots=True, eq=False)
class _Message:
    """One that asked for reports. ``told`` are who has reported, and of what kind; ``gathered`` wait to be sent."""

    sender: Aor
    audience: int
    told: set[tuple[Aor, str]] = field(default_factory=set)
    gathered: list[bytes] = field(default_factory=list)
    batch: int = 0


def is_report(inbound: Inbound) -> bool:
    """Whether a message is an IMDN, by itself or in message/cpim."""
    kind = wrapped(inbound)
    return kind is not None and kind.essence == IMDN


def read_report(inbound: Inbound, max_size: int) -> Report:
    """TextRefused (400, or 403 where it is of somebody else)."""
    try:
        kind = media_type(inbound)
        document = parse_cpim(inbound.body).payload if kind is not None and kind.essence == CPIM else inbound.body
        if len(document) > max_size or b"<!" in document:  # no document type: it could make much of little
            raise BadMessage("not a notification that can be taken")
        root = ET.fromstring(document.decode())  # noqa: S314
    except (BadMessage, UnicodeDecodeError, ET.ParseError, ValueError):
        raise TextRefused(400, "the notification cannot be read") from None
    message_id = (root.findtext(f"{_NAME}message-id") or "").strip()
    kinds = [name for name in _KINDS if root.find(f"{_NAME}{name}") is not None]
    if root.tag != f"{_NAME}imdn" or not message_id or len(kinds) != 1:
        raise TextRefused(400, "the notification cannot be read")
    recipient = root.findtext(f"{_NAME}recipient-uri")
    if recipient is not None and address_of(recipient) != inbound.sender:
        raise TextRefused(403, "a notification can be of its sender only")
    return Report(message_id, kinds[0], document)


class Reports:
    """``send`` takes a MESSAGE that nobody is promised, ``can_carry`` says whether a large one can be sent, ``spawn``
    starts a task."""

    def __init__(
        self,
        options: ReportOptions,
        *,
        copies: Copies,
        ids: Ids,
        send: Callable[[Dispatch], None],
        can_carry: Callable[[Dispatch], Awaitable[bool]],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._options = options
        self._copies = copies
        self._ids = ids
        self._send = send
        self._can_carry = can_carry
        self._spawn = spawn
        self._messages: OrderedDict[tuple[Aor, str], _Message] = OrderedDict()

    def expect(self, room: Aor, inbound: Inbound, audience: int) -> None:
        """Remember a message that asks for reports; one of this id from somebody else keeps its place."""
        kind = media_type(inbound)
        if kind is None or kind.essence != CPIM:
            return
        message = parse_cpim(inbound.body)
        message_id = message.imdn_value("Message-ID")
        if message_id is None or message.imdn_value("Disposition-Notification") is None:
            return
        self._messages.setdefault((room, message_id.strip()), _Message(inbound.sender, audience))
        if len(self._messages) > self._options.max_messages:
            self._messages.popitem(last=False)

    # spec R-MSG-13
    def take(self, room: Room, inbound: Inbound) -> None:
        """An IMDN of somebody in the room. TextRefused."""
        report = read_report(inbound, self._options.max_size)
        key = room.aor, report.message_id
        message = self._messages.get(key)
        mark = inbound.sender, report.kind
        if message is None or message.sender == inbound.sender or mark in message.told:
            return
        if (room.role(message.sender) or Role.INVITED) is Role.INVITED or len(message.told) >= 3 * message.audience:
            return
        message.told.add(mark)
        message.gathered.append(report.document)
        told = sum(1 for _, kind in message.told if kind == report.kind)
        if told >= message.audience or len(message.gathered) >= self._options.max_gathered:
            self._flush(key, message)
        elif len(message.gathered) == 1:
            batch = message.batch
            self._spawn(lambda: self._later(key, message, batch))

    async def _later(self, key: tuple[Aor, str], message: _Message, batch: int) -> None:
        await trio.sleep(self._options.gather)
        if message.batch == batch:
            self._flush(key, message)

    def _flush(self, key: tuple[Aor, str], message: _Message) -> None:
        """Send what was gathered: as one, or each by itself where one would be too large."""
        documents, message.gathered = message.gathered, []
        message.batch += 1
        one = self._dispatch(key[0], message.sender, documents)
        if len(documents) == 1 or not self._copies.is_large(one):
            self._send(one)
            return

        async def find_out() -> None:
            if await self._can_carry(one):
                self._send(one)
                return
            for document in documents:
                self._send(self._dispatch(key[0], message.sender, [document]))

        self._spawn(find_out)

    def _dispatch(self, room: Aor, sender: Aor, documents: list[bytes]) -> Dispatch:
        """RFC 5438 §8.3: one is sent as it is, several are the parts of multipart/mixed."""
        part = b"Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n"
        if len(documents) == 1:
            content = part + documents[0]
        else:
            boundary = self._ids.tag().encode()  # random: nobody could have written it into theirs
            parts = b"".join(b"--%s\r\n%s%s\r\n" % (boundary, part, each) for each in documents)
            head = b"Content-Type: multipart/mixed; boundary=%s\r\nContent-Disposition: notification\r\n\r\n" % boundary
            content = head + parts + b"--%s--\r\n" % boundary
        wrapper = (
            f"From: <{room}>\r\nTo: <{sender}>\r\nNS: imdn <{IMDN_NAMESPACE}>\r\n"
            f"imdn.Message-ID: {self._ids.tag()}\r\n\r\n"
        )
        return self._copies.of_report(room, sender, CPIM, wrapper.encode() + content)

    def statistics(self) -> dict[str, int]:
        return {"messages_with_reports": len(self._messages)}
