"""A run: the chosen cases against one server, several at a time, each held against the server's profile.

Workers take chains of cases. Cases of the same settings follow each other, so that their server is not kept for long.
Those that need a server for themselves, to restart it or for its few accounts, make one chain, since they would only
wait for each other. Those in which somebody is silent wait for half a minute without doing anything: where others may
run beside them they start first, and take nobody's place.
"""

from __future__ import annotations

import json
import platform
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import trio

from conformance.suite import room_case
from conformance.suite.case import Case
from conformance.suite.conversation import Driver, Options, Target
from conformance.suite.features import Feature
from conformance.suite.profile import Deviation, Profile
from conformance.suite.selection import AnyCase, needs
from conformance.suite.verdict import CaseVerdict, RunVerdict
from conformance.suite.wire_case import WireCase
from conformance.suite.wire_player import PATIENCE, play_wire

Tell = Callable[[CaseVerdict], None]
_WAITING_AT_ONCE = 64
_ALONE: frozenset[Feature] = frozenset(("restart", "digest"))


async def run(
    driver: Driver,
    options: Options,
    cases: Sequence[AnyCase],
    *,
    tell: Tell = lambda verdict: None,
    is_fail_fast: bool = False,
    is_strict: bool = False,
) -> RunVerdict:
    """All of it. ``tell`` hears each verdict as it comes; with ``is_fail_fast`` the first that fails the run ends it.

    CannotStart.
    """
    began, started = datetime.now(UTC), trio.current_time()
    profile = options.profile
    to_play = [case for case in cases if profile.lack(needs(case)) is None]
    found = {case.id: _lacking(case, profile) for case in cases if case not in to_play}
    for verdict in found.values():
        tell(verdict)
    version = ""
    if to_play:
        async with driver.open(options, [case for case in to_play if isinstance(case, Case)]) as target:
            version = target.version
            playing = _Run(
                target, profile, found, tell, options.patience, is_fail_fast=is_fail_fast, is_strict=is_strict
            )
            await playing.play(to_play)
    return RunVerdict(
        target=driver.name if options.uri is None else options.uri,
        version=version,
        profile=profile.name,
        began=began.isoformat(timespec="seconds"),
        seconds=round(trio.current_time() - started, 3),
        host=platform.node(),
        cases=[found[case.id] for case in cases if case.id in found],
    )


class _Run:
    """The playing of it. ``found`` is filled."""

    def __init__(
        self,
        target: Target,
        profile: Profile,
        found: dict[str, CaseVerdict],
        tell: Tell,
        patience: float | None,
        *,
        is_fail_fast: bool,
        is_strict: bool,
    ) -> None:
        self._target = target
        self._patience = patience
        self._profile = profile
        self._found = found
        self._tell = tell
        self._is_fail_fast = is_fail_fast
        self._is_strict = is_strict

    async def play(self, cases: Sequence[AnyCase]) -> None:
        width = self._target.concurrency
        waiting = [case for case in cases if width > 1 and _is_waiting(case)]
        chains = _chains([case for case in cases if case not in waiting])
        idle = deque([case] for case in waiting)
        async with trio.open_nursery() as nursery:
            for _ in range(width):
                nursery.start_soon(self._work, chains, nursery)
            for _ in range(min(len(waiting), _WAITING_AT_ONCE)):
                nursery.start_soon(self._work, idle, nursery)

    async def _work(self, chains: deque[list[AnyCase]], nursery: trio.Nursery) -> None:
        while chains:
            for case in chains.popleft():
                await self._one(case, nursery)

    async def _one(self, case: AnyCase, nursery: trio.Nursery) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        verdict = judge(await play(case, self._target, self._patience), self._profile.deviation_of(case.id))
        self._found[case.id] = verdict
        self._tell(verdict)
        if self._is_fail_fast and verdict.fails_run(is_strict=self._is_strict):
            nursery.cancel_scope.cancel()


async def play(case: AnyCase, target: Target, patience: float | None = None) -> CaseVerdict:
    """One case, of either kind. ``patience``: of a byte-exact one, seconds for an answer; a target has its own."""
    if isinstance(case, Case):
        return await room_case.play(case, target)
    try:
        async with target.wire_place(case) as place:
            return await play_wire(case, place, patience=PATIENCE if patience is None else patience)
    except Exception as error:
        outcome, why = room_case.what_broke(error)
        return replace(_blank(case), outcome=outcome, why=why)


def judge(verdict: CaseVerdict, deviation: Deviation | None) -> CaseVerdict:
    """A case's verdict in the light of what is declared of it. A ladder is kept of what did not pass."""
    if deviation is None or verdict.outcome == "skipped":
        return replace(verdict, ladder=[]) if verdict.outcome == "passed" else verdict
    if verdict.outcome == "passed":
        return replace(
            verdict, outcome="deviation-gone", why=f"It passed. Declared: {deviation.reason}", link=deviation.link
        )
    if verdict.outcome == "error" and deviation.seen is not None:
        return verdict  # it is not known how the case would have failed
    otherwise = _otherwise(verdict, deviation)
    if otherwise:
        why = f"{otherwise}. Declared: {deviation.reason}\n{verdict.why}"
        return replace(verdict, outcome="deviation-gone", why=why, link=deviation.link)
    return replace(verdict, outcome="deviates", why=deviation.reason, link=deviation.link)


def _otherwise(verdict: CaseVerdict, deviation: Deviation) -> str:
    """How a failure is not the one that is declared; "" where it is."""
    seen = deviation.seen
    if seen is None:
        return ""
    step = next((each for each in verdict.steps if each.problems), None)
    if step is None:
        return "It failed in no step"
    if seen.step is not None and step.number != seen.step:
        return f"It failed in step {step.number}, not {seen.step}"
    if seen.status is not None and step.status != seen.status:
        return f"It failed with the status {step.status}, not {seen.status}"
    return ""


def _lacking(case: AnyCase, profile: Profile) -> CaseVerdict:
    lack = profile.lack(needs(case))
    assert lack is not None
    return replace(_blank(case), outcome="skipped", why=f"{lack.feature}: {lack.reason}", link=lack.link)


def _blank(case: AnyCase) -> CaseVerdict:
    return CaseVerdict(
        id=case.id,
        clause=case.clause,
        level=case.level,
        title=case.title,
        tags=list(case.tags),
        outcome="skipped",
        quotation=case.says if isinstance(case, WireCase) else case.quotation,
    )


def _chains(cases: Sequence[AnyCase]) -> deque[list[AnyCase]]:
    """What a worker plays in one go: the long ones first, then case by case, by settings."""
    long: dict[str, list[AnyCase]] = {}
    short: list[AnyCase] = []
    for case in cases:
        alone = sorted(needs(case) & _ALONE)
        if alone:
            long.setdefault(f"{alone} {_settings(case)}", []).append(case)
        else:
            short.append(case)
    return deque([*long.values(), *([case] for case in sorted(short, key=_settings))])


def _settings(case: AnyCase) -> str:
    return json.dumps(case.settings, sort_keys=True) if isinstance(case, Case) and case.settings else ""


def _is_waiting(case: AnyCase) -> bool:
    """Whether somebody is silent in it."""
    return isinstance(case, Case) and any("silence" in step.answers.values() for step in case.step)
