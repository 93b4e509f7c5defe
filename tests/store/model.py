"""What the store is to do, as plainly as it can be said: one op after the other on dictionaries."""

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


@dataclass
class Tables:
    rooms: dict[Aor, bool] = field(default_factory=dict)
    members: dict[tuple[Aor, Aor], Member] = field(default_factory=dict)
    bindings: dict[tuple[Aor, str], Binding] = field(default_factory=dict)
    outbox: dict[str, PutOutbox] = field(default_factory=dict)
    waiting: dict[tuple[Aor, int, int], PutWaiting] = field(default_factory=dict)
    settings: dict[Aor, RoomSettings] = field(default_factory=dict)
    log: dict[tuple[Aor, int], PutMessage] = field(default_factory=dict)
    audit: dict[int, PutAudit] = field(default_factory=dict)


def apply_commit(tables: Tables, ops: Iterable[Op]) -> None:
    """All ops, and then what becomes of entries that are closed: each goes with its last copy (spec S-LANE-6)."""
    touched: set[int] = set()
    for op in ops:
        apply_op(tables, op)
        if isinstance(op, CloseOutbox | DeleteWaiting):
            touched.add(op.seq)
    held = {seq for _, seq, _ in tables.waiting}
    for put in list(tables.outbox.values()):
        if put.seq in touched and not put.recipients and put.seq not in held:
            del tables.outbox[put.id]


def apply_op(tables: Tables, op: Op) -> None:
    match op:
        case PutRoom(room, is_private):
            tables.rooms[room] = is_private
        case DeleteRoom(room):
            tables.rooms.pop(room, None)
            for key in [key for key in tables.members if key[0] == room]:
                del tables.members[key]
            tables.settings.pop(room, None)
            for entry in [entry for entry in tables.log if entry[0] == room]:
                del tables.log[entry]
        case PutSettings(room, settings):
            tables.settings[room] = settings
        case PutMessage():
            tables.log[op.room, op.seq] = op
        case TrimLog(room, upto, until):
            for entry in [entry for entry, one in tables.log.items() if entry[0] == room and one.created <= until]:
                if entry[1] <= upto:
                    del tables.log[entry]
        case EraseMessage(room, seq, sender, until):
            one = tables.log.get((room, seq))
            if one is not None and one.sender == sender and one.created <= until:
                tables.log[room, seq] = PutMessage(room, seq, Aor("", ""), "", b"", one.created)
        case PutMember(room, user, member):
            tables.members[room, user] = member
        case DeleteMember(room, user):
            tables.members.pop((room, user), None)
        case PutAudit():
            tables.audit.setdefault(op.id, op)
        case TrimAudit(before):
            for id_ in [id_ for id_ in tables.audit if id_ < before]:
                del tables.audit[id_]
        case PutBinding(binding):
            tables.bindings[binding.aor, binding.contact] = binding
        case DeleteBinding(aor, contact):
            tables.bindings.pop((aor, contact), None)
        case DeleteBindings(aor):
            for where in [where for where in tables.bindings if where[0] == aor]:
                del tables.bindings[where]
        case DeleteExpiredBindings(before):
            for where in [where for where, one in tables.bindings.items() if one.expires_wall <= before]:
                del tables.bindings[where]
        case PutOutbox():
            tables.outbox[op.id] = op
        case UpdateOutbox(outbox_id, recipients):
            if outbox_id in tables.outbox:
                put = tables.outbox[outbox_id]
                tables.outbox[outbox_id] = replace(put, recipients=recipients)
        case DeleteOutbox(outbox_id):
            tables.outbox.pop(outbox_id, None)
        case CloseOutbox(seq):
            for put in [put for put in tables.outbox.values() if put.seq == seq]:
                tables.outbox[put.id] = replace(put, recipients=b"")
        case PutWaiting(aor, seq, part):
            tables.waiting[aor, seq, part] = op
        case DeleteWaiting(aor, seq, part):
            tables.waiting.pop((aor, seq, part), None)
