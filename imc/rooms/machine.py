"""How somebody's standing in a room changes: one table of rows, and the machine that runs it.

Theory
    The state is the standing of one subject to one room: `no room`, `outsider`, `invited`, `member`, `admin`, `owner`.
    The subject is the user that a command names, else its sender. A trigger is a command, but that `modify` is one
    trigger for each role.
    A row is (trigger, source, conditions) → (dest, effects), or a refusal. Of the rows of one trigger and source the
    first whose conditions all hold is taken; the last has none, so there always is one.
    What changes in the room follows from source and dest alone (`imc.rooms.decide`): no effect changes anything.
    ``dest`` None means that nothing changes; a dest equal to its source sets the entry anew (a repeated invitation).
    Rows exist only for senders whom the table of `imc.rooms.permissions` lets pass.

The table is loaded into the core Machine of transitions, without models of its own: a `Case` has a state and can be run
through ``MACHINE.events[trigger].trigger(case)``. Its only callback notes the row taken. A refusal is a row too. A
request goes through `take`, which walks the same rows by itself, for a twentieth of the price: a test runs both with
each combination of conditions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple, cast

from transitions.core import EventData, Machine

from imc.rooms.case import Case
from imc.rooms.model import Role

NO_ROOM = "no room"
OUTSIDER = "outsider"
INVITED = "invited"
MEMBER = "member"
ADMIN = "admin"
OWNER = "owner"
STATES = (NO_ROOM, OUTSIDER, INVITED, MEMBER, ADMIN, OWNER)
ROLE_OF = {INVITED: Role.INVITED, MEMBER: Role.MEMBER, ADMIN: Role.ADMIN, OWNER: Role.OWNER}
STATE_OF: dict[Role | None, str] = {None: OUTSIDER, **{role: state for state, role in ROLE_OF.items()}}


class Row(NamedTuple):
    """One line of the table. ``effects`` name functions of `imc.rooms.effects`, ``conditions`` properties of `Case`."""

    trigger: str
    source: str
    dest: str | None
    clause: str
    effects: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    refusal: str = ""


def _refuse(
    trigger: str, source: str, refusal: str, clause: str, *conditions: str, effects: tuple[str, ...] = ()
) -> Row:
    return Row(trigger, source, None, clause, effects, conditions, refusal)


def _go(trigger: str, source: str, dest: str | None, clause: str, *effects: str, when: tuple[str, ...] = ()) -> Row:
    return Row(trigger, source, dest, clause, effects, when)


def _founding(trigger: str) -> tuple[Row, ...]:
    """A room comes into being."""
    return (
        _refuse(trigger, NO_ROOM, "room-name-not-allowed", "R-ADDR-7", "is_name_outside"),
        _refuse(trigger, NO_ROOM, "room-name-not-allowed", "R-ADDR-10", "is_account"),
        _refuse(trigger, NO_ROOM, "too-many-rooms", "R-CREATE-4", "has_enough_rooms"),
        _refuse(trigger, NO_ROOM, "server-full", "R-CREATE-4", "is_server_full"),
        _go(trigger, NO_ROOM, OWNER, "R-CREATE-1", "created"),
    )


def _joining(trigger: str) -> tuple[Row, ...]:
    """Someone comes to a room that there is; to a private one only the invited do (spec R-INV-3)."""
    return (
        _refuse(trigger, OUTSIDER, "private-room", "R-JOIN-4", "is_private", effects=("attempted",)),
        _refuse(trigger, OUTSIDER, "room-full", "R-LIMIT-1", "is_full"),
        _go(trigger, OUTSIDER, MEMBER, "R-JOIN-1", "joined"),
        _go(trigger, INVITED, MEMBER, "R-JOIN-2", "joined"),
        _go(trigger, MEMBER, None, "R-JOIN-5", "already"),
        _go(trigger, ADMIN, None, "R-JOIN-5", "already"),
        _go(trigger, OWNER, None, "R-JOIN-5", "already"),
    )


def _becoming(role: str) -> tuple[Row, ...]:
    """Someone is given a role: spec §11."""
    trigger = f"modify {role}"
    rows = [
        _refuse(trigger, OUTSIDER, "user-not-in-room", "R-MODIFY-4"),
        _refuse(trigger, INVITED, "invited-has-no-role", "R-MODIFY-3"),
    ]
    for source in (MEMBER, ADMIN, OWNER):
        if source == role:
            rows.append(_go(trigger, source, None, "R-MODIFY-5", "unchanged"))
            continue
        if source == OWNER:
            rows.append(_refuse(trigger, source, "last-owner", "R-MODIFY-2", "is_last_owner"))
        rows.append(_go(trigger, source, role, "R-MODIFY-1", "role_changed"))
    return tuple(rows)


ROWS: tuple[Row, ...] = (
    # create, join: spec §4, §5
    *_founding("create"),
    *(_refuse("create", source, "room-exists", "R-CREATE-2", "is_create_strict") for source in STATES[1:]),
    *_joining("create"),
    _refuse("join", NO_ROOM, "room-not-found", "R-JOIN-3", "is_join_strict"),
    *_founding("join"),
    *_joining("join"),
    # invite, add: spec §6
    _refuse("invite", OUTSIDER, "address-is-a-room", "R-ADDR-8", "is_subject_room"),
    _refuse("invite", OUTSIDER, "room-full", "R-LIMIT-1", "is_full"),
    _go("invite", OUTSIDER, INVITED, "R-INVITE-1", "invited"),
    _go("invite", INVITED, INVITED, "R-INVITE-2", "invited"),
    _refuse("invite", MEMBER, "already-member", "R-INVITE-3"),
    _refuse("invite", ADMIN, "already-member", "R-INVITE-3"),
    _refuse("invite", OWNER, "already-member", "R-INVITE-3"),
    _refuse("add", OUTSIDER, "address-is-a-room", "R-ADDR-8", "is_subject_room"),
    _refuse("add", OUTSIDER, "room-full", "R-LIMIT-1", "is_full"),
    _go("add", OUTSIDER, INVITED, "R-ADD-1", "invited", when=("needs_consent",)),
    _go("add", OUTSIDER, MEMBER, "R-ADD-2", "added"),
    _go("add", INVITED, INVITED, "R-ADD-1", "invited", when=("needs_consent",)),
    _go("add", INVITED, MEMBER, "R-ADD-2", "added"),
    _refuse("add", MEMBER, "already-member", "R-INVITE-3"),
    _refuse("add", ADMIN, "already-member", "R-INVITE-3"),
    _refuse("add", OWNER, "already-member", "R-INVITE-3"),
    # accept, reject: spec §7
    _go("accept", INVITED, MEMBER, "R-ACCEPT-1", "joined"),
    _go("reject", INVITED, OUTSIDER, "R-REJECT-1", "rejected"),
    # remove: spec §8; nobody of the sender's own rank or a higher one (R-INV-5)
    _refuse("remove", OUTSIDER, "user-not-in-room", "R-REMOVE-4"),
    _go("remove", INVITED, OUTSIDER, "R-REMOVE-2", "withdrawn"),
    _go("remove", MEMBER, OUTSIDER, "R-REMOVE-1", "removed"),
    _refuse("remove", ADMIN, "use-leave", "R-REMOVE-5", "is_oneself"),
    _refuse("remove", ADMIN, "rank-too-low", "R-REMOVE-3", "is_not_outranked"),
    _go("remove", ADMIN, OUTSIDER, "R-REMOVE-1", "removed"),
    _refuse("remove", OWNER, "use-leave", "R-REMOVE-5", "is_oneself"),
    _refuse("remove", OWNER, "rank-too-low", "R-REMOVE-3"),
    # leave, destroy: spec §9
    _go("leave", MEMBER, OUTSIDER, "R-LEAVE-1", "left"),
    _go("leave", ADMIN, OUTSIDER, "R-LEAVE-1", "left"),
    _refuse("leave", OWNER, "last-owner", "R-LEAVE-3", "is_last_owner", "is_last_owner_kept"),
    _go("leave", OWNER, NO_ROOM, "R-LEAVE-2", "destroyed", when=("is_last_owner",)),
    _go("leave", OWNER, OUTSIDER, "R-LEAVE-1", "left"),
    _go("destroy", OWNER, NO_ROOM, "R-DESTROY-1", "destroyed"),
    # modify: spec §11
    *_becoming(OWNER),
    *_becoming(ADMIN),
    *_becoming(MEMBER),
    # an invitation could not be delivered: spec R-INVITE-4, R-INVITE-5
    _go("undelivered", INVITED, OUTSIDER, "R-INVITE-4", "failed", when=("is_that_invitation",)),
    *(_go("undelivered", source, None, "R-INVITE-5") for source in STATES),
)


def _where(row: Row) -> tuple[str, str]:
    return row.trigger, row.source


def _note(row: Row) -> Callable[[EventData], None]:
    def note(event: EventData) -> None:
        cast(Case, event.model).row = row

    return note


class Table(Machine):
    """The machine, with its rows by trigger and source."""

    by_source: dict[tuple[str, str], tuple[Row, ...]]


def load(rows: tuple[Row, ...]) -> Table:
    """The table as a machine. Conditions are looked up on the case by name."""
    machine = Table(model=None, states=list(STATES), initial=None, auto_transitions=False, send_event=True)
    # sorted() keeps the order of equals
    machine.by_source = {where: tuple(found) for where, found in groupby(sorted(rows, key=_where), key=_where)}
    for row in rows:
        machine.add_transition(row.trigger, row.source, row.dest, conditions=list(row.conditions), before=_note(row))
    return machine


MACHINE = load(ROWS)


def take(trigger: str, case: Case) -> Row:
    """The row that the case takes; its state is the row's dest afterwards."""
    try:
        return first_that_holds(MACHINE.by_source[trigger, case.state], case)
    except KeyError:
        raise LookupError(f"no row for {trigger} from {case.state}") from None


def first_that_holds(rows: tuple[Row, ...], case: Case) -> Row:
    """The first of the rows whose conditions all hold; its dest is the case's state afterwards."""
    for row in rows:
        if all(getattr(case, name) for name in row.conditions):
            if row.dest is not None:
                case.state = row.dest
            case.row = row
            return row
    # a trigger and source without an unconditional row: tests/rooms/test_machine.py
    raise LookupError(f"no row from {case.state}")
