"""From decisions to MESSAGEs: notices in words, room messages in the form in which members get them (spec §13, §14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from imc.aor import Aor
from imc.delivery.hops import DATAGRAM_LIMIT, SHORT_BODY
from imc.delivery.job import Dispatch
from imc.errors import BadMessage, ImcError
from imc.rooms.model import Change, MemberSet, Room
from imc.rooms.outcome import Decision
from imc.rooms.policy import Policy
from imc.rooms.replies import display_name, format_room_text, texts
from imc.service.cpim import CPIM, in_room, parse_cpim
from imc.service.inbound import Inbound
from imc.sip.fields import Headers
from imc.sip.values import MediaType, parse_media_type, render_date

MAX_TYPE = 1_000  # characters of a Content-Type: as much as the log holds (`imc.store.ops`)
PLAIN_UTF8 = "text/plain;charset=utf-8"
COMPOSING = "application/im-iscomposing+xml"  # RFC 3994 §4
# The marker of what a room sent: no room takes it again, of whatever server. A message between users is marked too, for
# this server only: the other side may be a room of another one, but what comes back here goes in circles.
HOP_HEADER = "IMC-Hop"
RELAY_HEADER = "IMC-Relay"
# Bytes of a page of a list, or of the help: with the headers of a copy below the limit of a datagram, and with the
# sender's address below 509 bytes, beyond which baresip 1.0 shows nothing of a text.
PAGE = 400
# What a copy has beside its body and the parts that depend on the recipient, at most, is allowed for with this.
_ALLOWANCE = 300
_LONGEST = (1 << 32) - 1  # RFC 3261 §20.19


class TextRefused(ImcError):
    """A text that cannot be relayed. ``status`` is 400 or 415 (spec R-MSG-9)."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def media_type(inbound: Inbound) -> MediaType | None:
    """None without a Content-Type. BadMessage where it cannot be read."""
    return parse_media_type(inbound.content_type) if inbound.content_type else None


def command_text(inbound: Inbound) -> str | None:
    """The body as text where it may be a command (spec R-CMD-7), else None."""
    try:
        kind = media_type(inbound)
        return decode(inbound.body, kind) if is_plain(kind) else None
    except (BadMessage, TextRefused):
        return None


def is_plain(kind: MediaType | None) -> bool:
    return kind is None or (kind.type == "text" and kind.subtype == "plain")


def is_momentary(inbound: Inbound) -> bool:
    """Whether a message is of this moment only, and not to be kept (spec R-MSG-10, S-LANE-15): that somebody is
    composing, or what expires at once."""
    if lifetime(inbound) == 0:
        return True
    kind = wrapped(inbound)
    return kind is not None and kind.essence == COMPOSING


def wrapped(inbound: Inbound) -> MediaType | None:
    """The type of what is said: of message/cpim, that of what is in it. None where it is not known."""
    try:
        return wrapped_type(media_type(inbound), inbound.body)
    except BadMessage:
        return None


def wrapped_type(kind: MediaType | None, body: bytes) -> MediaType | None:
    """As `wrapped`, of a Content-Type. BadMessage where message/cpim is none."""
    return parse_cpim(body).content_type if kind is not None and kind.essence == CPIM else kind


# spec S-LANE-15
def lifetime(inbound: Inbound) -> int | None:
    """Seconds for which the sender says that the message is of use (RFC 3428 §4); None where nothing is said."""
    for name, value in inbound.headers:
        if name == "Expires" and value.strip().isascii() and value.strip().isdigit():
            return min(int(value.strip()[:11]), _LONGEST)
    return None


# The charsets that are converted. Not all that Python knows: some of its codecs are no charsets, some are not linear.
_CHARSET = re.compile(
    r"(?:utf-?(?:8|16|16le|16be|32)|us-ascii|iso-8859-\d\d?|windows-125\d|koi8-[ru]|gb2312|gbk|gb18030|big5|"
    r"shift_jis|euc-(?:jp|kr)|iso-2022-(?:jp|kr)|tis-620)\Z"
)


_USUAL = ("utf-8", "UTF-8")


def decode(body: bytes, kind: MediaType | None) -> str:
    """The characters of a text/plain body (spec R-MSG-9). TextRefused."""
    charset = (kind.param("charset") if kind is not None and kind.params else None) or "utf-8"
    if charset in _USUAL:
        try:
            return body.decode()
        except UnicodeError:
            raise TextRefused(400, "the text is not in the charset that it names") from None
    charset = charset.strip('"').lower()
    if not _CHARSET.match(charset):
        raise TextRefused(415, "the charset is not known")
    try:
        return body.decode("utf-8" if charset == "us-ascii" else charset)
    except LookupError:
        raise TextRefused(415, "the charset is not known") from None
    except UnicodeError:
        raise TextRefused(400, "the text is not in the charset that it names") from None


