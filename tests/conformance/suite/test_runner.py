from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from conformance.drivers.core import CoreDriver
from conformance.suite import runner, wire_player
from conformance.suite.case import Case
from conformance.suite.conversation import Answer, Driver, Options
from conformance.suite.profile import Deviation, Profile
from conformance.suite.runner import judge, run
from conformance.suite.selection import all_cases, select
from conformance.suite.verdict import CaseVerdict, Outcome, StepSeen
from conformance.suite.wire_case import WireCase
from tests.conformance.suite.tampering import Lies, TamperedDriver, TamperedTarget

HEAD: dict[str, Any] = {"clause": "R-JOIN-1", "quotation": "q", "level": "must", "title": "t"}


def case(name: str, **more: Any) -> Case:
    given = {"step": [{"by": "alice", "text": "#create", "status": 200, "gets": {"alice": "room-created"}}]}
    return Case.model_validate({**HEAD, "id": f"create/{name}", **given, **more})


class RefusesAll(Lies):
    def answer(self, answer: Answer) -> Answer:
        return replace(answer, status=403)


async def outcomes(
    cases: list[Any], profile: dict[str, Any], *, target: Driver | None = None, **how: Any
) -> list[tuple[str, str, str]]:
    options = Options(profile=Profile.model_validate({"target": "x", **profile}))
    told: list[CaseVerdict] = []
    found = await run(target or TamperedDriver(), options, cases, tell=told.append, **how)
    assert sorted(each.id for each in told) == sorted(each.id for each in found.cases)
    return [(each.id.partition("/")[2], each.outcome, each.why) for each in found.cases]


async def test_verdicts_are_in_the_order_of_the_cases() -> None:
    cases = [case(name, settings={"create_on_join": name != "b"} if name != "a" else {}) for name in "abcdefgh"]
    assert await outcomes(cases, {}) == [(name, "passed", "") for name in "abcdefgh"]


async def test_what_a_server_lacks_is_not_played() -> None:
    lacks = [{"feature": "modify", "reason": "has none"}]
    found = await outcomes(
        [case("a", requires=["modify"]), case("b")], {"lacks": lacks}, target=TamperedDriver(RefusesAll)
    )
    assert found[0] == ("a", "skipped", "modify: has none")
    assert found[1][:2] == ("b", "failed")


async def test_where_nothing_can_be_played_no_server_is_started() -> None:
    class Unstartable(CoreDriver):
        def open(self, options: Options, cases: Any) -> Any:
            raise AssertionError

    lacks = [{"feature": "modify", "reason": "has none"}]
    assert await outcomes([case("a", requires=["modify"])], {"lacks": lacks}, target=Unstartable())


async def test_deviations_are_strict() -> None:
    deviation = [{"case": "create/a", "reason": "refuses", "seen": {"status": 403}}]
    assert await outcomes([case("a")], {"deviation": deviation}, target=TamperedDriver(RefusesAll)) == [
        ("a", "deviates", "refuses")
    ]
    assert await outcomes([case("a")], {"deviation": deviation}) == [
        ("a", "deviation-gone", "It passed. Declared: refuses")
    ]


@pytest.mark.parametrize("is_strict", [False, True])
async def test_the_first_that_fails_ends_it(is_strict: bool) -> None:
    cases = [case(f"n{number}", level="should") for number in range(40)]
    target = TamperedDriver(RefusesAll)
    found = await outcomes(cases, {}, target=target, is_fail_fast=True, is_strict=is_strict)
    assert (len(found) < len(cases)) is is_strict


async def test_bytes_cannot_be_played_where_there_is_no_sip() -> None:
    wire = next(each for each in all_cases() if isinstance(each, WireCase))
    assert await outcomes([wire], {}) == [(wire.id.partition("/")[2], "skipped", "needs: SIP")]


