"""Many ops made one change for each row: the last word about a row wins, and nothing is written twice.

Pure. What `coalesce` gives can be applied in one fixed order (deletions of many rows, of one, then what is put),
because an op that deletes many rows takes back here what was said of them before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from imc.aor import Aor
from imc.registrar.bindings import Binding
from imc.rooms.model import Member
from imc.rooms.settings import RoomSettings
from imc.store.ops import (
    CloseOutbox,
    DeleteBinding,
    DeleteBindings,
    DeleteExpiredBindings,
    DeleteMember,
    DeleteOutbox,
    DeleteRoom,
    DeleteWaiting,
    EraseMessage,
    Op,
    PutAudit,
    PutBinding,
    PutMember,
    PutMessage,
    PutOutbox,
    PutRoom,
    PutSettings,
    PutWaiting,
    TrimAudit,
    TrimLog,
    UpdateOutbox,
)


@dataclass(slots=True)
class Batch:
    """What is to be done; None stands for "gone".

    ``cleared_rooms`` and ``cleared_aors`` lose all their rows first. An entry that is put into the outbox and deleted
    from it in one batch leaves no trace: its id was used once. The log's ops stand in their order; what removes from it
    removes what is older than the batch. Rows of the audit are all kept, in their order.
    """

    cleared_rooms: dict[Aor, None] = field(default_factory=dict)
    rooms: dict[Aor, bool] = field(default_factory=dict)
    members: dict[Aor, dict[Aor, Member | None]] = field(default_factory=dict)
    settings: dict[Aor, RoomSettings] = field(default_factory=dict)
    messages: dict[Aor, list[PutMessage]] = field(default_factory=dict)
    trims: dict[Aor, list[TrimLog]] = field(default_factory=dict)
    erasures: dict[Aor, list[EraseMessage]] = field(default_factory=dict)
    cleared_aors: dict[Aor, None] = field(default_factory=dict)
    bindings: dict[Aor, dict[str, Binding | None]] = field(default_factory=dict)
    expired_before: float | None = None
    outbox_puts: dict[str, PutOutbox] = field(default_factory=dict)
    outbox_updates: dict[str, bytes] = field(default_factory=dict)
    outbox_deletes: dict[str, None] = field(default_factory=dict)
    closed: dict[int, None] = field(default_factory=dict)
    waiting: dict[tuple[Aor, int, int], PutWaiting | None] = field(default_factory=dict)
    audit: list[PutAudit] = field(default_factory=list)
    audit_from: int = 0

    @property
    def is_in_audit(self) -> bool:
        return bool(self.audit or self.audit_from)

    @property
    def is_in_rooms(self) -> bool:
        return bool(self.rooms or self.members or self.cleared_rooms)

    @property
    def is_in_log(self) -> bool:
        return bool(self.messages or self.settings or self.trims or self.erasures)

    @property
    def is_in_bindings(self) -> bool:
        return bool(self.bindings or self.cleared_aors or self.expired_before is not None)

    @property
    def is_in_outbox(self) -> bool:
        return bool(self.outbox_puts or self.outbox_updates or self.outbox_deletes or self.closed or self.waiting)


def coalesce(ops: Iterable[Op]) -> Batch:  # noqa: PLR0915  a case for each op
    """The net effect of the ops in their order."""
    batch = Batch()
    for op in ops:
        match op:
            case PutMember(room, user, member):
                batch.members.setdefault(room, {})[user] = member
            case PutMessage():
                batch.messages.setdefault(op.room, []).append(op)
            case PutAudit():
                batch.audit.append(op)
            case PutOutbox():
                batch.outbox_puts[op.id] = op
                batch.outbox_updates.pop(op.id, None)
            case UpdateOutbox(outbox_id, recipients):
                _update_outbox(batch, outbox_id, recipients)
            case DeleteOutbox(outbox_id):
                batch.outbox_updates.pop(outbox_id, None)
                if batch.outbox_puts.pop(outbox_id, None) is None:
                    batch.outbox_deletes[outbox_id] = None
            case CloseOutbox(seq):
                batch.closed[seq] = None
            case PutWaiting(aor, seq, part):
                batch.waiting[aor, seq, part] = op
            case DeleteWaiting(aor, seq, part):
                batch.waiting[aor, seq, part] = None
            case DeleteMember(room, user):
                batch.members.setdefault(room, {})[user] = None
            case PutRoom(room, is_private):
                batch.rooms[room] = is_private
            case DeleteRoom(room):
                batch.rooms.pop(room, None)
                batch.members.pop(room, None)
                for log in (batch.settings, batch.messages, batch.trims, batch.erasures):
                    log.pop(room, None)
                batch.cleared_rooms[room] = None
            case PutSettings(room, settings):
                batch.settings[room] = settings
            case TrimLog():
                batch.trims.setdefault(op.room, []).append(op)
            case EraseMessage():
                batch.erasures.setdefault(op.room, []).append(op)
            case TrimAudit(before):
                batch.audit_from = max(batch.audit_from, before)
            case PutBinding(binding):
                batch.bindings.setdefault(binding.aor, {})[binding.key] = binding
            case DeleteBinding(aor, contact):
                batch.bindings.setdefault(aor, {})[contact] = None
            case DeleteBindings(aor):
                batch.bindings.pop(aor, None)
                batch.cleared_aors[aor] = None
            case DeleteExpiredBindings(before):
                known = batch.expired_before
                batch.expired_before = before if known is None else max(before, known)
    return batch


def _update_outbox(batch: Batch, outbox_id: str, recipients: bytes) -> None:
    put = batch.outbox_puts.get(outbox_id)
    if put is not None:
        batch.outbox_puts[outbox_id] = replace(put, recipients=recipients)
    elif outbox_id not in batch.outbox_deletes:
        batch.outbox_updates[outbox_id] = recipients
