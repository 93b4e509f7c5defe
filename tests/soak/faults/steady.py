"""Ten minutes at 80 % of the most that it can: nothing is lost, nothing comes twice, and memory stays as it is.

The most is found in some seconds, with so many requests unanswered at a time. Then as many as 80 % of it are sent each
tenth of a second. What is due is looked at every ten seconds. Memory is flat where it grows by less than a twentieth
in the last two thirds, by its slope: of a daemon of 90 MB that serves 300 requests a second, 40 bytes a request.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trio

from conformance.load import proc
from conformance.load.message import Outgoing
from conformance.load.sender import Names, Sender
from conformance.load.servers import Imc
from conformance.load.sinks import Sinks
from conformance.load.tally import Tally, heard
from conformance.load.works import Ask, build
from tests.soak.outcome import Outcome, Plan, Work

SHARE = 0.8
_USERS = 100
_SLOT, _WINDOW = 0.1, 10.0
_OUTSTANDING = 16
_FINDING, _SMALL_FINDING = 8.0, 0.5
_QUIET = 36.0
_FLAT = 0.05
_TOO_SHORT = 300.0  # seconds: no slope can be told from what a process takes in its first minutes
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> float:
    """Megabytes of all processes of a tree that are in memory now."""
    total = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in proc.tree(pid))
    return total * _PAGE / (1 << 20)


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares: the second of each pair by the first."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


@dataclass(slots=True)
class _Run:
    """The load on one server, window by window."""

    sender: Sender
    sinks: Sinks
    asks: Iterator[Ask]
    outcome: Outcome
    statuses: Counter[str] = field(default_factory=Counter)

    def _send(self, count: int, asked: dict[int, Ask], outstanding: int, seconds: float) -> int:
        """How many got a 2xx."""

        def prepared() -> Iterator[Outgoing]:
            for _ in range(count):
                ask = next(self.asks)
                request = self.sender.ask(ask)
                asked[request.number] = ask
                yield request

        sent = self.sender.run(prepared(), outstanding=outstanding, seconds=seconds)
        for each in sent:
            self.statuses[str(each.status) if each.status else "none"] += 1
            if not 200 <= each.status < 300:
                asked.pop(each.number, None)
        granted = sum(200 <= each.status < 300 for each in sent)
        self.outcome.sent += len(sent)
        self.outcome.acknowledged += granted
        return granted

    def most(self, seconds: float) -> float:
        """Requests a second, as fast as they are answered and delivered."""
        began = time.monotonic()
        done = 0
        while time.monotonic() - began < seconds:
            asked: dict[int, Ask] = {}
            done += self._send(200, asked, _OUTSTANDING, 2 * _QUIET)
            self._settle(asked)
        return done / (time.monotonic() - began)

    def window(self, rate: float, seconds: float) -> None:
        """So many requests a second for so long; then all that was due has come, or is lost."""
        asked: dict[int, Ask] = {}
        began = time.monotonic()
        slots = max(1, round(seconds / _SLOT))
        sent = 0
        for slot in range(slots):
            wanted = round(rate * _SLOT * (slot + 1)) - sent
            sent += wanted
            self._send(wanted, asked, max(1, wanted), _QUIET)
            time.sleep(max(0.0, began + _SLOT * (slot + 1) - time.monotonic()))
        self._settle(asked)

    def _settle(self, asked: dict[int, Ask]) -> None:
        tally = Tally()
        last = time.monotonic()
        before = -1
        while True:
            tally.add(self.sinks.collect())
            found = heard(tally, asked, 0)
            if not found.lost or time.monotonic() - last > _QUIET:
                break
            if found.deliveries != before:
                before, last = found.deliveries, time.monotonic()
            time.sleep(0.01)
        self.outcome.due += sum(len(ask.audience or ()) for ask in asked.values())
        self.outcome.delivered += found.deliveries
        self.outcome.lost += found.lost
        self.outcome.repeated += found.duplicates
        self.outcome.leaked += found.unexpected


def _steady(plan: Plan) -> Outcome:
    outcome = Outcome(fault="steady")
    names = Names()
    work = build("small-rooms", 10 if plan.is_small else _USERS, 1_000)
    seconds = plan.seconds_or(600.0, 1.0)
    prefix = len("sip:") + len(names.user)
    with (
        tempfile.TemporaryDirectory(prefix="imc-soak-") as folder,
        Sinks(1, is_shared=True, prefix=prefix) as sinks,
        Imc().running(Path(folder), work.rooms, names, ("127.0.0.1", sinks.port(0))) as running,
    ):
        assert running.pid is not None
        sender = Sender(running.address, names)
        try:
            run = _Run(sender, sinks, itertools.cycle(work.asks), outcome)
            most = run.most(_SMALL_FINDING if plan.is_small else _FINDING)
            plan.say(
                f"steady: at most {most:.0f} requests a second; {SHARE * most:.0f} from now on, for {seconds:.0f} s"
            )
            points = _hold(run, SHARE * most, seconds, running.pid, plan)
        finally:
            sender.close()
    outcome.statuses = dict(sorted(run.statuses.items()))
    _judge(outcome, points, most, seconds)
    return outcome


def _hold(run: _Run, rate: float, seconds: float, pid: int, plan: Plan) -> list[tuple[float, float]]:
    """Seconds and megabytes, window by window."""
    began = time.monotonic()
    points = [(0.0, resident(pid))]
    while (rest := seconds - (time.monotonic() - began)) > _SLOT:
        run.window(rate, min(_WINDOW, rest))
        points.append((time.monotonic() - began, resident(pid)))
        plan.say(f"steady: {points[-1][0]:.0f} s, {points[-1][1]:.1f} MB, {run.outcome.delivered} delivered")
    return points


def _judge(outcome: Outcome, points: list[tuple[float, float]], most: float, seconds: float) -> None:
    outcome.seconds = points[-1][0]
    late = points[len(points) // 3 :]
    per_hour = 3_600 * slope(late)
    outcome.figures |= {
        "most_per_second": most,
        "rate_per_second": SHARE * most,
        "memory": points,
        "megabytes_per_hour": per_hour,
    }
    shown = ", ".join(f"{at:.0f} s {megabytes:.1f}" for at, megabytes in points[:: max(1, len(points) // 10)])
    outcome.notes.append(f"at most {most:.0f} requests a second, {SHARE * most:.0f} sent; MB resident: {shown}")
    if seconds >= _TOO_SHORT:
        outcome.notes.append(f"memory in the last two thirds: {per_hour:+.1f} MB an hour")
        if per_hour / 3_600 * (late[-1][0] - late[0][0]) > _FLAT * late[0][1]:
            outcome.blame(f"memory grows: {per_hour:.1f} MB an hour")


async def _in_a_thread(plan: Plan) -> Outcome:
    return await trio.to_thread.run_sync(_steady, plan)


WORKS: dict[str, Work] = {"steady": _in_a_thread}
