"""What can be written: frozen commands, each on its own rows, in terms of rooms and users and not of tables.

`check` holds the one rule that no database is trusted with: what does not fit the columns is refused, never cut.
SQLite checks no length at all, MySQL cuts silently in its non-strict mode.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from imc.aor import Aor
from imc.errors import StoreConflict
from imc.registrar.bindings import Binding
from imc.rooms.model import Member
from imc.rooms.settings import RoomSettings

# Kamailio's imc_rooms, imc_members and subscriber: varchar(64) each, the room's whole URI in imc_members included.
MAX_NAME = 64
# Ours, in characters and bytes; a SIP message is at most 64 KiB.
MAX_CONTACT = 512
MAX_TEXT = 16_000
MAX_ID = 64
MAX_TYPE = 1_000
MAX_AUDIT_NAME = 255
MAX_PAYLOAD = 1 << 20
MAX_RECIPIENTS = 8 << 20
MAX_SERIAL = (1 << 63) - 1
MAX_CSEQ = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class PutRoom:
    """The room exists, and is private or not. Members left over from a room that is gone are not members of it."""

    room: Aor
    is_private: bool


@dataclass(frozen=True, slots=True)
class DeleteRoom:
    """The room, its members and its invitations are gone."""

    room: Aor


@dataclass(frozen=True, slots=True)
class PutMember:
    """The user's entry in the room is this, whether or not there was one."""

    room: Aor
    user: Aor
    member: Member


@dataclass(frozen=True, slots=True)
class DeleteMember:
    """The user has no part in the room."""

    room: Aor
    user: Aor


@dataclass(frozen=True, slots=True)
class PutSettings:
    """The room's settings are these."""

    room: Aor
    settings: RoomSettings


@dataclass(frozen=True, slots=True)
class PutMessage:
    """Something was said. ``seq`` is its number in the room; ``body`` and ``type`` are as they came."""

    room: Aor
    seq: int
    sender: Aor
    type: str
    body: bytes
    created: float


@dataclass(frozen=True, slots=True)
class TrimLog:
    """The room's messages up to the number ``upto`` are gone, of those that were said at ``until`` or before.

    Never the newest one, or its number could be used again.
    """

    room: Aor
    upto: int
    until: float


@dataclass(frozen=True, slots=True)
class EraseMessage:
    """Nothing is left of this message of this sender's but its number, if it was said at ``until`` or before."""

    room: Aor
    seq: int
    sender: Aor
    until: float


class PutAudit(NamedTuple):
    """A row of the audit (spec R-AUDIT-1). ``id`` is used once, and grows with time: see `imc.service.audit`.

    ``created`` in unix seconds; ``act`` is what was done, ``detail`` JSON or "", ``result`` what came of it.
    """

    id: int
    created: float
    actor: str
    via: str
    act: str
    room: str
    user: str
    detail: str
    result: str


@dataclass(frozen=True, slots=True)
class TrimAudit:
    """The rows of the audit with a smaller id are gone (spec R-AUDIT-3)."""

    before: int


@dataclass(frozen=True, slots=True)
class PutBinding:
    """The binding of this user with this `Binding.key` is this. The flow of a connection is not kept."""

    binding: Binding


@dataclass(frozen=True, slots=True)
class DeleteBinding:
    """The user has no binding with this `Binding.key`."""

    aor: Aor
    contact: str


@dataclass(frozen=True, slots=True)
class DeleteBindings:
    """The user is at no contact."""

    aor: Aor


@dataclass(frozen=True, slots=True)
class DeleteExpiredBindings:
    """Bindings whose time ended at ``before`` (unix seconds) or earlier are gone, as of the end of this commit."""

    before: float


@dataclass(frozen=True, slots=True)
class PutOutbox:
    """Something to deliver. ``id`` and ``seq`` are used once, and ``seq`` gives the order; ``created`` is in unix
    seconds; the bytes are the delivery's own."""

    id: str
    created: float
    payload: bytes
    recipients: bytes
    seq: int


@dataclass(frozen=True, slots=True)
class UpdateOutbox:
    """Who is still to be reached. Nothing happens where the entry is gone."""

    id: str
    recipients: bytes


@dataclass(frozen=True, slots=True)
class DeleteOutbox:
    """Delivered, or given up. Of rows of single copies it has none."""

    id: str


@dataclass(frozen=True, slots=True)
class CloseOutbox:
    """Each of its recipients is reached, or has a row of their own; it goes when the last of these does."""

    seq: int


@dataclass(frozen=True, slots=True)
class PutWaiting:
    """One recipient's copy of part ``part`` of the outbox entry ``seq`` waits, or is dead. Times in unix seconds."""

    aor: Aor
    seq: int
    part: int
    is_dead: bool
    created: float
    expires: float
    tries: int
    status: int
    changed: float


@dataclass(frozen=True, slots=True)
class DeleteWaiting:
    """It does not wait any more. An outbox entry that is closed goes with its last copy."""

    aor: Aor
    seq: int
    part: int


