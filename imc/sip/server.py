"""Server transactions: the interpreter of `imc.sip.transactions.SERVER` (RFC 3261 §17.2.2).

Invariants

- A transaction holds its request only until it is answered, then the bytes of the answer, for timer J.
- It is known by its key (§17.2.3), and by what makes another request the same one (§8.2.2.2).
- What ``bound`` transactions cost is the ceiling: none is made beyond it, none is thrown out before its time.
"""

from __future__ import annotations

from collections.abc import Callable

from imc.sip.events import RequestReceived
from imc.sip.flow import Flow
from imc.sip.headers import Via
from imc.sip.ids import MAGIC_COOKIE
from imc.sip.message import Request
from imc.sip.transactions import (
    SERVER,
    TIMER_100,
    TIMER_GIVE_UP,
    TIMER_J,
    ServerAction,
    ServerEvent,
    ServerState,
    bind,
)
from imc.sip.uas import build_response

_TIMERS = {
    ServerState.TRYING: ServerEvent.TIMER_100,
    ServerState.PROCEEDING: ServerEvent.TIMER_GIVE_UP,
    ServerState.COMPLETED: ServerEvent.TIMER_J,
}


class ServerTransaction:
    """``due`` belongs to the timer wheel; the rest to `ServerTransactions`."""

    __slots__ = ("answer", "due", "flow", "key", "merge_key", "request", "state")

    def __init__(self, key: str, merge_key: str, flow: Flow, request: Request) -> None:
        self.key = key
        self.merge_key = merge_key
        self.flow = flow
        self.request: Request | None = request
        self.answer: bytes = b""
        self.state = ServerState.NEW
        self.due = 0


