"""What an operator does to a room: ``decide_operator``. Pure and total, as `imc.rooms.decide` is (spec §21).

Theory
    An operator has no standing in any room, so no permission is asked; the subject's standing is judged by rows, as a
    member's command is. Where the rows of members say the same (invite, modify), those are taken.
    What changes, and who is told, follow from the row as in `imc.rooms.decide`. The sender is the conference manager,
    which is in no room: so whoever would be told of a member's act is told, and nobody is answered (R-ADMIN-2).

Invariants
    A room that had an owner has one afterwards, or is gone (spec R-INV-1, R-ADMIN-4).
    A refused decision has no changes and tells nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from imc.aor import Aor
from imc.rooms.case import Case
from imc.rooms.commands import Add, Command, CreateFor, Destroy, Invite, Modify, Remove, Set, SetPrivate, Targeted
from imc.rooms.decide import refuse, run, set_option, without_answers
from imc.rooms.effects import EFFECTS
from imc.rooms.machine import (
    ADMIN,
    INVITED,
    MACHINE,
    MEMBER,
    NO_ROOM,
    OUTSIDER,
    OWNER,
    STATE_OF,
    STATES,
    Row,
    first_that_holds,
)
from imc.rooms.model import PrivacySet, Room, apply
from imc.rooms.names import is_too_long_for_room, is_too_long_for_user, is_visible
from imc.rooms.outcome import Context, Decision, Notice
from imc.rooms.policy import Policy

Act = CreateFor | Destroy | Invite | Add | Remove | Modify | Set | SetPrivate
"""What an operator can do in a room."""


def _refuse(trigger: str, source: str, refusal: str, clause: str, *conditions: str) -> Row:
    return Row(trigger, source, None, clause, (), conditions, refusal)


def _go(trigger: str, source: str, dest: str, clause: str, effect: str) -> Row:
    return Row(trigger, source, dest, clause, (effect,))


ROWS: tuple[Row, ...] = (
    # spec R-ADMIN-1, R-ADMIN-3
    _refuse("create", NO_ROOM, "address-is-a-room", "R-ADDR-8", "is_subject_room"),
    _refuse("create", NO_ROOM, "room-name-not-allowed", "R-ADDR-7", "is_name_outside"),
    _refuse("create", NO_ROOM, "room-name-not-allowed", "R-ADDR-10", "is_account"),
    _refuse("create", NO_ROOM, "too-many-rooms", "R-CREATE-4", "has_enough_rooms"),
    _refuse("create", NO_ROOM, "server-full", "R-CREATE-4", "is_server_full"),
    _go("create", NO_ROOM, OWNER, "R-ADMIN-1", "created_for"),
    *(_refuse("create", source, "room-exists", "R-ADMIN-3") for source in STATES[1:]),
    *(_go("destroy", source, NO_ROOM, "R-ADMIN-1", "destroyed") for source in STATES[1:]),
    # spec R-ADMIN-5
    _refuse("add", OUTSIDER, "address-is-a-room", "R-ADDR-8", "is_subject_room"),
    _refuse("add", OUTSIDER, "room-full", "R-LIMIT-1", "is_full"),
    _go("add", OUTSIDER, MEMBER, "R-ADMIN-5", "added"),
    _go("add", INVITED, MEMBER, "R-ADMIN-5", "added"),
    *(_refuse("add", source, "already-member", "R-INVITE-3") for source in (MEMBER, ADMIN, OWNER)),
    # spec R-ADMIN-4
    _refuse("remove", OUTSIDER, "user-not-in-room", "R-REMOVE-4"),
    _go("remove", INVITED, OUTSIDER, "R-REMOVE-2", "withdrawn"),
    _go("remove", MEMBER, OUTSIDER, "R-ADMIN-1", "removed"),
    _go("remove", ADMIN, OUTSIDER, "R-ADMIN-1", "removed"),
    _refuse("remove", OWNER, "last-owner", "R-ADMIN-4", "is_last_owner"),
    _go("remove", OWNER, OUTSIDER, "R-ADMIN-1", "removed"),
)


def decide_operator(room: Room | None, command: Command, manager: Aor, policy: Policy, context: Context) -> Decision:
    """The outcome of an operator's act. ``room`` is the one at ``command.room``; ``manager`` is named as who did it."""
    if (fault := _fault(command, policy)) is not None:
        return refuse(room, command, manager, fault[0], fault[1], is_answered=False)
    if room is None and not isinstance(command, CreateFor):
        return refuse(room, command, manager, "room-not-found", "R-HIDE-1", is_answered=False)
    if isinstance(command, Set) and room is not None:
        return without_answers(set_option(room, command, manager))
    if isinstance(command, SetPrivate) and room is not None:
        return _set_private(room, command, manager)
    subject = command.user if isinstance(command, Targeted) else manager
    state = NO_ROOM if room is None else STATE_OF[room.role(subject)]
    case = Case(
        room=room, command=command, sender=manager, subject=subject, policy=policy, context=context, state=state
    )
    trigger = f"modify {STATE_OF[command.role]}" if isinstance(command, Modify) else command.name
    rows = _BY_SOURCE.get((trigger, state)) or MACHINE.by_source[trigger, state]
    return without_answers(run(case, first_that_holds(rows, case), OPERATOR_EFFECTS))


def _fault(command: Command, policy: Policy) -> tuple[str, str] | None:
    """What no room and no user can be called, as for members' words: (event, clause)."""
    if command.room == policy.manager:
        return "room-needed", "R-ADDR-6"
    if is_too_long_for_room(command.room):
        return "name-too-long", "R-ADDR-4"
    if not is_visible(command.room.user):
        return "bad-address", "R-ADDR-9"
    if isinstance(command, Targeted) and is_too_long_for_user(command.user):
        return "name-too-long", "R-ADDR-4"
    if isinstance(command, Targeted) and not is_visible(command.user.user):
        return "bad-address", "R-ADDR-9"
    return None


def _set_private(room: Room, command: SetPrivate, manager: Aor) -> Decision:
    """Spec R-ADMIN-6."""
    if room.is_private == command.is_private:
        return Decision(address=room.aor, room=room, status=200, clause="R-ADMIN-4", code=1)
    change = PrivacySet(command.is_private)
    told = Notice(
        event="privacy-changed",
        room=room.aor,
        recipients=room.audience,
        by=manager,
        is_private=command.is_private,
    )
    return Decision(
        address=room.aor,
        room=apply(room, room.aor, change),
        status=200,
        clause="R-ADMIN-6",
        code=1,
        changes=(change,),
        notices=(told,) if told.recipients else (),
    )


def created_for(case: Case, after: Room | None) -> Iterator[Notice]:
    """Spec R-ADMIN-2: the new owner."""
    is_private = after is not None and after.is_private
    yield Notice(
        event="room-created",
        room=case.command.room,
        recipients=(case.subject,),
        by=case.sender,
        is_private=is_private,
    )


OPERATOR_EFFECTS = {**EFFECTS, "created_for": created_for}
_BY_SOURCE: dict[tuple[str, str], tuple[Row, ...]] = {
    where: tuple(row for row in ROWS if (row.trigger, row.source) == where)
    for where in {(row.trigger, row.source) for row in ROWS}
}
