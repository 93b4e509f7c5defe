"""What was recorded against what came: what is compared, and what must differ.

Recorded values are renamed (`conformance.replay.rename`) before they are compared.
"""

from __future__ import annotations

from collections.abc import Iterable

from conformance.replay.people import text_of
from conformance.replay.rename import Renaming
from conformance.replay.script import Script
from imc.errors import BadMessage
from imc.sip.message import Message, Request, Response

COMPARED = (
    ("status of each final response", "the number; a challenge that was answered is no final response"),
    ("who gets which MESSAGE", "by client and address in To, as often as recorded"),
    ("order of MESSAGEs", "of one sender to one recipient"),
    ("From, To of a MESSAGE", "addresses and display name"),
    ("body", "to the octet, but for names; of an anonymous trace only texts that a client sent"),
    ("Content-Type", "type and parameters, without case"),
    (
        "IMC-Event, In-Reply-To, Unsupported, Min-Expires, Accept, Allow",
        "in MESSAGEs and responses, lists without order",
    ),
)

IGNORED = (
    ("Via, branch", "each transaction has its own"),
    ("tags of From and To", "each side chooses its own"),
    ("Call-ID, CSeq", "of each request its own; In-Reply-To is compared through them"),
    ("Date, Timestamp, Expires, expires of a Contact, Retry-After", "they tell of the moment"),
    ("WWW-Authenticate, Proxy-Authenticate, Authentication-Info", "nonces are new each time"),
    ("401 and 407 that were answered with credentials", "a server may ask more often, or not at all"),
    ("Contact of a response, Request-URI of a MESSAGE", "clients are at other addresses"),
    ("Record-Route, Route, Path, Service-Route", "the way is another"),
    ("Max-Forwards, Content-Length", "the way is another, names are of another length"),
    ("User-Agent, Server, Organization, Supported", "they name the program"),
    ("Warning, the reason phrase", "words for people; the status is compared"),
    ("headers that are not listed as compared", "as those of one server alone"),
    ("provisional responses", "they tell of delay"),
    ("retransmissions, the transport of a MESSAGE, times", "they tell of the network"),
    ("order of MESSAGEs from different senders or to different recipients", "nothing promises it"),
    ("OPTIONS and other requests of the server that are no MESSAGE or NOTIFY", "keep-alives; they are answered"),
)

# Header fields of which the value is compared: lists without order and case, others as they are.
_LISTS = ("Unsupported", "Accept", "Allow")
_VALUES = ("IMC-Event", "Min-Expires")


class Comparison:
    """The rules for one recording."""

    def __init__(self, script: Script, renaming: Renaming) -> None:
        self._renaming = renaming
        self._said: list[bytes] | None = None
        if script.is_anonymous:
            texts = (text_of(each.request) for each in script.exchanges)
            self._said = [text.split("\n")[0].rstrip("\r").encode("utf-8", "surrogateescape") for text in texts if text]

    def responses(self, recorded: Response, seen: Response) -> list[str]:
        """What is otherwise than recorded, in words."""
        found = []
        if seen.status != recorded.status:
            found.append(f"{seen.status} {seen.reason}; recorded: {recorded.status} {recorded.reason}")
        return [*found, *self._headers(recorded, seen), *self._content(recorded, seen)]

    def requests(self, recorded: Request, seen: Request) -> list[str]:
        """The same of two MESSAGEs."""
        found = []
        if seen.method != recorded.method:
            found.append(f"{seen.method}; recorded: {recorded.method}")
        for name, ours, theirs in (("From", recorded.from_, seen.from_), ("To", recorded.to, seen.to)):
            expected = self._renaming.uris(str(ours.uri))
            if str(theirs.uri) != expected:
                found.append(f"{name} {theirs.uri}; recorded: {expected}")
        display = recorded.from_.display
        expected_display = None if display is None else self._renaming.text(display)
        if seen.from_.display != expected_display:
            found.append(f"display name {_shown(seen.from_.display)}; recorded: {_shown(expected_display)}")
        return [*found, *self._headers(recorded, seen), *self._content(recorded, seen)]

    def is_same(self, recorded: Request, seen: Request) -> bool:
        return not self.requests(recorded, seen)

    def _headers(self, recorded: Message, seen: Message) -> Iterable[str]:
        for name in _VALUES:
            yield from _differs(name, recorded.headers.get(name), seen.headers.get(name))
        for name in _LISTS:
            ours, theirs = _items(recorded, name), _items(seen, name)
            if ours != theirs:
                yield f"{name}: {', '.join(theirs) or 'none'}; recorded: {', '.join(ours) or 'none'}"
        reply_to = recorded.headers.get("In-Reply-To")
        expected = None if reply_to is None else self._renaming.known_call_id(reply_to)
        if seen.headers.get("In-Reply-To") != expected:
            what = "is of another request" if "In-Reply-To" in seen.headers else "is not there"
            yield f"In-Reply-To {what if expected is not None else 'is there; recorded: none'}"

    def _content(self, recorded: Message, seen: Message) -> Iterable[str]:
        yield from _differs("Content-Type", _type(recorded), _type(seen))
        if self._said is not None and not any(said and said in recorded.body for said in self._said):
            return
        expected = self._renaming.body(recorded.body)
        if seen.body != expected:
            yield f"body {_text(seen.body)}; recorded: {_text(expected)}"


def _differs(name: str, recorded: str | None, seen: str | None) -> Iterable[str]:
    if recorded != seen:
        yield f"{name}: {seen or 'none'}; recorded: {recorded or 'none'}"


def _items(message: Message, name: str) -> list[str]:
    try:
        return sorted(item.lower() for item in message.headers.values(name))
    except BadMessage:
        return message.headers.all(name)


def _type(message: Message) -> str | None:
    try:
        kind = message.content_type
    except BadMessage:
        return message.headers.get("Content-Type")
    if kind is None:
        return None
    return kind.essence + "".join(f";{name}={(value or '').lower()}" for name, value in sorted(kind.params, key=str))


def _shown(text: str | None) -> str:
    return "none" if text is None else repr(text)


def _text(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return repr(text if len(text) <= 300 else text[:299] + "…")
