"""imc.store.room_ops"""

from __future__ import annotations

from imc.rooms.model import Change, MemberGone, MemberSet, RoomCreated, RoomDestroyed
from imc.store.ops import DeleteMember, DeleteRoom, PutMember, PutRoom
from imc.store.room_ops import ops_for
from tests.store.samples import ALICE, BOB, INVITED, OWNER, ROOM


def test_each_change_is_an_op_in_its_order() -> None:
    changes: list[Change] = [
        RoomCreated(True),
        MemberSet(ALICE, OWNER),
        MemberSet(BOB, INVITED),
        MemberGone(BOB),
        RoomDestroyed(),
    ]
    assert ops_for(ROOM, changes) == [
        PutRoom(ROOM, True),
        PutMember(ROOM, ALICE, OWNER),
        PutMember(ROOM, BOB, INVITED),
        DeleteMember(ROOM, BOB),
        DeleteRoom(ROOM),
    ]
    assert ops_for(ROOM, []) == []
