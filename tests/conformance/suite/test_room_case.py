"""A case that passes fails for each wrong thing that a server may do, and says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing

from conformance.drivers.core import CoreDriver
from conformance.suite.case import Case
from conformance.suite.conversation import Answer, BarrierLost, Conversation, Delivery
from conformance.suite.room_case import play
from conformance.suite.verdict import CaseVerdict
from tests.conformance.suite.tampering import OPTIONS, Got, Lies, Tampered, TamperedDriver, TamperedTarget

HEAD: dict[str, Any] = {"clause": "R-INVITE-1", "quotation": "q", "level": "must", "title": "t"}
INVITE = Case.model_validate({
    **HEAD,
    "id": "invite/one",
    "room": {"kind": "private", "alice": "owner", "mary": "member"},
    "actors": ["olga"],
    "step": [
        {
            "by": "alice",
            "text": "#invite {rita}",
            "status": 200,
            "gets": {"alice": "invitation-sent", "rita": {"event": "invitation", "by": "alice"}},
        },
        {
            "by": "rita",
            "text": "#accept",
            "status": 200,
            "gets": {"alice": "member-joined", "mary": "member-joined", "rita": "member-joined"},
        },
        {
            "by": "rita",
            "text": "good morning",
            "status": 202,
            "gets": {"alice": {"event": "message", "type": "text/plain"}, "mary": {"event": "message", "by": "rita"}},
        },
    ],
})  # fmt: skip


async def played(case: Case, lies: Lies | None = None) -> CaseVerdict:
    async with TamperedDriver(lambda: lies or Lies()).open(OPTIONS, [case]) as target:
        return await play(case, target)


class Swaps(Lies):
    """Every delivery to ``actor`` in step ``number`` is what ``change`` makes of it."""

    def __init__(self, number: int, actor: str, change: Callable[[list[Delivery]], list[Delivery]]) -> None:
        self.number, self.actor, self.change = number, actor, change
        self.settled = 0

    def got(self, got: Got) -> Got:
        self.settled += 1
        if self.settled == self.number:
            got[self.actor] = self.change(got[self.actor])
        return got


class Answers(Lies):
    """From the second request on."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.count = 0

    def answer(self, answer: Answer) -> Answer:
        self.count += 1
        return replace(answer, status=self.status, reason="as it says") if self.count > 1 else answer


def each(**changes: Any) -> Callable[[list[Delivery]], list[Delivery]]:
    return lambda got: [replace(one, **changes) for one in got]


STRAY = Delivery(
    recipient="olga", sender_uri="sip:chat-room@example.com", to_uri="sip:olga@example.com", display=None,
    content_type="text/plain", body=b"stray", event="invitation", in_reply_to=None,
)  # fmt: skip

# (step, actor, what becomes of what they got) and a word of the problem
WRONG: dict[str, tuple[int, str, Callable[[list[Delivery]], list[Delivery]], str]] = {
    "one is not told": (1, "rita", lambda got: [], "rita must get invitation, and does not"),
    "the sender is not told": (1, "alice", lambda got: [], "alice must get invitation-sent, and does not"),
    "one is told twice": (2, "mary", lambda got: got * 2, "mary gets what they must not: member-joined"),
    "an outsider is told": (1, "olga", lambda got: [STRAY], "olga gets what they must not: invitation"),
    "a member is told": (1, "mary", lambda got: [replace(STRAY, recipient="mary")], "mary gets what they must not"),
    "the speaker gets a copy": (
        3,
        "rita",
        lambda got: [replace(STRAY, event="message")],
        "rita gets what they must not",
    ),
    "another event": (1, "rita", each(event="member-joined"), "rita must get invitation, and does not"),
    "an unknown event": (1, "rita", each(event=None), "something unknown"),
    "from another": (1, "rita", each(sender_uri="sip:olga@example.com"), "From is olga@example.com"),
    "a copy from the manager": (3, "mary", each(sender_uri="sip:chat-manager@example.com"), "From is chat-manager"),
    "to another": (1, "rita", each(to_uri="sip:olga@example.com"), "To is olga@example.com"),
    "another cause": (1, "rita", each(in_reply_to="another"), "In-Reply-To is another"),
    "another speaker": (3, "mary", each(display="alice", body=b"[alice]: good morning"), "it must tell rita@"),
    "another text": (3, "mary", each(body=b"[rita]: good evening"), "the body must say 'good morning'"),
    "another type": (3, "alice", each(content_type="text/html"), "Content-Type must be text/plain"),
}