class ServerTransactions:
    """All server transactions. Bytes to send are added to ``out``."""

    __slots__ = (
        "_bound", "_by_key", "_merge_keys", "_out", "_rows", "_schedule", "absorbed", "accepted", "answered",
        "answered_again", "discarded", "given_up",
    )  # fmt: skip

    def __init__(
        self, schedule: Callable[[ServerTransaction, float], None], out: list[tuple[Flow, bytes]], bound: int
    ) -> None:
        self._schedule = schedule
        self._out = out
        self._bound = bound
        self._by_key: dict[str, ServerTransaction] = {}
        self._merge_keys: set[str] = set()
        self.accepted = self.answered = self.answered_again = self.absorbed = self.discarded = self.given_up = 0
        action = ServerAction
        self._rows = bind(
            SERVER,
            {
                action.SET_100: self._set_100,
                action.SET_GIVE_UP: self._set_give_up,
                action.SET_J: self._set_j,
                action.SEND_TRYING: self._send_trying,
                action.SEND_FINAL: self._send_final,
                action.SEND_AGAIN: self._send_again,
                action.ABSORB_REQUEST: self._absorb_request,
                action.DISCARD_RESPONSE: self._discard_response,
                action.FORGET: self._forget,
            },
        )

    # spec S-TXS-2
    def repeat(self, key: str) -> bool:
        """Let a copy of a request take its effect (spec R-ORDER-3). False when there is no such transaction."""
        transaction = self._by_key.get(key)
        if transaction is None:
            return False
        self._step(transaction, ServerEvent.REQUEST, 0.0)  # no action of these rows looks at the time
        return True

    def is_merged(self, merge_key: str) -> bool:
        """Whether a request that is in none of these transactions came by another way before (§8.2.2.2)."""
        return merge_key in self._merge_keys

    @property
    def is_full(self) -> bool:
        return len(self._by_key) >= self._bound

    def accept(self, event: RequestReceived, now: float) -> None:
        """Make the transaction of a request that is in none."""
        transaction = ServerTransaction(event.key, event.merge_key, event.reply_flow, event.request)
        self._by_key[event.key] = transaction
        if event.merge_key:
            self._merge_keys.add(event.merge_key)
        self.accepted += 1
        transaction.state = ServerState.TRYING  # the row of NEW and REQUEST, in short
        self._schedule(transaction, now + TIMER_100)

    def respond(self, key: str, data: bytes, now: float) -> None:
        """A final answer, as bytes. It is dropped where the transaction is over (RFC 4320 §4.2) or has one."""
        transaction = self._by_key.get(key)
        if transaction is None:
            self.discarded += 1
        elif transaction.state is ServerState.TRYING:  # the row of TRYING and FINAL, in short
            transaction.state = ServerState.COMPLETED
            self._send_final(transaction, now, data)
            self._schedule(transaction, now + TIMER_J)
        else:
            self._step(transaction, ServerEvent.FINAL, now, data)

    def on_timer(self, transaction: ServerTransaction, now: float) -> None:
        """The one timer that ``transaction`` waited for has fired."""
        self._step(transaction, _TIMERS[transaction.state], now)

    def __len__(self) -> int:
        return len(self._by_key)

    def _step(self, transaction: ServerTransaction, event: ServerEvent, now: float, data: bytes = b"") -> None:
        actions, transaction.state = self._rows[transaction.state][event]
        for action in actions:
            action(transaction, now, data)

    # -- actions ------------------------------------------------------------------------------------------------------

    def _set_100(self, transaction: ServerTransaction, now: float, _data: bytes) -> None:
        self._schedule(transaction, now + TIMER_100)

    def _set_give_up(self, transaction: ServerTransaction, now: float, _data: bytes) -> None:
        self._schedule(transaction, now + TIMER_GIVE_UP - TIMER_100)

    def _set_j(self, transaction: ServerTransaction, now: float, _data: bytes) -> None:
        self._schedule(transaction, now + TIMER_J)

    def _send_trying(self, transaction: ServerTransaction, _now: float, _data: bytes) -> None:
        request = transaction.request
        assert request is not None
        transaction.answer = build_response(request, 100, to_tag="").render()
        self._out.append((transaction.flow, transaction.answer))

    def _send_final(self, transaction: ServerTransaction, _now: float, data: bytes) -> None:
        self.answered += 1
        transaction.request = None
        transaction.answer = data
        self._out.append((transaction.flow, data))

    def _send_again(self, transaction: ServerTransaction, _now: float, _data: bytes) -> None:
        self.answered_again += 1
        self._out.append((transaction.flow, transaction.answer))

    def _absorb_request(self, _transaction: ServerTransaction, _now: float, _data: bytes) -> None:
        self.absorbed += 1

    # spec S-TXS-8
    def _discard_response(self, _transaction: ServerTransaction, _now: float, _data: bytes) -> None:
        self.discarded += 1

    def _forget(self, transaction: ServerTransaction, _now: float, _data: bytes) -> None:
        if transaction.request is not None:  # it was never answered
            self.given_up += 1
            transaction.request = None
        del self._by_key[transaction.key]
        self._merge_keys.discard(transaction.merge_key)


# spec S-TXS-1
def transaction_key(request: Request, via: Via) -> str:
    """What names the server transaction of a request (§17.2.3); ``via`` is its topmost.

    Branch, sent-by and method where the branch is of RFC 3261; else Request-URI, To tag, From tag, Call-ID, CSeq and
    the top Via, as for clients of RFC 2543. A bare magic cookie is no branch.
    """
    branch = via.branch
    if branch is not None and branch.startswith(MAGIC_COOKIE) and branch != MAGIC_COOKIE:
        return f"{branch} {via.host}:{via.port} {request.method}"
    parts = (request.uri, request.to.tag, request.from_.tag, request.call_id, request.cseq, via)
    return "\n".join(map(str, parts))


# spec S-TXS-6
def merge_key(request: Request) -> str:
    """What two copies of a request have in common that came by different ways (§8.2.2.2); "" for one with a To tag."""
    if request.to.tag is not None:
        return ""
    number, method = request.cseq
    return f"{request.call_id} {request.from_.tag} {number} {method}"
