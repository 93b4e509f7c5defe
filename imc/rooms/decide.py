"""What becomes of a request: ``decide``, ``decide_message``, ``decide_undelivered``, ``decide_waiting``. Pure and total
(spec R-JUDGE-2).

Invariants
    A decision is a function of its arguments: no I/O, no clock, no chance, nothing kept.
    The first refusal in the order of spec R-JUDGE-1 stands; a refused decision has no changes.
    Changes belong to ``Decision.address``, and so to one room (spec R-INV-7).
    ``apply`` of the changes to the room before gives the room of the decision, and the subject's standing in it is the
    state that the machine ended in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from imc.aor import Aor
from imc.rooms.case import Case
from imc.rooms.commands import (
    BadCommand,
    Command,
    Create,
    CreateFor,
    Help,
    History,
    Join,
    Members,
    Modify,
    Rooms,
    Set,
    Settings,
    Targeted,
    WithdrawInvitation,
)
from imc.rooms.effects import EFFECTS, Effect, answer
from imc.rooms.machine import INVITED, NO_ROOM, OUTSIDER, ROLE_OF, STATE_OF, Row, take
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
from imc.rooms.names import is_too_long_for_user
from imc.rooms.outcome import REFUSALS, Context, Decision, Notice, Refused
from imc.rooms.permissions import PERMISSIONS, YES
from imc.rooms.policy import Policy

_MESSAGE_CODE = -200  # spec R-ANSWER-5
_NO_CONTEXT = Context()


def decide(
    room: Room | None, command: Command, sender: Aor, policy: Policy, context: Context = _NO_CONTEXT
) -> Decision:
    """The outcome of a command. ``room`` is the one at ``command.room``, None where there is none."""
    if policy.is_reserved(sender) or context.is_sender_room:  # spec R-ADDR-8: not even answered
        return refuse(room, command, sender, "sender-is-a-room", "R-ADDR-8", is_answered=False)
    if isinstance(command, BadCommand):  # spec R-CMD-6: before the room is looked at
        decision = refuse(room, command, sender, command.event, command.clause, detail=command.detail)
    elif isinstance(command, Help):
        decision = _done(room, command, "R-HELP-1", answer(command.room, sender, "help"))
    elif isinstance(command, Rooms):
        decision = _list_rooms(room, command, sender, policy, context)
    else:
        decision = _decide_in_room(room, command, sender, policy, context)
    return without_answers(decision) if context.is_automatic else decision


def decide_message(
    room: Room | None, sender: Aor, policy: Policy, *, to: Aor, size: int = 0, context: Context = _NO_CONTEXT
) -> Decision:
    """The outcome of a text that is no command. ``to`` is the address it was sent to, ``size`` its bytes."""
    if policy.is_reserved(sender) or context.is_sender_room:
        return refuse_message(room, to, "sender-is-a-room", "R-ADDR-8")
    if to == policy.manager:
        decision = refuse_message(room, to, "manager-takes-commands", "R-CMD-8")
        hint = answer(to, sender, "manager-takes-commands")
        return decision if context.is_automatic else replace(decision, notices=(hint,))
    if room is None:
        return refuse_message(room, to, "room-not-found", "R-HIDE-1")
    role = room.role(sender)
    permission = PERMISSIONS["message"]
    cell = permission.of(role)
    if cell != YES:
        if role is None and room.is_private:
            return refuse_message(room, to, "room-not-found", "R-HIDE-1")
        return refuse_message(room, to, cell, permission.clause)
    limit = policy.limits.max_text
    if limit is not None and size > limit:
        return refuse_message(room, to, "text-too-long", "R-MSG-8")
    recipients = room.audience_without(sender)  # spec R-MSG-1, R-MSG-3, R-INV-2
    return Decision(address=to, room=room, status=202, clause="R-MSG-1", code=1, recipients=recipients)


def decide_undelivered(room: Room | None, failed: WithdrawInvitation, policy: Policy) -> Decision:
    """What follows from an invitation that could not be delivered: withdrawn if it is the one pending, else nothing."""
    state = NO_ROOM if room is None else STATE_OF[room.role(failed.user)]
    case = Case(
        room=room,
        command=failed,
        sender=failed.inviter,
        subject=failed.user,
        policy=policy,
        context=_NO_CONTEXT,
        state=state,
    )
    return run(case, take("undelivered", case))


# spec R-INVITE-7
def decide_waiting(room: Room | None, waiting: WithdrawInvitation) -> Decision:
    """What follows from an invitation that has to wait: its inviter is told, if it is the one pending; else nothing."""
    entry = None if room is None else room.members.get(waiting.user)
    is_pending = entry is not None and entry.role is Role.INVITED and entry.serial == waiting.serial
    notices: tuple[Notice, ...] = ()
    if room is not None and is_pending and (room.role(waiting.inviter) or Role.INVITED) > Role.INVITED:
        to = (waiting.inviter,)
        notices = (Notice(event="invitation-waiting", room=room.aor, recipients=to, is_answer=True, user=waiting.user),)
    return Decision(
        address=waiting.room, room=room, status=200, clause="R-INVITE-7", code=waiting.code, notices=notices
    )


def refuse(
    room: Room | None,
    command: Command,
    sender: Aor,
    event: str,
    clause: str,
    *,
    detail: str = "",
    is_answered: bool = True,
    notices: tuple[Notice, ...] = (),
) -> Decision:
    """A refusal of a command. Nothing changes; the sender is told why, others only by ``notices`` (spec R-INV-6)."""
    refusal = Refused(event, REFUSALS[event], clause, detail)
    told = (answer(command.room, sender, event, detail=detail),) if is_answered else ()
    code = command.returns if isinstance(command, BadCommand) else command.code
    return Decision(
        address=command.room,
        room=room,
        status=refusal.status,
        clause=clause,
        code=code,
        notices=(*told, *notices),
        refusal=refusal,
    )


def refuse_message(room: Room | None, to: Aor, event: str, clause: str) -> Decision:
    """A refusal of a room message: the final response says it, and no MESSAGE comes with it (spec R-MSG-2)."""
    refusal = Refused(event, REFUSALS[event], clause)
    return Decision(address=to, room=room, status=refusal.status, clause=clause, code=_MESSAGE_CODE, refusal=refusal)


def _decide_in_room(room: Room | None, command: Command, sender: Aor, policy: Policy, context: Context) -> Decision:
    """A command that needs a room: hidden or not there, the sender's standing, then the row of the subject's."""
    if isinstance(command, Create | Join) and is_too_long_for_user(sender):  # spec R-ADDR-4: would become a row
        return refuse(room, command, sender, "name-too-long", "R-ADDR-4", detail="sender")
    subject = command.user if isinstance(command, Targeted) else sender
    if room is None:
        if not isinstance(command, Create | Join):
            return refuse(room, command, sender, "room-not-found", "R-HIDE-1")
        state = NO_ROOM
    else:
        role = room.role(sender)
        permission = PERMISSIONS[command.name]
        cell = permission.of(role)
        if cell != YES:
            if role is None and room.is_private:  # told in the very words of a room that is not there
                return refuse(room, command, sender, "room-not-found", "R-HIDE-1")
            return refuse(room, command, sender, cell, permission.clause)
        if isinstance(command, Members):
            return _list_members(room, command, sender, policy)
        if isinstance(command, History):
            return _done(room, command, "R-HISTORY-3", answer(command.room, sender, "history", count=command.count))
        if isinstance(command, Settings):
            return _done(
                room, command, "R-SET-4", answer(command.room, sender, "room-settings", settings=room.settings)
            )
        if isinstance(command, Set):
            return set_option(room, command, sender)
        state = STATE_OF[room.role(subject)]
    trigger = f"modify {STATE_OF[command.role]}" if isinstance(command, Modify) else command.name
    case = Case(room=room, command=command, sender=sender, subject=subject, policy=policy, context=context, state=state)
    return run(case, take(trigger, case))


def run(case: Case, row: Row, effects: Mapping[str, Effect] = EFFECTS) -> Decision:
    """A row that was taken: derive what changes, and collect whom it tells."""
    if row.refusal:
        told = _tell(row, case, case.room, effects)
        return refuse(case.room, case.command, case.sender, row.refusal, row.clause, notices=told)
    changes = _changes(row.source, row.dest, case)
    after = case.room
    for change in changes:
        after = apply(after, case.command.room, change)
    return Decision(
        address=case.command.room,
        room=after,
        status=200,
        clause=row.clause,
        code=1,
        changes=changes,
        notices=_tell(row, case, after, effects),
    )


def _tell(row: Row, case: Case, after: Room | None, effects: Mapping[str, Effect]) -> tuple[Notice, ...]:
    return tuple(notice for name in row.effects for notice in effects[name](case, after) if notice.recipients)


def _changes(source: str, dest: str | None, case: Case) -> tuple[Change, ...]:
    """What a way from source to dest means for the room: the only place that says so."""
    if dest is None:
        return ()
    if dest == NO_ROOM:
        return (RoomDestroyed(),)
    if dest == OUTSIDER:
        return (MemberGone(case.subject),)
    role = ROLE_OF[dest]
    entry = Member(role, case.sender, case.context.serial) if dest == INVITED else member(role)
    if source == NO_ROOM:
        is_private = isinstance(case.command, Create | CreateFor) and case.command.is_private
        return (RoomCreated(is_private), MemberSet(case.subject, entry))
    return (MemberSet(case.subject, entry),)


def _list_members(room: Room, command: Command, sender: Aor, policy: Policy) -> Decision:
    kept = room.ranked(policy.limits.max_list_entries)  # spec R-LIST-2
    told = answer(command.room, sender, "member-list", members=kept, left_off=len(room.audience) - len(kept))
    return _done(room, command, "R-LIST-1", told)


def set_option(room: Room, command: Set, sender: Aor) -> Decision:
    """Spec R-SET-1, R-SET-3. No standing changes, so the machine knows nothing of it."""
    settings = room.settings._replace(**{command.option: command.value})
    data: dict[str, Any] = {"settings": settings, "option": command.option, "by": sender}
    if settings == room.settings:
        return _done(room, command, "R-SET-3", answer(command.room, sender, "setting-unchanged", **data))
    change = SettingsSet(settings)
    others = Notice(event="setting-changed", room=command.room, recipients=room.audience_without(sender), **data)
    told = (answer(command.room, sender, "setting-changed", **data), *((others,) if others.recipients else ()))
    return Decision(
        address=command.room,
        room=apply(room, command.room, change),
        status=200,
        clause="R-SET-1",
        code=1,
        changes=(change,),
        notices=told,
    )


def _list_rooms(room: Room | None, command: Command, sender: Aor, policy: Policy, context: Context) -> Decision:
    # spec R-ROOMS-1: held here too, whatever the caller's query gave
    found = [row for row in context.rooms if not row.is_private or row.role is not None]
    kept = tuple(found[: policy.limits.max_list_entries])
    told = answer(command.room, sender, "room-list", rooms=kept, left_off=len(found) - len(kept))
    return _done(room, command, "R-ROOMS-1", told)


def _done(room: Room | None, command: Command, clause: str, told: Notice) -> Decision:
    """A command that changes nothing."""
    return Decision(address=command.room, room=room, status=200, clause=clause, code=1, notices=(told,))


def without_answers(decision: Decision) -> Decision:
    """An automatic request is never answered by MESSAGE (spec R-ANSWER-4)."""
    return replace(decision, notices=tuple(notice for notice in decision.notices if not notice.is_answer))
