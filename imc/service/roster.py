"""Subscriptions to who is in a room: the conference event package, on the notifier's side (RFC 4575, RFC 6665).

Invariants

- Who is told of a room is in it: whoever leaves, or is removed, gets a last NOTIFY without a body, and no other.
- What is told was committed: a subscription begins with a committed room, and changes come by `room_changed`.
- A subscription has one NOTIFY in flight at most; the next says all that happened since. The first is full, later ones
  are partial, each version is one more than the one before (RFC 4575 §4.6).
- Changes of a room are told at most once in ``interval`` seconds. Subscriptions are bounded, in all and for each user;
  requests leave a few at a time.
- A subscription ends with the first NOTIFY that is not answered, or is refused for good.

Nothing of this outlives the process: who asks for more after a restart gets 481, and subscribes anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog
import trio

from imc.aor import Aor
from imc.delivery.hops import DATAGRAM_LIMIT, Carrier, Hops
from imc.errors import ImcError, Overloaded
from imc.rooms.model import Role, Room
from imc.service.conference_info import CONFERENCE_INFO
from imc.service.inbound import Outcome
from imc.service.outcomes import try_later
from imc.service.subscription import Subscription, Watched
from imc.sip.dialogs import Dialog, DialogId
from imc.sip.events import RequestReceived
from imc.sip.flow import Flow
from imc.sip.subscriptions import Event, Intervals, accepts, read_event
from imc.sip.timers import TimerWheel

_log = structlog.get_logger("imc.service")
PACKAGE = "conference"
_BURST, _PAUSE = 64, 0.05  # so many NOTIFYs are sent at once, and the next ones so many seconds later
_OVERHEAD = 160  # bytes of a request before its branch, without the URI
_LARGEST = 60_000  # bytes of what is sent in a datagram where no stream can be had (RFC 3261 §18.1.1)
_FOLLOW_STEP = 10.0
# RFC 6665 §4.2.2 and RFC 5057 §5.1: what ends a subscription; and what would be said again each time (401, 403, 407)
_ENDING = frozenset({401, 403, 404, 405, 407, 410, 416, *range(480, 486), 489, 501, 502, 604})

Answer = Callable[[int, Iterable[tuple[str, str]]], None]
Fail = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterOptions:
    """Bounds in counts, ``interval`` in seconds. ``max_entries`` are named in a document."""

    max_subscriptions: int = 10_000
    max_subscriptions_per_user: int = 20
    max_entries: int = 500
    interval: float = 5.0  # RFC 4575 §3.9
    intervals: Intervals = field(default_factory=Intervals)


class Starter(Protocol):
    """The client side of the SIP stack (`imc.sip.stack.Stack`)."""

    def start(
        self, flow: Flow, head: bytes, tail: bytes, token: object, now: float, *, method: str = "MESSAGE"
    ) -> bytes: ...


class Rosters:
    """``watch(room, user, then, fail)`` calls ``then`` with the committed room where the user is in it, else ``fail``
    (`imc.service.rooms.Rooms.watch`). ``clock`` is monotonic, in seconds; ``wake`` asks the loop for `tick`."""

    def __init__(
        self,
        options: RosterOptions,
        *,
        stack: Starter,
        carrier: Carrier,
        hops: Hops,
        watch: Callable[[Aor, Aor, Callable[[Room], None], Fail], None],
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._options = options
        self._stack = stack
        self._carrier = carrier
        self._hops = hops
        self._watch = watch
        self._clock = clock
        self._wake = wake
        self._all: dict[DialogId, Subscription] = {}
        self._rooms: dict[Aor, Watched] = {}
        self._of_user: dict[Aor, int] = {}
        self._wheel: TimerWheel[Watched | Subscription] = TimerWheel()
        self._ready: deque[Subscription] = deque()
        self._ready_at = 0.0
        self._counts = {"notifies_sent": 0, "notifies_failed": 0}

    # --- SUBSCRIBE --------------------------------------------------------------------------------------------------

    def take(self, event: RequestReceived, user: Aor, room: Aor, *, tag: str, answer: Answer, fail: Fail) -> None:
        """A SUBSCRIBE of the authenticated ``user``, new or within a dialog; ``tag`` is what a new dialog gets.

        BadMessage.
        """
        request = event.request
        seconds = self._options.intervals.read(request)
        package = read_event(request)
        assert package is not None  # `imc.sip.uas` has looked at it
        if seconds is None:
            answer(423, [("Min-Expires", str(self._options.intervals.shortest))])
        elif not accepts(request, CONFERENCE_INFO):
            answer(406, [("Accept", CONFERENCE_INFO)])
        elif request.to.tag is not None:
            self._refresh(event, user, package, seconds, answer)
        else:
            dialog = Dialog.begin(request, tag)
            begin = _Begin(event, dialog, user, package, seconds, answer, fail)
            self._watch(room, user, lambda found: self._begin(begin, room, found), fail)

    # spec S-EVT-2
    def _begin(self, begin: _Begin, aor: Aor, room: Room) -> None:
        options, user = self._options, begin.user
        # spec S-EVT-9
        if len(self._all) >= options.max_subscriptions:
            begin.fail(try_later())
            return
        if self._of_user.get(user, 0) >= options.max_subscriptions_per_user:
            words = f"at most {options.max_subscriptions_per_user} subscriptions for a user"
            begin.fail(Outcome(status=403, code=-1, event="too-many-subscriptions", warning=words))
            return
        watched = self._rooms.get(aor)
        if watched is None:
            watched = self._rooms[aor] = Watched(aor, room, options.max_entries)
        watched.change(room)
        subscription = Subscription(begin.dialog, user, watched, begin.package)
        self._all[begin.dialog.id] = watched.subscriptions[begin.dialog.id] = subscription
        self._of_user[user] = self._of_user.get(user, 0) + 1
        self._accepted(subscription, begin.event, begin.seconds, begin.answer)

    # spec S-EVT-4
    def _refresh(self, event: RequestReceived, user: Aor, package: Event, seconds: int, answer: Answer) -> None:
        request = event.request
        subscription = self._all.get(DialogId(request.call_id, request.to.tag or "", request.from_.tag or ""))
        if subscription is None or subscription.reason or subscription.event != package:
            answer(481, ())
        elif subscription.user != user:
            answer(403, ())
        elif not subscription.dialog.follow(request):
            answer(500, [("Warning", '399 imc "CSeq is not higher than the last one"')])  # RFC 3261 §12.2.2
        else:
            self._accepted(subscription, event, seconds, answer)

    def _accepted(self, subscription: Subscription, event: RequestReceived, seconds: int, answer: Answer) -> None:
        """A subscription is made, made longer, or ended by its subscriber: 200, then a full NOTIFY."""
        now = self._clock()
        request = event.request
        self._point(subscription, event)
        record_routes = [("Record-Route", line) for line in request.headers.all("Record-Route")]  # RFC 3261 §12.1.1
        contact = ("Contact", f"<sip:{subscription.sent_by}>")
        answer(200, [("Expires", str(seconds)), contact, *record_routes])
        subscription.shown = None
        if seconds:
            subscription.expires_at = now + seconds
            self._wheel.schedule(subscription, subscription.expires_at)
            self._owe(subscription)
        else:
            self._end(subscription, "timeout")

    # spec S-EVT-8
    def _point(self, subscription: Subscription, event: RequestReceived) -> None:
        """Where its NOTIFYs go, and our Contact, which is where its SUBSCRIBE came to."""
        request, flow = event.request, event.reply_flow
        is_straight = not subscription.dialog.routes and len(request.vias) == 1
        subscription.flow = flow if is_straight else None
        name = (
            "ws" if flow.transport == "wss" else flow.transport
        )  # RFC 7118 §5.2: the one name that a URI has for both
        transport = "" if name == "udp" else f";transport={name}"
        subscription.sent_by = f"{subscription.watched.aor.user}@{self._carrier.sent_by(flow)}{transport}"

    # --- what happens to rooms --------------------------------------------------------------------------------------

    def room_changed(self, aor: Aor, room: Room | None) -> None:
        """A room is this, or is no more, and that is committed."""
        watched = self._rooms.get(aor)
        if watched is None:
            return
        if room is not None:
            watched.change(room)
        # spec S-EVT-3
        for subscription in list(watched.subscriptions.values()):
            if room is None:
                self._end(subscription, "noresource")
            elif (room.role(subscription.user) or Role.INVITED) is Role.INVITED:
                self._end(subscription, "rejected")
        if watched.subscriptions and not watched.due:
            self._wheel.schedule(watched, max(self._clock(), watched.told_at + self._options.interval))
        self._wake()

    async def follow(
        self, load: Callable[[Aor], Awaitable[object | None]], wait_change: Callable[[int], Awaitable[int]]
    ) -> None:
        """End the subscriptions of users whose account was removed, for ever (spec S-EVT-3)."""
        seen = 0
        while True:
            seen = await wait_change(seen)
            try:
                gone = {user for user in list(self._of_user) if await load(user) is None}
            except ImcError as error:
                _log.warning("account-not-read", error=str(error))
                await trio.sleep(_FOLLOW_STEP)
                seen -= 1  # once more, though nothing changed
                continue
            self._end_all("rejected", gone)

    def end_all(self) -> None:
        """The server ends: whoever is subscribed may subscribe again (RFC 6665 §4.1.3, deactivated)."""
        self._end_all("deactivated", None)

    def _end_all(self, reason: str, users: set[Aor] | None) -> None:
        for subscription in list(self._all.values()):
            if users is None or subscription.user in users:
                self._end(subscription, reason)
        self._wake()

    def _end(self, subscription: Subscription, reason: str) -> None:
        """One NOTIFY more, that says so."""
        if subscription.reason:
            return
        subscription.reason = reason
        subscription.due = 0
        watched = subscription.watched
        del watched.subscriptions[subscription.dialog.id]
        if not watched.subscriptions:
            watched.due = 0
            del self._rooms[watched.aor]
        self._owe(subscription)

    def _drop(self, subscription: Subscription) -> None:
        """It is gone, and nothing more is said."""
        if self._all.pop(subscription.dialog.id, None) is None:
            return
        if not subscription.reason:
            self._end(subscription, "giveup")
        subscription.is_last = subscription.is_busy = True
        left = self._of_user[subscription.user] - 1
        if left:
            self._of_user[subscription.user] = left
        else:
            del self._of_user[subscription.user]

    # --- NOTIFY -----------------------------------------------------------------------------------------------------

    def _owe(self, subscription: Subscription) -> None:
        """There is something to tell."""
        if subscription.is_busy:
            subscription.is_owed = True
            return
        subscription.is_busy = True
        self._ready.append(subscription)
        self._wake()

    @property
    def has_unsent(self) -> bool:
        """Whether a NOTIFY waits to be sent that could be."""
        return bool(self._ready)

    def next_deadline(self) -> float | None:
        """When to call `tick`."""
        timer = self._wheel.next_deadline()
        if not self._ready:
            return timer
        return self._ready_at if timer is None else min(timer, self._ready_at)

    def tick(self, now: float) -> None:
        """Let time pass: subscriptions expire, rooms have their turn, NOTIFYs leave."""
        for entry in self._wheel.advance(now):
            if isinstance(entry, Subscription):
                self._expire(entry)
            else:
                entry.told_at = now
                for subscription in entry.subscriptions.values():
                    self._owe(subscription)
        if self._ready and now >= self._ready_at:
            self._ready_at = now + _PAUSE
            for _ in range(min(_BURST, len(self._ready))):
                self._notify(self._ready.popleft(), now)

    def _expire(self, subscription: Subscription) -> None:
        subscription.shown = subscription.watched.roster  # without a body
        self._end(subscription, "timeout")

    def _notify(self, subscription: Subscription, now: float) -> None:
        """Send what there is to tell now, if there is anything."""
        if subscription.dialog.id not in self._all:
            return
        subscription.is_owed = False
        roster, shown = subscription.watched.roster, subscription.shown
        body = b""
        if not subscription.reason or (shown is None and subscription.reason == "timeout"):
            if shown == roster:
                subscription.is_busy = False
                return
            body = subscription.watched.document(shown).at(subscription.version + 1)
        headers = [("Event", str(subscription.event)), ("Subscription-State", subscription.state(now))]
        if body:
            headers.append(("Content-Type", CONFERENCE_INFO))
        uri, tail = subscription.dialog.request("NOTIFY", headers, body, sent_by=subscription.sent_by)
        flow = self._flow(subscription, len(tail) + len(uri) + _OVERHEAD, now)
        if flow is not None:
            self._start(subscription, flow, uri, tail, now)
            if body:
                subscription.shown = roster
                subscription.version += 1

    def _start(self, subscription: Subscription, flow: Flow, uri: str, tail: bytes, now: float) -> None:
        via = f"Via: SIP/2.0/{flow.transport.upper()} {self._carrier.sent_by(flow)};rport;branch="
        head = f"NOTIFY {uri} SIP/2.0\r\n{via}".encode("utf-8", "surrogateescape")
        subscription.is_last = bool(subscription.reason)
        subscription.dialog.local_cseq += 1
        try:
            self._stack.start(flow, head, tail, subscription, now, method="NOTIFY")
            self._counts["notifies_sent"] += 1
        except Overloaded:
            self._failed(subscription)

    # spec S-EVT-8
    def _flow(self, subscription: Subscription, size: int, now: float) -> Flow | None:
        """The flow for a NOTIFY of this size. None: it is being opened, or there is none and the subscription ends."""
        flow = subscription.flow
        if flow is not None and flow.is_reliable:
            if not self._carrier.is_open(flow):
                self._failed(subscription)
                return None
            return flow
        if flow is not None and size <= DATAGRAM_LIMIT:
            return flow
        if flow is None:
            hop = self._hops.get(subscription.dialog.next_hop)
        else:
            host, port = flow.remote[0], flow.remote[1]
            hop = self._hops.get(f"sip:[{host}]:{port}" if ":" in host else f"sip:{host}:{port}")
        for wanted in (size, 0) if DATAGRAM_LIMIT < size <= _LARGEST else (size,):
            found = hop.flow_for(wanted, now)
            if found is not None:
                return found
            if not hop.has_refused(wanted, now):
                self._hops.open(hop, wanted, lambda: self._again(subscription))
                return None
        self._failed(subscription)
        return None

    def _again(self, subscription: Subscription) -> None:
        """The way to it was opened, or cannot be."""
        self._ready.append(subscription)
        self._wake()

    def on_answer(self, subscription: Subscription, status: int) -> None:
        """To a NOTIFY."""
        if status < 200:
            return
        if status in _ENDING or 300 <= status < 400:
            self._failed(subscription)
        elif subscription.is_last:
            self._drop(subscription)
        else:
            subscription.is_busy = False
            if status >= 300:
                subscription.shown = None  # whether it was read nobody knows
            if subscription.is_owed or subscription.reason:
                self._owe(subscription)

    def on_failure(self, subscription: Subscription) -> None:
        """A NOTIFY had no answer, or its connection broke."""
        self._failed(subscription)

    # spec S-EVT-10
    def _failed(self, subscription: Subscription) -> None:
        self._counts["notifies_failed"] += 1
        self._drop(subscription)

    def statistics(self) -> dict[str, int]:
        return {"subscriptions": len(self._all), "rooms_watched": len(self._rooms), **self._counts}


@dataclass(frozen=True, slots=True)
class _Begin:
    """A SUBSCRIBE that waits for its room."""

    event: RequestReceived
    dialog: Dialog
    user: Aor
    package: Event
    seconds: int
    answer: Answer
    fail: Fail