class Copies:
    """``hop`` names this server in the marker of copies, ``extra`` are headers for each MESSAGE (``extra_hdrs``)."""

    def __init__(self, *, hop: str, extra: tuple[tuple[str, str], ...], wall: Callable[[], float]) -> None:
        self._hop = hop
        self.extra = extra
        self._wall = wall
        self._date = (0, "")

    def of_notices(self, decision: Decision, policy: Policy, cause: str | None) -> list[Dispatch]:
        """A MESSAGE for each page of each notice. ``cause`` is the Call-ID of the request behind it."""
        return [
            Dispatch(
                kind=notice.event,
                sender=notice.room,
                display=None,
                recipients=notice.recipients,
                content_type=PLAIN_UTF8,
                body=page.encode(),
                headers=self._headers(notice.event, cause),
                is_answer=notice.is_answer,
                wants_result=notice.event == "invitation",
                context=_invitation(decision.changes) if notice.event == "invitation" else {},
            )
            for notice in decision.notices
            for page in texts(notice, policy, PAGE)
        ]

    def of_message(self, room: Room, inbound: Inbound, recipients: tuple[Aor, ...]) -> Dispatch:
        """The copies of a room message. TextRefused."""
        label = display_name(room, inbound.sender)
        try:
            kind = media_type(inbound)
        except BadMessage as error:
            raise TextRefused(400, error.reason) from None
        content_type, body = inbound.content_type, inbound.body
        if len(content_type) > MAX_TYPE:
            raise TextRefused(400, "the Content-Type is too long")
        if is_plain(kind):
            content_type = PLAIN_UTF8
            body = format_room_text(label, decode(body, kind)).encode()
        elif kind is not None and kind.essence == CPIM:
            try:
                message = parse_cpim(body)
            except BadMessage as error:
                raise TextRefused(400, error.reason) from None
            body = in_room(message, sender=inbound.sender, label=label, room=room.aor, wall=self._wall()).render()
        return Dispatch(
            kind="message",
            sender=room.aor,
            display=label,
            recipients=recipients,
            content_type=content_type,
            body=body,
            headers=(*inbound.headers, *self._headers("message", None)),
            by=str(inbound.sender),
            expires=self._expires(inbound),
        )

    def of_report(self, room: Aor, sender: Aor, content_type: str, body: bytes) -> Dispatch:
        """What became of a message, for its sender. ``is_answer``: it is not kept (spec S-LANE-16)."""
        return Dispatch(
            kind="report",
            sender=room,
            display=None,
            recipients=(sender,),
            content_type=content_type,
            body=body,
            headers=self._headers("report", None),
            is_answer=True,
        )

    def of_relay(self, inbound: Inbound) -> Dispatch:
        """A message from one user to another, as it came."""
        return Dispatch(
            kind="relay",
            sender=inbound.sender,
            display=None,
            recipients=(inbound.to,),
            content_type=inbound.content_type,
            body=inbound.body,
            headers=(*inbound.headers, ("Date", self._now()), (RELAY_HEADER, self._hop), *self.extra),
            wants_result=True,
        )

    def of_list(self, inbound: Inbound, recipients: tuple[Aor, ...], content_type: str, body: bytes) -> Dispatch:
        """A message from one user to several (RFC 5365 §7.2)."""
        return Dispatch(
            kind="list",
            by=str(inbound.sender),
            sender=inbound.sender,
            display=None,
            recipients=recipients,
            content_type=content_type,
            body=body,
            headers=(*inbound.headers, ("Date", self._now()), (RELAY_HEADER, self._hop), *self.extra),
            expires=self._expires(inbound),
        )

    def _expires(self, inbound: Inbound) -> float | None:
        seconds = lifetime(inbound)
        return self._wall() + seconds if seconds else None

    def has_come_back(self, headers: Headers) -> bool:
        """Whether a MESSAGE is a copy of a room's, or a message that this server relayed (abuse.md 16)."""
        return HOP_HEADER in headers or self._hop in headers.all(RELAY_HEADER)

    def is_large(self, copy: Dispatch) -> bool:
        """Whether copies may be too large for a datagram, and are not sent in one all the same."""
        if len(copy.body) <= SHORT_BODY:
            return False
        headers = sum(len(name) + len(value) + 4 for name, value in copy.headers)
        return len(copy.body) + headers + _ALLOWANCE + 2 * len(str(copy.sender)) > DATAGRAM_LIMIT - _ALLOWANCE

    def _now(self) -> str:
        second = int(self._wall())
        if second != self._date[0]:
            self._date = (second, render_date(second))
        return self._date[1]

    def _headers(self, event: str, cause: str | None) -> tuple[tuple[str, str], ...]:
        """Spec R-ANSWER-6."""
        cause_header = () if cause is None else (("In-Reply-To", cause),)
        return (
            ("Date", self._now()),
            ("IMC-Event", event),
            *cause_header,
            (HOP_HEADER, self._hop),
            *self.extra,
        )


def _invitation(changes: Iterable[Change]) -> dict[str, str]:
    """Which invitation it is, for the day it cannot be delivered (spec R-INVITE-5)."""
    for change in changes:
        if isinstance(change, MemberSet) and change.member.invited_by is not None:
            return {"inviter": str(change.member.invited_by), "serial": str(change.member.serial)}
    return {}
