"""The audit: a row for each change of a room, and for each act by the management interfaces (spec §22).

Invariants
- The row of a change is written with the change: in one commit, or not at all.
- The rows of one daemon have ids in the order in which they were made; those of others, made beside it, in the order of
  the clock.
- No secret and no text of talk is in a row: of an act its arguments are, but those that the caller has left away.
- The table is bounded by age and number; what is too much leaves it `BATCH` rows at a time, and the next batch goes
  when that one is on disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import structlog
import trio

from imc.aor import Aor
from imc.errors import ImcError, Overloaded, StoreError
from imc.rooms.commands import (
    Command,
    Create,
    CreateFor,
    Modify,
    Set,
    SetPrivate,
    Targeted,
    WithdrawInvitation,
)
from imc.rooms.model import MemberGone, MemberSet, Role, RoomCreated, RoomDestroyed
from imc.rooms.outcome import Decision
from imc.service.inbound import Act
from imc.service.spec_trace import Judged
from imc.store.audit import AuditFilter, id_at
from imc.store.ops import PutAudit, TrimAudit
from imc.store.reader import StoreReader
from imc.store.store import Store
from imc.store.writer import Writer

_log = structlog.get_logger("imc.service")
BATCH = 1_000
DAY = 86_400.0
MAX_DETAIL = 4_000  # characters
_MAX_RESULT = 255
_FIRST = 90.0  # seconds after the start; then each _INTERVAL
_INTERVAL = 600.0
_TAGS = 1024
_OF_ROOM = (Set, SetPrivate)
_WITH_KIND = (Create, CreateFor, SetPrivate)
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    is_enabled: bool = True
    keep_days: int = 365
    max_rows: int = 1_000_000


class Audit:
    """``options`` is asked anew each time; ``wall`` gives unix seconds; ``tag`` tells this process from others beside
    it, from 0 to 1023. `run` it as a task: it removes what is too old."""

    def __init__(
        self,
        store: Store,
        reader: StoreReader,
        writer: Writer,
        *,
        options: Callable[[], AuditOptions],
        wall: Callable[[], float],
        tag: int,
    ) -> None:
        self._store = store
        self._reader = reader
        self._writer = writer
        self._options = options
        self._wall = wall
        self._tag = tag % _TAGS
        self._last = 0
        self._counts = {"audit_rows": 0, "audit_lost": 0}

    def statistics(self) -> dict[str, int]:
        return dict(self._counts)

    # spec R-AUDIT-1
    def of_change(self, judged: Judged, act: Act | None) -> PutAudit | None:
        """The row that belongs into the commit of this decision. None where there is no audit."""
        if not self._options().is_enabled:
            return None
        command, decision = judged.command, judged.decision
        actor, via = (str(judged.sender), "sip") if act is None else (act.actor, act.via)
        if isinstance(command, WithdrawInvitation):
            actor, via = "imc", "delivery"
        subject: Aor | None = judged.sender
        if isinstance(command, Targeted):
            subject = command.user
        elif isinstance(command, _OF_ROOM) or decision.room is None:
            subject = None
        details = _details(judged, act)
        return self._row(
            actor,
            via,
            act_of(command, decision),
            str(decision.address),
            "" if subject is None else str(subject),
            _encode(details) if details else "",
            f"200 {decision.clause}",
        )

    # spec R-AUDIT-2
    async def note(self, act: Act, result: str) -> None:
        """An act that is over, whatever came of it. What cannot be written is logged: the act is done already."""
        if not self._options().is_enabled:
            return
        detail = act.detail if len(act.detail) <= MAX_DETAIL else f"{act.detail[: MAX_DETAIL - 1]}…"
        who = _clean(act.actor), _clean(act.via)[:64], act.method[:64], _clean(act.room), _clean(act.user)
        row = self._row(*who, detail, _clean(result))
        try:
            await self._writer.commit([row])
        except ImcError as error:
            self._counts["audit_lost"] += 1
            _log.error("not-audited", actor=act.actor, via=act.via, method=act.method, result=result, error=str(error))

    def _row(  # noqa: PLR0917  the columns
        self, actor: str, via: str, act: str, room: str, user: str, detail: str, result: str
    ) -> PutAudit:
        now = self._wall()
        self._last = max(self._last + _TAGS, id_at(now) | self._tag)
        self._counts["audit_rows"] += 1
        return PutAudit(self._last, now, actor, via, act, room, user, detail, result)

    async def rows(self, wanted: AuditFilter, limit: int, before: int | None) -> list[PutAudit]:
        """The newest first."""
        return await self._reader.run(self._store.audit_rows, wanted, limit, before)

    # spec R-AUDIT-3
    async def run(self) -> None:
        """Until cancelled."""
        await trio.sleep(_FIRST)
        while True:
            try:
                while await self.trim():
                    pass
            except (StoreError, Overloaded) as error:
                _log.warning("audit-not-trimmed", error=str(error))
            await trio.sleep(_INTERVAL)

    async def trim(self) -> bool:
        """Remove up to `BATCH` rows. Whether there may be more to remove. StoreError, Overloaded."""
        options = self._options()
        oldest = id_at(self._wall() - options.keep_days * DAY)
        surplus = await self._reader.run(self._store.count_audit) - options.max_rows
        if surplus > 0:
            cut = await self._reader.run(self._store.audit_cut, surplus)
            oldest = max(oldest, cut or 0)
        batch = await self._reader.run(self._store.audit_cut, BATCH)
        first = await self._reader.run(self._store.audit_cut, 0)
        if first is None or first >= oldest:
            return False
        before = oldest if batch is None else min(batch, oldest)
        await self._writer.commit([TrimAudit(before)])
        return before < oldest


def act_of(command: Command | None, decision: Decision) -> str:
    """What was done, as a word: that of the command, or what it came to where that is another."""
    if isinstance(command, WithdrawInvitation):
        return "invitation-failed"
    for change in decision.changes:
        if isinstance(change, RoomCreated):
            return "create"
        if isinstance(change, RoomDestroyed):
            return "leave-and-destroy" if command is not None and command.name == "leave" else "destroy"
    return "message" if command is None else command.name


def _details(judged: Judged, act: Act | None) -> dict[str, object]:
    """What the word alone does not say."""
    command, changes = judged.command, judged.decision.changes
    found: dict[str, object] = {}
    if isinstance(command, Modify):
        found["role"] = command.role.name.lower()
    elif isinstance(command, Set):
        found[command.option] = command.value
    elif isinstance(command, _WITH_KIND):
        found["private"] = command.is_private
    for change in changes:
        if isinstance(change, MemberSet):
            if change.member.role is Role.INVITED and command is not None and command.name != "invite":
                found["invited"] = True  # an add that asks first
        elif isinstance(change, MemberGone) and judged.before is not None:
            role = judged.before.role(change.user)
            found["was"] = "" if role is None else role.name.lower()
    if act is not None:
        found["by"] = act.method
        if not judged.context.is_operator:
            found["as"] = str(judged.sender)
    return found


def _clean(text: str) -> str:
    return text.replace("\0", "")[:_MAX_RESULT]
