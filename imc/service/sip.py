"""From SIP requests to use cases and back: authenticate, find who is meant, hand over, answer.

A request is a walk with no way back: authenticated once, then a transaction, then judged. What is not authenticated
leaves no state behind. A request whose account must be read first is judged when it was; copies of it that come
meanwhile are dropped (the client repeats it, should it matter).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import structlog

from imc.aor import Aor
from imc.delivery.engine import Engine
from imc.errors import BadMessage, ImcError, Overloaded
from imc.measures import Measures
from imc.registrar.registrar import RegisterOutcome
from imc.service.accounts import Accounts
from imc.service.circumstances import Circumstances
from imc.service.copies import COMPOSING, Copies, wrapped_type
from imc.service.identity import Answer, Identified, Identity, NeedAccount, Secrets
from imc.service.inbound import Inbound, Outcome
from imc.service.lists import Lists
from imc.service.outcomes import RETRY_AFTER, failed
from imc.service.recipient_list import OPTION_TAG
from imc.service.registration import Registration
from imc.service.relay import Relay
from imc.service.rooms import Rooms
from imc.service.roster import Rosters
from imc.service.subscription import Subscription
from imc.sip.events import (
    Event,
    FinalsReceived,
    FlowFailed,
    RequestReceived,
    RequestSlow,
    RequestsRepeated,
    RequestTimedOut,
    ResponseReceived,
)
from imc.sip.message import Request, Response
from imc.sip.stack import Stack
from imc.sip.uas import UasPolicy
from imc.sip.uri import SipUri
from imc.sip.values import Warn

_log = structlog.get_logger("imc.service")

# What copies keep of the sender's headers. Not IMC-Event, In-Reply-To, or anything else that speaks for imc (R-MSG-11).
_KEPT = ("Content-Disposition", "Content-Language", "Expires", "Priority", "Subject")
_AUTOMATIC_TYPES = (COMPOSING, "message/imdn+xml")
_MAX_PENDING = 5_000


class Sip:
    """``own_hosts`` are names and addresses of this server itself, which OPTIONS may be addressed to; ``clock`` is
    monotonic, in seconds; ``wake`` asks the loop to send what the stack has put out."""

    def __init__(
        self,
        *,
        stack: Stack,
        uas: UasPolicy,
        identity: Callable[[], Identity],
        accounts: Accounts[Secrets],
        registration: Registration | None,
        rooms: Rooms,
        relay: Relay,
        rosters: Rosters,
        lists: Lists,
        copies: Copies,
        circumstances: Circumstances,
        engine: Engine,
        domains: Callable[[], tuple[str, ...]],
        own_hosts: frozenset[str],
        clock: Callable[[], float],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
        wake: Callable[[], None],
        measures: Measures,
    ) -> None:
        self._stack = stack
        self._measures = measures
        self._uas = uas
        self._identity = identity
        self._accounts = accounts
        self._registration = registration
        self._rooms = rooms
        self._relay = relay
        self._rosters = rosters
        self._lists = lists
        self._copies = copies
        self._circumstances = circumstances
        self._engine = engine
        self._domains = domains
        self._own_hosts = own_hosts
        self._clock = clock
        self._spawn = spawn
        self._wake = wake
        self._pending: set[str] = set()
        self.is_draining = False
        self._unanswered: dict[str, float] = {}  # by key, when it was accepted

    @property
    def unanswered(self) -> int:
        """How many requests were accepted and have no answer yet."""
        return len(self._unanswered)

    def on_events(self, events: Iterable[Event]) -> None:
        """What the stack saw."""
        engine = self._engine
        for event in events:
            if isinstance(event, FinalsReceived):
                engine.on_finals(event.answers)
            elif isinstance(event, ResponseReceived | RequestSlow | RequestTimedOut | FlowFailed) and isinstance(
                event.token, Subscription
            ):
                self._on_notify_event(event, event.token)
            elif isinstance(event, ResponseReceived):
                engine.on_response(event.token, event.response.status, retry_after(event.response))
            elif isinstance(event, RequestReceived):
                self._on_request(event)
            elif isinstance(event, RequestsRepeated):
                engine.on_repeated(event.tokens, self._clock())
            elif isinstance(event, RequestSlow):
                engine.on_slow(event.token)
            elif isinstance(event, RequestTimedOut):
                engine.on_timeout(event.token)
            elif isinstance(event, FlowFailed):
                engine.on_flow_failed(event.token)

    def _on_notify_event(
        self, event: ResponseReceived | RequestSlow | RequestTimedOut | FlowFailed, subscription: Subscription
    ) -> None:
        if isinstance(event, ResponseReceived):
            self._rosters.on_answer(subscription, event.response.status)
        elif not isinstance(event, RequestSlow):
            self._rosters.on_failure(subscription)

    # --- authenticate -----------------------------------------------------------------------------------------------

    def _on_request(self, event: RequestReceived) -> None:
        request = event.request
        if self.is_draining:
            self._reply(event, 503, [("Retry-After", str(RETRY_AFTER))])
        elif request.method == "OPTIONS":
            self._options(event)
        elif request.method == "REGISTER" and self._registration is None:
            self._reply(event, 405, [("Allow", ", ".join(self._uas.methods))])
        elif event.key not in self._pending:
            registration = self._registration if request.method == "REGISTER" else None
            foreign = None if registration is None else registration.check_domain(request)
            if foreign is not None:
                self._reply(event, foreign.status, foreign.headers)
            else:
                self._take_identity(event, self._identity().authenticate(request, event.flow, self._clock()))

    def _take_identity(self, event: RequestReceived, found: Identified | NeedAccount | Answer) -> None:
        if isinstance(found, Identified):
            self._serve(event, found.aor)
        elif isinstance(found, NeedAccount):
            if len(self._pending) >= _MAX_PENDING:
                self._reply(event, 503, [("Retry-After", str(RETRY_AFTER))])
                return
            self._pending.add(event.key)
            self._spawn(lambda: self._load_account(event, found))
        else:
            self._reply_with(event, found.response(event.request, self._stack.to_tag(event.request)))

    async def _load_account(self, event: RequestReceived, need: NeedAccount) -> None:
        try:
            account = await self._accounts.load(need.aor)
        except ImcError as error:
            if not isinstance(error, Overloaded):  # who floods must not fill the log as well
                _log.warning("account-not-read", error=str(error))
            self._reply(event, 503, [("Retry-After", str(RETRY_AFTER))])
        else:
            self._take_identity(event, self._identity().judge(need, account, self._clock()))
        finally:
            self._pending.discard(event.key)
            self._wake()

    def _reply(self, event: RequestReceived, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        """An answer without state."""
        self._reply_with(event, self._stack.build(event.request, status, headers=headers))

    def _reply_with(self, event: RequestReceived, response: Response) -> None:
        self._measures.requests.add(self._method(event), str(response.status))
        self._stack.reply_stateless(event, response)

    def _method(self, event: RequestReceived) -> str:
        """For a label: whoever sends a request makes its method up."""
        method = event.request.method
        return method if method in self._uas.methods else "other"

    # spec S-UAS-5
    def _options(self, event: RequestReceived) -> None:
        """RFC 3261 §11.2, for the server itself and its domains; it tells nothing of single addresses."""
        uri = event.request.request_uri
        is_ours = isinstance(uri, SipUri) and (uri.host in self._domains() or uri.host in self._own_hosts)
        if is_ours:
            self._reply_with(event, self._uas.answer_options(event.request, self._stack.to_tag(event.request)))
        else:
            self._reply(event, 404)

    # --- serve ------------------------------------------------------------------------------------------------------

    def _serve(self, event: RequestReceived, sender: Aor) -> None:
        request = event.request
        # spec S-RELAY-4
        if request.method == "MESSAGE" and self._copies.has_come_back(request.headers):
            self._reply(event, 482)
            return
        if request.method == "REGISTER" and self._rooms.policy.is_reserved(sender):  # spec R-ADDR-8
            self._reply(event, 403, [("Warning", str(Warn(399, "imc", "the address of a room cannot be registered")))])
            return
        rates = self._rooms.rates
        if rates is not None and not rates.may_send(sender):  # spec R-LIMIT-4; without state: it may be a flood
            self._reply(event, 503, [("Retry-After", str(RETRY_AFTER)), ("IMC-Event", "try-later")])
            return
        # spec S-TXS-9
        now = self._clock()
        if not self._stack.accept(event, now):
            return
        self._unanswered[event.key] = now
        self._engine.backlogs.seen(sender)
        if request.method == "REGISTER" and self._registration is not None:
            self._registration.register(
                request,
                sender,
                event.flow,
                answer=lambda outcome: self._registered(event, outcome),
                fail=lambda outcome: self._answer(event, outcome),
            )
        elif request.method == "SUBSCRIBE":
            self._subscribe(event, sender)
        else:
            self._message(event, sender)

    def _subscribe(self, event: RequestReceived, sender: Aor) -> None:
        def answer(status: int, headers: Iterable[tuple[str, str]]) -> None:
            self._respond(event, status, None, headers)

        def fail(outcome: Outcome) -> None:
            self._answer(event, outcome)

        try:
            room = target_of(event.request, self._domains())
            tag = self._stack.to_tag(event.request)
            self._rosters.take(event, sender, room, tag=tag, answer=answer, fail=fail)
        except BadMessage as error:
            fail(Outcome(status=error.status, code=-1, event="bad-request", warning=error.reason))
        except LookupError:
            fail(Outcome(status=404, code=-1, event="room-not-found", warning="no address that is served here"))

    def _registered(self, event: RequestReceived, outcome: RegisterOutcome) -> None:
        self._respond(event, outcome.status, outcome.reason, outcome.headers)

    def _respond(
        self, event: RequestReceived, status: int, reason: str | None, headers: Iterable[tuple[str, str]]
    ) -> None:
        now = self._answered(event, status)
        response = self._stack.build(event.request, status, reason, headers=headers)
        self._stack.respond(event, response, now)
        self._wake()

    def _answered(self, event: RequestReceived, status: int) -> float:
        """The time."""
        now = self._clock()
        since = self._unanswered.pop(event.key, None)
        if since is not None:
            self._measures.answer_seconds.observe(now - since)
        self._measures.requests.add(event.request.method, str(status))  # an accepted one is of a known method
        return now

    # spec S-UAS-7
    def _answer(self, event: RequestReceived, outcome: Outcome) -> None:
        if outcome.is_plain:
            self._stack.respond_plain(event, outcome.status, self._answered(event, outcome.status))
            self._wake()
            return
        headers: list[tuple[str, str]] = []
        if outcome.warning:
            headers.append(("Warning", str(Warn(399, "imc", outcome.warning))))
        if outcome.event:
            headers.append(("IMC-Event", outcome.event))
        if outcome.retry_after is not None:
            headers.append(("Retry-After", str(outcome.retry_after)))
        if outcome.accept:  # RFC 3261 §21.4.13
            headers.append(("Accept", outcome.accept))
        headers += outcome.headers
        self._respond(event, outcome.status, None, headers)

    def _message(self, event: RequestReceived, sender: Aor) -> None:
        def answer(outcome: Outcome) -> None:
            self._answer(event, outcome)

        request = event.request
        try:
            to = target_of(request, self._domains())
            content_type = request.headers.get("Content-Type") or ""
            inbound = Inbound(
                sender=sender,
                to=to,
                content_type=content_type,
                body=request.body,
                call_id=request.call_id,
                is_automatic=is_automatic(request),
                headers=tuple((name, value) for name in _KEPT if (value := request.headers.get(name)) is not None),
                answer=answer,
                is_secure=request.request_uri.scheme == "sips",
            )
        except BadMessage as error:
            answer(Outcome(status=error.status, code=-1, event="bad-request", warning=error.reason))
            return
        except LookupError:
            answer(Outcome(status=404, code=-1, event="user-not-found", warning="no address that is served here"))
            return
        if OPTION_TAG in map(str.lower, request.tokens("Require")):
            self._to_list(inbound)
        else:
            self._dispatch(inbound)

    # spec S-LIST-1
    def _to_list(self, inbound: Inbound) -> None:
        if inbound.to == self._rooms.policy.manager:
            self._lists.handle(inbound)
        else:
            words = "messages to lists are for the manager's address"
            unsupported = (("Unsupported", OPTION_TAG),)
            inbound.answer(Outcome(status=420, code=-1, event="bad-request", warning=words, headers=unsupported))

    def _dispatch(self, inbound: Inbound) -> None:
        """To a room (the manager, a name that is a room's, a live room of another name), else to a user."""
        policy = self._rooms.policy
        if inbound.to == policy.manager or policy.may_be_room(inbound.to):
            self._rooms.handle(inbound)
            return
        is_room = self._circumstances.known(inbound.to)
        if is_room is None:
            self._spawn(lambda: self._find_out(inbound))
        elif is_room:
            self._rooms.handle(inbound)
        else:
            self._relay.handle(inbound)

    async def _find_out(self, inbound: Inbound) -> None:
        try:
            is_room = await self._circumstances.learn(inbound.to)
        except ImcError as error:
            inbound.answer(failed(error))
            return
        (self._rooms if is_room else self._relay).handle(inbound)
        self._wake()


def target_of(request: Request, domains: tuple[str, ...]) -> Aor:
    """The address that a MESSAGE is for: To where it is served here, else the Request-URI (spec R-ADDR-3).

    LookupError where neither is an address of a served domain. BadMessage.
    """
    for uri in (request.to.uri, request.request_uri):
        if isinstance(uri, SipUri) and uri.user is not None:
            aor = uri.aor
            if aor.host in domains:
                return aor
    raise LookupError(request.uri)


_SECONDS = re.compile(r"\s*(\d{1,10})\b")


def retry_after(response: Response) -> float | None:
    """Seconds, where a refusal says when to try again (RFC 3261 §20.33)."""
    if response.status < 300:
        return None
    value = response.headers.get("Retry-After")
    found = None if value is None else _SECONDS.match(value)
    return None if found is None else float(found[1])


def is_automatic(request: Request) -> bool:
    """Whether no person sent it (spec R-ANSWER-4): Auto-Submitted (RFC 3834 §5), isComposing, IMDN, also in
    message/cpim. BadMessage."""
    submitted = request.headers.get("Auto-Submitted")
    if submitted is not None and submitted.partition(";")[0].strip().lower() != "no":
        return True
    kind = request.content_type
    with suppress(BadMessage):  # a bad wrapper is no matter of this question
        kind = wrapped_type(kind, request.body)
    return kind is not None and kind.essence in _AUTOMATIC_TYPES
