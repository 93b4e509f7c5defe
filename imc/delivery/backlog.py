"""Backlogs: the copies that wait, each in a row of its own, for a recipient who could not be reached, or is slow.

Invariants
- Who has a backlog gets what is decided later behind it: as a row, never past it (spec S-LANE-12). So order holds.
- ``rows`` are on the disk only, or on their way there; ``held`` are in the engine's lanes too. Both are counted here,
  exactly: the last of them gone, copies go straight to the lanes again.
- A page is read when nothing is held, always from the beginning. What was kept before is on the disk by then, and what
  was dropped is gone from it: so nothing is read twice, nothing is passed over.
- Bounds: rows of one recipient and of all (what comes beyond is a dead letter at once), readers at a time.

No I/O: a `Keeper` writes and reads.
"""

from __future__ import annotations

import heapq
import math
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from imc.aor import Aor
from imc.delivery.job import Dispatch, Kept

# Final answers after which another try may do: the recipient is not there, or cannot now (RFC 3261 §21.4, §21.5).
_FOR_NOW = frozenset({401, 404, 407, 408, 423, 430, 480, 482, 486, 491, 600})
_FOR_GOOD = frozenset({501, 505, 513, 555})


def is_for_now(status: int) -> bool:
    """Whether a final status leaves hope: 404, 408, 480, 482, 486 and their like, 600, and 5xx but for what stays."""
    return status in _FOR_NOW or (500 <= status < 600 and status not in _FOR_GOOD)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogOptions:
    """Seconds from try to try (doubled each time), seconds for which a copy is kept (0: nothing is kept), counts."""

    retry_first: float = 30.0
    retry_longest: float = 3600.0
    keep_for: float = 7 * 86_400.0
    per_recipient: int = 1_000
    total: int = 1_000_000
    page: int = 32
    readers: int = 4


class Keeper(Protocol):
    """Rows of copies, on a disk."""

    def keep(self, kept: Kept, *, is_dead: bool = False) -> None:
        """Its row is to be there, and to be so."""
        ...

    def drop(self, kept: Kept) -> None:
        """Its row is to go."""
        ...

    def read(self, aor: Aor, limit: int, then: Callable[[Sequence[Dispatch] | None], None]) -> None:
        """Call ``then``, later and never from in here, with a recipient's first copies, in the order of their
        decisions, or None where the database fails. Whatever was told before is on the disk first."""
        ...


class Backlog:
    """One recipient's. ``due`` is when it is tried again, on the engine's clock; ``level`` how often in vain."""

    __slots__ = (
        "aor", "due", "epoch", "held", "is_awake", "is_fresh", "is_frozen", "is_reading", "is_wanted", "level", "rows",
        "seen_at",
    )  # fmt: skip

    def __init__(self, aor: Aor) -> None:
        self.aor = aor
        self.rows = 0
        self.held = 0
        self.due = math.inf
        self.level = 0
        self.is_awake = False
        self.is_reading = False
        self.is_frozen = False  # others change its rows
        self.is_fresh = False  # rows were added after the reading began
        self.epoch = 0  # how often a copy has left a lane for its row
        self.is_wanted = False  # to be roused when nothing is held any more, or what is tried has failed
        self.seen_at = -math.inf