async def test_what_is_right_passes() -> None:
    verdict = await played(INVITE)
    assert (verdict.outcome, verdict.why) == ("passed", "")
    assert [step.number for step in verdict.steps] == [1, 2, 3]
    assert verdict.steps[0].words == "alice → room: '#invite rita'"
    assert verdict.steps[0].expected == "200; alice: invitation-sent; rita: invitation"
    assert verdict.steps[0].seen == "200; alice: invitation-sent; rita: invitation"
    assert verdict.ladder


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_fails(name: str) -> None:
    number, actor, change, words = WRONG[name]
    verdict = await played(INVITE, Swaps(number, actor, change))
    assert verdict.outcome == "failed"
    assert words in verdict.why
    assert [step.number for step in verdict.steps] == list(range(1, number + 1)), "nothing is played behind a problem"
    assert [bool(step.problems) for step in verdict.steps] == [False] * (number - 1) + [True]


@pytest.mark.parametrize("status", [202, 403, 500, None])
async def test_another_answer_fails(status: int | None) -> None:
    verdict = await played(INVITE, Answers(status))
    assert verdict.outcome == "failed"
    assert verdict.steps[-1].number == 2
    assert verdict.steps[-1].status == status
    assert verdict.why.startswith("the answer must be 200, and is ")


def case(*steps: dict[str, Any], **more: Any) -> Case:
    return Case.model_validate({**HEAD, "id": "invite/two", "step": list(steps), **more})


REFUSED = {
    "by": "alice",
    "text": "#invite {rita}",
    "answers": {"rita": 486},
    "status": 200,
    "gets": {"alice": ["invitation-sent", "invitation-failed"], "rita": "invitation"},
}
ROOM = {"alice": "owner"}


async def test_the_order_of_what_one_gets_counts() -> None:
    assert (await played(case(REFUSED, room=ROOM))).outcome == "passed"
    verdict = await played(case(REFUSED, room=ROOM), Swaps(1, "alice", lambda got: got[::-1]))
    assert verdict.outcome == "failed"
    assert "alice gets it in the wrong order" in verdict.why


async def test_answers_last_for_their_step() -> None:
    again = {**REFUSED, "answers": {}, "gets": {"alice": "invitation-sent", "rita": "invitation"}}
    assert (await played(case(REFUSED, again, room=ROOM))).outcome == "passed"


async def test_who_is_silent_is_so_until_the_end() -> None:
    silent = {**REFUSED, "answers": {"rita": "silence"}, "gets": {"alice": "invitation-sent", "rita": "invitation"}}
    accepted = {
        "by": "rita",
        "text": "#accept",
        "status": 200,
        "gets": {"alice": "member-joined", "rita": "member-joined"},
    }
    verdict = await played(case(silent, accepted, {"do": "settle"}, room=ROOM, barrier="end"))
    assert verdict.outcome == "passed"
    assert verdict.steps[0].seen == "200; compared later"


async def test_compared_at_the_end_alone() -> None:
    steps = [{**step.model_dump(exclude_defaults=True)} for step in INVITE.step]
    at_end = case(*steps, room=INVITE.model_dump()["room"], barrier="end")
    assert (await played(at_end)).outcome == "passed"
    verdict = await played(at_end, Swaps(1, "mary", lambda got: got[:1]))
    assert verdict.outcome == "failed"
    assert verdict.steps[-1].number == 3
    assert verdict.why == "mary must get message by rita@example.com says 'good morning', and does not"


