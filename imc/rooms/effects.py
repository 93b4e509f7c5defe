"""Who is told of what: one function for each effect that the rows of `imc.rooms.machine` name (spec R-NOTICE-1).

An effect takes the case and the room as it is afterwards (None: gone) and gives notices. It changes nothing. The sender
is never among the recipients of a notice to others: their copy is the answer (spec R-ANSWER-2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from imc.aor import Aor
from imc.rooms.case import Case
from imc.rooms.commands import Modify
from imc.rooms.model import Role, Room
from imc.rooms.outcome import Notice
from imc.rooms.settings import replayed

Effect = Callable[[Case, Room | None], Iterator[Notice]]


def answer(address: Aor, sender: Aor, event: str, **data: Any) -> Notice:
    """What the sender of a request is told."""
    return Notice(event=event, room=address, recipients=(sender,), is_answer=True, **data)


def _answer(case: Case, event: str, **data: Any) -> Notice:
    return answer(case.command.room, case.sender, event, **data)


def _tell(case: Case, recipients: tuple[Aor, ...], event: str, **data: Any) -> Notice:
    return Notice(event=event, room=case.command.room, recipients=recipients, **data)


def _audience(case: Case, after: Room | None) -> tuple[Aor, ...]:
    """The room as it is afterwards, but the sender."""
    return () if after is None else after.audience_without(case.sender)


def _inviter(case: Case) -> tuple[Aor, ...]:
    """Who made the subject's invitation; the owners, where that is nobody in the room (spec R-REJECT-1)."""
    room = case.live_room
    inviter = room.members[case.subject].invited_by
    if inviter is not None and (room.role(inviter) or Role.INVITED) > Role.INVITED:
        return (inviter,)
    return room.having(Role.OWNER)


def created(case: Case, after: Room | None) -> Iterator[Notice]:
    yield _answer(case, "room-created", is_private=after is not None and after.is_private)


def _replay(case: Case, after: Room | None, user: Aor) -> Iterator[Notice]:
    """What was said before, for a new member (spec R-HISTORY-7); the sender's is an answer."""
    count = 0 if after is None else replayed(after.settings, case.policy)
    if count:
        is_answer = user == case.sender
        yield _tell(case, (user,), "history", is_answer=is_answer, is_replay=True, count=count)


def joined(case: Case, after: Room | None) -> Iterator[Notice]:
    yield _answer(case, "member-joined", user=case.sender)
    yield _tell(case, _audience(case, after), "member-joined", user=case.sender)
    yield from _replay(case, after, case.sender)


def already(case: Case, _after: Room | None) -> Iterator[Notice]:
    yield _answer(case, "already-joined", user=case.sender)


def attempted(case: Case, _after: Room | None) -> Iterator[Notice]:
    staff = case.live_room.having(Role.ADMIN, Role.OWNER)
    yield _tell(case, staff, "join-attempted", user=case.sender)


def invited(case: Case, after: Room | None) -> Iterator[Notice]:
    yield _answer(case, "invitation-sent", user=case.subject, by=case.sender)
    is_private = after is not None and after.is_private
    yield _tell(case, (case.subject,), "invitation", user=case.subject, by=case.sender, is_private=is_private)


def added(case: Case, after: Room | None) -> Iterator[Notice]:
    yield _answer(case, "member-joined", user=case.subject, by=case.sender)
    yield _tell(case, _audience(case, after), "member-joined", user=case.subject, by=case.sender)
    yield from _replay(case, after, case.subject)


def rejected(case: Case, _after: Room | None) -> Iterator[Notice]:
    yield _answer(case, "invitation-rejected", user=case.sender)
    yield _tell(case, _inviter(case), "invitation-rejected", user=case.sender)


def failed(case: Case, _after: Room | None) -> Iterator[Notice]:
    yield _tell(case, _inviter(case), "invitation-failed", user=case.subject)


def withdrawn(case: Case, after: Room | None) -> Iterator[Notice]:
    who = {"user": case.subject, "by": case.sender}
    yield _answer(case, "invitation-withdrawn", **who)
    yield _tell(case, (case.subject,), "you-were-removed", role=Role.INVITED, **who)
    yield _tell(case, _audience(case, after), "invitation-withdrawn", **who)


def removed(case: Case, after: Room | None) -> Iterator[Notice]:
    who = {"user": case.subject, "by": case.sender}
    yield _answer(case, "member-left", **who)
    yield _tell(case, (case.subject,), "you-were-removed", **who)
    yield _tell(case, _audience(case, after), "member-left", **who)


def left(case: Case, after: Room | None) -> Iterator[Notice]:
    yield _answer(case, "member-left", user=case.sender)
    yield _tell(case, _audience(case, after), "member-left", user=case.sender)


def destroyed(case: Case, _after: Room | None) -> Iterator[Notice]:
    yield _answer(case, "room-destroyed", by=case.sender)
    others = tuple(sorted(user for user in case.live_room.members if user != case.sender))
    yield _tell(case, others, "room-destroyed", by=case.sender)


def role_changed(case: Case, after: Room | None) -> Iterator[Notice]:
    data = {"user": case.subject, "by": case.sender, "role": _role(case)}
    yield _answer(case, "role-changed", **data)
    yield _tell(case, _audience(case, after), "role-changed", **data)


def unchanged(case: Case, _after: Room | None) -> Iterator[Notice]:
    yield _answer(case, "role-unchanged", user=case.subject, role=_role(case))


def _role(case: Case) -> Role | None:
    return case.command.role if isinstance(case.command, Modify) else None


EFFECTS: dict[str, Effect] = {
    effect.__name__: effect
    for effect in (
        created,
        joined,
        already,
        attempted,
        invited,
        added,
        rejected,
        failed,
        withdrawn,
        removed,
        left,
        destroyed,
        role_changed,
        unchanged,
    )
}
