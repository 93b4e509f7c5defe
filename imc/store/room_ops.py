"""What a decision's changes mean for the tables."""

from __future__ import annotations

from collections.abc import Iterable

from imc.aor import Aor
from imc.rooms.model import Change, MemberGone, MemberSet, PrivacySet, RoomCreated, SettingsSet
from imc.store.ops import DeleteMember, DeleteRoom, Op, PutMember, PutRoom, PutSettings


def ops_for(room: Aor, changes: Iterable[Change]) -> list[Op]:
    """One op for each change, in their order."""
    ops: list[Op] = []
    for change in changes:
        if isinstance(change, MemberSet):
            ops.append(PutMember(room, change.user, change.member))
        elif isinstance(change, MemberGone):
            ops.append(DeleteMember(room, change.user))
        elif isinstance(change, SettingsSet):
            ops.append(PutSettings(room, change.settings))
        elif isinstance(change, RoomCreated | PrivacySet):
            ops.append(PutRoom(room, change.is_private))
        else:
            ops.append(DeleteRoom(room))
    return ops
