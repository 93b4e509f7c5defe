"""The rules of rooms alone: `imc.rooms` in this process, without SIP, without a database.

Each case has rooms of its own, kept in a dictionary as the service and the store would keep them together. What the
service adds around a decision is here only as far as a case cannot do without it: which address is meant, what a copy
looks like, and that an invitation which was refused is withdrawn.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace

import trio

from conformance.drivers.furnish import commands
from conformance.drivers.ladder import SERVER
from conformance.suite.case import MESSAGE, Case, Room
from conformance.suite.conversation import (
    Answer,
    Arrow,
    Conversation,
    Delivery,
    Driver,
    Lacks,
    Options,
    Sent,
    Target,
    header,
)
from conformance.suite.features import FEATURES, Feature
from conformance.suite.matching import show
from conformance.suite.wire_case import WireCase
from conformance.suite.wire_player import WirePlace
from imc.aor import Aor
from imc.rooms import (
    UNLIMITED,
    Command,
    Context,
    Decision,
    Limits,
    Notice,
    Policy,
    Role,
    RoomRow,
    WithdrawInvitation,
    decide,
    decide_message,
    decide_undelivered,
    is_command,
    parse_command,
)
from imc.rooms import Room as LiveRoom
from imc.rooms.commands import Targeted
from imc.rooms.history import Said, repeat
from imc.rooms.replies import display_name, format_room_text, history_head, texts
from imc.rooms.settings import kept

DOMAIN = "example.com"
MANAGER = Aor("chat-manager", DOMAIN)
_PAGE = 400  # bytes of a list's page, as imc.service.copies has it
_MARKS = 12  # bytes of a page's number, and of a line's end
_HISTORY_BYTES = 16_384
_NOW = 1_800_000_000.0
_PLAIN = "text/plain;charset=utf-8"
_COMPOSING = "application/im-iscomposing+xml"
_AUTOMATIC = (_COMPOSING, "message/imdn+xml")
_NAMES = {"imc_cmd_start_char": "start_char"}
_POLICY = frozenset(
    ("create_on_join", "check_on_create", "owner_leave", "add_requires_consent", "start_char", "room_pattern")
)
_HISTORY = {
    "history.enabled": "is_log_kept",
    "history.keep_messages": "keep_messages",
    "history.keep_days": "keep_days",
}
_LIMITS = frozenset(each.name for each in fields(Limits))


class CoreDriver(Driver):
    """See the module."""

    name = "core"
    profile = "core"

    def describe(self) -> str:
        return "imc's rules of rooms, in this process: no SIP, no database"

    @asynccontextmanager
    async def open(self, options: Options, cases: Sequence[Case]) -> AsyncIterator[Target]:
        yield _Target(options)


class _Target(Target):
    name = "core"

    def __init__(self, options: Options) -> None:
        self.features: frozenset[Feature] = frozenset(FEATURES) - {lack.feature for lack in options.profile.lacks}

    @asynccontextmanager
    async def conversation(self, case: Case) -> AsyncIterator[Conversation]:
        if any(step.response or any(one.headers for each in step.gets.values() for one in each) for step in case.step):
            raise Lacks("headers: they are the service's")
        yield _Conversation(case, self.features)

    @asynccontextmanager
    async def wire_place(self, case: WireCase) -> AsyncIterator[WirePlace]:
        raise Lacks("SIP")
        yield


def policy_of(settings: Mapping[str, object]) -> Policy:
    """The policy of a case's settings. Lacks for a setting that is not of the rules."""
    policy: dict[str, object] = {"room_pattern": "chat-*"}
    limits: dict[str, object] = {}
    are_limited = True
    for key, value in settings.items():
        section, _, name = key.rpartition(".")
        name = _NAMES.get(name, name)
        if key == "delivery.keep_for":  # nothing is delivered, whatever is said
            continue
        if key == "limits.enabled":
            are_limited = bool(value)
        elif key in _HISTORY:
            policy[_HISTORY[key]] = value
        elif section == "limits" and name in _LIMITS:
            limits[name] = value
        elif section in ("", "imc") and name in _POLICY:
            policy[name] = value
        else:
            raise Lacks(f"the setting {key}: it is not of the rules of rooms")
    bounds = Limits(**limits) if are_limited else UNLIMITED  # type: ignore[arg-type]
    return Policy(domains=(DOMAIN,), manager=MANAGER, limits=bounds, **policy)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Request:
    """A MESSAGE that was sent, as a decision sees it."""

    sender: Aor
    to: Aor
    sent: Sent
    call_id: str

    @property
    def essence(self) -> str:
        return (self.sent.content_type or "").partition(";")[0].strip().lower()

    @property
    def is_plain(self) -> bool:
        return self.essence in ("", "text/plain")

    @property
    def text(self) -> str | None:
        """Lacks for another charset: converting is the service's."""
        if not self.is_plain:
            return None
        charset = (self.sent.content_type or "").lower().partition("charset=")[2].strip('"') or "utf-8"
        try:
            if charset in ("utf-8", "us-ascii"):
                return self.sent.body.decode()
        except UnicodeDecodeError:
            pass
        raise Lacks("other charsets: converting them is not of the rules of rooms")

    @property
    def is_automatic(self) -> bool:
        submitted = header(self.sent.headers, "Auto-Submitted")
        return self.essence in _AUTOMATIC or (submitted or "no").partition(";")[0].strip().lower() != "no"


