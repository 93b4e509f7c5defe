"""Every cell of the status table, decided by the pure core: status, code, and who is told (spec §12)."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from imc.rooms import Role, Room, SettingsSet
from imc.rooms.replies import EVENTS, text
from tests.rooms.play import POLICY, ROOM, Stage, told, user
from tests.rooms.status_table import (
    ADMIN,
    CELLS,
    INVITED,
    MEMBER,
    OWNER,
    SENDERS,
    VARIANTS,
    Cell,
    Kind,
    setup,
)


def staged(kind: Kind) -> Stage:
    stage = Stage()
    for sender, body in setup(kind):
        assert stage.send(sender, body).status == 200, body
    return stage


def standings(room: Room | None) -> dict[str, str] | None:
    return None if room is None else {aor.user: entry.role.name.lower() for aor, entry in room.members.items()}


def expected(before: Room | None, cell: Cell) -> dict[str, str] | None:
    if cell.now is None or (before is None and not cell.now):
        return None
    after = (standings(before) or {}) | cell.now
    return {name: standing for name, standing in after.items() if standing != "outsider"}


@pytest.mark.parametrize("kind", ["public", "private"])
def test_setup_gives_the_room_of_the_cells(kind: Kind) -> None:
    room = staged(kind).rooms[ROOM]
    assert room.is_private == (kind == "private")
    assert {aor.user: entry.role for aor, entry in room.members.items()} == {
        OWNER: Role.OWNER,
        ADMIN: Role.ADMIN,
        MEMBER: Role.MEMBER,
        INVITED: Role.INVITED,
    }
    assert room.members[user(INVITED)].invited_by == user(OWNER)


@pytest.mark.parametrize("cell", CELLS + VARIANTS, ids=lambda cell: cell.id)
def test_cell(cell: Cell) -> None:
    stage = staged(cell.kind)
    stage.policy = replace(POLICY, **cell.policy)
    for sender, body in cell.before:
        assert stage.send(sender, body).status == 200, body
    before = stage.rooms.get(ROOM)

    decision = stage.send(cell.sender, cell.body)

    assert (decision.status, decision.clause, decision.code) == (cell.status, cell.clause, cell.code)
    assert told(decision) == cell.told
    assert standings(stage.rooms.get(ROOM)) == expected(before, cell)
    changes = [change for change in decision.changes if not isinstance(change, SettingsSet)]
    assert bool(changes) == (cell.now != {})
    for notice in decision.notices:
        assert notice.is_answer == (notice.recipients == (user(cell.sender),))
        assert notice.room == ROOM
        assert text(notice, stage.policy)
    assert (decision.refusal is not None) == (cell.status >= 300)
    if decision.refusal is not None:  # spec R-INV-6
        assert decision.refusal.status == decision.status
        assert decision.changes == ()
        assert stage.rooms.get(ROOM) is before


def test_every_role_and_kind_has_a_cell_for_every_line() -> None:
    ids = [cell.id for cell in CELLS]
    assert len(ids) == len(set(ids))
    lines = {cell.id.split("/")[0] for cell in CELLS}
    wanted = {f"{line}/{role}/{kind}" for line in lines for role in SENDERS for kind in ("public", "private")}
    assert wanted | {f"{line}/outsider/none" for line in lines} == set(ids)
    assert {cell.kind for cell in CELLS} == set(get_args(Kind))


def test_events_of_the_cells_are_known() -> None:
    assert {event for cell in CELLS + VARIANTS for event in cell.told.values()} <= EVENTS | {"message"}


def test_a_private_room_looks_like_no_room_to_an_outsider() -> None:
    """Status, code, clause, refusal and words are equal; create and join cannot hide it (spec R-HIDE-1)."""
    for body in {cell.body for cell in CELLS} - {"#create", "#create private", "#join"}:
        hidden, none = staged("private").send("otto", body), staged("none").send("otto", body)
        assert replace(hidden, room=None) == replace(none, room=None), body
