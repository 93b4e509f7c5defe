"""What somebody got, against what they must get: all of it, in its order, and nothing besides.

A problem is a text for people; no problems is a match. Nothing here knows how a message came.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from email.message import Message
from itertools import groupby

from conformance.suite.case import MESSAGE, RELAYED, HeaderCheck, Status
from conformance.suite.conversation import Answer, Delivery, header

PAGED = frozenset(("member-list", "room-list", "help", "history"))
"""What may be sent in several messages, which count as one (spec R-LIST-4)."""
_MARK = re.compile(rb"(\r\n|[\r\n])\| ")  # spec R-MSG-7
_LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One MESSAGE that must come: an `Expected` of a case, with all names resolved. None is not compared.

    ``senders``: addresses that From may have. ``call_ids``: one of which In-Reply-To must name. ``speaker``: the
    address that a copy must tell as its author. ``body`` is the whole of it; ``ends`` its end, marks of lines apart.
    """

    event: str
    senders: frozenset[str]
    call_ids: frozenset[str] | None = None
    speaker: str | None = None
    body: bytes | None = None
    ends: bytes | None = None
    type: str | None = None
    has: tuple[str, ...] = ()
    sequence: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    headers: Mapping[str, HeaderCheck] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [self.event]
        if self.speaker is not None:
            words.append(f"by {self.speaker}")
        shown = self.body if self.body is not None else self.ends
        if shown is not None:
            words.append(f"{'is' if self.body is not None else 'says'} {show(shown)}")
        return " ".join(words)


def compare(name: str, address: str, wanted: Sequence[Wanted], got: Sequence[Delivery]) -> list[str]:
    """The problems of one recipient, who has this address."""
    pages = list(_joined(got))
    problems: list[str] = []
    events = [each.event or "?" for each, _ in pages]
    matcher = SequenceMatcher(None, [each.event for each in wanted], events, autojunk=False)
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind == "equal":
            for one, (delivery, body) in zip(wanted[first:last], pages[begin:end], strict=True):
                problems += [f"{name}: {one.event}: {each}" for each in _problems(address, one, delivery, body)]
        else:
            problems += [f"{name} must get {one}, and does not" for one in wanted[first:last]]
            problems += [f"{name} gets what they must not: {tell(delivery)}" for delivery, _ in pages[begin:end]]
    if events != [each.event for each in wanted] and sorted(events) == sorted(each.event for each in wanted):
        problems.insert(0, f"{name} gets it in the wrong order")
    return problems


def shared_call_ids(got: Mapping[str, Iterable[Delivery]], requests: Container[str]) -> list[str]:
    """Copies whose Call-ID is that of a request, or of a copy for another recipient (spec R-MSG-4)."""
    problems: list[str] = []
    seen: dict[str, str] = {}
    for name, deliveries in got.items():
        for one in deliveries:
            call_id = header(one.headers, "Call-ID")
            if one.event != MESSAGE or call_id is None:
                continue
            if call_id in requests:
                problems.append(f"{name}: {one.event}: its Call-ID is the sender's, and must be its own")
            elif seen.setdefault(call_id, name) != name:
                problems.append(f"{name}: {one.event}: its Call-ID is that of {seen[call_id]}'s copy")
    return problems


def fits(status: int | None, allowed: Iterable[Status]) -> bool:
    """Whether a final status is one of these, or of a class of these."""
    return status is not None and any(one in (status, f"{status // 100}xx") for one in allowed)


def answer_problems(answer: Answer, allowed: Sequence[Status], headers: Mapping[str, HeaderCheck]) -> list[str]:
    """What is wrong with a final response."""
    if not fits(answer.status, allowed):
        wanted = " or ".join(str(each) for each in allowed)
        got = f"{answer.status} {answer.reason}" if answer.status is not None else f"nothing ({answer.reason})"
        return [f"the answer must be {wanted}, and is {got}"]
    return [f"the answer's {each}" for each in header_problems(answer.headers, headers)]


def header_problems(headers: Iterable[tuple[str, str]], checks: Mapping[str, HeaderCheck]) -> Iterator[str]:
    """See `case.HeaderCheck`."""
    pairs = list(headers)
    for name, check in checks.items():
        values = [value for key, value in pairs if key.lower() == name.lower()]
        if check is True and not values:
            yield f"{name} is missing"
        elif check is False and values:
            yield f"{name} must not be there, and is {values[0]!r}"
        elif isinstance(check, str) and not any(_glob(check).fullmatch(value) for value in values):
            yield f"{name} must be {check!r}, and is {values[0]!r}" if values else f"{name} is missing"


