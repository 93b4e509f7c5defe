"""imc.store.batch: what many ops come to is what they do one after the other."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.registrar.bindings import Binding
from imc.rooms.model import Member
from imc.store.batch import Batch, coalesce
from imc.store.ops import (
    CloseOutbox,
    DeleteBinding,
    DeleteBindings,
    DeleteExpiredBindings,
    DeleteMember,
    DeleteOutbox,
    DeleteRoom,
    DeleteWaiting,
    Op,
    PutBinding,
    PutMember,
    PutOutbox,
    PutRoom,
    PutWaiting,
    UpdateOutbox,
)
from tests.store.model import Tables, apply_commit
from tests.store.samples import ADMIN, ALICE, BOB, INVITED, MEMBER, OTHER, OWNER, ROOM, binding


def test_nothing_comes_to_nothing() -> None:
    assert coalesce([]) == Batch()


def test_the_last_word_about_a_member_wins() -> None:
    batch = coalesce([PutMember(ROOM, BOB, INVITED), PutMember(ROOM, BOB, MEMBER), PutMember(ROOM, ALICE, OWNER)])
    assert batch.members == {ROOM: {BOB: MEMBER, ALICE: OWNER}}
    assert coalesce([PutMember(ROOM, BOB, MEMBER), DeleteMember(ROOM, BOB)]).members == {ROOM: {BOB: None}}


def test_a_room_made_again_keeps_nothing_of_the_one_before() -> None:
    batch = coalesce(
        [
            PutRoom(ROOM, False),
            PutMember(ROOM, BOB, OWNER),
            DeleteRoom(ROOM),
            PutRoom(ROOM, True),
            PutMember(ROOM, ALICE, OWNER),
        ]
    )
    assert list(batch.cleared_rooms) == [ROOM]
    assert batch.rooms == {ROOM: True}
    assert batch.members == {ROOM: {ALICE: OWNER}}


def test_what_is_put_into_the_outbox_and_delivered_at_once_is_never_written() -> None:
    put = PutOutbox("a", 1.0, b"payload", b"bob@example.com", 7)
    assert coalesce([put, UpdateOutbox("a", b""), DeleteOutbox("a")]) == Batch()
    assert coalesce([put, UpdateOutbox("a", b"x")]).outbox_puts == {"a": PutOutbox("a", 1.0, b"payload", b"x", 7)}
    assert coalesce([DeleteOutbox("a"), UpdateOutbox("a", b"x")]).outbox_updates == {}


def test_expiry_goes_by_the_latest_time() -> None:
    batch = coalesce([DeleteExpiredBindings(5.0), DeleteExpiredBindings(7.0), DeleteExpiredBindings(6.0)])
    assert batch.expired_before == 7.0
    assert coalesce([DeleteExpiredBindings(0.0), DeleteExpiredBindings(-1.0)]).expired_before == 0.0


_ROOMS = st.sampled_from([ROOM, OTHER])
_USERS = st.sampled_from([ALICE, BOB])
_IDS = st.sampled_from(["a", "b", "c"])
_CONTACTS = st.sampled_from(["sip:x@192.0.2.1", "sip:y@192.0.2.2"])
# Entries whose copies have rows of their own are not deleted or trimmed.
_OTHER_IDS = st.sampled_from(["d", "e"])
_SEQS = st.integers(1, 3)
OPS: st.SearchStrategy[Op] = st.one_of(
    st.builds(PutRoom, _ROOMS, st.booleans()),
    st.builds(DeleteRoom, _ROOMS),
    st.builds(PutMember, _ROOMS, _USERS, st.sampled_from([OWNER, ADMIN, MEMBER, INVITED])),
    st.builds(DeleteMember, _ROOMS, _USERS),
    st.builds(
        PutBinding,
        st.builds(
            binding, aor=_USERS, contact=_CONTACTS, expires_wall=st.floats(100, 200), q=st.sampled_from([500, 1000])
        ),
    ),
    st.builds(DeleteBinding, _USERS, _CONTACTS),
    st.builds(DeleteBindings, _USERS),
    st.builds(PutOutbox, _IDS, st.just(1.0), st.binary(max_size=3), st.binary(min_size=1, max_size=3), st.just(1)),
    st.builds(UpdateOutbox, _IDS, st.binary(max_size=3)),
    st.builds(DeleteOutbox, _IDS),
    st.builds(PutOutbox, _OTHER_IDS, st.just(1.0), st.just(b"p"), st.just(b"r"), st.just(1)),
    st.builds(
        PutWaiting, _USERS, _SEQS, st.integers(0, 1), st.booleans(), *[st.sampled_from([0.0, 2.5])] * 2,
        *[st.integers(0, 3)] * 2, st.just(7.5),
    ),
    st.builds(DeleteWaiting, _USERS, _SEQS, st.integers(0, 1)),
    st.builds(CloseOutbox, _SEQS),
)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn, max_size: int = 40) -> list[Op]:
    """Ops as the daemon submits them: an outbox id is used once, nobody is put into a room that is not there; a copy
    has a row when its entry is there and not closed, and none after its end."""
    ops: list[Op] = []
    rooms: set[Aor] = set()
    used: set[str] = set()
    open_seqs: set[int] = set()
    ended: set[tuple[Aor, int, int]] = set()
    begun = [PutOutbox(name, 1.0, b"p", b"r", 1) for name in "de"] if draw(st.booleans()) else []
    for op in [*begun, *draw(st.lists(OPS, max_size=max_size))]:
        match op:
            case PutRoom(room, _):
                rooms.add(room)
            case DeleteRoom(room):
                rooms.discard(room)
            case PutMember(room, _, _) if room not in rooms:
                continue
            case PutOutbox(outbox_id) if outbox_id in used:
                continue
            case PutOutbox(outbox_id):
                used.add(outbox_id)
                op = replace(op, seq=len(used))  # noqa: PLW2901
                if outbox_id in "de":
                    open_seqs.add(op.seq)
            case PutWaiting(aor, seq, part) if seq not in open_seqs or (aor, seq, part) in ended:
                continue
            case DeleteWaiting(aor, seq, part):
                ended.add((aor, seq, part))
            case CloseOutbox(seq) if seq not in open_seqs:
                continue
            case CloseOutbox(seq):
                open_seqs.discard(seq)
            case _:
                pass
        ops.append(op)
    return ops


def _apply_batch(tables: Tables, batch: Batch) -> None:
    """As the store applies it: what goes, then what comes."""
    members: dict[tuple[Aor, Aor], Member] = tables.members
    for room in batch.cleared_rooms:
        tables.rooms.pop(room, None)
        for key in [key for key in members if key[0] == room]:
            del members[key]
    tables.rooms.update(batch.rooms)
    for room, group in batch.members.items():
        for user, member in group.items():
            if member is None:
                members.pop((room, user), None)
            else:
                members[room, user] = member
    bindings: dict[tuple[Aor, str], Binding] = tables.bindings
    for where in [where for where in bindings if where[0] in batch.cleared_aors]:
        del bindings[where]
    for aor, contacts in batch.bindings.items():
        for contact, one in contacts.items():
            if one is None:
                bindings.pop((aor, contact), None)
            else:
                bindings[aor, contact] = one
    for outbox_id in batch.outbox_deletes:
        tables.outbox.pop(outbox_id, None)
    tables.outbox.update(batch.outbox_puts)
    for outbox_id, recipients in batch.outbox_updates.items():
        if outbox_id in tables.outbox:
            put = tables.outbox[outbox_id]
            tables.outbox[outbox_id] = replace(put, recipients=recipients)
    ops: list[Op] = [row or DeleteWaiting(*key) for key, row in batch.waiting.items()]
    apply_commit(tables, [*ops, *map(CloseOutbox, batch.closed)])


@given(histories(), st.integers(0, 40))
def test_any_history_in_two_batches_is_that_history(ops: list[Op], cut: int) -> None:
    expected = Tables()
    for op in ops:
        apply_commit(expected, [op])
    found = Tables()
    _apply_batch(found, coalesce(ops[:cut]))
    _apply_batch(found, coalesce(ops[cut:]))
    assert found == expected
