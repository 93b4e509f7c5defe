"""imc.store.writer: order, bounds, failures and the end, with a committer that does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
import trio

from imc.errors import Overloaded, StoreConflict, StoreError, StoreUnavailable
from imc.store.guard import Guard
from imc.store.ops import DeleteOutbox, Op, PutMember, PutRoom
from imc.store.store import Store
from imc.store.writer import Writer, WriterOptions
from tests.databases import Database
from tests.store.samples import ALICE, BOB, MEMBER, OWNER, ROOM, entry

Groups = Sequence[Sequence[Op]]


def op(name: str) -> list[Op]:
    return [DeleteOutbox(name)]


class FakeStore:
    """Remembers what it commits. While ``gate`` is not set, commits wait; ``answer`` says what becomes of them."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.answer: Callable[[Groups], list[StoreError | None]] = lambda groups: [None] * len(groups)
        self.threads: set[int] = set()

    def stage_groups(self, groups: Groups) -> None:
        """Everything is for the thread."""

    def commit_groups(self, groups: Groups, guards: Sequence[Guard | None] | None = None) -> list[StoreError | None]:
        assert self.gate.wait(10)
        self.threads.add(threading.get_ident())
        self.batches.append([str(getattr(one, "id", "")) for group in groups for one in group])
        return self.answer(groups)


class Outcomes:
    """Callbacks that write down what they are told, in order."""

    def __init__(self) -> None:
        self.log: list[tuple[str, type[Exception] | None]] = []

    def of(self, name: str) -> Callable[[Exception | None], None]:
        return lambda error: self.log.append((name, None if error is None else type(error)))


@pytest.fixture
def fake() -> FakeStore:
    return FakeStore()


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


