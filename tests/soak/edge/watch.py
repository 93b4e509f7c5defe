"""What is seen of the daemon from outside, and what is judged of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.attacks.process import MIB, descriptors, resident
from tests.soak.edge.site import Site
from tests.soak.faults.steady import slope
from tests.soak.outcome import Outcome

_SETTLES_WITHIN = 90.0  # more than 64*T1, for which requests are remembered, and than all deadlines
_LOOK = 0.1
_SPARE = 20  # descriptors that connections to the database may take meanwhile
_FLAT = 0.05
_LONG = 240.0  # seconds: no slope can be told from what a process takes in its first minutes
_SMALL_GROWTH = 96.0  # megabytes that the first minutes of an attack may take: tables that fill up to their bounds
TABLES = ("tcp_connections",)
SLOW_TABLES = ("bindings", "subscriptions", "server_transactions", "client_transactions")
"""What is in these is forgotten in time only, up to 64*T1."""


@dataclass(frozen=True, slots=True)
class Reading:
    """``at`` in seconds since the attack began."""

    at: float
    megabytes: float
    descriptors: int


def read(on: Site, at: float) -> Reading:
    return Reading(at, resident(on.daemon) / MIB, descriptors(on.daemon))


class Watch:
    """``before`` is from before the attack."""

    def __init__(self, before: Reading, tables: dict[str, int]) -> None:
        self.before = before
        self.tables = tables
        self.readings: list[Reading] = []
        self.most: dict[str, int] = {}

    @classmethod
    async def begin(cls, on: Site) -> Watch:
        return cls(read(on, 0.0), await on.statistics())

    async def run(self, on: Site, every: float) -> None:
        """Until cancelled."""
        began = trio.current_time()
        while True:
            self.readings.append(read(on, trio.current_time() - began))
            for name, value in (await on.statistics()).items():
                self.most[name] = max(value, self.most.get(name, 0))
            await trio.sleep(every)

    async def settle(self, on: Site, tables: tuple[str, ...]) -> list[str]:
        """The attack is over: all is as before, at last. What is not."""
        end = trio.current_time() + _SETTLES_WITHIN
        while True:
            found = await on.statistics()
            wrong = [
                f"{name}: {self.tables[name]} before, {found[name]} after"
                for name in tables
                if found[name] > self.tables[name]
            ]
            now = read(on, 0.0)
            if now.descriptors > self.before.descriptors + _SPARE:
                wrong.append(f"descriptors: {self.before.descriptors} before, {now.descriptors} after")
            if not wrong or trio.current_time() > end:
                return wrong
            await trio.sleep(_LOOK)

    def judge_memory(self, outcome: Outcome, after: Reading) -> None:
        """Flat in the second half, where that is long enough to tell."""
        readings = self.readings or [self.before]
        late = readings[len(readings) // 2 :]
        per_second = slope([(each.at, each.megabytes) for each in late])
        span = late[-1].at - late[0].at
        shown = ", ".join(f"{each.at:.0f} s {each.megabytes:.1f}" for each in readings[:: max(1, len(readings) // 8)])
        outcome.notes.append(f"MB resident: {self.before.megabytes:.1f} before; {shown}; {after.megabytes:.1f} after")
        outcome.notes.append(
            f"descriptors: {self.before.descriptors} before, at most {max(each.descriptors for each in readings)}, "
            f"{after.descriptors} after"
        )
        outcome.figures["memory"] = [(each.at, each.megabytes, each.descriptors) for each in readings]
        if readings[-1].at >= _LONG:
            outcome.notes.append(f"memory in the second half: {3_600 * per_second:+.1f} MB an hour")
            outcome.figures["megabytes_per_hour"] = 3_600 * per_second
            if per_second * span > _FLAT * late[0].megabytes:
                outcome.blame(f"memory grows: {3_600 * per_second:.1f} MB an hour")
        elif after.megabytes - self.before.megabytes > _SMALL_GROWTH:
            outcome.blame(f"memory grew from {self.before.megabytes:.1f} to {after.megabytes:.1f} MB")


def faults_in(log: Path) -> list[str]:
    """Lines of the daemon's log that tell of something unforeseen: errors, tracebacks, what is no record."""
    found = []
    with log.open() as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                found.append(line.strip())
                continue
            if record.get("level") in ("error", "critical") or "exception" in record:
                found.append(line.strip()[:2_000])
    return [each for each in found if each]
