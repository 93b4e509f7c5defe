"""The log of a room's messages, as the service sees it: what goes into it, and what is repeated of it (spec §19).

Invariants
    What is read holds all that was accepted before: where some of that is still with the writer, it is waited for.
    Nothing that is beyond the room's settings is repeated, also where it was not removed yet (spec R-HISTORY-6).
    However long the log and its texts are, one `history` is of at most `HISTORY_BYTES` and a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from imc.aor import Aor
from imc.errors import BadMessage
from imc.rooms.history import Said, repeat
from imc.rooms.model import Room
from imc.rooms.outcome import Decision, Notice
from imc.rooms.policy import Policy
from imc.rooms.replies import history_head
from imc.rooms.settings import Kept, kept
from imc.service.copies import PAGE, TextRefused, decode, is_momentary, is_plain
from imc.service.cpim import CPIM, parse_cpim
from imc.service.inbound import Inbound
from imc.service.shards import Slot
from imc.sip.values import parse_media_type
from imc.store.messages import MessageRow
from imc.store.ops import PutMessage
from imc.store.reader import StoreReader
from imc.store.writer import Writer

HISTORY_BYTES = 16_384  # of the lines of one `history`; a longer text is named
_MAX_READ = 2 << 20
DAY = 86_400.0
_PAGE_MARKS = len(" (999/999)\r\n")
Put = Callable[[Decision], Decision]


def wanted(decision: Decision) -> Notice | None:
    """The notice in a decision that repeats what was said, if there is one."""
    if decision.refusal is not None:
        return None
    return next((notice for notice in decision.notices if notice.event == "history"), None)


class Log(Protocol):
    """What is read: `imc.store.messages.MessageStore` has it."""

    def newest_messages(
        self, room: Aor, limit: int, *, since: float, max_body: int, max_bytes: int
    ) -> tuple[list[MessageRow], bool]: ...


class History:
    """``wall`` gives unix seconds."""

    def __init__(self, store: Log, reader: StoreReader, writer: Writer, wall: Callable[[], float]) -> None:
        self._store = store
        self._reader = reader
        self._writer = writer
        self._wall = wall

    def entry(self, inbound: Inbound, slot: Slot, policy: Policy) -> PutMessage | None:
        """The row of a room message that was accepted; None where it is not to be kept (spec R-HISTORY-1)."""
        room = slot.room
        if room is None or not kept(room.settings, policy).messages or not is_kept(inbound):
            return None
        kind = inbound.content_type.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return PutMessage(room.aor, slot.newest + 1, inbound.sender, kind, inbound.body, self._wall())

    async def read(self, notice: Notice, policy: Policy, room: Room | None, has_more: bool) -> Put:
        """What was said, ready to be put into the decision. ``has_more``: some of it is still with the writer."""
        if has_more:
            await self._writer.commit(())
        rows: Sequence[MessageRow] = ()
        has_older = False
        what = Kept(0, 0) if room is None else kept(room.settings, policy)
        count = min(notice.count, what.messages)
        if room is not None and count:
            read = self._store.newest_messages
            since = self._wall() - what.days * DAY
            rows, has_older = await self._reader.run(
                lambda: read(room.aor, count, since=since, max_body=HISTORY_BYTES + 1, max_bytes=_MAX_READ)
            )
        return lambda decision: _put(decision, rows, has_older)


def is_kept(inbound: Inbound) -> bool:
    """Whether a room message may be kept beyond its delivery."""
    expires = next((value.strip() for name, value in inbound.headers if name == "Expires"), "")
    is_of_now = expires != "" and not expires.strip("0")  # RFC 3428 §4: delta-seconds
    return not (is_of_now or is_momentary(inbound))


def said(row: MessageRow) -> Said:
    """A row as it is repeated: as text where it is one."""
    try:
        kind = parse_media_type(row.type) if row.type else None
        body = row.body
        if kind is not None and kind.essence == CPIM and row.size == len(body):  # else it was cut, and is too large
            message = parse_cpim(body)
            if is_plain(message.content_type):
                kind, body = message.content_type, message.payload
        text = decode(body, kind) if is_plain(kind) else None
    except (BadMessage, TextRefused):  # a row that others wrote
        kind, text = None, None
    essence = "text/plain" if kind is None and text is not None else kind.essence if kind is not None else ""
    return Said(row.sender, row.created, essence, row.size, text)


def _put(decision: Decision, rows: Sequence[MessageRow], has_older: bool) -> Decision:
    room = decision.room
    if room is None:
        return decision
    max_line = PAGE - len(history_head(room.aor).encode()) - _PAGE_MARKS
    repeated = repeat(room, [said(row) for row in rows], max_line=max_line, max_bytes=HISTORY_BYTES)
    return replace(
        decision,
        notices=tuple(
            replace(notice, lines=repeated.lines, left_off=int(repeated.is_cut or has_older))
            if notice.event == "history"
            else notice
            for notice in decision.notices
        ),
    )