async def test_submissions_are_committed_in_their_order_and_told_in_it(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    writer = Writer(fake)
    nursery.start_soon(writer.run)
    names = [f"id{number}" for number in range(100)]
    for name in names:
        told = len(outcomes.log)
        writer.submit(op(name), outcomes.of(name))
        assert len(outcomes.log) == told  # later, never from in here
        if name.endswith("7"):
            await trio.lowlevel.checkpoint()
    await writer.drain()
    assert [name for batch in fake.batches for name in batch] == names
    assert outcomes.log == [(name, None) for name in names]
    assert threading.get_ident() not in fake.threads


async def test_what_comes_during_a_commit_is_the_next_one(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    writer = Writer(fake)
    nursery.start_soon(writer.run)
    fake.gate.clear()
    writer.submit(op("first"), outcomes.of("first"))
    await trio.testing.wait_all_tasks_blocked()
    for name in "abc":
        writer.submit(op(name), outcomes.of(name))
    assert writer.statistics()["in_flight"] == 1
    assert writer.statistics()["writes_waiting"] == 3
    fake.gate.set()
    await writer.drain()
    assert fake.batches == [["first"], ["a", "b", "c"]]
    assert writer.statistics() == {
        "commits": 2,
        "submissions": 4,
        "failures": 0,
        "refused": 0,
        "largest_batch": 3,
        "writes_waiting": 0,
        "in_flight": 0,
    }


async def test_a_callback_may_submit_again(fake: FakeStore, nursery: trio.Nursery) -> None:
    writer = Writer(fake)
    nursery.start_soon(writer.run)
    left = [20]
    finished = trio.Event()

    def again(error: Exception | None) -> None:
        assert error is None
        left[0] -= 1
        if left[0]:
            writer.submit(op(str(left[0])), again)
        else:
            finished.set()

    writer.submit(op("20"), again)
    await finished.wait()
    await writer.drain()
    assert [name for batch in fake.batches for name in batch] == [str(number) for number in range(20, 0, -1)]


async def test_those_whom_one_commit_set_free_share_the_next(fake: FakeStore, nursery: trio.Nursery) -> None:
    """Sixteen that each wait for their own commit come to one commit for sixteen, not to fifteen and one."""
    writer = Writer(fake)
    nursery.start_soon(writer.run)

    async def one(name: str) -> None:
        for number in range(5):
            await writer.commit(op(f"{name}.{number}"))

    async with trio.open_nursery() as inner:
        for number in range(16):
            inner.start_soon(one, str(number))
    assert sorted(map(len, fake.batches)) == [16] * 5


async def test_a_transaction_is_bounded_in_submissions_and_bytes(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    writer = Writer(fake, WriterOptions(max_batch=3, max_batch_bytes=10_000))
    for name in "abcdefg":
        writer.submit(op(name), outcomes.of(name))
    nursery.start_soon(writer.run)
    await writer.drain()
    assert fake.batches == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    fake.batches.clear()
    for name, size in (("h", 6000), ("i", 6000), ("j", 20_000), ("k", 10)):
        writer.submit([entry(name, 0.0, b"x" * size, b"")], outcomes.of(name))
    await writer.drain()
    # What is larger than the bound goes alone.
    assert fake.batches == [["h"], ["i"], ["j"], ["k"]]


async def test_what_waits_is_bounded(fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery) -> None:
    writer = Writer(fake, WriterOptions(max_waiting=5, max_waiting_bytes=100_000))
    for name in "abcde":
        writer.submit(op(name), outcomes.of(name))
    with pytest.raises(Overloaded):
        writer.submit(op("f"), outcomes.of("f"))
    nursery.start_soon(writer.run)
    await writer.drain()
    writer.submit([entry("g", 0.0, b"x" * 90_000, b"")], outcomes.of("g"))
    with pytest.raises(Overloaded):
        writer.submit([entry("h", 0.0, b"x" * 90_000, b"")], outcomes.of("h"))
    writer.submit(op("i"), outcomes.of("i"))
    await writer.drain()
    writer.submit([entry("j", 0.0, b"x" * 90_000, b"")], outcomes.of("j"))
    await writer.drain()
    assert [name for name, _ in outcomes.log] == list("abcdegij")
    assert writer.statistics()["refused"] == 2


async def test_each_is_told_what_became_of_its_own(fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery) -> None:
    conflict = StoreConflict("no")
    fake.answer = lambda groups: [conflict if group == op("b") else None for group in map(list, groups)]
    writer = Writer(fake)
    nursery.start_soon(writer.run)
    for name in "abc":
        writer.submit(op(name), outcomes.of(name))
    await writer.drain()
    assert outcomes.log == [("a", None), ("b", StoreConflict), ("c", None)]
    assert writer.statistics()["failures"] == 1
    with pytest.raises(StoreConflict):
        await writer.commit(op("b"))


async def test_a_database_that_is_gone_fails_one_transaction_and_not_the_next(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    writer = Writer(fake)
    nursery.start_soon(writer.run)
    fake.answer = lambda groups: [StoreUnavailable("gone")] * len(groups)
    writer.submit(op("a"), outcomes.of("a"))
    writer.submit(op("b"), outcomes.of("b"))
    await writer.drain()
    fake.answer = lambda groups: [None] * len(groups)
    writer.submit(op("c"), outcomes.of("c"))
    await writer.drain()
    assert outcomes.log == [("a", StoreUnavailable), ("b", StoreUnavailable), ("c", None)]


async def test_a_bug_below_fails_one_transaction_and_not_the_daemon(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    def fail(_groups: Groups) -> list[StoreError | None]:
        raise ZeroDivisionError("a bug")

    writer = Writer(fake)
    nursery.start_soon(writer.run)
    fake.answer = fail
    writer.submit(op("a"), outcomes.of("a"))
    await writer.drain()
    fake.answer = lambda groups: [None] * len(groups)
    writer.submit(op("b"), outcomes.of("b"))
    await writer.drain()
    assert outcomes.log == [("a", StoreError), ("b", None)]


async def test_a_callback_that_fails_keeps_nobody_from_being_told(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    def fail(_error: Exception | None) -> None:
        raise ZeroDivisionError("a bug")

    writer = Writer(fake)
    nursery.start_soon(writer.run)
    writer.submit(op("a"), outcomes.of("a"))
    writer.submit(op("b"), fail)
    writer.submit(op("c"), outcomes.of("c"))
    await writer.drain()
    assert outcomes.log == [("a", None), ("c", None)]


async def test_what_was_built_on_a_failure_is_not_committed(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    writer = Writer(fake)
    nursery.start_soon(writer.run)
    guard, other = Guard(), Guard()
    fake.answer = lambda groups: [StoreUnavailable("gone")] * len(groups)
    fake.gate.clear()
    writer.submit(op("a"), outcomes.of("a"), guard)
    await trio.testing.wait_all_tasks_blocked()
    # Submitted before anybody could know.
    writer.submit(op("b"), outcomes.of("b"), other)
    writer.submit(op("c"), outcomes.of("c"), guard)
    writer.submit(op("d"), outcomes.of("d"), guard)
    writer.submit(op("e"), outcomes.of("e"))

    def answer(groups: Groups) -> list[StoreError | None]:
        fake.answer = lambda groups: [None] * len(groups)
        return [StoreUnavailable("gone")] * len(groups)

    fake.answer = answer
    fake.gate.set()
    await writer.drain()
    assert fake.batches == [["a"], ["b"], ["e"]]
    assert outcomes.log == [
        ("a", StoreUnavailable),
        ("b", None),
        ("c", StoreUnavailable),
        ("d", StoreUnavailable),
        ("e", None),
    ]
    assert not guard.is_good
    assert other.is_good
    # And nothing more with that guard, whoever still has it.
    writer.submit(op("f"), outcomes.of("f"), guard)
    await writer.drain()
    assert outcomes.log[-1] == ("f", StoreUnavailable)


async def test_the_end_finishes_what_is_under_way_and_fails_the_rest(fake: FakeStore, outcomes: Outcomes) -> None:
    writer = Writer(fake)
    fake.gate.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.submit(op("a"), outcomes.of("a"))
        await trio.testing.wait_all_tasks_blocked()
        writer.submit(op("b"), outcomes.of("b"))
        nursery.cancel_scope.cancel()
        fake.gate.set()
    assert fake.batches == [["a"]]
    assert outcomes.log == [("a", None), ("b", StoreUnavailable)]
    with pytest.raises(StoreUnavailable):
        writer.submit(op("c"), outcomes.of("c"))
    await writer.drain()
    assert len(outcomes.log) == 2


async def test_the_end_before_a_commit_began(fake: FakeStore, outcomes: Outcomes) -> None:
    writer = Writer(fake)
    writer.submit(op("a"), outcomes.of("a"))
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.cancel()
        nursery.start_soon(writer.run)
    assert fake.batches == []
    assert outcomes.log == [("a", StoreUnavailable)]


async def test_drain_waits_for_all_and_returns_at_once_where_nothing_waits(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    writer = Writer(fake)
    await writer.drain()
    nursery.start_soon(writer.run)
    fake.gate.clear()
    writer.submit(op("a"), outcomes.of("a"))
    drained = trio.Event()

    async def drain() -> None:
        await writer.drain()
        drained.set()

    nursery.start_soon(drain)
    await trio.testing.wait_all_tasks_blocked()
    writer.submit(op("b"), outcomes.of("b"))
    assert not drained.is_set()
    fake.gate.set()
    await drained.wait()
    assert outcomes.log == [("a", None), ("b", None)]


async def test_a_cancelled_wait_does_not_take_the_commit_back(fake: FakeStore, nursery: trio.Nursery) -> None:
    writer = Writer(fake)
    nursery.start_soon(writer.run)
    with trio.CancelScope() as scope:
        scope.cancel()
        await writer.commit(op("a"))
    assert scope.cancelled_caught
    await writer.drain()
    assert fake.batches == [["a"]]


async def test_a_database_that_goes_and_comes_back(
    server_store: Store, server_database: Database, nursery: trio.Nursery
) -> None:
    server = server_database.live_server
    writer = Writer(server_store)
    nursery.start_soon(writer.run)
    await writer.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)])
    server.stop()
    try:
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await writer.commit([PutMember(ROOM, BOB, MEMBER)])
    finally:
        server.start()
    room = server_store.load_room(ROOM)
    assert room is not None
    assert dict(room.members) == {ALICE: OWNER}
    await writer.commit([PutMember(ROOM, BOB, MEMBER)])
    room = server_store.load_room(ROOM)
    assert room is not None
    assert dict(room.members) == {ALICE: OWNER, BOB: MEMBER}


async def test_many_submissions_to_a_real_database(store: Store, nursery: trio.Nursery, outcomes: Outcomes) -> None:
    writer = Writer(store, WriterOptions(max_batch=70))
    nursery.start_soon(writer.run)
    await writer.commit([PutRoom(ROOM, False)])
    users = [ALICE._replace(user=f"user{number}") for number in range(300)]
    bad = ALICE._replace(user="u" * 65)
    for number, user in enumerate(users):
        writer.submit([PutMember(ROOM, user, MEMBER)], outcomes.of(user.user))
        if number % 100 == 50:
            writer.submit([PutMember(ROOM, bad, MEMBER)], outcomes.of("bad"))
    await writer.drain()
    assert [name for name, error in outcomes.log if error is not None] == ["bad"] * 3
    assert [name for name, error in outcomes.log if error is None] == [user.user for user in users]
    room = store.load_room(ROOM)
    assert room is not None
    assert set(room.members) == set(users)


class Staging(FakeStore):
    """Stages everything; ``is_good``: whether its COMMITs succeed."""

    def __init__(self) -> None:
        super().__init__()
        self.staged: list[list[str]] = []
        self.is_good = True
        self.loop = threading.get_ident()

    def stage_groups(self, groups: Groups) -> Staging:  # type: ignore[override]
        assert threading.get_ident() == self.loop
        self.staged.append([str(getattr(one, "id", "")) for group in groups for one in group])
        return self

    def commit(self) -> bool:
        assert threading.get_ident() != self.loop
        return self.is_good


async def test_what_can_be_staged_is_staged_on_the_loop_and_committed_in_the_thread(
    outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    store = Staging()
    writer = Writer(store)
    nursery.start_soon(writer.run)
    writer.submit(op("a"), outcomes.of("a"))
    writer.submit(op("b"), outcomes.of("b"))
    await writer.drain()
    assert store.staged == [["a", "b"]]
    assert store.batches == []
    store.is_good = False  # then all of it is done again, the long way
    writer.submit(op("c"), outcomes.of("c"))
    await writer.drain()
    assert store.batches == [["c"]]
    assert outcomes.log == [("a", None), ("b", None), ("c", None)]


async def test_what_is_much_or_comes_after_a_slow_staging_is_for_the_thread(
    outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    store = Staging()
    writer = Writer(store, WriterOptions(max_staged=2, max_staged_bytes=1000, slow_staging=-1.0))
    nursery.start_soon(writer.run)
    for name in "abc":
        writer.submit(op(name), outcomes.of(name))
    await writer.drain()
    writer.submit([entry("d", 0.0, b"x" * 1000, b"")], outcomes.of("d"))
    await writer.drain()
    assert store.staged == []
    for name in "ef":  # the first is staged, and everything is slower than -1 s
        writer.submit(op(name), outcomes.of(name))
        await writer.drain()
    assert store.staged == [["e"]]
    assert store.batches == [["a", "b", "c"], ["d"], ["f"]]


async def test_who_is_attached_begins_and_is_given_what_to_do_after(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery
) -> None:
    writer = Writer(fake)
    told: list[str] = []
    landed = trio.Event()

    def within(work: Callable[[], None]) -> None:
        told.append("within")
        work()
        writer.begin()
        if not writer.statistics()["in_flight"]:
            landed.set()

    writer.attach(lambda: told.append("tell"), within)
    nursery.start_soon(writer.run)
    await trio.testing.wait_all_tasks_blocked()
    fake.gate.clear()
    writer.submit(op("a"), outcomes.of("a"))
    writer.begin()
    writer.submit(op("b"), outcomes.of("b"))  # nobody is told: it goes when the first has landed
    writer.begin()
    assert told == ["tell"]
    fake.gate.set()
    await landed.wait()
    assert fake.batches == [["a"], ["b"]]
    assert told == ["tell", "within", "tell", "within"]
    assert outcomes.log == [("a", None), ("b", None)]


@pytest.mark.parametrize(("failing_for", "is_failing"), [(1e9, True), (0.0, False)])
async def test_a_failure_is_held_against_the_database_for_a_while(
    fake: FakeStore, outcomes: Outcomes, nursery: trio.Nursery, failing_for: float, is_failing: bool
) -> None:
    writer = Writer(fake, WriterOptions(failing_for=failing_for))
    nursery.start_soon(writer.run)
    fake.answer = lambda groups: [StoreUnavailable("gone")] * len(groups)
    writer.submit(op("lost"), outcomes.of("lost"))
    await writer.drain()
    assert writer.is_failing is is_failing
    fake.answer = lambda groups: [None] * len(groups)
    writer.submit(op("kept"), outcomes.of("kept"))
    await writer.drain()
    assert not writer.is_failing
