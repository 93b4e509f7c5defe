"""Room commands and room messages: load → decide → commit → release (architecture nos. 1, 2, 3, 5).

Invariants
- One room is judged one request at a time, in the order of arrival; what a judgement sees is what the one before it
  decided (spec R-ORDER-1).
- Nothing is answered 2xx, and nobody is told anything, before it is committed (spec R-DURABLE-1). A judgement that
  rests on one that is still with the writer is answered behind it.
- A commit that fails voids the room in memory, and with it whatever was decided on top (spec R-DURABLE-2).
- No task for a request whose room, and all else that its judgement needs, is in memory. While something is read for
  one, those to the same room wait behind it. Requests that wait are bounded: 503 beyond.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial

import structlog

from imc.aor import Aor
from imc.delivery.engine import Engine
from imc.delivery.job import Dispatch, Job
from imc.errors import Overloaded, StoreUnavailable
from imc.measures import Measures
from imc.rooms.commands import (
    Add,
    Command,
    Create,
    CreateFor,
    Invite,
    Join,
    Modify,
    Reject,
    Set,
    WithdrawInvitation,
    is_command,
    parse_command,
)
from imc.rooms.commands import Rooms as ListRooms
from imc.rooms.decide import decide, decide_message, decide_undelivered, decide_waiting, refuse
from imc.rooms.model import Room, RoomCreated
from imc.rooms.operators import Act as OperatorsAct
from imc.rooms.operators import decide_operator
from imc.rooms.outcome import Context, Decision
from imc.rooms.policy import Policy
from imc.rooms.replies import warning
from imc.service.access import Access, RoomOptions
from imc.service.audit import Audit
from imc.service.circumstances import Circumstances, founder_of
from imc.service.copies import PLAIN_UTF8, Copies, TextRefused, command_text, is_momentary
from imc.service.history import History, wanted
from imc.service.inbound import Act, Inbound, Outcome
from imc.service.outbox import Outbox
from imc.service.outcomes import RETRY_AFTER, failed, try_later
from imc.service.rates import Rates
from imc.service.reports import Reports, is_report
from imc.service.shards import Shards, Slot
from imc.service.spec_trace import Judged, SpecTrace
from imc.service.traffic import Traffic
from imc.store.ops import Op, PutMessage
from imc.store.room_ops import ops_for
from imc.store.writer import Writer

_log = structlog.get_logger("imc.service")


class Rooms:
    """``load`` reads a room from the database, ``spawn`` starts a task, ``can_carry`` tells whether a large copy can be
    sent to all its recipients; ``on_count`` is told of rooms made and gone (+1, -1), ``on_change`` of a room that is
    another one now (None: none any more), ``on_message`` of what was said in a room, when that is committed."""

    def __init__(
        self,
        options: RoomOptions,
        *,
        policy: Policy,
        shards: Shards,
        writer: Writer,
        outbox: Outbox,
        engine: Engine,
        copies: Copies,
        history: History,
        circumstances: Circumstances,
        load: Callable[[Aor], Awaitable[tuple[Room | None, int]]],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        can_carry: Callable[[Dispatch], Awaitable[bool]],
        on_count: Callable[[int], None],
        rates: Rates | None,
        reports: Reports,
        traffic: Traffic,
        audit: Audit,
        trace: SpecTrace | None = None,
        measures: Measures | None = None,
    ) -> None:
        self._measures = measures or Measures()
        self.policy = policy
        self._writer = writer
        self._outbox = outbox
        self._engine = engine
        self._copies = copies
        self._history = history
        self._circumstances = circumstances
        self._can_carry = can_carry
        self._on_count = on_count
        self.rates = rates
        self._reports = reports
        self._traffic = traffic
        self._audit = audit
        self._trace = trace
        self.on_change: Callable[[Aor, Room | None], None] = lambda _aor, _room: None
        self.on_message: Callable[[Inbound], None] = lambda _inbound: None
        self._access = Access(options, shards=shards, load=load, spawn=spawn, on_read=self._count)

    # --- in ---------------------------------------------------------------------------------------------------------

    def handle(self, inbound: Inbound) -> None:
        """Judge a MESSAGE to a room or to the manager; ``inbound.answer`` is called when all is committed."""
        text = command_text(inbound)
        if text is not None and is_command(text, self.policy):
            command = parse_command(text, inbound.to, self.policy)
            # spec R-LIMIT-4
            if (
                isinstance(command, Create | Join | Set | Modify)
                and self.rates is not None
                and not self.rates.may_found(inbound.sender)
            ):
                inbound.answer(try_later())
                return
            self._access.with_room(command.room, lambda slot: self._command(inbound, command, slot), inbound.answer)
            self._look_ahead(command.room, inbound.sender)
        else:
            self._access.with_room(inbound.to, lambda slot: self._message(inbound, slot), inbound.answer)
            self._look_ahead(inbound.to, inbound.sender)

    # spec R-ADMIN-1
    def administer(self, inbound: Inbound, act: OperatorsAct) -> None:
        """Judge an operator's act; ``inbound`` is by the conference manager, and is not answered by MESSAGE."""
        self._access.with_room(act.room, lambda slot: self._command(inbound, act, slot), inbound.answer)

    def _look_ahead(self, room: Aor, sender: Aor) -> None:
        """Find out about a sender who has to wait, so that their turn is not spent on it."""
        if self._circumstances.known(sender) is None:
            self._access.look_ahead(room, partial(self._circumstances.learn, sender))

    # --- judge ------------------------------------------------------------------------------------------------------

    def _command(self, inbound: Inbound, command: Command, slot: Slot) -> None:
        context = self._circumstances.at_once(inbound, command, slot.room)
        if context is not None:
            self._judge(inbound, command, slot, context)
        elif isinstance(command, ListRooms):  # says nothing of this room, and keeps nobody waiting
            self._access.later(inbound.answer, lambda: self._list_rooms(inbound, command))
        else:
            gather = partial(self._circumstances.gather, inbound, command)
            self._access.hold(
                slot, inbound.answer, gather, lambda slot, context: self._judge(inbound, command, slot, context)
            )

    async def _list_rooms(self, inbound: Inbound, command: Command) -> None:
        context = await self._circumstances.gather(inbound, command)
        self._access.with_room(command.room, lambda slot: self._judge(inbound, command, slot, context), inbound.answer)

    def _judge(
        self,
        inbound: Inbound,
        command: Command,
        slot: Slot,
        context: Context,
        said: Callable[[Decision], Decision] | None = None,
    ) -> None:
        """``said`` puts what was said into a decision that repeats it: it is read when it is known to be needed, and
        whoever comes next waits, so that nothing is missing from it and nothing comes twice (spec R-HISTORY-8).
        """
        if slot.room is None and isinstance(command, Create | Join | CreateFor):
            context = self._circumstances.count_founded(context, founder_of(command, inbound.sender))
        judge = decide_operator if inbound.is_operator else decide
        decision = judge(slot.room, command, inbound.sender, self.policy, context)
        notice = wanted(decision)
        if notice is not None and said is None:
            read = partial(self._history.read, notice, self.policy, decision.room, slot.uncommitted > 0)
            self._access.hold(
                slot, inbound.answer, read, lambda slot, said: self._judge(inbound, command, slot, context, said)
            )
            return
        if said is not None:
            decision = said(decision)
        if self.rates is not None and decision.changes and not inbound.is_operator:
            decision = self._limit_invitations(self.rates, decision, command, slot.room, inbound)
        dispatches = self._copies.of_notices(decision, self.policy, inbound.call_id)
        self._carry_out(self._judged(slot, inbound, decision, context, command), dispatches, slot, inbound)

    def _limit_invitations(
        self, rates: Rates, decision: Decision, command: Command, room: Room | None, inbound: Inbound
    ) -> Decision:
        """Spec R-LIMIT-4: too many invitations are refused, and a rejection is remembered."""
        if isinstance(command, Reject):
            rates.note_rejection(command.room, inbound.sender)
        elif isinstance(command, Invite | Add) and not rates.may_invite(command.room, inbound.sender, command.user):
            is_answered = not inbound.is_automatic
            return refuse(room, command, inbound.sender, "too-many-invitations", "R-LIMIT-4", is_answered=is_answered)
        return decision

    def _message(self, inbound: Inbound, slot: Slot) -> None:
        context = self._circumstances.of_sender(inbound)
        if context is None:
            learn = partial(self._circumstances.learn, inbound.sender)
            self._access.hold(slot, inbound.answer, learn, lambda slot, _: self._message(inbound, slot))
            return
        decision = decide_message(
            slot.room, inbound.sender, self.policy, to=inbound.to, size=len(inbound.body), context=context
        )
        if decision.refusal is not None or slot.room is None:
            dispatches = self._copies.of_notices(decision, self.policy, inbound.call_id)
            self._carry_out(self._judged(slot, inbound, decision, context), dispatches, slot, inbound)
            return
        try:
            if is_report(inbound):
                self._reports.take(slot.room, inbound)
                self._behind(
                    slot, lambda: inbound.answer(Outcome(status=202)), lambda error: inbound.answer(failed(error))
                )
                return
            copy = self._copy(slot.room, inbound, decision)
        except TextRefused as refused:
            accept = PLAIN_UTF8 if refused.status == 415 else ""
            inbound.answer(
                Outcome(status=refused.status, code=-200, event="text-refused", warning=str(refused), accept=accept)
            )
            return
        is_too_fast = self.rates is not None and not self.rates.may_speak(inbound.to)
        if is_too_fast or not self._engine.has_room_for(len(decision.recipients)):
            self._traffic.limited(inbound.sender, inbound.to, len(inbound.body))
            inbound.answer(try_later())
        elif self._copies.is_large(copy):
            self._access.later(inbound.answer, lambda: self._large_message(inbound, copy))
        else:
            self._carry_out(self._judged(slot, inbound, decision, context), [copy], slot, inbound)

    def _copy(self, room: Room, inbound: Inbound, decision: Decision) -> Dispatch:
        """TextRefused."""
        copy = self._copies.of_message(room, inbound, decision.recipients)
        self._reports.expect(room.aor, inbound, len(decision.recipients))
        return copy

    async def _large_message(self, inbound: Inbound, copy: Dispatch) -> None:
        """A copy too large for a datagram: 202 only if each recipient has a stream (abuse.md, "Settled").

        Finding out can take as long as a connection. Nobody waits behind it: it takes its turn when it is known.
        """
        if not await self._can_carry(copy):
            words = "too long for someone in the room: their program takes datagrams only"
            inbound.answer(Outcome(status=413, code=-200, event="text-too-long", warning=words))
            return

        def judge_again(slot: Slot) -> None:  # the room may have changed meanwhile
            decision = decide_message(slot.room, inbound.sender, self.policy, to=inbound.to, size=len(inbound.body))
            dispatches = []
            if decision.refusal is None and slot.room is not None:
                dispatches = [self._copy(slot.room, inbound, decision)]
            self._carry_out(self._judged(slot, inbound, decision, Context()), dispatches, slot, inbound)

        self._access.with_room(inbound.to, judge_again, inbound.answer)

    # --- commit and release -----------------------------------------------------------------------------------------

    def _judged(
        self, slot: Slot, inbound: Inbound, decision: Decision, context: Context, command: Command | None = None
    ) -> Judged:
        """A decision and what it rests on, before anything of it has happened."""
        return Judged(slot.room, inbound.sender, command, len(inbound.body), context, self.policy, decision)

    def _carry_out(self, judged: Judged, dispatches: Iterable[Dispatch], slot: Slot, inbound: Inbound) -> None:
        decision, is_command = judged.decision, judged.command is not None
        self._traffic.judged(judged.sender, decision, len(inbound.body), is_command=is_command)
        answers, others = _split(dispatches)
        self._tally(judged)
        # spec S-LANE-16
        job = self._outbox.job(others, is_durable=not is_momentary(inbound))
        entry = None
        is_said = not is_command and decision.refusal is None
        if is_said:
            entry = self._history.entry(inbound, slot, self.policy)
        outcome = self._outcome(decision)
        if inbound.takes_answers:
            said = tuple((one.kind, one.body.decode("utf-8", "replace")) for one in answers)
            outcome, answers = replace(outcome, answers=said), []
        reply = self._outbox.job(answers, is_durable=False) if answers else None

        def release() -> None:
            inbound.answer(outcome)
            self._outbox.release(reply)
            self._outbox.release(job)
            if is_said:
                self.on_message(inbound)

        self._commit(
            judged, job, slot, release, lambda error: inbound.answer(failed(error)), entry=entry, act=inbound.act
        )

    def _tally(self, judged: Judged) -> None:
        decision, refusal = judged.decision, judged.decision.refusal
        self._measures.judged.add("message" if judged.command is None else judged.command.name, str(decision.status))
        if refusal is not None:
            self._measures.refusals.add(refusal.clause, refusal.event)

    def _commit(
        self,
        judged: Judged,
        job: Job | None,
        slot: Slot,
        release: Callable[[], None],
        fail: Callable[[Exception], None],
        *,
        entry: PutMessage | None = None,
        act: Act | None = None,
    ) -> None:
        """Write what was decided, then ``release``; the room in memory goes ahead at once.

        ``entry`` is a room message for the log, ``act`` the call of the management interfaces that is behind it.
        """
        decision = judged.decision
        ops = self._ops(judged, job, entry, act)
        if not ops and not slot.uncommitted:
            self._note(judged)
            release()
            return
        guard = slot.guard
        before = slot.room, slot.newest
        is_founding = slot.room is None and any(isinstance(change, RoomCreated) for change in decision.changes)
        founder = founder_of(judged.command, judged.sender)
        founded = self._circumstances.founding(founder) if is_founding else None

        def committed(error: Exception | None) -> None:
            slot.uncommitted -= 1
            if founded is not None:
                founded(error is None)
            if error is None:
                self._is_written(judged, slot, act)
                release()
                return
            if slot.guard is guard:
                slot.void()
            self._is_lost(decision.address, job, error)
            fail(error)

        if decision.changes:
            if slot.room is None or decision.room is None:  # spec R-HISTORY-2: a log begins and ends with its room
                slot.newest = 0
            slot.room = decision.room
        if entry is not None:
            slot.newest = entry.seq
        slot.uncommitted += 1
        self._access.changed(slot)
        self._outbox.flush()
        try:
            self._writer.submit(ops, committed, guard)
        except (Overloaded, StoreUnavailable) as error:
            slot.uncommitted -= 1
            if founded is not None:
                founded(False)
            slot.room, slot.newest = before
            self._access.changed(slot)
            fail(error)

    def _is_written(self, judged: Judged, slot: Slot, act: Act | None) -> None:
        """A decision is on the disk."""
        decision = judged.decision
        if decision.changes:
            self._count(slot, decision.room)
            self.on_change(decision.address, decision.room)
            if act is not None:
                act.is_noted = True
        self._note(judged)

    def _is_lost(self, room: Aor, job: Job | None, error: Exception) -> None:
        """A decision is not on the disk, as far as is known."""
        self._outbox.withdraw(job)
        if self._trace is not None:
            self._trace.note_unknown(room)
        _log.warning("commit-failed", room=str(room), error=str(error))

    def _ops(self, judged: Judged, job: Job | None, entry: PutMessage | None, act: Act | None) -> list[Op]:
        """What is written of a decision, in one commit."""
        decision = judged.decision
        ops: list[Op] = ops_for(decision.address, decision.changes)
        if job is not None and job.is_durable:
            ops.append(self._outbox.put(job))
        if entry is not None:  # spec R-HISTORY-1
            ops.append(entry)
        if decision.changes and (row := self._audit.of_change(judged, act)) is not None:  # spec R-AUDIT-1
            ops.append(row)
        return ops

    def _note(self, judged: Judged) -> None:
        """It is committed. The specification's model knows no operators: after their act a room is told of anew."""
        if self._trace is None:
            return
        if judged.context.is_operator:
            self._trace.note_unknown(judged.decision.address)
        else:
            self._trace.note(judged)

    def _count(self, slot: Slot, room: Room | None) -> None:
        """A room was read, made or destroyed. Those that exist at the start are counted by whoever is told.

        When it is read again after a commit that failed it may be there all the same, or gone: the database's server
        died between the commit and its answer.
        """
        was_there, slot.is_counted = slot.is_counted, room is not None
        if was_there is not None and slot.is_counted != was_there:
            self._circumstances.note_room(slot.aor, is_there=slot.is_counted)
            self._on_count(1 if slot.is_counted else -1)

    def _outcome(self, decision: Decision) -> Outcome:
        refusal = decision.refusal
        if refusal is None:
            is_changed = bool(decision.changes)
            return Outcome(status=decision.status, code=decision.code, clause=decision.clause, is_changed=is_changed)
        return Outcome(
            status=decision.status,
            code=decision.code,
            event=refusal.event,
            warning=warning(refusal, decision.address, self.policy),
            clause=refusal.clause,
            retry_after=RETRY_AFTER if decision.status == 503 else None,
        )

    # --- who may see who is in a room ---------------------------------------------------------------------------------

    # spec S-EVT-2
    def watch(self, room: Aor, user: Aor, then: Callable[[Room], None], fail: Callable[[Outcome], None]) -> None:
        """Call ``then`` with the room, where somebody might speak in it (spec R-MSG-2), else ``fail``; either when the
        state that it rests on is committed."""

        def judge(slot: Slot) -> None:
            decision = decide_message(slot.room, user, self.policy, to=room, size=0)
            found = slot.room

            def judged() -> None:
                if decision.refusal is not None or found is None:
                    fail(self._outcome(decision))
                else:
                    then(found)

            self._behind(slot, judged, lambda error: fail(failed(error)))

        self._access.with_room(room, judge, fail)

    def _behind(self, slot: Slot, then: Callable[[], None], fail: Callable[[Exception], None]) -> None:
        """Go on when all that was decided on this room so far is committed."""
        if not slot.uncommitted:
            then()
            return
        guard = slot.guard

        def committed(error: Exception | None) -> None:
            slot.uncommitted -= 1
            if error is None:
                then()
            else:
                if slot.guard is guard:
                    slot.void()
                fail(error)

        slot.uncommitted += 1
        try:
            self._writer.submit([], committed, guard)
        except (Overloaded, StoreUnavailable) as error:
            slot.uncommitted -= 1
            fail(error)

    # --- invitations that could not be delivered --------------------------------------------------------------------

    def invitation_failed(self, room: Aor, withdrawn: WithdrawInvitation, cause: str | None = None) -> None:
        """Spec R-INVITE-4, R-INVITE-5. What the database cannot take now is logged: the invitation stays then.

        ``cause`` is the Call-ID of the request that made the invitation.
        """

        def dropped(outcome: Outcome) -> None:
            _log.warning("invitation-not-withdrawn", room=str(room), user=str(withdrawn.user), status=outcome.status)

        def judge(slot: Slot) -> None:
            decision = decide_undelivered(slot.room, withdrawn, self.policy)
            job = self._outbox.job(self._copies.of_notices(decision, self.policy, cause), is_durable=True)
            judged = Judged(slot.room, withdrawn.inviter, withdrawn, 0, Context(), self.policy, decision)
            self._commit(judged, job, slot, lambda: self._outbox.release(job), lambda error: dropped(failed(error)))

        self._access.with_room(room, judge, dropped)

    # spec R-INVITE-7
    def invitation_waits(self, room: Aor, waiting: WithdrawInvitation, cause: str | None = None) -> None:
        """Its inviter is told, once; nothing is kept of that. ``cause`` as of `invitation_failed`."""

        def judge(slot: Slot) -> None:
            decision = decide_waiting(slot.room, waiting)
            dispatches = self._copies.of_notices(decision, self.policy, cause)
            self._outbox.release(self._outbox.job(dispatches, is_durable=False))

        self._access.with_room(room, judge, lambda _outcome: None)


def _split(dispatches: Iterable[Dispatch]) -> tuple[list[Dispatch], list[Dispatch]]:
    """(answers to the sender, what others are told): only the latter are promised to anyone."""
    answers: list[Dispatch] = []
    others: list[Dispatch] = []
    for dispatch in dispatches:
        (answers if dispatch.is_answer else others).append(dispatch)
    return answers, others
