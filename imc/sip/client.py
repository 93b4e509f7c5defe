"""Client transactions: the interpreter of `imc.sip.transactions.CLIENT` (RFC 3261 §17.1.2).

Invariants

- A MESSAGE over UDP begins as one tuple in one dict, TRYING with its first timer E to come; most are answered so. One
  that is still there when T1 has passed, or to which something else happens, becomes a `ClientTransaction`: one slotted
  object, one dict entry, one entry in the timer wheel.
- What is answered is a key in a dict, COMPLETED, that only absorbs repeated answers until timer K.
- Neither the tuples nor the keys have timers of their own: all of one tick of the wheel share one entry, `_Cohort`.
- An answer belongs to a transaction by its branch and by the method in its CSeq (§17.1.3), wherever it comes from.
- `receive_usual` is a shorter way to what `receive` does, taken by most answers (`imc.sip.answers`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

from imc.errors import Overloaded
from imc.sip.answers import Usual, match_rest
from imc.sip.events import (
    Event,
    FinalsReceived,
    FlowFailed,
    RequestSlow,
    RequestsRepeated,
    RequestTimedOut,
    ResponseReceived,
)
from imc.sip.flow import Flow
from imc.sip.ids import BRANCH, MAGIC_COOKIE, MARK, Ids
from imc.sip.message import Response
from imc.sip.timers import TimerWheel
from imc.sip.transactions import (
    CLIENT,
    T1,
    T2,
    TIMER_F,
    TIMER_K,
    ClientAction,
    ClientEvent,
    ClientState,
    bind,
)

_STARTED, _PROVISIONAL, _FINAL = ClientEvent.STARTED, ClientEvent.PROVISIONAL, ClientEvent.FINAL
_TOLERANCE = 0.001  # seconds; more than the wheel rounds
_MARK_AT = len(MARK) - len(MAGIC_COOKIE)


class ClientTransaction:
    """``due`` belongs to the timer wheel; the rest to `ClientTransactions`. ``data`` is the request's bytes."""

    __slots__ = ("branch", "data", "due", "e_at", "f_at", "flow", "interval", "method", "state", "token")

    def __init__(self, branch: bytes, flow: Flow, data: bytes, token: object, *, method: str) -> None:
        self.branch = branch
        self.flow = flow
        self.data = data
        self.token = token
        self.method = method
        self.state = ClientState.NEW
        self.due = 0
        self.interval = T1  # of timer E, seconds
        self.e_at = 0.0
        self.f_at = 0.0


class _Cohort:
    """What was sent, or was answered, so that it has its timer at the same ``tick``.

    ``until``: what happens before it belongs here without doubt. ``answered``: keys and methods.
    """

    __slots__ = ("answered", "due", "tick", "until")

    def __init__(self, tick: int = 0, until: float = -1.0, answered: dict[bytes, str] | None = None) -> None:
        self.due = 0
        self.tick = tick
        self.until = until
        self.answered = answered


Waiting: TypeAlias = ClientTransaction | _Cohort
_Young: TypeAlias = tuple[bytes, object, Flow, float]  # request, token, flow, when it was sent


