"""One subscription to a room, and the room as those who are subscribed to it see it.

Invariant: a document is made once for all who were shown the same before.
"""

from __future__ import annotations

from imc.aor import Aor
from imc.rooms.model import Room
from imc.rooms.roster import Roster, roster_of
from imc.service.conference_info import Document, full, partial
from imc.sip.dialogs import Dialog, DialogId
from imc.sip.flow import Flow
from imc.sip.subscriptions import Event


class Watched:
    """A room that somebody is subscribed to, as it was committed last. ``due`` is the timer wheel's."""

    __slots__ = ("_documents", "_limit", "_roster", "aor", "due", "room", "subscriptions", "told_at")

    def __init__(self, aor: Aor, room: Room, limit: int) -> None:
        self.aor = aor
        self.room = room
        self.due = 0
        self.told_at = -1e9
        self.subscriptions: dict[DialogId, Subscription] = {}
        self._limit = limit
        self._roster: Roster | None = None
        self._documents: dict[int, tuple[Roster, Document]] = {}

    def change(self, room: Room) -> None:
        if room is not self.room:
            self.room = room
            self._roster = None
            self._documents.clear()

    @property
    def roster(self) -> Roster:
        if self._roster is None:
            self._roster = roster_of(self.room, self._limit)
        return self._roster

    def document(self, shown: Roster | None) -> Document:
        """What to tell somebody who was shown this roster last, or none yet."""
        known = self._documents.get(id(shown))
        if known is None:
            after = self.roster
            made = full(self.aor, after) if shown is None else partial(self.aor, shown, after)
            known = self._documents[id(shown)] = shown or after, made
        return known[1]


class Subscription:
    """One subscription. It is the token of its NOTIFYs; all but `due`, the wheel's, belongs to `Rosters`.

    ``shown`` is the roster that was sent last; None: the next document is a full one. ``reason`` is why it ends.
    """

    __slots__ = (
        "dialog", "due", "event", "expires_at", "flow", "is_busy", "is_last", "is_owed", "reason", "sent_by", "shown",
        "user", "version", "watched",
    )  # fmt: skip

    def __init__(self, dialog: Dialog, user: Aor, watched: Watched, event: Event) -> None:
        self.dialog = dialog
        self.user = user
        self.watched = watched
        self.event = event
        self.flow: Flow | None = None
        self.sent_by = ""
        self.expires_at = 0.0
        self.due = 0
        self.version = 0
        self.shown: Roster | None = None
        self.reason = ""
        self.is_busy = False  # in flight, waiting for a connection, or queued
        self.is_owed = False  # there was something to tell meanwhile
        self.is_last = False

    def state(self, now: float) -> str:
        """Subscription-State (RFC 6665 §4.2.2)."""
        if self.reason:
            return f"terminated;reason={self.reason}"
        return f"active;expires={max(0, round(self.expires_at - now))}"