Op = (
    PutRoom
    | DeleteRoom
    | PutMember
    | DeleteMember
    | PutSettings
    | PutMessage
    | TrimLog
    | EraseMessage
    | PutAudit
    | TrimAudit
    | PutBinding
    | DeleteBinding
    | DeleteBindings
    | DeleteExpiredBindings
    | PutOutbox
    | UpdateOutbox
    | DeleteOutbox
    | CloseOutbox
    | PutWaiting
    | DeleteWaiting
)

_OVERHEAD = 256


def weight(op: Op) -> int:
    """About how many bytes the op holds on to while it waits."""
    match op:
        case PutOutbox():
            return len(op.payload) + len(op.recipients) + _OVERHEAD
        case PutMessage():
            return len(op.body) + len(op.type) + _OVERHEAD
        case UpdateOutbox():
            return len(op.recipients) + _OVERHEAD
        case PutAudit():
            return len(op.detail) + _OVERHEAD
        case PutBinding(binding):
            return len(binding.key) + len(binding.user_agent) + sum(map(len, binding.path)) + _OVERHEAD
        case _:
            return _OVERHEAD


def check(ops: Iterable[Op]) -> None:
    """StoreConflict for the first op that does not fit the tables.

    Only what puts a row is looked at: deleting what cannot be there does nothing.
    """
    for op in ops:
        match op:
            case PutRoom(room, _):
                _check_aor(room)
                _check_text("room address", str(room), MAX_NAME)
            case PutMember(room, user, member):
                _check_aor(user)
                _check_text("room address", str(room), MAX_NAME)
                if not 0 <= member.serial <= MAX_SERIAL:
                    raise StoreConflict("an invitation's serial does not fit the database")
            case PutMessage():
                _check_message(op)
            case PutBinding(binding):
                _check_binding(binding)
            case PutAudit():
                _check_audit(op)
            case PutOutbox():
                _check_text("outbox id", op.id, MAX_ID)
                _check_seq(op.seq)
                if len(op.payload) > MAX_PAYLOAD or len(op.recipients) > MAX_RECIPIENTS:
                    raise StoreConflict("an outbox entry is too large for the database")
            case PutWaiting():
                _check_aor(op.aor)
                _check_seq(op.seq)
            case UpdateOutbox():
                if len(op.recipients) > MAX_RECIPIENTS:
                    raise StoreConflict("an outbox entry is too large for the database")
            case _:
                pass


def check_user(aor: Aor) -> None:
    """StoreConflict where the address does not fit the columns of a user or a room."""
    _check_aor(aor)


def _check_seq(seq: int) -> None:
    if not 0 < seq <= MAX_SERIAL:
        raise StoreConflict("the number of an outbox entry does not fit the database")


def _check_aor(aor: Aor) -> None:
    _check_text("user part", aor.user, MAX_NAME)
    _check_text("host", aor.host, MAX_NAME)


def _check_message(op: PutMessage) -> None:
    _check_text("room address", str(op.room), MAX_NAME)
    _check_aor(op.sender)
    _check_text("Content-Type", op.type, MAX_TYPE, is_empty_good=True)
    if len(op.body) > MAX_PAYLOAD:
        raise StoreConflict("a message is too large for the database")


def _check_audit(op: PutAudit) -> None:
    if 0 < op.id <= MAX_SERIAL and len(op.via) <= MAX_ID and len(op.act) <= MAX_ID and len(op.detail) <= MAX_TEXT:
        texts = op.actor + op.room + op.user + op.result  # nearly all are so short; what follows says what is wrong
        if len(texts) <= MAX_AUDIT_NAME and "\0" not in texts + op.via + op.act + op.detail:
            return
    if not 0 < op.id <= MAX_SERIAL:
        raise StoreConflict("the id of an audit row does not fit the database")
    for name, text, limit in (
        ("actor", op.actor, MAX_AUDIT_NAME),
        ("way", op.via, MAX_ID),
        ("act", op.act, MAX_ID),
        ("room address", op.room, MAX_AUDIT_NAME),
        ("user's address", op.user, MAX_AUDIT_NAME),
        ("detail", op.detail, MAX_TEXT),
        ("result", op.result, MAX_AUDIT_NAME),
    ):
        _check_text(name, text, limit, is_empty_good=True)


def _check_binding(binding: Binding) -> None:
    _check_aor(binding.aor)
    _check_text("contact", binding.key, MAX_CONTACT)
    if not (0 <= binding.q <= 1000 and 0 <= binding.cseq <= MAX_CSEQ):
        raise StoreConflict("the q or CSeq of a binding does not fit the database")
    for name, text in (
        ("Call-ID", binding.call_id),
        ("received address", binding.received),
        ("instance", binding.instance),
        ("user agent", binding.user_agent),
    ):
        _check_text(name, text, MAX_TEXT, is_empty_good=True)
    if sum(map(len, binding.path)) + 4 * len(binding.path) > MAX_TEXT:
        raise StoreConflict("the Path of a binding is too long for the database")


def _check_text(name: str, text: str, limit: int, *, is_empty_good: bool = False) -> None:
    if len(text) > limit:
        raise StoreConflict(f"the {name} is {len(text)} characters long, the database holds {limit}")
    if not text and not is_empty_good:
        raise StoreConflict(f"the {name} is empty")
    # PostgreSQL's text holds no NUL (manual, "Character Types").
    if "\0" in text:
        raise StoreConflict(f"the {name} holds a NUL")
