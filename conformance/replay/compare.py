"""What was recorded against what came: what is compared, and what must differ.

Recorded values are renamed (`conformance.replay.rename`) before they are compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

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
    ("Content-Type", "type and parameters, without case; charset=utf-8 is the default of texts"),
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

# What --ignore takes, beside the names of header fields that are compared.
PARTS = ("body", "display-name")
NAMES = (*PARTS, "Content-Type", "IMC-Event", "In-Reply-To", "Unsupported", "Min-Expires", "Accept", "Allow")

# Header fields of which the value is compared: lists without order and case, others as they are.
_LISTS = ("Unsupported", "Accept", "Allow")
_VALUES = ("IMC-Event", "Min-Expires")


class Comparison:
    """The rules for one recording. ``ignored`` are some of `NAMES`, in any case."""

    def __init__(self, script: Script, renaming: Renaming, ignored: Collection[str] = ()) -> None:
        self._renaming = renaming
        self._is_anonymous = script.is_anonymous
        self._ignored = frozenset(name.lower() for name in ignored)
        # First lines of what clients said, the longest first: what a room relays holds one of them.
        texts = (text_of(each.request) for each in script.exchanges)
        lines = {text.splitlines()[0].strip() for text in texts if text and text.strip() and not text.startswith("#")}
        self._said = sorted((line.encode("utf-8", "surrogateescape") for line in lines), key=len, reverse=True)
        self._said_now: list[bytes] | None = None

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
        if seen.from_.display != expected_display and "display-name" not in self._ignored:
            found.append(f"display name {_shown(seen.from_.display)}; recorded: {_shown(expected_display)}")
        return [*found, *self._headers(recorded, seen), *self._content(recorded, seen)]

    def is_same(self, recorded: Request, seen: Request) -> bool:
        return not self.requests(recorded, seen)

    def is_copy_of_same(self, recorded: Request, seen: Request) -> bool:
        """Whether both hold the same text that a client sent, or both hold none: a notice is no copy."""
        if self._said_now is None:
            self._said_now = [self._renaming.body(said) for said in self._said]
        place = next((at for at, said in enumerate(self._said) if said in recorded.body), None)
        if place is not None:
            return self._said_now[place] in seen.body
        return not any(said in seen.body for said in self._said_now)

    def _headers(self, recorded: Message, seen: Message) -> Iterable[str]:
        for name in _VALUES:
            if name.lower() not in self._ignored:
                yield from _differs(name, recorded.headers.get(name), seen.headers.get(name))
        for name in _LISTS:
            ours, theirs = _items(recorded, name), _items(seen, name)
            if ours != theirs and name.lower() not in self._ignored:
                yield f"{name}: {', '.join(theirs) or 'none'}; recorded: {', '.join(ours) or 'none'}"
        if "in-reply-to" not in self._ignored:
            yield from self._reply_to(recorded.headers.get("In-Reply-To"), seen.headers.get("In-Reply-To"))

    def _reply_to(self, recorded: str | None, seen: str | None) -> Iterable[str]:
        expected = None if recorded is None else self._renaming.known_call_id(recorded)
        if seen == expected:
            return
        if expected is None:
            yield "In-Reply-To is there; recorded: none"
        else:
            yield f"In-Reply-To {'is not there' if seen is None else 'is of another request'}"

    def _content(self, recorded: Message, seen: Message) -> Iterable[str]:
        if "content-type" not in self._ignored:
            yield from _differs("Content-Type", _type(recorded), _type(seen))
        if "body" in self._ignored or (self._is_anonymous and not any(said in recorded.body for said in self._said)):
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
    params = sorted((name, (value or "").lower().strip('"')) for name, value in kind.params)
    if kind.type == "text" and ("charset", "utf-8") in params:
        params.remove(("charset", "utf-8"))  # RFC 3261 §7.4.1: it is the default
    return kind.essence + "".join(f";{name}={value}" for name, value in params)


def _shown(text: str | None) -> str:
    return "none" if text is None else repr(text)


def _text(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return repr(text if len(text) <= 300 else text[:299] + "…")
