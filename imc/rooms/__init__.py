"""The pure core: what a room is, and what becomes of a request to it (spec/room.md).

    text ─ commands ─→ Command ─┐
                                ├─ decide ─→ Decision(status, changes, notices, recipients) ─ replies ─→ texts
    Room, sender, Policy ───────┘

No I/O, no clock, no chance, no SQL, no trio. One table says who may do what (`permissions`), one how standings change
(`machine`), one function who is told (`effects`); `decide` puts them together and changes nothing outside its answer.
"""

from imc.rooms.commands import BadCommand, Command, WithdrawInvitation, is_command, parse_command
from imc.rooms.decide import decide, decide_message, decide_undelivered, refuse, refuse_message
from imc.rooms.model import (
    Change,
    Member,
    MemberGone,
    MemberSet,
    Role,
    Room,
    RoomCreated,
    RoomDestroyed,
    SettingsSet,
    apply,
    member,
)
from imc.rooms.outcome import REFUSALS, Context, Decision, Notice, Refused, RoomRow
from imc.rooms.policy import UNLIMITED, Limits, Policy

__all__ = [
    "REFUSALS",
    "UNLIMITED",
    "BadCommand",
    "Change",
    "Command",
    "Context",
    "Decision",
    "Limits",
    "Member",
    "MemberGone",
    "MemberSet",
    "Notice",
    "Policy",
    "Refused",
    "Role",
    "Room",
    "RoomCreated",
    "RoomDestroyed",
    "RoomRow",
    "SettingsSet",
    "WithdrawInvitation",
    "apply",
    "decide",
    "decide_message",
    "decide_undelivered",
    "is_command",
    "member",
    "parse_command",
    "refuse",
    "refuse_message",
]
