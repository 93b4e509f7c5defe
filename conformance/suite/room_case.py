"""Plays a room case against a target, and says what came of it.

Each step is done, answered, settled behind a barrier, and compared; the first step with a problem is the last one
played, since what follows rests on it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from conformance.suite.case import MESSAGE, RELAYED, Case, Expected, Status, Step, is_uri
from conformance.suite.conversation import Answer, BarrierLost, Conversation, Delivery, Lacks, Sent, Target
from conformance.suite.matching import Wanted, answer_problems, bare, compare, shared_call_ids, show
from conformance.suite.template import render
from conformance.suite.verdict import CaseVerdict, Outcome, StepSeen
from imc.aor import Aor

PROMPT = 16.0
"""Seconds within which somebody gets theirs who does not wait until a silent one is given up, after 32 s."""
WITHIN = 120.0
"""Seconds for a whole case. Silence alone takes 32 of them (RFC 3261 §17.1.2.2, Timer F)."""


async def play(case: Case, target: Target, *, within: float = WITHIN) -> CaseVerdict:
    """The verdict on the server alone: no profile is asked. Whatever goes wrong on our side is an "error".

    A case whose barrier is lost, as may happen under load, is played once more.
    """
    verdict, is_lost = await _attempt(case, target, within)
    if is_lost:
        target.again(case)
        verdict, _ = await _attempt(case, target, within)
    return verdict


async def _attempt(case: Case, target: Target, within: float) -> tuple[CaseVerdict, bool]:
    """The verdict, and whether a barrier was lost."""
    began = trio.current_time()
    playing = _Playing(case)
    outcome: Outcome = "error"
    why, is_lost = "", False
    try:
        with trio.fail_after(within):
            async with target.conversation(case) as conversation:
                await playing.play(conversation)
        problems = [problem for step in playing.steps for problem in step.problems]
        outcome, why = ("failed", "\n".join(problems)) if problems else ("passed", "")
    except trio.TooSlowError:
        why = f"not at its end after {within:g} s, in step {len(playing.steps) + 1}"
    except Exception as error:
        outcome, why = what_broke(error)
        is_lost = isinstance(_first(error), BarrierLost)
    verdict = CaseVerdict(
        id=case.id,
        clause=case.clause,
        level=case.level,
        title=case.title,
        tags=list(case.tags),
        outcome=outcome,
        why=why,
        steps=playing.steps,
        ladder=[] if playing.conversation is None else list(playing.conversation.ladder),
        seconds=trio.current_time() - began,
        quotation=case.quotation,
    )
    return verdict, is_lost


def what_broke(error: BaseException) -> tuple[Outcome, str]:
    """What an exception makes of a case, and its words; of a group, its first one."""
    error = _first(error)
    return ("skipped", f"needs: {error}") if isinstance(error, Lacks) else ("error", f"{type(error).__name__}: {error}")


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass
class _Playing:
    """A case being played. ``steps`` are those played so far."""

    case: Case
    conversation: Conversation | None = None
    steps: list[StepSeen] = field(default_factory=list)
    _wanted: dict[str, list[Wanted]] = field(default_factory=dict)
    _call_ids: dict[str, set[str]] = field(default_factory=dict)

    async def play(self, conversation: Conversation) -> None:
        """Lacks; whatever the conversation raises."""
        self.conversation = conversation
        self._wanted = {actor: [] for actor in self.case.people}
        if self.case.room is not None:
            await conversation.furnish(self.case.room)
        for number, step in enumerate(self.case.step, 1):
            is_settled = self.case.barrier == "each" or step.do == "settle" or number == len(self.case.step)
            seen = await _Player(self, conversation, step, number).play(is_settled=is_settled)
            self.steps.append(seen)
            if seen.problems:
                break


class _Player:
    """One step."""

    def __init__(self, playing: _Playing, conversation: Conversation, step: Step, number: int) -> None:
        self._playing = playing
        self._on = conversation
        self._step = step
        self._number = number
        self._wanted = playing._wanted
        self._call_ids = playing._call_ids

    async def play(self, *, is_settled: bool) -> StepSeen:
        step = self._step
        for actor, how in step.answers.items():
            self._on.answer_with(actor, None if how == "silence" else how)
        answer = await self._act()
        if answer is not None and step.by is not None:
            self._call_ids.setdefault(step.by, set()).add(answer.call_id)
        problems = [] if answer is None else answer_problems(answer, self._allowed(), self._response())
        for actor, expected in step.gets.items():
            self._wanted[actor] += [self._resolve(one) for one in expected]
        problems += await self._waited()
        got: dict[str, list[Delivery]] = {}
        if is_settled:
            got = await self._on.settle({actor: len(wanted) for actor, wanted in self._wanted.items()})
            for actor, wanted in self._wanted.items():
                problems += compare(actor, self._on.address(actor), wanted, got.get(actor, []))
                wanted.clear()
            problems += shared_call_ids(got, set().union(*self._call_ids.values()))
        else:
            await self._on.wait_arrived({actor: len(self._wanted[actor]) for actor in step.answers})
        for actor in step.answers:
            self._on.answer_with(actor, 200)
        return StepSeen(
            number=self._number,
            words=self.words(),
            expected=self._expected(),
            seen=_seen(answer, got, is_settled=is_settled),
            problems=problems,
            status=None if answer is None else answer.status,
        )

    async def _waited(self) -> list[str]:
        """What is wrong where somebody waits for those who are silent (spec R-ORDER-2)."""
        began = trio.current_time()
        await self._on.wait_arrived({actor: len(self._wanted[actor]) for actor in self._step.prompt})
        took = trio.current_time() - began
        names = " and ".join(self._step.prompt)
        return [f"{names} must not have to wait for who is silent, and waited {took:.0f} s"] if took > PROMPT else []

    def _allowed(self) -> Sequence[Status]:
        return self._step.status if self._step.status is not None else ("2xx",)

    def _response(self) -> dict[str, bool | str]:
        return {name: self._text(each) if isinstance(each, str) else each for name, each in self._step.response.items()}

    async def _act(self) -> Answer | None:
        step, on = self._step, self._on
        match step.do:
            case "send":
                return await on.send(self._sent())
            case "settle":
                return None
            case "restart" | "kill":
                await on.restart(kill=step.do == "kill")
                return None
        assert step.by is not None
        actions = {
            "register": on.register,
            "unregister": on.unregister,
            "retransmit": on.retransmit,
            "merge": on.merge,
        }
        return await actions[step.do](step.by)

    # --- names to addresses -----------------------------------------------------------------------------------------

    def _address(self, name: str) -> str:
        """user@host of a name in a template; of "domain", the domain."""
        if name == "domain":
            return self._on.domain
        if name == "manager":
            return self._manager()
        if name in self._wanted:
            return self._on.address(name)
        return self._on.room(name)

    def _manager(self) -> str:
        if self._on.manager is None:
            raise Lacks("an address of a conference manager")
        return self._on.manager

    def _text(self, template: str) -> str:
        return render(template, self._address)

    def _place(self, place: str) -> str:
        """The address of what a step's ``to`` or an expectation's ``sender`` names."""
        kind, _, name = place.partition(":")
        if kind == "room":
            return self._on.room(name or "room")
        if kind == "user":
            return self._on.address(name)
        return self._manager()

    def _uri(self, place: str) -> str:
        if is_uri(place):
            return self._text(place)
        return f"sip:{self._on.domain}" if place == "server" else f"sip:{self._place(place)}"

    def _sent(self) -> Sent:
        step = self._step
        assert step.by is not None
        claims = step.claims
        if claims is not None:
            claims = self._text(claims) if is_uri(claims) else f"sip:{self._address(claims)}"
        return Sent(
            by=step.by,
            to=self._uri(step.to),
            body=self._body(),
            content_type=step.body_type or None,
            headers=tuple((name, self._text(value)) for name, value in step.headers.items()),
            to_header=None if step.to_header is None else self._text(step.to_header),
            claims=claims,
            credentials=step.credentials,
        )

    def _body(self) -> bytes:
        step = self._step
        return base64.b64decode(step.base64) if step.base64 is not None else self._text(step.text or "").encode()

    # --- what must come ---------------------------------------------------------------------------------------------

    def _resolve(self, one: Expected) -> Wanted:
        is_copy = one.event in (MESSAGE, RELAYED)
        body = self._text(one.body).encode() if one.body is not None else None
        if one.base64 is not None:
            body = base64.b64decode(one.base64)
        by = one.by if one.by is not None else self._step.by
        return Wanted(
            event=one.event,
            senders=self._senders(one, by),
            call_ids=self._causes(one),
            speaker=self._on.address(by) if is_copy and by is not None else None,
            body=body,
            ends=self._ends(one) if is_copy and body is None else None,
            type=one.type,
            has=tuple(map(self._text, one.has)),
            sequence=tuple(map(self._text, one.sequence)),
            lacks=tuple(map(self._text, one.lacks)),
            headers={name: self._text(each) if isinstance(each, str) else each for name, each in one.headers.items()},
        )

    def _senders(self, one: Expected, by: str | None) -> frozenset[str]:
        """A copy comes from the room that it was sent to; a notice from a room of the case, or the manager, or what the
        request is sent to or names (spec R-ANSWER-3).
        """
        if one.sender is not None:
            return frozenset((bare(self._uri(one.sender)),))
        if one.event == RELAYED and by is not None:
            return frozenset((bare(self._on.address(by)),))
        if one.event == MESSAGE and (self._step.to == "room" or self._step.to.startswith("room:")):
            return frozenset((bare(self._place(self._step.to)),))
        rooms = ("room", *self._playing.case.further_rooms)
        places = {bare(self._on.room(name)) for name in rooms}
        if self._on.manager is not None:
            places.add(bare(self._on.manager))
        return frozenset((*places, *self._named()))

    def _named(self) -> Iterator[str]:
        """The addresses that this step's request is sent to, or names in its first line."""
        step = self._step
        if step.do != "send":
            return
        yield from (bare(uri) for uri in (self._uri(step.to), self._text(step.to_header or "")) if uri)
        for word in self._body().partition(b"\n")[0].decode("utf-8", "replace").split():
            with suppress(ValueError):
                aor = Aor.parse(word, self._on.domain)
                yield f"{aor.user}@{aor.host}"

    def _causes(self, one: Expected) -> frozenset[str] | None:
        """The Call-IDs of the requests of whoever is said to have caused a notice (spec R-ANSWER-6)."""
        if one.by is None or one.event in (MESSAGE, RELAYED) or "in-reply-to" not in self._on.features:
            return None
        return frozenset(self._call_ids.get(one.by, ()))

    def _ends(self, one: Expected) -> bytes | None:
        """The text given; else what this step sends, where it does."""
        if one.text is not None:
            return self._text(one.text).encode()
        return self._body() if self._step.do == "send" else None

    # --- for people -------------------------------------------------------------------------------------------------

    def words(self) -> str:
        """What is done, in a line."""
        step = self._step
        if step.do == "send":
            told = f"{step.by} → {step.to}: {show(self._body())}"
        else:
            told = f"{step.by}: {step.do}" if step.by is not None else step.do
        answers = ", ".join(f"{actor} {how}" for actor, how in step.answers.items())
        return f"{told} (answers: {answers})" if answers else told

    def _expected(self) -> str:
        step = self._step
        parts = [] if step.by is None else [" or ".join(str(each) for each in self._allowed())]
        parts += [f"{actor}: {', '.join(one.event for one in expected)}" for actor, expected in step.gets.items()]
        return "; ".join(parts) or "nothing"


def _seen(answer: Answer | None, got: dict[str, list[Delivery]], *, is_settled: bool) -> str:
    parts: list[str] = []
    if answer is not None:
        parts.append(str(answer.status) if answer.status is not None else f"no answer ({answer.reason})")
    parts += [f"{actor}: {_events(deliveries)}" for actor, deliveries in got.items() if deliveries]
    if not is_settled:
        parts.append("compared later")
    return "; ".join(parts) or "nothing"


def _events(deliveries: Iterable[Delivery]) -> str:
    return ", ".join(each.event or show(each.body) for each in deliveries)
