"""Client transactions: the interpreter of `imc.sip.transactions.CLIENT` (RFC 3261 §17.1.2).

Invariants

- One transaction is one slotted object, one dict entry, one entry in the timer wheel. Its request stays in two parts,
  before and after the branch, so that many recipients of one message can share what follows.
- What is answered holds no request and no token: it only absorbs repeated answers until timer K.
- An answer belongs to a transaction by its branch and by the method in its CSeq (§17.1.3), wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Callable

from imc.errors import Overloaded
from imc.sip.events import Event, FlowFailed, RequestTimedOut, ResponseReceived
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.message import Response
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
_COMPLETED = ClientState.COMPLETED
_TOLERANCE = 0.001  # seconds; more than the wheel rounds


class ClientTransaction:
    """``due`` belongs to the timer wheel; the rest to `ClientTransactions`."""

    __slots__ = ("branch", "due", "e_at", "f_at", "flow", "head", "interval", "method", "state", "tail", "token")

    def __init__(self, branch: bytes, flow: Flow, head: bytes, tail: bytes, token: object, *, method: str) -> None:
        self.branch = branch
        self.flow = flow
        self.head = head
        self.tail = tail
        self.token = token
        self.method = method
        self.state = ClientState.NEW
        self.due = 0
        self.interval = T1  # of timer E, seconds
        self.e_at = 0.0
        self.f_at = 0.0


class ClientTransactions:
    """All client transactions. Bytes to send are added to ``out``, what happened to ``events``.

    At most ``bound`` wait for an answer, and as many more absorb repeated ones.
    """

    __slots__ = (
        "_answered", "_bound", "_by_stream", "_events", "_ids", "_out", "_pending", "_rows", "_schedule", "abandoned",
        "absorbed", "failed", "finished", "retransmitted", "started", "timed_out",
    )  # fmt: skip

    def __init__(
        self,
        ids: Ids,
        schedule: Callable[[ClientTransaction, float], None],
        out: list[tuple[Flow, bytes]],
        events: list[Event],
        bound: int,
    ) -> None:
        self._ids = ids
        self._schedule = schedule
        self._out = out
        self._events = events
        self._bound = bound
        self._pending: dict[bytes, ClientTransaction] = {}
        self._answered: dict[bytes, ClientTransaction] = {}
        self._by_stream: dict[Flow, dict[bytes, ClientTransaction]] = {}
        self.started = self.retransmitted = self.finished = self.absorbed = 0
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

    def start(self, flow: Flow, head: bytes, tail: bytes, token: object, now: float, *, method: str) -> bytes:
        """See `imc.sip.stack.Stack.start`."""
        # spec S-TXC-5
        if len(self._pending) >= self._bound:
            raise Overloaded("client transactions")
        branch = self._ids.branch()
        transaction = ClientTransaction(branch, flow, head, tail, token, method=method)
        self._pending[branch] = transaction
        if flow.transport != "udp":
            self._by_stream.setdefault(flow, {})[branch] = transaction
        self.started += 1
        self._step(transaction, _STARTED, now)
        return branch

    def receive(self, response: Response, now: float) -> bool:
        """Let a response take its effect. False when no transaction awaits it."""
        text = response.via.branch
        if text is None:
            return False
        branch = text.encode("utf-8", "surrogateescape")
        transaction = self._pending.get(branch) or self._answered.get(branch)
        # spec S-TXC-3
        if transaction is None or transaction.method != response.cseq.method or _has_more_vias(response):
            return False
        self._step(transaction, _FINAL if response.status >= 200 else _PROVISIONAL, now, response)
        return True

    def abandon(self, branch: bytes) -> None:
        """Forget a transaction whose answer nobody waits for any longer. One that is answered already stays so."""
        transaction = self._pending.get(branch)
        if transaction is not None:
            self.abandoned += 1
            self._step(transaction, ClientEvent.ABANDONED, 0.0)  # no action of this row looks at the time

    def on_timer(self, transaction: ClientTransaction, now: float) -> None:
        """The one timer that ``transaction`` waited for has fired."""
        if transaction.state is _COMPLETED:
            event = ClientEvent.TIMER_K
        elif transaction.e_at < transaction.f_at:
            event = ClientEvent.TIMER_E
        elif now < transaction.f_at - _TOLERANCE:  # the first look at one over a stream: it is unanswered yet
            self._schedule(transaction, transaction.f_at)
            return
        else:
            event = ClientEvent.TIMER_F
        self._step(transaction, event, now)

    def flow_closed(self, flow: Flow, now: float) -> None:
        """The stream is gone (§17.1.4)."""
        for transaction in list(self._by_stream.get(flow, {}).values()):
            self._step(transaction, ClientEvent.FLOW_FAILED, now)

    def __len__(self) -> int:
        """Transactions that wait for an answer."""
        return len(self._pending)

    @property
    def absorbing(self) -> int:
        """Transactions that are answered and wait for timer K."""
        return len(self._answered)

    def _step(self, transaction: ClientTransaction, event: ClientEvent, now: float, response: object = None) -> None:
        actions, transaction.state = self._rows[transaction.state][event]
        for action in actions:
            action(transaction, now, response)

    # -- actions ------------------------------------------------------------------------------------------------------

    def _send_request(self, transaction: ClientTransaction, _now: float, _what: object) -> None:
        if transaction.e_at:
            self.retransmitted += 1
        self._out.append((transaction.flow, transaction.head + transaction.branch + transaction.tail))

    def _set_f(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        transaction.f_at = now + TIMER_F

    # spec S-TXC-1
    def _set_e(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        if transaction.flow.transport == "udp":
            transaction.e_at = now + T1
            self._schedule(transaction, transaction.e_at)
        else:
            # Most are answered soon. What they leave behind in the wheel shall not stay there for all of timer F.
            transaction.e_at = transaction.f_at
            self._schedule(transaction, now + T2)

    def _double_e(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        self._again(transaction, now, min(2 * transaction.interval, T2))

    def _set_e_to_t2(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        self._again(transaction, now, T2)

    def _again(self, transaction: ClientTransaction, now: float, interval: float) -> None:
        transaction.interval = interval
        # Counted from when it was due, so that the schedule does not drift; from now where that has passed meanwhile.
        at = transaction.e_at + interval
        transaction.e_at = at if at > now else now + interval
        self._schedule(transaction, min(transaction.e_at, transaction.f_at))

    def _deliver_response(self, transaction: ClientTransaction, _now: float, response: Response) -> None:
        self._events.append(ResponseReceived(transaction.token, response))

    def _set_k(self, transaction: ClientTransaction, now: float, _what: object) -> None:
        self.finished += 1
        self._release(transaction)
        if transaction.flow.transport == "udp" and len(self._answered) < self._bound:
            self._answered[transaction.branch] = transaction
            self._schedule(transaction, now + TIMER_K)
        else:  # K is 0 over a stream; beyond the bound a repeated answer is a stray one, which is dropped as well
            transaction.due = 0
            self._step(transaction, ClientEvent.TIMER_K, now)

    def _absorb_response(self, _transaction: ClientTransaction, _now: float, _what: object) -> None:
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
        if self._answered.pop(transaction.branch, None) is None:
            self._release(transaction)

    def _release(self, transaction: ClientTransaction) -> None:
        """Take it out of those that wait, and drop what only they need."""
        if self._pending.pop(transaction.branch, None) is None:
            return
        transaction.head = transaction.tail = b""
        transaction.token = None
        if transaction.flow.transport != "udp":
            of_stream = self._by_stream[transaction.flow]
            del of_stream[transaction.branch]
            if not of_stream:
                del self._by_stream[transaction.flow]


def _has_more_vias(response: Response) -> bool:
    """RFC 3261 §8.1.3.3: a response with more than one Via was not meant for us."""
    lines = response.headers.all("Via")
    return len(lines) > 1 or ("," in lines[0] and len(response.vias) > 1)
