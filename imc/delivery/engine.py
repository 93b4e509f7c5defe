"""The fan-out engine: jobs in, MESSAGE client transactions out, final statuses back.

Invariants
- A lane has at most one MESSAGE in flight, and its copies leave in the order in which their jobs were submitted.
- Every copy ends exactly once: settled with a final status, or with a row of its own (`imc.delivery.backlog`). The
  status is the recipient's own, 408 for silence (Timer F), 480 where there is no contact, 503 where a bound or the
  network stood in the way, 513 where no transport takes its size.
- Bounds: copies in one lane, copies in all, next hops, recipients remembered. What does not fit of what is promised
  gets a row; the rest is settled with 503.
- A recipient costs a table row and a few bytes objects: no task, no timer object, no await (architecture no. 4).

`pump` starts a bounded number of transactions at a time, so that the loop can read answers in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from imc.aor import Aor
from imc.delivery.backlog import BacklogOptions, Backlogs, Keeper, is_for_now
from imc.delivery.hops import DATAGRAM_LIMIT, Carrier, Contact, Hop, Hops
from imc.delivery.job import Dispatch, Job
from imc.delivery.lanes import Copy, Fork, Lane
from imc.delivery.recipients import Recipients
from imc.delivery.ways import is_way, registered_flow, size_of, ways_of, why_not
from imc.delivery.windows import Windows
from imc.errors import Overloaded
from imc.sip.flow import Flow

_SOON = 1.0  # seconds: where it was a bound of ours that stood in the way


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """Bounds, all in counts; ``host`` stands after the @ of Call-IDs, ``longest_sent_by`` (bytes) may be in a Via."""

    host: str = "imc.invalid"
    longest_sent_by: int = 47  # of an IPv6 address with port
    lane_queue: int = 1000
    total_queue: int = 1_000_000
    max_hops: int = 50_000
    max_recipients: int = 200_000
    backlog: BacklogOptions = field(default_factory=BacklogOptions)


class Starter(Protocol):
    """The client side of the SIP stack (`imc.sip.stack.Stack`)."""

    def start(self, flow: Flow, head: bytes, tail: bytes, token: object, now: float) -> bytes: ...

    def abandon(self, branch: bytes) -> None: ...


class Engine:
    """See the module. All methods are called on the event loop's thread.

    ``locate`` gives a recipient's contacts (none: cannot be reached now); ``is_ours`` tells whether their registrations
    are seen here. For dispatches that want results ``on_settled(dispatch, recipient, status)`` is called, and
    ``on_waiting(dispatch, recipient)`` once where that takes longer. ``on_done(job)``: a job's last copy is settled,
    or has a row of its own. ``wake`` asks for `pump`; ``keeper`` writes and reads rows; ``clock`` is monotonic, in
    seconds, ``wall`` gives unix seconds.
    """

    def __init__(
        self,
        options: DeliveryOptions,
        *,
        stack: Starter,
        carrier: Carrier,
        keeper: Keeper,
        locate: Callable[[Aor], Sequence[Contact]],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        on_settled: Callable[[Dispatch, Aor, int], None],
        on_waiting: Callable[[Dispatch, Aor], None],
        on_done: Callable[[Job], None],
        wake: Callable[[], None],
        is_ours: Callable[[Aor], bool] = lambda _aor: True,
    ) -> None:
        self._options = options
        self._stack = stack
        self._carrier = carrier
        self._clock = clock
        self._wall = wall
        self._on_settled = on_settled
        self._on_waiting = on_waiting
        self._on_done = on_done
        self._wake = wake
        self.hops = Hops(carrier, spawn=spawn, clock=clock, bound=options.max_hops)
        self.backlogs = Backlogs(
            # a page that does not fit its lane would go back to the disk for ever
            replace(options.backlog, page=min(options.backlog.page, options.lane_queue)),
            keeper=keeper,
            push=self._push_kept,
            settled=on_settled,
            is_reachable=lambda aor: bool(locate(aor)),
            is_ours=is_ours,
            clock=clock,
            wall=wall,
            wake=wake,
            changed=self._backlog_changed,
        )
        self._recipients = Recipients(
            self.hops,
            locate=locate,
            has_backlog=self.backlogs.of.__contains__,
            host=options.host,
            longest_sent_by=options.longest_sent_by,
            bound=options.max_recipients,
        )
        self._ready: deque[Lane] = deque()
        self._windows = Windows(self._ready)
        self._jobs: dict[str, Job] = {}
        self._queued = 0
        self._counts = {"delivered": 0, "failed": 0, "timed_out": 0, "overflowed": 0, "put_off": 0, "lapsed": 0}

    # --- in ---------------------------------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Deliver a job. It was committed before, where it is durable."""
        job.pending = sum(len(dispatch.recipients) for dispatch in job.dispatches)
        if not job.pending:
            self._on_done(job)
            return
        self._jobs[job.id] = job
        for dispatch in job.dispatches:
            self._fan_out(dispatch)
        if self._ready:
            self._wake()

    def _fan_out(self, dispatch: Dispatch) -> None:
        """`_enqueue` for all recipients, in short for those with one contact and no backlog."""
        recipients, ready, longest = self._recipients, self._ready, self._options.lane_queue
        copy = Copy(dispatch, None)
        spare = self._options.total_queue - self._queued - len(dispatch.recipients)
        for aor in dispatch.recipients:
            recipient = recipients.get(aor)
            lane = recipient.only if recipient is not None else None
            if lane is None or spare < 0 or len(lane.queue) >= longest:
                self._enqueue(dispatch, aor)
                continue
            lane.queue.append(copy)
            self._queued += 1
            if not lane.is_busy:
                lane.is_busy = True
                ready.append(lane)

    def has_room_for(self, copies: int) -> bool:
        """Whether so many copies more fit under the bound of all queues."""
        return self._queued + copies <= self._options.total_queue

    # spec S-LANE-12
    def _enqueue(self, dispatch: Dispatch, aor: Aor) -> None:
        """Into the recipient's lanes, or behind what waits for them."""
        if dispatch.kept is not None or aor not in self.backlogs.of:
            self._enter(dispatch, aor)
        elif self._is_promised(dispatch):
            self._keep_behind(dispatch, aor)
        elif self._is_momentary(dispatch):  # spec S-LANE-16: and they are not here
            self._end(dispatch, aor, 480)
        else:
            self._enter(dispatch, aor)

    def _enter(self, dispatch: Dispatch, aor: Aor) -> None:
        groups = (self._recipients.get(aor) or self._recipients.find(aor)).groups
        if not groups:
            self._settle(dispatch, aor, 480)
        elif len(groups) == 1 and len(groups[0]) == 1:
            self._push(groups[0][0], Copy(dispatch, None))
        else:
            fork = Fork(groups)
            for lane in groups[0]:
                self._push(lane, Copy(dispatch, fork))

    def _push(self, lane: Lane, copy: Copy) -> None:
        # spec S-LANE-5
        if len(lane.queue) >= self._options.lane_queue or self._queued >= self._options.total_queue:
            self._counts["overflowed"] += 1
            is_new = copy.fork is None and copy.dispatch.kept is None
            if is_new and self._is_promised(copy.dispatch) and self._hold(lane):
                self._keep_behind(copy.dispatch, lane.aor)
            else:
                self._leg_done(lane, copy, 503, retry_after=_SOON)
            return
        # spec S-LANE-2
        lane.queue.append(copy)
        self._queued += 1
        if not lane.is_busy:
            lane.is_busy = True
            self._ready.append(lane)

    def contacts_changed(self, aor: Aor) -> None:
        """The recipient registered, unregistered or expired: what waits for a lost contact goes to the others."""
        old = self._recipients.lanes(aor)
        is_asked = False
        if aor in self._recipients:
            for lane in old:
                lane.is_gone = True
            self._recipients.find(aor, old)
            for lane in old:
                if lane.is_gone:
                    for copy in self._empty(lane):
                        self._move(copy, aor)
                else:
                    is_asked = self._ask_others(lane) or is_asked
        if not is_asked:
            self.backlogs.contacts_changed(aor)
        if self._ready:
            self._wake()

    # spec S-HOP-8
    def _move(self, copy: Copy, aor: Aor) -> None:
        """A copy whose contact is gone: to the contacts of now, unless another of its legs goes on or has served.

        A contact that has refused it is not asked again.
        """
        fork = copy.fork
        if fork is None:
            self._enqueue(copy.dispatch, aor)
            return
        fork.remaining -= 1
        if fork.is_settled or fork.remaining:
            return
        fork.is_settled = True
        dispatch = fork.kept or copy.dispatch
        recipient = self._recipients.get(aor)
        rest = fork.unasked(recipient.groups if recipient is not None else [])
        if not rest:
            status = fork.best if fork.is_refused else 480
            self._settle(dispatch, aor, status, fork.retry_after, is_answered=fork.is_answered)
            return
        again = Fork(rest, fork.best)
        again.kept, again.is_answered, again.retry_after = fork.kept, fork.is_answered, fork.retry_after
        for lane in rest[0]:
            self._push(lane, Copy(copy.dispatch, again))

    # spec S-HOP-9
    def _ask_others(self, lane: Lane) -> bool:
        """Where one contact has long been silent on a copy, the recipient's others of now are asked as well, if any."""
        copy = lane.current
        if copy is None or copy.fork is not None or copy.dispatch.kept is None:
            return False
        recipient = self._recipients.get(lane.aor)
        others = [other for other in recipient.lanes() if other is not lane] if recipient is not None else []
        if not others:
            return False
        fork = Fork([[lane, *others]])
        fork.kept = copy.dispatch
        lane.current = Copy(copy.dispatch, fork)
        for other in others:
            self._push(other, lane.current)
        return True

    def _empty(self, lane: Lane) -> list[Copy]:
        """Take everything out of a lane, what is in flight first."""
        copies = list(lane.queue)
        self._queued -= len(copies)
        lane.queue.clear()
        if lane.current is not None:
            if lane.branch:
                self._stack.abandon(lane.branch)
            copies.insert(0, lane.current)
            lane.current = None
        return copies

    # spec R-HISTORY-9
    def withdraw(self, is_meant: Callable[[Dispatch], bool]) -> None:
        """Of what is meant nothing is sent any more but what is in flight, and of that nothing is tried again.

        What is queued ends at its turn, as if it had expired.
        """
        jobs = [dispatch for job in self._jobs.values() for dispatch in job.dispatches]
        for dispatch in [*jobs, *self._recipients.dispatches()]:
            if not dispatch.is_withdrawn and is_meant(dispatch):
                dispatch.is_withdrawn = True
                dispatch.expires = 0.0

    # --- kept -------------------------------------------------------------------------------------------------------

    def _is_promised(self, dispatch: Dispatch) -> bool:
        """Whether a copy is kept until its recipient has it (spec S-LANE-16)."""
        if dispatch.is_withdrawn:
            return False
        if dispatch.kept is not None:
            return True
        return dispatch.job is not None and dispatch.job.is_durable and self.backlogs.is_keeping

    @staticmethod
    def _is_momentary(dispatch: Dispatch) -> bool:
        """Whether a room message is of this moment only."""
        return dispatch.kind == "message" and dispatch.job is not None and not dispatch.job.is_durable

    def _keep_behind(self, dispatch: Dispatch, aor: Aor) -> None:
        kept = dispatch.kept_for(aor)
        if dispatch.wants_result:
            kept.status = 480  # told of, and not again at the first try
        if self.backlogs.keep_behind(dispatch, kept) and dispatch.wants_result:
            self._on_waiting(dispatch, aor)
        self._got_row(dispatch)

    def _got_row(self, dispatch: Dispatch) -> None:
        """One of a job's copies is not its own any more."""
        job = dispatch.job
        assert job is not None
        job.kept += 1
        self._one_less(job)

    def _push_kept(self, dispatch: Dispatch) -> None:
        """One that waited is to be sent now."""
        self._enter(dispatch, dispatch.recipients[0])
        self._wake()

    # spec S-LANE-17
    def on_slow(self, token: object) -> None:
        """An answer is long in coming: what is in flight gets its row, what is behind it leaves memory."""
        assert isinstance(token, Lane)
        self._hold(token)

    def _hold(self, lane: Lane) -> bool:
        """False where there is nothing in flight that could be kept, or where others see to it."""
        copy = lane.current
        if copy is None or copy.dispatch.kept is not None or not self._is_promised(copy.dispatch):
            return False
        dispatch, fork = copy
        if fork is not None and (fork.is_settled or fork.kept is not None):
            return False
        kept = dispatch.kept_for(lane.aor)
        alone = dispatch.alone_for(kept)
        self.backlogs.hold(kept)
        if fork is not None:
            fork.kept = alone
        else:
            lane.current = Copy(alone, None)
        self._got_row(dispatch)
        if fork is None:
            self._unload(lane.aor)
            self._ask_others(lane)
        return fork is None

    def _unload(self, aor: Aor) -> None:
        """What waits in a recipient's lanes leaves memory, as rows. What other contacts are being asked stays."""
        taken, dropped, count = self._recipients.unload(aor, self._is_promised)
        self._queued -= count
        self.backlogs.unloaded(aor, dropped)
        for dispatch in taken:
            self._keep_behind(dispatch, aor)

    def _backlog_changed(self, aor: Aor) -> None:
        self._recipients.set_direct(aor)

    # spec S-LANE-13
    def _put_off(
        self, dispatch: Dispatch, aor: Aor, status: int, retry_after: float | None, *, is_answered: bool
    ) -> None:
        """A copy could not be delivered now, and is to be."""
        self._counts["put_off"] += 1
        kept = dispatch.kept or dispatch.kept_for(aor)
        is_first = kept.status == 0
        kept.status = status
        kept.tries += is_answered
        if self.backlogs.put_off(dispatch, kept, retry_after) and dispatch.wants_result and is_first:
            self._on_waiting(dispatch, aor)
        if dispatch.kept is None:
            self._got_row(dispatch)
        self._unload(aor)

    # --- out --------------------------------------------------------------------------------------------------------

    # spec S-LANE-3
    def pump(self, budget: int) -> bool:
        """Start up to ``budget`` transactions. True where more could be started at once."""
        now = self._clock()
        ready, start, carrier = self._ready, self._stack.start, self._carrier
        while ready and budget > 0:
            budget -= 1
            lane = ready.popleft()
            # spec S-LANE-1
            copy = lane.current
            if copy is None:
                if not lane.queue:
                    lane.is_busy = False
                    continue
                copy = lane.current = lane.queue.pop(0)
                lane.tries = 0
                self._queued -= 1
            dispatch, flow, hop = copy[0], lane.sent_on, lane.hop
            if dispatch.expires is not None and dispatch.expires <= self._wall():
                self._lapse(lane)
                continue
            # spec S-LANE-11
            if hop.credit <= 0:
                if self._windows.block(hop, lane, now):
                    self._wake()
                continue
            try:
                if (
                    flow is not None
                    and lane.size + dispatch.size <= DATAGRAM_LIMIT
                    and is_way(carrier, lane, flow, now)
                ):
                    # as `_start` would: same flow and head as the copy before
                    tail = b"".join((lane.to_line, dispatch.call_base, lane.call_end, dispatch.shared))
                    lane.branch = start(flow, lane.head, tail, lane, now)
                    hop.credit -= flow[3] == 0
                else:
                    self._start(lane, now)
            except Overloaded:
                ready.appendleft(lane)
                return False
        return bool(ready)

    # spec S-LANE-15
    def _lapse(self, lane: Lane) -> None:
        """The sender had its copy end before it could be sent."""
        copy, lane.current = lane.current, None
        assert copy is not None
        self._counts["lapsed"] += 1
        self._finish_lane(lane)
        if copy.fork is None:
            self._end(copy.dispatch, lane.aor, 480)
        else:  # another contact may be being asked
            self._leg_done(lane, copy, 480)

    def next_deadline(self) -> float | None:
        """When to call `tick`; None when nothing waits for it."""
        refill, retry = self._windows.refill_at, self.backlogs.next_deadline()
        if refill is None or retry is None:
            return refill if retry is None else retry
        return min(refill, retry)

    def tick(self, now: float) -> None:
        """Let those go on that waited for a hop that is silent, and those who are to be tried again."""
        self.backlogs.tick(now)
        self._windows.tick(now)

    def on_repeated(self, tokens: Iterable[object], now: float) -> None:
        """Requests had to be sent again."""
        for token in tokens:
            assert isinstance(token, Lane)
            token.hop.shrink(now)

    def _start(self, lane: Lane, now: float) -> None:
        """Send the lane's current copy, or park the lane. Overloaded where the transaction table is full."""
        assert lane.current is not None
        dispatch = lane.current.dispatch
        size = size_of(lane, dispatch, now)
        flow = registered_flow(self._carrier, lane, size)
        if flow is None:
            hop = lane.hop
            flow = hop.flow_for(size, now)
            if flow is None:
                if hop.has_refused(size, now):
                    self._finish(lane, why_not(lane, size))
                else:
                    self.hops.open(hop, size, lambda: self._hop_ready(lane))
                return
        head = lane.head_for(flow, self._carrier.sent_by(flow))
        lane.branch = self._stack.start(flow, head, lane.tail_for(dispatch), lane, now)
        lane.hop.credit -= not flow.is_reliable

    def _hop_ready(self, lane: Lane) -> None:
        """The attempt to open the lane's hop has ended."""
        if lane.current is None:  # its contact went away meanwhile, and its copies with it
            lane.is_busy = False
            self._unpark(lane)
            return
        now = self._clock()
        hop = lane.hop
        size = size_of(lane, lane.current.dispatch, now)
        if hop.flow_for(size, now) is None and hop.has_refused(size, now):
            self._finish(lane, why_not(lane, size))
        else:
            self._ready.append(lane)
        self._wake()

    def _unpark(self, lane: Lane) -> None:
        if lane.queue and not lane.is_busy:
            lane.is_busy = True
            self._ready.append(lane)
            self._wake()

    # --- back -------------------------------------------------------------------------------------------------------

    def on_response(self, token: object, status: int, retry_after: float | None = None) -> None:
        """A response to what a lane has in flight (RFC 3261 §17.1.2 already matched it); ``retry_after`` in seconds."""
        assert isinstance(token, Lane)
        if status >= 200:
            self._windows.heard(token.hop)
            if status in (430, 503) and self._goes_on(token):
                return
            self._finish(token, status, retry_after, is_answered=True)

    def on_finals(self, answers: Iterable[tuple[object, int]]) -> None:
        """`on_response` for the final responses of one wake-up."""
        ready, delivered = self._ready, 0
        for token, status in answers:
            lane = token
            assert isinstance(lane, Lane)
            copy = lane.current
            if status >= 300 or copy is None or copy[1] is not None or not copy[0].is_plain:
                self.on_response(lane, status)
                continue
            # as `_finish` and `_settle` would
            hop = lane.hop
            if hop.blocked:
                ready.extendleft(hop.answered())
            elif hop.credit < hop.window:
                hop.credit += 1
            lane.current = None
            lane.branch = b""
            if lane.queue:
                ready.append(lane)
            else:
                lane.is_busy = False
            delivered += 1
            job = copy[0].job
            assert job is not None
            job.pending -= 1
            if job.pending == 0:
                self._done(job)
        self._counts["delivered"] += delivered
        if ready:
            self._wake()

    def on_timeout(self, token: object) -> None:
        """Timer F fired: 64*T1 without a final response (RFC 3261 §17.1.2.2)."""
        assert isinstance(token, Lane)
        if not self._goes_on(token):
            self._counts["timed_out"] += 1
            self._finish(token, 408)

    def on_flow_failed(self, token: object) -> None:
        """The connection that carried it is gone, or would not take it."""
        assert isinstance(token, Lane)
        if not self._goes_on(token):
            self._finish(token, 503)

    def flow_closed(self, flow: Flow) -> None:
        """A stream connection is gone."""
        self.hops.flow_closed(flow)

    # spec S-DNS-5
    def _goes_on(self, lane: Lane) -> bool:
        """Whether there is another way for the same copy: the next target of RFC 3263 §4.3, or a new connection."""
        failed, lane.sent_on = lane.sent_on, None
        if lane.current is None or failed is None:
            return False
        lane.tries += 1
        # a stream that was kept, and had died unseen, deserves one new attempt; a silent one does not
        has_more = lane.tries == 1 and failed.is_reliable and not self._carrier.is_open(failed)
        if failed != lane.flow:
            has_more = lane.hop.fail(failed, lane.tries) or has_more
        # spec S-OUT-4
        if not has_more and lane.contact.others:
            has_more = True
            first, *rest = lane.contact.others
            lane.point_to(replace(first, others=tuple(rest)), self.hops.get(first.next_hop))
        if has_more:
            lane.branch = b""
            self._ready.append(lane)
            self._wake()
        return has_more

    # spec S-LANE-8
    def _finish(self, lane: Lane, status: int, retry_after: float | None = None, *, is_answered: bool = False) -> None:
        copy, lane.current = lane.current, None
        self._finish_lane(lane)
        if copy is not None:
            self._leg_done(lane, copy, status, retry_after, is_answered=is_answered)
        if self._ready:
            self._wake()

    def _finish_lane(self, lane: Lane) -> None:
        lane.branch = b""
        if lane.queue:
            self._ready.append(lane)
        else:
            lane.is_busy = False

    def _leg_done(
        self, lane: Lane, copy: Copy, status: int, retry_after: float | None = None, *, is_answered: bool = False
    ) -> None:
        fork = copy.fork
        if fork is None:
            self._settle(copy.dispatch, lane.aor, status, retry_after, is_answered=is_answered)
            return
        fork.is_answered |= is_answered
        fork.note_retry_after(retry_after)
        group = fork.group
        result = fork.leg_done(status)
        if result is not None:
            whole = fork.kept or copy.dispatch
            self._settle(whole, lane.aor, result, fork.retry_after, is_answered=fork.is_answered)
        elif fork.group != group:
            for other in fork.groups[fork.group]:
                if other.is_gone:
                    self._leg_done(other, copy, 480)
                else:
                    self._push(other, copy)

    # spec S-LANE-4
    def _settle(
        self, dispatch: Dispatch, aor: Aor, status: int, retry_after: float | None = None, *, is_answered: bool = False
    ) -> None:
        """A recipient's final status: it ends the copy, or has it wait."""
        if status < 300 or not self._is_promised(dispatch):
            self._end(dispatch, aor, status)
        elif is_for_now(status):
            self._put_off(dispatch, aor, status, retry_after, is_answered=is_answered)
        elif status == 513 and not is_answered:  # too large for every way that there is now: nothing said no for good
            self._bury(dispatch, aor, status)
        else:
            self._end(dispatch, aor, status)

    # spec S-LANE-14
    def _bury(self, dispatch: Dispatch, aor: Aor, status: int) -> None:
        kept = dispatch.kept or dispatch.kept_for(aor)
        kept.status = status
        self._counts["failed"] += 1
        self.backlogs.bury(dispatch, kept)
        if dispatch.kept is None:
            self._got_row(dispatch)
        else:
            self.backlogs.let_go(kept)

    def _end(self, dispatch: Dispatch, aor: Aor, status: int) -> None:
        self._counts["delivered" if status < 300 else "failed"] += 1
        if dispatch.wants_result:
            self._on_settled(dispatch, aor, status)
        if dispatch.kept is not None:
            self.backlogs.settled(dispatch.kept)
            return
        assert dispatch.job is not None
        self._one_less(dispatch.job)

    def _one_less(self, job: Job) -> None:
        job.pending -= 1
        if job.pending == 0:
            self._done(job)

    def _done(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._on_done(job)

    # --- around -----------------------------------------------------------------------------------------------------

    def ways_for(self, dispatch: Dispatch) -> list[list[tuple[Hop, int]]]:
        """The hops to a recipient's contacts, with the size of a copy: a list for each recipient, equal ones once.

        Recipients who have a stream open already are left out. A dispatch that is in no job yet is encoded, for its
        size.
        """
        if dispatch.job is None:
            Job("0" * 16, 0.0, (dispatch,))
        find = self._recipients.find
        lanes = ((self._recipients.get(aor) or find(aor)).lanes() for aor in dispatch.recipients)
        return ways_of(self._carrier, dispatch, lanes)

    def unfinished(self) -> dict[str, list[list[Aor]]]:
        """The durable jobs that are not done: id to the recipients who are left, a list for each dispatch."""
        return self._recipients.left_of([job for job in self._jobs.values() if job.is_durable])

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued or in flight."""
        return not self._jobs

    def statistics(self) -> dict[str, int]:
        queues = {"jobs": len(self._jobs), "queued": self._queued, "ready": len(self._ready)}
        return {**self._counts, **queues, **self.backlogs.statistics()}