class ClientTransactions:
    """All client transactions. Bytes to send are added to ``out``, what happened to ``events``.

    At most ``bound`` wait for an answer, and as many more absorb repeated ones.
    """

    __slots__ = (
        "_absorbing", "_bound", "_by_stream", "_events", "_ids", "_out", "_past", "_pending", "_rows", "_sending",
        "_usual", "_wheel", "_young", "abandoned", "absorbed", "absorbing", "failed", "finished",
        "retransmitted", "started", "timed_out",
    )  # fmt: skip

    def __init__(
        self, ids: Ids, wheel: TimerWheel[Any], out: list[tuple[Flow, bytes]], events: list[Event], bound: int
    ) -> None:
        self._ids = ids
        self._wheel = wheel
        self._out = out
        self._events = events
        self._bound = bound
        self._young: dict[bytes, _Young] = {}
        self._sending = _Cohort()
        self._pending: dict[bytes, ClientTransaction] = {}
        self._absorbing = _Cohort(answered={})
        self._past: deque[_Cohort] = deque()  # those before it that wait for timer K
        self._by_stream: dict[Flow, dict[bytes, ClientTransaction]] = {}
        self._usual = Usual()
        self.started = self.retransmitted = self.finished = self.absorbed = self.absorbing = 0
        self.timed_out = self.failed = self.abandoned = 0
        action = ClientAction
        self._rows = bind(
            CLIENT,
            {
                action.SEND_REQUEST: self._send_request,
                action.SET_F: self._set_f,
                action.SET_E: self._set_e,
                action.DOUBLE_E: self._double_e,
                action.SET_E_TO_T2: self._set_e_to_t2,
                action.SET_K: self._set_k,
                action.DELIVER_RESPONSE: self._deliver_response,
                action.ABSORB_RESPONSE: self._absorb_response,
                action.REPORT_TIMEOUT: self._report_timeout,
                action.REPORT_FAILURE: self._report_failure,
                action.FORGET: self._forget,
            },
        )

    def start(
        self, flow: Flow, head: bytes, tail: bytes, token: object, now: float, *, method: str = "MESSAGE"
    ) -> bytes:
        """Send the request ``head + branch + tail`` to ``flow`` and begin its client transaction; the new branch.

        ``head`` ends after ``;branch=`` of the top Via. ``token`` comes back in the events. Overloaded when too many
        wait for an answer.
        """
        # spec S-TXC-5
        if len(self._young) + len(self._pending) >= self._bound:
            raise Overloaded("client transactions")
        branch = self._ids.branch()
        data = head + branch + tail
        self.started += 1
        if flow[3] == 0 and method == "MESSAGE":  # CLIENT[NEW][STARTED] over UDP
            if now >= self._sending.until:
                self._sending = self._join(self._sending, now, T1)
            self._young[branch] = data, token, flow, now
            self._out.append((flow, data))
            return branch
        transaction = ClientTransaction(branch, flow, data, token, method=method)
        self._pending[branch] = transaction
        if flow.transport != "udp":
            self._by_stream.setdefault(flow, {})[branch] = transaction
        self._step(transaction, _STARTED, now)
        return branch

    # spec S-TXC-6
    def receive_usual(self, datagrams: Sequence[bytes], now: float) -> list[int]:
        """Let those take their effect that are usual final answers; the indices of the others, for `receive`."""
        usual, young = self._usual, self._young
        finals: list[tuple[object, int]] = []
        answered: list[bytes] = []
        others: list[int] = []
        beginning, at, status = b"\n", 0, 0  # those of the answer before; at first what none begins with
        ends: tuple[bytes, ...] = ()
        for index, data in enumerate(datagrams):
            if not data.startswith(beginning):
                at = data.find(MARK) + _MARK_AT
                known = usual.get(data[:at])
                if known is None:
                    beginning = b"\n"
                    others.append(index)
                    continue
                beginning = data[:at]
                status, ends = known
            end = at + BRANCH
            branch = data[at:end]
            begun = young.get(branch)
            if begun is not None and data.startswith(ends, end) and match_rest(data, end):
                # CLIENT[TRYING][FINAL]
                del young[branch]
                answered.append(branch)
                finals.append((begun[1], status))
            else:
                others.append(index)
        if finals:
            self.finished += len(finals)
            self._absorb_at(now, answered, "MESSAGE")
            self._events.append(FinalsReceived(finals))
        return others

    def receive(self, response: Response, now: float, data: bytes = b"") -> bool:
        """Let a response take its effect. False when no transaction awaits it. ``data`` is the bytes it came as."""
        text = response.via.branch
        if text is None:
            return False
        branch = text.encode("utf-8", "surrogateescape")
        young = self._young.get(branch)
        transaction = self._pending.get(branch)
        method = "MESSAGE" if young else transaction.method if transaction else self._method_absorbing(branch)
        # spec S-TXC-3
        if method != response.cseq.method or _has_more_vias(response):
            return False
        event = _FINAL if response.status >= 200 else _PROVISIONAL
        if young and data and 200 <= response.status < 300:  # others may carry Retry-After
            self._usual.learn(data, branch, response.status)
        if young:
            transaction = self._grow(branch)
        if transaction is None:
            self._absorb_response(None, now, response)  # CLIENT[COMPLETED]
        else:
            self._step(transaction, event, now, response)
        return True

    def abandon(self, branch: bytes) -> None:
        """Forget a transaction whose answer nobody waits for any longer. One that is answered already stays so."""
        transaction = self._grow(branch) if branch in self._young else self._pending.get(branch)
        if transaction is not None:
            self.abandoned += 1
            self._step(transaction, ClientEvent.ABANDONED, 0.0)  # no action of this row looks at the time

    def on_timer(self, waiting: Waiting, now: float) -> None:
        """The one timer that ``waiting`` waited for has fired."""
        if isinstance(waiting, _Cohort):
            self._end_cohort(waiting, now)
        elif waiting.e_at < waiting.f_at:
            self._step(waiting, ClientEvent.TIMER_E, now)
        elif now < waiting.f_at - _TOLERANCE:  # the first look at one over a stream: it is unanswered yet
            self._events.append(RequestSlow(waiting.token))
            self._wheel.schedule(waiting, waiting.f_at)
        else:
            self._step(waiting, ClientEvent.TIMER_F, now)

    def flow_closed(self, flow: Flow, now: float) -> None:
        """The stream is gone (§17.1.4)."""
        for transaction in list(self._by_stream.get(flow, {}).values()):
            self._step(transaction, ClientEvent.FLOW_FAILED, now)

    def __len__(self) -> int:
        """Transactions that wait for an answer. ``absorbing`` are answered and wait for timer K."""
        return len(self._young) + len(self._pending)

    # -- cohorts ------------------------------------------------------------------------------------------------------

    def _join(self, cohort: _Cohort, now: float, after: float) -> _Cohort:
        """The cohort of what has its timer ``after`` seconds from now: this one, or one that follows it."""
        tick = self._wheel.tick_of(now + after)
        if tick != cohort.tick:
            cohort = _Cohort(tick, self._wheel.time_of(tick) - after, None if cohort.answered is None else {})
            self._wheel.schedule(cohort, now + after)
        return cohort

    def _absorb_at(self, now: float, branches: Sequence[bytes], method: str) -> None:
        """These were answered. Answers that come again are absorbed until timer K, or stray where too many wait."""
        if self.absorbing + len(branches) > self._bound:
            return
        cohort = self._absorbing
        if now >= cohort.until:
            self._absorbing = self._join(cohort, now, TIMER_K)
            if cohort.answered and cohort is not self._absorbing:
                self._past.append(cohort)
            cohort = self._absorbing
        assert cohort.answered is not None
        cohort.answered.update(dict.fromkeys(branches, method))
        self.absorbing += len(branches)

    def _method_absorbing(self, branch: bytes) -> str | None:
        """The method of the answered transaction of this branch, None where there is none."""
        for cohort in (self._absorbing, *self._past):
            if cohort.answered and branch in cohort.answered:
                return cohort.answered[branch]
        return None

    def _end_cohort(self, cohort: _Cohort, now: float) -> None:
        if cohort.answered is not None:  # timer K of all of them: CLIENT[COMPLETED][TIMER_K]
            self.absorbing -= len(cohort.answered)
            cohort.answered.clear()
            if self._past and self._past[0] is cohort:
                self._past.popleft()
            return
        late = []
        for branch, begun in self._young.items():  # in the order in which they were sent
            if begun[3] >= cohort.until and self._wheel.tick_of(begun[3] + T1) > cohort.tick:
                break
            late.append(branch)
        if late:
            self._events.append(RequestsRepeated([self._young[branch][1] for branch in late]))
        for branch in late:
            self._step(self._grow(branch), ClientEvent.TIMER_E, now)

    def _grow(self, branch: bytes) -> ClientTransaction:
        """A young transaction made one with timers of its own."""
        data, token, flow, begun = self._young.pop(branch)
        transaction = self._pending[branch] = ClientTransaction(branch, flow, data, token, method="MESSAGE")
        transaction.state = ClientState.TRYING
        transaction.f_at = begun + TIMER_F
        transaction.e_at = begun + T1
        self._wheel.schedule(transaction, transaction.e_at)
        return transaction

    def _step(self, transaction: ClientTransaction, event: ClientEvent, now: float, response: object = None) -> None:
        actions, transaction.state = self._rows[transaction.state][event]
        for action in actions:
            action(transaction, now, response)

    # -- actions ------------------------------------------------------------------------------------------------------

    def _send_request(self, transaction: ClientTransaction, _now: float, _what: object) -> None:
        if transaction.e_at:
            self.retransmitted += 1
        self._out.append((transaction.flow, transaction.data))

    def _set_f(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        transaction.f_at = now + TIMER_F

    # spec S-TXC-1
    def _set_e(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        if transaction.flow.transport == "udp":
            transaction.e_at = now + T1
            self._wheel.schedule(transaction, transaction.e_at)
        else:
            # Most are answered soon. What they leave behind in the wheel shall not stay there for all of timer F.
            transaction.e_at = transaction.f_at
            self._wheel.schedule(transaction, now + T2)

    def _double_e(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        if transaction.interval == 2 * T1:  # spec S-LANE-17
            self._events.append(RequestSlow(transaction.token))
        self._again(transaction, now, min(2 * transaction.interval, T2))

    def _set_e_to_t2(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        if transaction.interval == T2:
            self._events.append(RequestSlow(transaction.token))
        self._again(transaction, now, T2)

    def _again(self, transaction: ClientTransaction, now: float, interval: float) -> None:
        transaction.interval = interval
        # Counted from when it was due, so that the schedule does not drift; from now where that has passed meanwhile.
        at = transaction.e_at + interval
        transaction.e_at = at if at > now else now + interval
        self._wheel.schedule(transaction, min(transaction.e_at, transaction.f_at))

    def _deliver_response(self, transaction: ClientTransaction, _now: float, response: Response) -> None:
        self._events.append(ResponseReceived(transaction.token, response))

    def _set_k(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        self.finished += 1
        if transaction.flow.transport == "udp":
            self._absorb_at(now, [transaction.branch], transaction.method)
        # K is 0 over a stream
        transaction.due = 0
        self._release(transaction)

    def _absorb_response(self, _transaction: object, _now: float, _what: object) -> None:
        self.absorbed += 1

    # spec S-TXC-2
    def _report_timeout(self, transaction: ClientTransaction, _now: float, _what: object) -> None:
        self.timed_out += 1
        self._events.append(RequestTimedOut(transaction.token))

    def _report_failure(self, transaction: ClientTransaction, _now: float, _what: object) -> None:
        self.failed += 1
        self._events.append(FlowFailed(transaction.token))

    def _forget(self, transaction: ClientTransaction, _now: float, _what: object) -> None:
        transaction.due = 0
        self._release(transaction)

    def _release(self, transaction: ClientTransaction) -> None:
        """Take it out of those that wait."""
        del self._pending[transaction.branch]
        if transaction.flow.transport != "udp":
            of_stream = self._by_stream[transaction.flow]
            del of_stream[transaction.branch]
            if not of_stream:
                del self._by_stream[transaction.flow]


def _has_more_vias(response: Response) -> bool:
    """RFC 3261 §8.1.3.3: a response with more than one Via was not meant for us."""
    lines = response.headers.all("Via")
    return len(lines) > 1 or ("," in lines[0] and len(response.vias) > 1)