def tell(delivery: Delivery) -> str:
    """A delivery in few words."""
    return f"{delivery.event or 'something unknown'} from {bare(delivery.sender_uri)} {show(delivery.body)}"


def show(body: bytes) -> str:
    """A body, cut where it is long."""
    text = body.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def bare(uri: str) -> str:
    """user@host of a URI, the host without case: what two addresses are compared by (spec R-ADDR-1)."""
    rest = uri.partition(":")[2] if uri.lower().startswith(("sip:", "sips:")) else uri
    user, at, host = re.split(r"[;?]", rest, maxsplit=1)[0].rpartition("@")
    return f"{user}{at}{re.sub(r':[0-9]+$', '', host).lower()}"


# --- one message ------------------------------------------------------------------------------------------------------


def _joined(got: Iterable[Delivery]) -> Iterator[tuple[Delivery, bytes]]:
    """Each message with its body; the pages of one list as one. No two pages are alike: that is a list told twice."""

    def key(pair: tuple[int, Delivery]) -> object:
        number, one = pair
        return (one.event, one.in_reply_to, one.sender_uri) if one.event in PAGED else number

    for _, group in groupby(enumerate(got), key):
        pages: list[Delivery] = []
        for _, one in group:
            if any(one.body == page.body for page in pages):
                yield pages[0], b"\r\n".join(page.body for page in pages)
                pages = []
            pages.append(one)
        yield pages[0], b"\r\n".join(page.body for page in pages)


def _problems(address: str, wanted: Wanted, got: Delivery, body: bytes) -> Iterator[str]:
    if bare(got.sender_uri) not in wanted.senders:
        yield f"From is {bare(got.sender_uri)}, and must be {' or '.join(sorted(wanted.senders))}"
    if bare(got.to_uri) != bare(address):
        yield f"To is {bare(got.to_uri)}, and must be {address}"
    if wanted.call_ids is not None and got.in_reply_to not in wanted.call_ids:
        yield f"In-Reply-To is {got.in_reply_to}, and must be the Call-ID of the request that caused it"
    if wanted.speaker is not None and not _names(got, wanted.speaker):
        yield f"it must tell {wanted.speaker}, and has {got.display!r} {show(got.body)}"
    yield from _body_problems(wanted, got, body)
    yield from header_problems(got.headers, wanted.headers)


def _body_problems(wanted: Wanted, got: Delivery, body: bytes) -> Iterator[str]:
    if wanted.body is not None and body != wanted.body:
        yield f"the body must be {show(wanted.body)}, and is {show(body)}"
    if wanted.ends is not None and not (body.endswith(wanted.ends) or _MARK.sub(rb"\1", body).endswith(wanted.ends)):
        yield f"the body must say {show(wanted.ends)}, and is {show(body)}"
    if wanted.type is not None and not _is_type(got.content_type, wanted.type):
        yield f"Content-Type must be {wanted.type}, and is {got.content_type}"
    text = body.decode("utf-8", "replace")
    for each in wanted.has:
        if each not in text:
            yield f"{each!r} must be in it: {show(body)}"
    at = 0
    for each in wanted.sequence:
        at = text.find(each, at)
        if at < 0:
            yield f"{each!r} must be in it, behind what is named before it: {show(body)}"
            break
        at += len(each)
    for each in wanted.lacks:
        if each in text:
            yield f"{each!r} must not be in it: {show(body)}"


def _names(got: Delivery, speaker: str) -> bool:
    """Whether a copy tells who spoke: in the display name, or before the text; by user part or whole address."""
    user = speaker.partition("@")[0]
    labels = {user, speaker, f"sip:{speaker}"}
    if got.event == RELAYED:
        return bare(got.sender_uri) == bare(speaker)
    if got.event == MESSAGE and (got.display or "").strip('"') in labels:
        return True
    prefix = re.match(r"\s*[\[<(]?([^\s\]>):]+(?::[^\s\]>)]+)?)[\]>)]?:? ", got.body.decode("utf-8", "replace"))
    return prefix is not None and prefix[1].rstrip(":") in labels


def _is_type(found: str | None, wanted: str) -> bool:
    """Whether a Content-Type is of this media type, with the parameters that this one has."""
    left, right = Message(), Message()
    left["Content-Type"], right["Content-Type"] = found or "none/none", wanted
    return left.get_content_type() == right.get_content_type() and all(
        str(left.get_param(name) or "").lower() == str(value).lower() for name, value in (right.get_params() or [])[1:]
    )


def _glob(check: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in check.split("*")), re.DOTALL)