async def test_a_room_may_be_named_otherwise() -> None:
    step = {
        "by": "alice",
        "text": "#create {room}-b",
        "to": "manager",
        "status": 200,
        "gets": {"alice": "room-created"},
    }
    assert (await played(case(step))).outcome == "passed"
    named = {**step, "gets": {"alice": {"event": "room-created", "sender": "sip:{room}-b@{domain}"}}}
    assert (await played(case(named))).outcome == "passed"
    wrong = {**step, "gets": {"alice": {"event": "room-created", "sender": "room"}}}
    assert (await played(case(wrong))).outcome == "failed"


async def test_what_the_server_lacks_is_skipped() -> None:
    verdict = await played(case({"by": "alice", "text": "hello", "to": "user:mary", "status": 200}))
    assert (verdict.outcome, verdict.why) == (
        "skipped",
        "needs: a server that relays messages from one user to another",
    )


class Breaks(Lies):
    def got(self, got: Got) -> Got:
        raise ExceptionGroup("several", [RuntimeError("it broke")])


async def test_what_breaks_is_an_error() -> None:
    verdict = await played(INVITE, Breaks())
    assert (verdict.outcome, verdict.why) == ("error", "RuntimeError: it broke")


class Loses(Lies):
    """The barriers of the first conversations."""

    def __init__(self, times: int) -> None:
        self.left = times

    def got(self, got: Got) -> Got:
        if self.left:
            self.left -= 1
            raise ExceptionGroup("several", [BarrierLost("408")])
        return got


@pytest.mark.parametrize(("times", "outcome", "why"), [(1, "passed", ""), (2, "error", "BarrierLost: 408")])
async def test_a_case_whose_barrier_is_lost_is_played_once_more(times: int, outcome: str, why: str) -> None:
    told: list[str] = []

    class Told(TamperedTarget):
        def again(self, case: Case) -> None:
            told.append(case.id)

    async with CoreDriver().open(OPTIONS, [INVITE]) as inner:
        verdict = await play(INVITE, Told(inner, Loses(times)))
    assert (verdict.outcome, verdict.why) == (outcome, why)
    assert told == [INVITE.id]


class Hangs(Tampered):
    async def settle(self, awaited: Mapping[str, int]) -> Got:
        await trio.sleep_forever()
        raise AssertionError


class HangingTarget(TamperedTarget):
    @asynccontextmanager
    async def conversation(self, case: Case) -> AsyncIterator[Conversation]:
        async with self.inner.conversation(case) as inner:
            yield Hangs(inner, self.lies)


async def test_a_case_has_its_time(autojump_clock: trio.testing.MockClock) -> None:
    async with CoreDriver().open(OPTIONS, [INVITE]) as target:
        verdict = await play(INVITE, HangingTarget(target, Lies()), within=7)
    assert (verdict.outcome, verdict.why) == ("error", "not at its end after 7 s, in step 1")


class Dawdles(Tampered):
    """Nobody gets anything before a silent one is given up."""

    async def wait_arrived(self, awaited: Mapping[str, int]) -> None:
        await trio.sleep(32 if awaited else 0)


class DawdlingTarget(TamperedTarget):
    @asynccontextmanager
    async def conversation(self, case: Case) -> AsyncIterator[Conversation]:
        async with self.inner.conversation(case) as inner:
            yield Dawdles(inner, self.lies)


@pytest.mark.parametrize(
    ("prompt", "problems"),
    [([], []), (["mary"], ["mary must not have to wait for who is silent, and waited 32 s"])],
)
async def test_nobody_waits_for_the_silent(
    autojump_clock: trio.testing.MockClock, prompt: list[str], problems: list[str]
) -> None:
    """Spec R-ORDER-2."""
    case = INVITE.model_copy(update={"step": (INVITE.step[0].model_copy(update={"prompt": tuple(prompt)}),)})
    async with CoreDriver().open(OPTIONS, [case]) as target:
        verdict = await play(case, DawdlingTarget(target, Lies()))
    assert verdict.steps[0].problems == problems
    assert (await played(case)).outcome == "passed"
