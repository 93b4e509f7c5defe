"""A fault, what it is run with, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from conformance.load.figures import quantile
from tests.databases import Server
from tests.soak.ledger import Ledger
from tests.soak.servers import server


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``rounds`` and ``seconds`` (of each fault, or of the work) None: each fault's usual ones.

    ``is_small``: as little as shows that it works, for the tests. ``server`` gives a database server of a kind.
    """

    rounds: int | None = None
    seconds: float | None = None
    seed: int = 1
    is_small: bool = False
    say: Callable[[str], None] = print
    server: Callable[[str], AbstractContextManager[Server]] = server

    def rounds_or(self, usual: int, small: int) -> int:
        if self.rounds is not None:
            return self.rounds
        return small if self.is_small else usual

    def seconds_or(self, usual: float, small: float) -> float:
        if self.seconds is not None:
            return self.seconds
        return small if self.is_small else usual


@dataclass(slots=True, kw_only=True)
class Outcome:
    """A row of the table.

    ``excused``: what came twice, by why that is right. ``recovery``: the median, and the longest, of the seconds from
    the end of the fault until a 2xx. ``wrong`` is what must not be, beside what the counts say.
    """

    fault: str
    rounds: int = 0
    seconds: float = 0.0
    sent: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    due: int = 0
    delivered: int = 0
    lost: int = 0
    repeated: int = 0
    disordered: int = 0
    leaked: int = 0
    wrong: int = 0
    excused: dict[str, int] = field(default_factory=dict)
    recovery: tuple[float, float] | None = None
    skipped: str = ""
    examples: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.repeated or self.disordered or self.leaked or self.wrong)

    def take(self, ledger: Ledger, seconds: float) -> None:
        """The sums of a ledger whose books are closed."""
        verdict = ledger.verdict
        self.seconds += seconds
        for name in ("sent", "acknowledged", "due", "delivered", "lost", "repeated", "disordered", "leaked", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(verdict, name))
        shown = {str(status) if status else "none": count for status, count in verdict.statuses.items()}
        self.statuses = dict(sorted((Counter(self.statuses) + Counter(shown)).items()))
        self.excused = dict(Counter(self.excused) + verdict.excused)
        self.examples += verdict.examples
        if ledger.recoveries:
            self.recovery = quantile(ledger.recoveries, 0.5), max(ledger.recoveries)

    def blame(self, text: str) -> None:
        """Something is wrong."""
        self.wrong += 1
        self.examples.append(text)


Work = Callable[[Plan], Awaitable[Outcome]]