class Backlogs:
    """``push`` puts a copy into its recipient's lanes, ``settled`` tells of a final status whoever asked for it,
    ``is_reachable`` whether there is any way to somebody, ``is_ours`` whether we would hear if they registered;
    ``clock`` is the engine's, ``wall`` gives unix seconds; ``wake`` asks for `tick`; ``changed`` is told who has a
    backlog now, or has none any more."""

    def __init__(
        self,
        options: BacklogOptions,
        *,
        keeper: Keeper,
        push: Callable[[Dispatch], None],
        settled: Callable[[Dispatch, Aor, int], None],
        is_reachable: Callable[[Aor], bool],
        is_ours: Callable[[Aor], bool],
        clock: Callable[[], float],
        wall: Callable[[], float],
        wake: Callable[[], None],
        changed: Callable[[Aor], None],
    ) -> None:
        self.options = options
        self._keeper = keeper
        self._push = push
        self._settled = settled
        self._is_reachable = is_reachable
        self._is_ours = is_ours
        self._clock = clock
        self._wall = wall
        self._wake = wake
        self._changed = changed
        self.of: dict[Aor, Backlog] = {}
        self._total = 0
        self._timers: list[tuple[float, int, Aor]] = []
        self._serial = 0
        self._reading = 0
        self._to_read: deque[Backlog] = deque()
        self._counts = {"kept": 0, "dead_letters": 0, "expired": 0}

    @property
    def is_keeping(self) -> bool:
        """Whether anything is kept at all."""
        return self.options.keep_for > 0

    # --- in ---------------------------------------------------------------------------------------------------------

    # spec S-LANE-12
    def keep_behind(self, dispatch: Dispatch, kept: Kept) -> bool:
        """A copy for somebody who has, or from now on has, a backlog. It is not in the lanes any more.

        False for a dead letter.
        """
        backlog = self._get(kept.aor)
        is_waiting = self._add(backlog, dispatch, kept)
        if backlog.rows == 1 and not backlog.is_awake and backlog.due == math.inf:
            self._rest(backlog, None)
        elif not backlog.is_awake and not self._is_ours(kept.aor):
            self.seen(kept.aor)  # nobody tells when they are back: what is new is a reason to look
        return is_waiting

    def _add(self, backlog: Backlog, dispatch: Dispatch, kept: Kept) -> bool:
        # spec S-LANE-14
        if backlog.rows + backlog.held >= self._fair_share():
            self.bury(dispatch, kept)
            self._end_if_empty(backlog)
            return False
        backlog.rows += 1
        backlog.is_fresh = True
        self._total += 1
        self._counts["kept"] += 1
        self._keeper.keep(kept)
        return True

    def _fair_share(self) -> int:
        """How many rows one recipient may have: the fewer, the less is left of what all may have."""
        options = self.options
        if 2 * self._total <= options.total:
            return options.per_recipient
        return options.per_recipient * 2 * max(0, options.total - self._total) // options.total

    def hold(self, kept: Kept) -> None:
        """A copy that stays in flight gets its row: its lane is slow. What comes later goes behind it."""
        backlog = self._get(kept.aor)
        backlog.held += 1
        backlog.is_awake = True
        backlog.due = math.inf
        backlog.epoch += 1
        self._total += 1
        self._counts["kept"] += 1
        self._keeper.keep(kept)

    # spec S-LANE-13
    def put_off(self, dispatch: Dispatch, kept: Kept, retry_after: float | None) -> bool:
        """A try ended for now; ``kept.status`` and ``kept.tries`` are those of this try. False for a dead letter."""
        backlog = self._get(kept.aor)
        backlog.epoch += 1
        is_waiting = True
        if dispatch.kept is None:
            is_waiting = self._add(backlog, dispatch, kept)
        else:
            backlog.held -= 1
            backlog.rows += 1
            self._keeper.keep(kept)
        if kept.aor in self.of:
            self._rest(backlog, retry_after)
        return is_waiting

    def unloaded(self, aor: Aor, count: int) -> None:
        """Copies that were held have left the lanes, unsent; their rows are there."""
        backlog = self.of.get(aor)
        if backlog is not None:
            backlog.held -= count
            backlog.rows += count

    def settled(self, kept: Kept) -> None:
        """A copy that was held has ended."""
        self._keeper.drop(kept)
        backlog = self.of[kept.aor]
        backlog.level = 0
        if backlog.is_awake:
            backlog.is_wanted = False
        self.let_go(kept)

    def let_go(self, kept: Kept) -> None:
        """A copy that was held is not, nor does it wait any more."""
        backlog = self.of[kept.aor]
        backlog.held -= 1
        self._total -= 1
        self._go_on(backlog)

    def contacts_changed(self, aor: Aor) -> None:
        """Somebody has registered, or the like."""
        backlog = self.of.get(aor)
        if backlog is None or not self._is_reachable(aor):
            return
        if backlog.is_awake:  # what is being tried may have gone the old way
            backlog.is_wanted = True
        else:
            self._rouse(backlog)

    def seen(self, aor: Aor) -> None:
        """Somebody sent a request: they are there. Heeded once in ``retry_first``."""
        backlog = self.of.get(aor)
        now = self._clock()
        if backlog is None or now < backlog.seen_at + self.options.retry_first or not self._is_reachable(aor):
            return
        backlog.seen_at = now
        self._rouse(backlog)

    def load(self, counts: Iterable[tuple[Aor, int]]) -> None:
        """At the start: how many rows each recipient has. Those who can be reached are tried soon, not all at once."""
        now = self._clock()
        for aor, rows in counts:
            backlog = self._get(aor)
            backlog.rows += rows
            self._total += rows
            if self._is_reachable(aor):
                self._set_due(backlog, now + 2.0 * _share(aor))

    # spec S-LANE-18
    def freeze(self, aor: Aor) -> bool:
        """Let others change somebody's rows: nothing of them is read, sent or dropped until `thaw`, and what is decided
        meanwhile goes behind, to a row. False where something of them is in memory."""
        backlog = self.of.get(aor)
        if backlog is None:
            backlog = self._get(aor)
            backlog.is_wanted = True  # who had no backlog does not wait for one
        elif backlog.is_awake or backlog.held or backlog.is_reading or backlog.is_frozen:
            return False
        backlog.is_frozen = True
        return True

    def thaw(self, aor: Aor, *, added: int = 0, removed: int = 0) -> None:
        """Go on; so many rows wait more, or do not wait any more. What was added is tried at once where there is a
        way."""
        backlog = self.of[aor]
        backlog.is_frozen = False
        backlog.rows += added - removed
        backlog.is_fresh = backlog.is_fresh or added > 0
        self._total += added - removed
        if (added or backlog.is_wanted) and self._is_reachable(aor):
            self._rouse(backlog)
        else:
            self._go_on(backlog)

    # --- time -------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When to call `tick`; None when nothing waits for it."""
        return self._timers[0][0] if self._timers else None

    def tick(self, now: float) -> None:
        """Those whose time has come."""
        while self._timers and self._timers[0][0] <= now:
            due, _, aor = heapq.heappop(self._timers)
            backlog = self.of.get(aor)
            if backlog is not None and backlog.due == due:
                self._rouse(backlog)

    def _set_due(self, backlog: Backlog, due: float) -> None:
        if due == backlog.due:
            return
        backlog.due = due
        if due < math.inf:
            self._serial += 1
            heapq.heappush(self._timers, (due, self._serial, backlog.aor))
            if len(self._timers) > 64 + 4 * len(self.of):  # what was overtaken
                self._timers = [(b.due, n, b.aor) for n, b in enumerate(self.of.values()) if b.due < math.inf]
                heapq.heapify(self._timers)
            self._wake()

    def _rest(self, backlog: Backlog, retry_after: float | None) -> None:
        backlog.is_awake = False
        is_wanted, backlog.is_wanted = backlog.is_wanted, False
        options = self.options
        if not self._is_reachable(backlog.aor):
            self._set_due(backlog, math.inf)  # `contacts_changed` will tell
            return
        delay = min(options.retry_first * 2.0 ** min(backlog.level, 30), options.retry_longest)
        backlog.level += 1
        if retry_after is not None:
            delay = min(max(retry_after, 1.0), options.retry_longest)
        elif is_wanted:
            delay = 0.0
        self._set_due(backlog, self._clock() + delay * (1.0 + 0.1 * _share(backlog.aor)))

    # --- out --------------------------------------------------------------------------------------------------------

    def _rouse(self, backlog: Backlog) -> None:
        if backlog.is_awake:
            return
        if backlog.held or backlog.is_frozen:  # another device has one in flight still, or others have the rows
            backlog.is_wanted = True
            return
        backlog.is_awake = True
        backlog.is_wanted = False
        backlog.due = math.inf
        self._go_on(backlog)

    def _go_on(self, backlog: Backlog) -> None:
        if backlog.held or backlog.is_reading or backlog.is_frozen:
            return
        if not backlog.rows:
            self._end_if_empty(backlog)
        elif backlog.is_awake:
            backlog.is_reading = True
            self._to_read.append(backlog)
            self._read_next()
        elif backlog.is_wanted:
            self._rouse(backlog)

    def _read_next(self) -> None:
        while self._to_read and self._reading < self.options.readers:
            backlog = self._to_read.popleft()
            self._reading += 1
            backlog.is_fresh = False
            self._keeper.read(backlog.aor, self.options.page, self._taker(backlog))

    def _taker(self, backlog: Backlog) -> Callable[[Sequence[Dispatch] | None], None]:
        epoch = backlog.epoch

        def take(page: Sequence[Dispatch] | None) -> None:
            self._reading -= 1
            backlog.is_reading = False
            try:
                if self.of.get(backlog.aor) is not backlog:
                    return
                # spec S-LANE-18
                if backlog.is_awake and backlog.epoch == epoch and not backlog.held:
                    self._take(backlog, page)
                else:
                    self._go_on(backlog)
            finally:
                self._read_next()

        return take

    def _take(self, backlog: Backlog, page: Sequence[Dispatch] | None) -> None:
        if page is None:
            self._rest(backlog, None)
            return
        if not page:
            if not backlog.is_fresh:  # others have removed rows: what is not there is not waited for
                self._total -= backlog.rows
                backlog.rows = 0
            self._go_on(backlog)
            return
        self._total += max(0, len(page) - backlog.rows)
        backlog.rows = max(0, backlog.rows - len(page))
        backlog.held += len(page)
        now = self._wall()
        for dispatch in page:
            kept = dispatch.kept
            assert kept is not None
            if not backlog.is_awake:  # one before it could not be sent at all: the rest stays where it is
                backlog.held -= 1
                backlog.rows += 1
            elif self._is_over(dispatch, kept, now):
                backlog.held -= 1
                self._total -= 1
            else:
                self._push(dispatch)
        if self.of.get(backlog.aor) is backlog:
            self._go_on(backlog)

    # spec S-LANE-14, S-LANE-15
    def _is_over(self, dispatch: Dispatch, kept: Kept, now: float) -> bool:
        if kept.expires and kept.expires <= now:
            self._counts["expired"] += 1
            self._keeper.drop(kept)
            self._tell(dispatch, kept)
            return True
        if kept.created + self.options.keep_for <= now:
            self.bury(dispatch, kept)
            return True
        return False

    def bury(self, dispatch: Dispatch, kept: Kept) -> None:
        """It ends as a dead letter, which an operator may look at and send again."""
        self._counts["dead_letters"] += 1
        self._keeper.keep(kept, is_dead=True)
        self._tell(dispatch, kept)

    def _tell(self, dispatch: Dispatch, kept: Kept) -> None:
        if dispatch.wants_result:
            self._settled(dispatch, kept.aor, kept.status or 480)

    def _get(self, aor: Aor) -> Backlog:
        backlog = self.of.get(aor)
        if backlog is None:
            backlog = self.of[aor] = Backlog(aor)
            self._changed(aor)
        return backlog

    def _end_if_empty(self, backlog: Backlog) -> None:
        if (
            not (backlog.rows or backlog.held or backlog.is_reading or backlog.is_frozen)
            and self.of.get(backlog.aor) is backlog
        ):
            del self.of[backlog.aor]
            self._changed(backlog.aor)

    def statistics(self) -> dict[str, int]:
        """``waiting`` copies, of ``backlogs`` recipients; how many were kept, died and expired since the start."""
        return {**self._counts, "waiting": self._total, "backlogs": len(self.of)}


def _share(aor: Aor) -> float:
    """0 … 1, of each recipient another: so that not all are tried at once."""
    return (zlib.crc32(f"{aor.user}@{aor.host}".encode("ascii")) & 0xFFFF) / 0x10000
