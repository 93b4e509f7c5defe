"""The SIP stack, sans-IO: bytes in, events and bytes out, time as an argument.

::

    transport --receive--> Stack --events--> service        service --respond, reply_stateless, start--> Stack
    transport <--output--- Stack <---tick--- whoever waits for next_deadline

Invariants

- `receive` raises nothing, whatever the bytes. A response, an ACK, a CANCEL is never answered, nor is a request whose
  Via or source does not say where to.
- A request reaches the service once: a copy is absorbed, or gets the stored answer; the same request by another way
  (§8.2.2.2) gets 482. State is made by `accept` alone: who is not authenticated, or not understood, gets a stateless
  answer (§8.2.7), the same for each copy.
- A client transaction ends in exactly one final `ResponseReceived`, `RequestTimedOut` or `FlowFailed`, unless it was
  abandoned. A branch is not used twice.
- Tables are bounded. A full server table answers 503 at a bounded rate, then nothing; a full client table raises
  `imc.errors.Overloaded`.

Where this departs from RFC 3261: timer J is 64*T1 over streams too. A client whose connection broke sends its request
again on another one, and a room must not see it twice. And maddr in a Via (§18.2.2) is not followed: it would let
anyone have our answers sent to someone else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imc.errors import BadMessage
from imc.sip.client import ClientTransactions, Waiting
from imc.sip.events import Event, RequestReceived
from imc.sip.flow import Flow
from imc.sip.grammar import WSP, split_outside
from imc.sip.headers import Via
from imc.sip.ids import Ids
from imc.sip.message import Request, Response, parse_message
from imc.sip.server import ServerTransaction, ServerTransactions, merge_key, transaction_key
from imc.sip.shapes import Known, Shapes
from imc.sip.sources import Sources
from imc.sip.timers import TimerWheel
from imc.sip.uas import UasPolicy, build_response, render_plain
from imc.sip.uri import find_param

_SIP_PORT = 5060
_SHAPES_A_SECOND = 20  # forms of requests that are learned
# What ends where the transport says: one datagram, or one WebSocket message, is one SIP message, and needs no
# Content-Length (RFC 3261 §18.3, RFC 7118 §4.2).
_WHOLE = frozenset({"udp", "ws", "wss"})  # spec S-WS-3


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig:
    """Bounds in counts and bytes. The server table has room for 32 s (timer J) of 5,000 requests a second."""

    max_server_transactions: int = 200_000
    max_client_transactions: int = 65_536  # waiting for an answer; as many more absorb repeated ones
    max_head: int = 32_768  # bytes of start line and headers; beyond: 513
    max_body: int = 65_536  # bytes; beyond: 413
    overload_answers: int = 100  # 503s per second while the server table is full
    retry_after: int = 5  # seconds, in a 503
    is_rport_assumed: bool = False  # answer datagrams to their source port even without rport (RFC 3581)


class Stack:
    """One SIP endpoint on any number of flows. Not thread-safe, and never waits."""

    def __init__(
        self, config: StackConfig, ids: Ids, policy: UasPolicy | None = None, sources: Sources | None = None
    ) -> None:
        """With a ``policy``, what it refuses is answered here, statelessly, and is no event. ``sources`` may change."""
        self.sources = sources
        self._config = config
        self._policy = policy
        self._tag_key = ids.secret(32)
        self._out: list[tuple[Flow, bytes]] = []
        self._events: list[Event] = []
        self._wheel: TimerWheel[Waiting | ServerTransaction] = TimerWheel()
        self._clients = ClientTransactions(ids, self._wheel, self._out, self._events, config.max_client_transactions)
        self.start = self._clients.start  # called for each delivery: no method around it
        self._servers = ServerTransactions(self._wheel.schedule, self._out, config.max_server_transactions)
        self._overload = _Allowance(config.overload_answers)
        self._shapes = Shapes(_Allowance(_SHAPES_A_SECOND).take)
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._now = 0.0  # of the last call that told the time

    # -- in -----------------------------------------------------------------------------------------------------------

    # spec S-READ-1
    def receive(self, data: bytes, flow: Flow, now: float) -> list[Event]:
        """One whole message: a datagram, or what `imc.sip.framing` cut out of a stream."""
        counts = self._counts
        counts["received"] += 1
        self._now = now
        if self.sources is not None and self.sources.is_muted(flow, now):
            self.sources.muted += 1
            return []
        if flow.transport == "udp" and len(data) <= self._config.max_head:
            known = self._shapes.read(data, flow)
            if known is not None:
                self._receive_request(known, flow, len(data), is_checked=True)
                return self._take_events()
        try:
            message = parse_message(data, is_datagram=flow.transport in _WHOLE, max_head=self._config.max_head)
        except BadMessage as fault:
            self._refuse_bad(fault, flow, len(data))
            return self._take_events()
        if isinstance(message, Response):
            if not self._clients.receive(message, now, data):
                counts["stray_responses"] += 1
                self._waste(flow)
        elif message.method in _NEVER_ANSWERED:
            counts["stray_requests"] += 1
            self._waste(flow)
        else:
            via = message.via
            known = Known(message, via, transaction_key(message, via), merge_key(message))
            self._receive_request(known, flow, len(data), is_checked=False)
            if self._events and flow.transport == "udp":  # it was understood
                self._shapes.learn(data, flow, now)
        return self._take_events()

    # spec S-SRC-2
    def is_muted(self, flow: Flow, now: float) -> bool:
        """Whether what comes on this flow now is dropped unread: better not to take it from its socket."""
        return self.sources is not None and self.sources.is_muted(flow, now)

    # spec S-SRC-1
    def may_answer(self, flow: Flow, came: int, goes: int, now: float) -> bool:
        """Whether what is no SIP, as STUN, may be answered: its source may be forged, and has one account for all."""
        if self.is_muted(flow, now):
            return False
        return self.sources is None or self.sources.may_answer(flow, came, goes, now)

    def receive_usual(self, datagrams: Sequence[bytes], now: float) -> tuple[list[int], list[Event]]:
        """The datagrams of one wake-up: the usual final answers among them take their effect, with one event for all.

        Returns the indices of the others, which are for `receive`.
        """
        others = self._clients.receive_usual(datagrams, now)
        self._counts["received"] += len(datagrams) - len(others)
        return others, self._take_events()

    def tick(self, now: float) -> list[Event]:
        """Let the timers fire whose time has come."""
        self._now = now
        for waiting in self._wheel.advance(now):
            if isinstance(waiting, ServerTransaction):
                self._servers.on_timer(waiting, now)
            else:
                self._clients.on_timer(waiting, now)
        return self._take_events()

    def flow_closed(self, flow: Flow, now: float) -> list[Event]:
        """A stream is gone: what was sent on it fails at once."""
        self._clients.flow_closed(flow, now)
        return self._take_events()

    # -- out ----------------------------------------------------------------------------------------------------------

    def output(self) -> list[tuple[Flow, bytes]]:
        """What is to be sent, in order. To be called after each of the other methods, or each batch of them."""
        out = self._out[:]
        self._out.clear()
        return out

    def next_deadline(self) -> float | None:
        """When to call `tick`, None when nothing waits."""
        return self._wheel.next_deadline()

    # -- server side --------------------------------------------------------------------------------------------------

    def accept(self, event: RequestReceived, now: float) -> bool:
        """Make the server transaction of a request that is going to be answered by `respond`.

        False where the stack has dealt with it: it is a copy of one accepted meanwhile, or the table is full.
        """
        if self.sources is not None:
            self.sources.prove(event.flow)
        if self._servers.repeat(event.key):
            return False
        if self._servers.is_merged(event.merge_key):
            self._send_merged(event)
            return False
        # spec S-TXS-7
        if self._servers.is_full:
            self._counts["overloaded"] += 1
            if self._overload.take(now):
                retry_after = [("Retry-After", str(self._config.retry_after))]
                self._send_stateless(event, 503, headers=retry_after)
            return False
        self._servers.accept(event, now)
        return True

    def respond(self, event: RequestReceived | str, response: Response, now: float) -> None:
        """The final response to an accepted request, named by its event or its key.

        The first one counts; one that comes after 64*T1 is dropped, and so is a 408, which nobody may send (RFC 4320
        §4.2). ValueError for a provisional one: the stack itself sends 100 when it is due, and no other may be sent
        (RFC 4320 §4.1).
        """
        if response.status < 200:
            raise ValueError(f"not a final response: {response.status}")
        if response.status == 408:
            self._servers.discarded += 1
            return
        key = event if isinstance(event, str) else event.key
        self._servers.respond(key, response.render(), now)

    def respond_plain(self, event: RequestReceived, status: int, now: float) -> None:
        """`respond` with a response that has this final status, not 408, and nothing to say beside."""
        request = event.request
        self._servers.respond(event.key, render_plain(request, status, to_tag=self.to_tag(request)), now)

    def reply_stateless(self, event: RequestReceived, response: Response) -> None:
        """Answer a request that was not accepted and leaves no state: 401, 403, 404, OPTIONS.

        Where a copy of it has been accepted meanwhile, the copy's answer is the one that counts: nothing is sent. (A
        datagram that the network doubled has used its nonce count when the second one is looked at.)
        """
        if not self._servers.repeat(event.key):
            self._send_unproven(event, response)

    # spec S-UAS-4
    def to_tag(self, request: Request) -> str:
        """The To tag of all answers to this request: a keyed hash, so that a stateless repeat is identical (§8.2.7)."""
        headers = request.headers
        text = f"{headers.get('Call-ID')}\n{headers.get('From')}\n{headers.get('CSeq')}"
        data = text.encode("utf-8", "surrogateescape")
        return hashlib.blake2s(data, digest_size=8, key=self._tag_key).hexdigest()

    def build(
        self,
        request: Request,
        status: int,
        reason: str | None = None,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        """`imc.sip.uas.build_response` with this stack's `to_tag`."""
        return build_response(request, status, reason, to_tag=self.to_tag(request), headers=headers, body=body)

    # -- client side --------------------------------------------------------------------------------------------------

    def abandon(self, branch: bytes) -> None:
        """Stop repeating a request, and say nothing more of it. Unknown and answered ones are left alone."""
        self._clients.abandon(branch)

    # -- state --------------------------------------------------------------------------------------------------------

    def statistics(self) -> dict[str, int]:
        """Counts since the start, and the present size of each table."""
        servers, clients = self._servers, self._clients
        return {
            **self._counts,
            "server_transactions": len(servers),
            "requests_accepted": servers.accepted,
            "requests_answered": servers.answered,
            "requests_absorbed": servers.absorbed,
            "answers_repeated": servers.answered_again,
            "answers_discarded": servers.discarded,
            "requests_given_up": servers.given_up,
            "client_transactions": len(clients),
            "client_transactions_absorbing": clients.absorbing,
            "requests_started": clients.started,
            "requests_retransmitted": clients.retransmitted,
            "responses_final": clients.finished,
            "responses_absorbed": clients.absorbed,
            "requests_timed_out": clients.timed_out,
            "requests_failed": clients.failed,
            "requests_abandoned": clients.abandoned,
            "timers": len(self._wheel),
            **({} if self.sources is None else self.sources.statistics()),
        }

    # -- inside -------------------------------------------------------------------------------------------------------

    def _take_events(self) -> list[Event]:
        events = self._events[:]
        self._events.clear()
        return events

    def _receive_request(self, known: Known, flow: Flow, size: int, *, is_checked: bool) -> None:
        """``is_checked``: the policy, asked once for all requests of its form, does not refuse it."""
        request, via, key, same = known
        if self._servers.repeat(key):
            return
        reply_flow = self._stamp(request, via, flow)
        if reply_flow is None:
            self._counts["unanswerable"] += 1
            self._waste(flow)
            return
        event = RequestReceived(request, flow, reply_flow, key, same, size)
        # spec S-READ-6
        if len(request.body) > self._config.max_body:
            self._send_stateless(event, 413)
        elif not is_checked and self._is_refused(event):
            pass  # and answered
        elif self._servers.is_merged(same):
            self._send_merged(event)
        else:
            self._events.append(event)

    def _is_refused(self, event: RequestReceived) -> bool:
        if self._policy is None:
            return False
        try:
            refusal = self._policy.check(event.request)
        except BadMessage as fault:
            self._send_stateless(event, fault.status, fault.reason)
            return True
        if refusal is None:
            return False
        self._send_stateless(event, refusal.status, headers=refusal.headers)
        return True

    # spec S-READ-5
    def _refuse_bad(self, fault: BadMessage, flow: Flow, size: int) -> None:
        self._counts["bad_messages"] += 1
        request: Request | None = fault.request
        if request is None or request.method in _NEVER_ANSWERED:
            self._waste(flow)
            return
        reply_flow = self._stamp(request, request.via, flow)
        if reply_flow is None:
            self._counts["unanswerable"] += 1
            self._waste(flow)
        else:
            self._send_stateless(RequestReceived(request, flow, reply_flow, "", "", size), fault.status, fault.reason)

    def _send_merged(self, event: RequestReceived) -> None:
        self._counts["merged"] += 1
        self._send_stateless(event, 482)

    def _send_stateless(
        self, event: RequestReceived, status: int, reason: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._send_unproven(event, self.build(event.request, status, reason, headers=headers))

    def _send_unproven(self, event: RequestReceived, response: Response) -> None:
        """An answer that rests on no transaction, where its source may still have one (`imc.sip.sources`)."""
        data = response.render()
        if self.sources is None or self.sources.may_answer(event.flow, event.size, len(data), self._now):
            self._counts["stateless_answers"] += 1
            self._out.append((event.reply_flow, data))

    def _waste(self, flow: Flow) -> None:
        if self.sources is not None:
            self.sources.waste(flow, self._now)

    # spec S-VIA-3
    def _stamp(self, request: Request, via: Via, flow: Flow) -> Flow | None:
        """Note the source in the top Via (RFC 3261 §18.2.1, RFC 3581 §4); where to answer, None for nowhere."""
        address, port = flow.remote[0], flow.remote[1]
        # spec S-VIA-1
        is_rport_asked = find_param(via.params, "rport") == ""
        if is_rport_asked or via.host.strip("[]") != address:
            lines = request.headers._fields["Via"]
            lines[0] = _stamped(lines[0], via, address, port if is_rport_asked else None).strip(WSP)
        if flow.transport != "udp":
            return flow
        # spec S-VIA-2
        if not (is_rport_asked or self._config.is_rport_assumed):
            port = via.port or _SIP_PORT  # §18.2.2: the source's address, and the port of sent-by
        if port == flow.remote[1]:
            return flow if port else None
        return flow._replace(remote=(flow.remote[0], port))


def _stamped(line: str, via: Via, address: str, rport: int | None) -> str:
    """The line whose first value is ``via``, with received, and with rport unless that is None."""
    address = address.partition("%")[0]  # the zone of a link-local address means nothing to the peer
    if rport is not None and '"' not in line and "," not in line and "received" not in line:
        # The common case, as text: one Via, in which ";rport" can be nothing else.
        new = f";rport={rport};received={address}"
        if line.endswith(";rport"):
            return line[:-6] + new
        if ";rport;" in line:
            return line.replace(";rport;", new + ";", 1)
    via = via.with_param("received", address)
    if rport is not None:
        via = via.with_param("rport", str(rport))
    return ", ".join([str(via), *split_outside(line, ",")[1:]])


_NEVER_ANSWERED = frozenset(("ACK", "CANCEL"))  # there is no INVITE here that they could belong to
_COUNTED = (
    "received",
    "bad_messages",
    "unanswerable",
    "stray_responses",
    "stray_requests",
    "merged",
    "overloaded",
    "stateless_answers",
)


class _Allowance:
    """So many a second, and as many at once after a second of silence."""

    __slots__ = ("_left", "_rate", "_since")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left = float(rate)
        self._since = 0.0

    def take(self, now: float) -> bool:
        self._left = min(self._rate, self._left + max(0.0, now - self._since) * self._rate)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