@pytest.mark.parametrize(("patience", "handed"), [(None, wire_player.PATIENCE), (0.5, 0.5)])
async def test_patience_is_handed_to_what_plays_bytes(
    monkeypatch: pytest.MonkeyPatch, patience: float | None, handed: float
) -> None:
    wire = next(each for each in all_cases() if isinstance(each, WireCase))
    played: list[float] = []

    async def play(case: WireCase, place: object, *, patience: float) -> CaseVerdict:
        played.append(patience)
        return replace(verdict("passed"), id=case.id)

    @asynccontextmanager
    async def somewhere(self: object, case: WireCase) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(runner, "play_wire", play)
    monkeypatch.setattr(TamperedTarget, "wire_place", somewhere)
    await run(TamperedDriver(), Options(profile=Profile(target="x"), patience=patience), [wire])
    assert played == [handed]


def verdict(outcome: Outcome, *, step: int = 1, status: int = 200, is_bad: bool = True) -> CaseVerdict:
    steps = [
        StepSeen(
            number=number, words="", expected="", seen="", problems=["p"] * (is_bad and number == step), status=status
        )
        for number in range(1, step + 1)
    ]
    return CaseVerdict(
        id="a/b", clause="R-JOIN-1", level="must", title="t", tags=[], outcome=outcome, why="p", steps=steps
    )


@pytest.mark.parametrize(
    ("seen", "found", "outcome", "words"),
    [
        (None, verdict("failed"), "deviates", "r"),
        (None, verdict("error"), "deviates", "r"),
        (None, verdict("skipped"), "skipped", "p"),
        (None, verdict("passed", is_bad=False), "deviation-gone", "It passed"),
        ({"status": 200}, verdict("failed"), "deviates", "r"),
        ({"status": 202}, verdict("failed"), "deviation-gone", "It failed with the status 200, not 202"),
        ({"step": 2, "status": 200}, verdict("failed", step=2), "deviates", "r"),
        ({"step": 1}, verdict("failed", step=2), "deviation-gone", "It failed in step 2, not 1"),
        ({"step": 1}, verdict("failed", is_bad=False), "deviation-gone", "It failed in no step"),
        ({"step": 1}, verdict("error", is_bad=False), "error", "p"),
    ],
)
def test_what_is_declared(seen: dict[str, int] | None, found: CaseVerdict, outcome: str, words: str) -> None:
    deviation = Deviation.model_validate({"case": "a/*", "reason": "r", "link": "https://example.org/", "seen": seen})
    judged = judge(found, deviation)
    assert judged.outcome == outcome
    assert judged.why.startswith(words)
    assert (judged.link == deviation.link) is (outcome not in ("skipped", "error"))


def test_a_ladder_is_kept_of_what_did_not_pass() -> None:
    arrows: Any = ["an arrow"]
    assert judge(replace(verdict("passed"), ladder=arrows), None).ladder == []
    assert judge(replace(verdict("failed"), ladder=arrows), None).ladder == arrows


def test_cases_that_need_a_server_alone_make_one_chain() -> None:
    kill = {"step": [{"do": "kill"}]}
    cases = [
        case("a", settings={"check_on_create": True}),
        case("b"),
        case("c", **kill),
        case("d", settings={"check_on_create": True}),
        case("e", **kill),
        case("f", settings={"owner_leave": "refuse"}, **kill),
    ]
    chains = [[each.id[-1] for each in chain] for chain in runner._chains(cases)]
    assert chains == [["c", "e"], ["f"], ["b"], ["a"], ["d"]]


async def test_all_cases_that_the_rules_alone_can_decide() -> None:
    """The suite against the rules of rooms in this process: every case passes, or is skipped for a reason."""
    from conformance.suite.profile import load_profile

    cases = [each for each in select(all_cases(), ()) if isinstance(each, Case)]
    found = await run(CoreDriver(), Options(profile=load_profile("core")), cases)
    assert [each.id for each in found.cases if each.outcome not in ("passed", "skipped")] == []
    assert found.counts()["passed"] > 400