class _Conversation(Conversation):
    def __init__(self, case: Case, features: frozenset[Feature]) -> None:
        self.case = case
        self.domain = DOMAIN
        self.features = features
        self.ladder: list[Arrow] = []
        self._policy = policy_of(case.settings)
        self._rooms: dict[Aor, LiveRoom] = {}
        self._said: dict[Aor, list[Said]] = {}
        self._got: dict[str, list[Delivery]] = {actor: [] for actor in case.people}
        self._actors = {Aor.parse(self.address(actor)): actor for actor in case.people}
        self._answers: dict[str, int | None] = {}
        self._failing: list[WithdrawInvitation] = []
        self._numbers = itertools.count(1)
        self._began = trio.current_time()

    # --- names ------------------------------------------------------------------------------------------------------

    def address(self, actor: str) -> str:
        return f"{self.case.users.get(actor, actor)}@{DOMAIN}"

    def room(self, name: str = "room") -> str:
        return f"chat-{name}@{DOMAIN}"

    @property
    def manager(self) -> str | None:
        return f"{MANAGER.user}@{MANAGER.host}"

    # --- what actors do ---------------------------------------------------------------------------------------------

    async def furnish(self, room: Room) -> None:
        for actor, words in commands(room, self.address):
            body = f"{self._policy.start_char}{words}".encode()
            answer = await self.send(Sent(by=actor, to=f"sip:{self.room()}", body=body))
            if answer.status != 200:
                raise Lacks(f"a room that stands so: {actor}: {words}: {answer.status}")
        for got in self._got.values():
            got.clear()

    async def send(self, sent: Sent) -> Answer:
        request = self._request(sent)
        self._draw(sent.by, SERVER, f"MESSAGE {show(sent.body)}")
        if request is None:
            return Answer(status=404, reason="Not Found")
        decision = self._repeat(self._decide(request))
        self._keep(decision)
        self._draw(SERVER, sent.by, str(decision.status))
        self._tell(decision, request.call_id)
        if decision.status == 202 and decision.room is not None:
            self._log(decision.room, request)
            self._copy(decision.room, request, decision.recipients)
        return Answer(status=decision.status, reason=decision.clause, call_id=request.call_id)

    def _request(self, sent: Sent) -> _Request | None:
        """None where nobody here has that address (spec R-ADDR-3)."""
        call_id = f"core-{next(self._numbers)}"
        try:
            sender = Aor.parse(sent.claims or f"sip:{self.address(sent.by)}")
            targets = [Aor.parse(uri) for uri in (sent.to_header, sent.to) if uri is not None]
        except ValueError:
            raise Lacks("addresses without a user part: they do not come as far as the rules of rooms") from None
        if not self._policy.is_served(sender.host):
            raise Lacks("users of other domains: who may speak is a matter of the service")
        for to in targets:
            if self._policy.is_served(to.host):
                if to == MANAGER or to in self._rooms or self._policy.may_be_room(to):
                    return _Request(sender, to, sent, call_id)
                raise Lacks(FEATURES["relay"])
        return None

    def _decide(self, request: _Request) -> Decision:
        text = request.text
        context = Context(is_sender_room=request.sender in self._rooms, is_automatic=request.is_automatic)
        if text is None or not is_command(text, self._policy):
            room = self._rooms.get(request.to)
            size = len(request.sent.body)
            return decide_message(room, request.sender, self._policy, to=request.to, size=size, context=context)
        command = parse_command(text, request.to, self._policy)
        context = self._context(command, request)
        return decide(self._rooms.get(command.room), command, request.sender, self._policy, context)

    def _context(self, command: Command, request: _Request) -> Context:
        owned = sum(room.role(request.sender) is Role.OWNER for room in self._rooms.values())
        return Context(
            serial=next(self._numbers),
            rooms_owned=owned,
            rooms_total=len(self._rooms),
            is_target_room=isinstance(command, Targeted) and command.user in self._rooms,
            is_sender_room=request.sender in self._rooms,
            rooms=tuple(self._rows(request.sender)),
            is_automatic=request.is_automatic,
        )

    def _rows(self, user: Aor) -> Iterator[RoomRow]:
        for aor, room in sorted(self._rooms.items()):
            if not room.is_private or room.role(user) is not None:
                yield RoomRow(aor, room.is_private, room.role(user))

    def _keep(self, decision: Decision) -> None:
        if decision.room is None:
            self._rooms.pop(decision.address, None)
            self._said.pop(decision.address, None)
        elif decision.changes:
            self._rooms[decision.address] = decision.room

    def _log(self, room: LiveRoom, request: _Request) -> None:
        """Spec R-HISTORY-1."""
        is_of_now = request.essence == _COMPOSING or header(request.sent.headers, "Expires") == "0"
        if not is_of_now and kept(room.settings, self._policy).messages:
            body = request.sent.body
            one = Said(request.sender, _NOW, request.essence or "text/plain", len(body), request.text)
            self._said.setdefault(room.aor, []).append(one)

    def _repeat(self, decision: Decision) -> Decision:
        """Put what was said into the notice that repeats it, as the service does."""
        room = decision.room
        if room is None or decision.refusal is not None:
            return decision
        notices = []
        for notice in decision.notices:
            if notice.event == "history":
                count = min(notice.count, kept(room.settings, self._policy).messages)
                said = self._said.get(room.aor, [])[-count:] if count else []
                max_line = _PAGE - len(history_head(room.aor)) - _MARKS
                lines = repeat(room, said, max_line=max_line, max_bytes=_HISTORY_BYTES).lines
                notices.append(replace(notice, lines=lines))
            else:
                notices.append(notice)
        return replace(decision, notices=tuple(notices))

    async def retransmit(self, actor: str) -> Answer:
        raise Lacks(FEATURES["retransmission"])

    async def merge(self, actor: str) -> Answer:
        raise Lacks(FEATURES["retransmission"])

    async def register(self, actor: str) -> Answer:
        raise Lacks(FEATURES["register"])

    async def unregister(self, actor: str) -> Answer:
        raise Lacks(FEATURES["register"])

    async def restart(self, *, kill: bool) -> None:
        raise Lacks(FEATURES["restart"])

    def answer_with(self, actor: str, status: int | None) -> None:
        self._answers[actor] = status

    # --- what they get ----------------------------------------------------------------------------------------------

    async def wait_arrived(self, awaited: Mapping[str, int]) -> None:
        """All has, always."""

    async def settle(self, awaited: Mapping[str, int]) -> dict[str, list[Delivery]]:
        """Whoever was silent has been so for long enough now."""
        failing, self._failing = self._failing, []
        for failed in failing:
            self._withdraw(failed)
        found = {actor: self._got[actor] for actor in awaited}
        self._got |= {actor: [] for actor in awaited}
        return found

    def _tell(self, decision: Decision, call_id: str | None) -> None:
        """The answer first, as the service has it."""
        failing: list[WithdrawInvitation] = []
        for notice in sorted(decision.notices, key=lambda each: not each.is_answer):
            for page in texts(notice, self._policy, _PAGE):
                for recipient in notice.recipients:
                    self._give(recipient, notice.room, notice.event, page.encode(), _PLAIN, cause=call_id)
            if notice.event == "invitation":
                failing += self._refused(notice, decision)
        for failed in failing:
            self._withdraw(failed)

    def _refused(self, notice: Notice, decision: Decision) -> Iterator[WithdrawInvitation]:
        """An invitation that its recipient refuses; one that they are silent about is kept for `settle`."""
        for recipient in notice.recipients:
            actor = self._actors.get(recipient)
            status = 404 if actor is None else self._answers.get(actor, 200)
            entry = None if decision.room is None else decision.room.members.get(recipient)
            if entry is None or entry.invited_by is None:
                continue
            failed = WithdrawInvitation(room=notice.room, user=recipient, inviter=entry.invited_by, serial=entry.serial)
            if status is None:
                self._failing.append(failed)
            elif status >= 300:
                yield failed

    def _withdraw(self, failed: WithdrawInvitation) -> None:
        decision = decide_undelivered(self._rooms.get(failed.room), failed, self._policy)
        self._keep(decision)
        self._tell(decision, None)

    def _copy(self, room: LiveRoom, request: _Request, recipients: Sequence[Aor]) -> None:
        label = display_name(room, request.sender)
        body, content_type = request.sent.body, request.sent.content_type
        text = request.text
        if text is not None:
            body, content_type = format_room_text(label, text).encode(), _PLAIN
        for recipient in recipients:
            self._give(recipient, room.aor, MESSAGE, body, content_type, display=label)

    def _give(
        self,
        recipient: Aor,
        sender: Aor,
        event: str,
        body: bytes,
        content_type: str | None,
        *,
        cause: str | None = None,
        display: str | None = None,
    ) -> None:
        actor = self._actors.get(recipient)
        if actor is None:
            return
        self._draw(SERVER, actor, f"MESSAGE {event}")
        self._got[actor].append(
            Delivery(
                recipient=actor,
                sender_uri=str(sender),
                to_uri=str(recipient),
                display=display,
                content_type=content_type,
                body=body,
                event=event,
                in_reply_to=cause,
            )
        )

    def _draw(self, source: str, target: str, summary: str) -> None:
        at = trio.current_time() - self._began
        self.ladder.append(Arrow(at=at, source=source, target=target, summary=summary))
