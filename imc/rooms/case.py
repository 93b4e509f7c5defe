"""One request while it is judged: the object that the machine moves, and what its rows may ask about it.

A `Case` lives for one decision and is known to no machine. Its properties are the conditions of the rows: pure, without
arguments, and none named ``may_…`` (transitions would take it for a trigger's own test and recurse).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc.aor import Aor
from imc.rooms.commands import Command, WithdrawInvitation
from imc.rooms.model import Room
from imc.rooms.outcome import Context
from imc.rooms.policy import Policy

if TYPE_CHECKING:
    from imc.rooms.machine import Row


def _is_reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit


class Case:
    """``room``, ``sender``, ``subject``: as before the request. ``state`` and ``row`` are the machine's to set."""

    __slots__ = ("command", "context", "policy", "room", "row", "sender", "state", "subject")

    def __init__(
        self,
        *,
        room: Room | None,
        command: Command,
        sender: Aor,
        subject: Aor,
        policy: Policy,
        context: Context,
        state: str,
    ) -> None:
        self.room = room
        self.command = command
        self.sender = sender
        self.subject = subject
        self.policy = policy
        self.context = context
        self.state = state
        self.row: Row | None = None

    # --- a room that is not there yet

    @property
    def is_name_outside(self) -> bool:
        return not self.policy.may_be_room(self.command.room)

    @property
    def is_account(self) -> bool:
        return self.context.is_account

    @property
    def has_enough_rooms(self) -> bool:
        return _is_reached(self.context.rooms_owned, self.policy.limits.max_rooms_per_owner)

    @property
    def is_server_full(self) -> bool:
        return _is_reached(self.context.rooms_total, self.policy.limits.max_rooms)

    @property
    def is_join_strict(self) -> bool:
        return not self.policy.create_on_join

    # --- a room that is there

    @property
    def live_room(self) -> Room:
        """The room, for rows that have one."""
        if self.room is None:
            raise LookupError(f"there is no room {self.command.room}")
        return self.room

    @property
    def is_create_strict(self) -> bool:
        return self.policy.check_on_create

    @property
    def is_private(self) -> bool:
        return self.live_room.is_private

    @property
    def is_full(self) -> bool:
        return _is_reached(len(self.live_room.members), self.policy.limits.max_members)

    @property
    def needs_consent(self) -> bool:
        return self.policy.add_requires_consent

    @property
    def is_subject_room(self) -> bool:
        return self.context.is_target_room or self.policy.is_reserved(self.subject)

    @property
    def is_oneself(self) -> bool:
        return self.sender == self.subject

    @property
    def is_not_outranked(self) -> bool:
        """Whether the subject's rank is the sender's, or higher."""
        sender, subject = self.live_room.role(self.sender), self.live_room.role(self.subject)
        return (sender or 0) <= (subject or 0)

    @property
    def is_last_owner(self) -> bool:
        return self.live_room.is_last_owner(self.subject)

    @property
    def is_last_owner_kept(self) -> bool:
        return self.policy.owner_leave == "refuse"

    @property
    def is_that_invitation(self) -> bool:
        """Whether the invitation that failed is the one that is pending (spec R-INVITE-5)."""
        failed, pending = self.command, self.live_room.members[self.subject]
        return (
            isinstance(failed, WithdrawInvitation)
            and pending.serial == failed.serial
            and pending.invited_by == failed.inviter
        )
