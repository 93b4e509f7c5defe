"""imc.store.ops"""

from __future__ import annotations

import pytest

from imc.aor import Aor
from imc.errors import StoreConflict
from imc.rooms.model import Member, Role
from imc.store.ops import (
    MAX_PAYLOAD,
    MAX_RECIPIENTS,
    DeleteMember,
    DeleteOutbox,
    DeleteRoom,
    Op,
    PutBinding,
    PutMember,
    PutRoom,
    UpdateOutbox,
    check,
    check_user,
    weight,
)
from tests.store.samples import ALICE, INVITED, MEMBER, ROOM, binding, entry

# "sip:" and "@" and "example.com" are 16 characters of the room's URI.
LONGEST_ROOM = Aor("r" * 48, "example.com")
LONGEST_USER = Aor("u" * 64, "h" * 64)


@pytest.mark.parametrize(
    "op",
    [
        PutRoom(LONGEST_ROOM, False),
        PutMember(LONGEST_ROOM, LONGEST_USER, MEMBER),
        PutMember(ROOM, ALICE, Member(Role.INVITED, LONGEST_USER, (1 << 63) - 1)),
        PutBinding(binding(LONGEST_USER, "sip:" + "c" * 508)),
        entry("i" * 64, 0.0, b"p" * MAX_PAYLOAD, b"r" * MAX_RECIPIENTS),
        UpdateOutbox("i", b"r" * MAX_RECIPIENTS),
        # Deleting what cannot be there does nothing.
        DeleteRoom(Aor("r" * 100, "example.com")),
        DeleteMember(ROOM, Aor("u" * 65, "example.com")),
        DeleteOutbox("i" * 65),
    ],
)
def test_what_fits(op: Op) -> None:
    check([op])


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (PutRoom(Aor("r" * 49, "example.com"), False), "the room address is 65 characters long, the database holds 64"),
        (PutRoom(Aor("", "example.com"), False), "the user part is empty"),
        (PutRoom(Aor("r", "h" * 65), False), "the host is 65 characters long, the database holds 64"),
        (PutMember(Aor("r" * 49, "example.com"), ALICE, MEMBER), "the room address is 65 characters long"),
        (PutMember(ROOM, Aor("u" * 65, "example.com"), MEMBER), "the user part is 65 characters long"),
        (PutMember(ROOM, Aor("u\0", "example.com"), MEMBER), "the user part holds a NUL"),
        (PutMember(ROOM, ALICE, Member(Role.INVITED, ALICE, 1 << 63)), "serial"),
        (PutMember(ROOM, ALICE, Member(Role.INVITED, ALICE, -1)), "serial"),
        (PutBinding(binding(Aor("u" * 65, "example.com"))), "the user part is 65 characters long"),
        (PutBinding(binding(contact="sip:" + "c" * 509)), "the contact is 513 characters long, the database holds 512"),
        (PutBinding(binding(contact="")), "the contact is empty"),
        (PutBinding(binding(cseq=1 << 32)), "CSeq"),
        (PutBinding(binding(q=1001)), "q"),
        (PutBinding(binding(call_id="c" * 16_001)), "the Call-ID is 16001 characters long"),
        (PutBinding(binding(user_agent="a\0b")), "the user agent holds a NUL"),
        (PutBinding(binding(path=("<sip:p>",) * 3000)), "the Path of a binding is too long"),
        (entry("i" * 65, 0.0, b"", b""), "the outbox id is 65 characters long"),
        (entry("", 0.0, b"", b""), "the outbox id is empty"),
        (entry("i", 0.0, b"p" * (MAX_PAYLOAD + 1), b""), "too large"),
        (entry("i", 0.0, b"", b"r" * (MAX_RECIPIENTS + 1)), "too large"),
        (UpdateOutbox("i", b"r" * (MAX_RECIPIENTS + 1)), "too large"),
    ],
)
def test_what_does_not_fit_is_a_conflict(op: Op, reason: str) -> None:
    with pytest.raises(StoreConflict, match=reason):
        check([PutMember(ROOM, ALICE, INVITED), op])


def test_a_user_that_fits_no_column() -> None:
    check_user(LONGEST_USER)
    with pytest.raises(StoreConflict):
        check_user(Aor("u" * 65, "example.com"))


def test_weight_grows_with_what_an_op_holds() -> None:
    assert weight(entry("i", 0.0, b"p" * 1000, b"r" * 100)) == 1100 + weight(DeleteOutbox("i"))
    assert weight(UpdateOutbox("i", b"r" * 100)) == 100 + weight(DeleteOutbox("i"))
    assert weight(PutBinding(binding(user_agent="a" * 5000))) > 5000
    assert weight(PutMember(ROOM, ALICE, MEMBER)) == weight(DeleteRoom(ROOM))
