"""imc.service.outbox: what is written in which order, whatever the database does."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import structlog

from imc.aor import Aor
from imc.delivery.engine import Engine
from imc.delivery.job import Dispatch, Job, Kept
from imc.errors import Overloaded, StoreConflict, StoreUnavailable
from imc.service.outbox import Outbox
from imc.sip.ids import Ids
from imc.store.ops import CloseOutbox, DeleteOutbox, DeleteWaiting, Op, PutWaiting
from imc.store.outbox import WaitingRow
from imc.store.writer import Writer
from tests.delivery.fakes import job, message

BOB = Aor("bob", "example.com")
GONE = StoreUnavailable("gone for a while")


class Base:
    """A writer that keeps what is submitted until it is told the outcome."""

    def __init__(self) -> None:
        self.batches: deque[tuple[list[Op], Callable[[Exception | None], None]]] = deque()
        self.is_full = False

    def submit(self, ops: Sequence[Op], done: Callable[[Exception | None], None]) -> None:
        if self.is_full:
            raise Overloaded("too many changes wait")
        self.batches.append((list(ops), done))

    def answer(self, error: Exception | None = None) -> list[Op]:
        ops, done = self.batches.popleft()
        done(error)
        return ops


class Post:
    def __init__(self, rows: Sequence[WaitingRow] = ()) -> None:
        self.base = Base()
        self.rows = list(rows)
        self.wakes = 0
        self.tasks: list[Callable[[], Awaitable[None]]] = []
        self.loads = 0
        self.outbox = Outbox(
            cast(Writer, self.base), Ids(), lambda: 1.0, load=self._load, spawn=self.tasks.append, wake=self._wake
        )
        self.left: dict[str, list[list[Aor]]] = {}
        self.outbox.attach(cast(Engine, self))

    def unfinished(self) -> dict[str, list[list[Aor]]]:
        return self.left

    def _wake(self) -> None:
        self.wakes += 1

    async def _load(self, _aor: Aor, limit: int) -> list[WaitingRow]:
        self.loads += 1
        page, self.rows = self.rows[:limit], self.rows[limit:]
        return page


def kept(seq: int) -> Kept:
    return Kept(aor=BOB, seq=seq, part=0, created=1.0)


def put(seq: int) -> PutWaiting:
    return PutWaiting(BOB, seq, 0, False, 1.0, 0.0, 0, 0, 1.0)


def closing(seq: int) -> Job:
    found = job(f"j{seq}", message(b"x", BOB))
    found.seq, found.kept = seq, 1
    return found


def test_a_batch_that_failed_is_written_before_anything_later() -> None:
    # spec S-LANE-6
    on = Post()
    on.outbox.keep(kept(1))
    on.outbox.flush()
    on.outbox.drop(kept(1))
    on.outbox.flush()
    assert len(on.base.batches) == 1  # one at a time
    on.base.answer(GONE)
    assert on.wakes  # or nobody would try again until something else happens
    on.outbox.tick(0.0)
    due = on.outbox.next_deadline()
    assert due is not None
    on.outbox.tick(due)
    assert on.base.answer() == [put(1), DeleteWaiting(BOB, 1, 0)]


def test_a_million_changes_go_in_batches() -> None:
    on = Post()
    for seq in range(1, 12_001):
        on.outbox.keep(kept(seq))
    called: list[Exception | None] = []
    on.outbox.after_all(called.append)
    sizes = []
    while on.base.batches:
        assert called == []
        sizes.append(len(on.base.answer()))
    assert sizes == [5_000, 5_000, 2_000]
    assert called == [None]


def test_withdrawals_are_bounded_and_what_is_lost_is_heard() -> None:
    """spec S-LANE-6. While the disk is away decision after decision fails. Other changes that wait take no room."""
    on = Post()
    for seq in range(1, 12_001):
        on.outbox.keep(kept(seq))
    with structlog.testing.capture_logs() as logs:
        for number in range(10_003):
            on.outbox.withdraw(job(f"w{number}", message(b"x", BOB)))
        assert on.outbox.statistics() == {"withdrawals": 10_000, "withdrawals_lost": 3}
        on.outbox.withdraw(None)
        on.outbox.flush()
        on.base.answer(GONE)
        on.outbox.withdraw(job("again", message(b"x", BOB)))
        assert on.outbox.statistics() == {"withdrawals": 10_000, "withdrawals_lost": 4}
    assert [log["event"] for log in logs] == ["withdrawals-lost"]
    called: list[Exception | None] = []
    on.outbox.after_all(called.append)
    written: list[Op] = []
    while on.base.batches:
        written += on.base.answer()
    assert called == [None]
    assert [op.id for op in written if isinstance(op, DeleteOutbox)] == [f"w{number}" for number in range(10_000)]
    assert on.outbox.statistics() == {"withdrawals": 0, "withdrawals_lost": 4}
    with structlog.testing.capture_logs() as logs:  # another burst is told of again
        for number in range(10_002):
            on.outbox.withdraw(job(f"x{number}", message(b"x", BOB)))
    assert [log["event"] for log in logs] == ["withdrawals-lost"]


def test_a_withdrawal_that_the_database_refuses_takes_no_room() -> None:
    # spec S-LANE-6
    on = Post()
    on.outbox.withdraw(job("w", message(b"x", BOB)))
    on.outbox.flush()
    on.base.answer(StoreConflict("no"))
    assert on.outbox.statistics() == {"withdrawals": 0, "withdrawals_lost": 0}


def test_one_row_that_does_not_fit_harms_no_other() -> None:
    # spec S-LANE-6, S-LANE-18
    on = Post()
    for seq in range(1, 9):
        on.outbox.keep(kept(seq))
    on.outbox.job_done(closing(5))
    on.outbox.job_done(closing(6))
    called: list[Exception | None] = []
    on.outbox.after_all(called.append)
    written: list[Op] = []
    while on.base.batches:
        assert called == []
        ops = on.base.batches[0][0]
        error = StoreConflict("too long") if put(5) in ops else None
        on.base.answer(error)
        written += ops if error is None else []
    assert [op for op in written if isinstance(op, PutWaiting)] == [put(seq) for seq in (1, 2, 3, 4, 6, 7, 8)]
    # the entry whose copy has no row stays open, for the next start
    assert [op for op in written if isinstance(op, CloseOutbox)] == [CloseOutbox(6)]
    assert called == [None]


def test_the_entry_of_a_refused_row_stays_open_if_its_job_ends_later() -> None:
    # spec S-LANE-6
    on = Post()
    on.outbox.keep(kept(5))
    on.outbox.flush()
    on.base.answer(StoreConflict("too long"))
    on.outbox.job_done(closing(5))
    on.outbox.flush()
    assert not on.base.batches


async def test_a_reading_waits_until_what_was_told_is_written_however_long_it_takes() -> None:
    # spec S-LANE-18
    on = Post()
    pages: list[Sequence[Dispatch] | None] = []
    on.base.is_full = True
    on.outbox.keep(kept(1))
    on.outbox.read(BOB, 2, pages.append)
    assert on.tasks == []
    on.base.is_full = False
    on.outbox.flush()
    on.base.answer(GONE)
    assert on.tasks == []
    on.outbox.flush()
    on.outbox.drop(kept(1))  # told after the reading: it does not wait for this
    on.base.answer()
    (task,) = on.tasks
    await task()
    assert pages == [[]]


def test_an_operator_is_told_at_once_that_it_could_not_be_written() -> None:
    on = Post()
    called: list[Exception | None] = []
    on.outbox.keep(kept(1))
    on.outbox.after_all(called.append)
    on.base.answer(GONE)
    assert called == [GONE]
    on.base.is_full = True
    on.outbox.after_all(called.append)
    assert isinstance(called[1], Overloaded)
    on.base.is_full = False
    on.outbox.after_all(called.append)
    assert on.base.answer() == [put(1)]
    assert called[2] is None


async def test_rows_that_cannot_be_read_do_not_hide_those_behind_them() -> None:
    good = job("good", message(b"text", BOB))
    rows = [
        WaitingRow(BOB, seq, 0, False, 1.0, 0.0, 0, 0, 1.0, f"j{seq}", payload)
        for seq, payload in enumerate((b"[]\n", b"nonsense", good.payload()), 1)
    ]
    on = Post(rows)
    pages: list[Sequence[Dispatch] | None] = []
    on.outbox.read(BOB, 2, pages.append)
    while on.tasks or on.base.batches:
        if on.tasks:
            await on.tasks.pop()()
        else:
            ops = on.base.answer()
            assert [op.is_dead for op in ops if isinstance(op, PutWaiting)] == [True, True]
    (page,) = pages
    assert page is not None
    assert [dispatch.body for dispatch in page] == [b"text"]
    assert on.loads == 2


async def test_a_reading_that_breaks_ends_all_the_same() -> None:
    on = Post()

    async def breaks(_aor: Aor, _limit: int) -> list[WaitingRow]:
        raise RuntimeError("a fault of ours")

    on.outbox._load = breaks
    pages: list[Sequence[Dispatch] | None] = []
    on.outbox.read(BOB, 2, pages.append)
    await on.tasks.pop()()
    assert pages == [None]


def test_the_end_goes_the_way_of_all_else() -> None:
    """What a shutdown trims is not written where what it rests on was not."""
    # spec S-LANE-6
    on = Post()
    on.outbox.keep(kept(1))
    on.outbox.flush()
    on.left = {"j1": [[BOB]]}
    on.outbox.leave()
    on.base.answer(GONE)
    assert not on.base.batches
    on.outbox.flush()
    ops = on.base.answer()
    assert ops[0] == put(1)
    assert len(ops) == 2
