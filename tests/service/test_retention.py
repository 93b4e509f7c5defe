"""What is kept no longer is removed, a little at a time (spec R-HISTORY-6), on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from imc.aor import Aor
from imc.errors import StoreUnavailable
from imc.rooms.model import Role, member
from imc.rooms.policy import Policy
from imc.rooms.settings import Kept, RoomSettings
from imc.service.retention import BATCH, Retention, to_remove
from imc.store.messages import LogEntry
from imc.store.ops import EraseMessage, Op, PutMember, PutMessage, PutRoom, PutSettings, TrimLog
from imc.store.options import StoreOptions
from imc.store.reader import StoreReader
from imc.store.store import Store
from imc.store.writer import Writer

NOW = 1_700_000_000.0
DAY = 86_400.0
ALICE = Aor("alice", "example.com")
ROOM = Aor("chat-x", "example.com")


def said(count: int, *, room: Aor = ROOM, age: float = 0.0) -> list[Op]:
    """So many messages, the newest of this age in days, each a minute after the one before."""
    return [
        PutRoom(room, False),
        PutMember(room, ALICE, member(Role.OWNER)),
        *(
            PutMessage(room, seq, ALICE, "text/plain", b"x", NOW - age * DAY - 60.0 * (count - seq))
            for seq in range(1, count + 1)
        ),
    ]


class Stage:
    def __init__(self, store: Store, writer: Writer) -> None:
        self.store = store
        self.policy = Policy(keep_messages=10, keep_days=7)
        self.writer = writer
        self.retention = Retention(store, StoreReader(), writer, policy=lambda: self.policy, wall=lambda: NOW)

    def left(self, room: Aor = ROOM) -> list[int]:
        return [row.seq for row in self.store.messages_after(room, 0, 10_000)]


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    with Store.open(StoreOptions(url=f"sqlite:///{folder}/imc.db")) as store:
        async with trio.open_nursery() as nursery:
            writer = Writer(store)
            nursery.start_soon(writer.run)
            yield Stage(store, writer)
            nursery.cancel_scope.cancel()


async def test_the_newest_are_kept_each_room_by_its_settings(tmp_path: Path) -> None:
    rooms = [Aor(f"chat-{number}", "example.com") for number in range(3)]
    async with stage(tmp_path) as on:
        for room in rooms:
            on.store.commit(said(25, room=room))
        on.store.commit([PutSettings(rooms[1], RoomSettings(keep=3)), PutSettings(rooms[2], RoomSettings(keep=0))])
        await on.retention.sweep()
        assert [on.left(room) for room in rooms] == [list(range(16, 26)), [23, 24, 25], []]
        assert [on.store.last_message(room) for room in rooms] == [25, 25, 25]
        assert on.retention.statistics() == {"messages_removed": 15 + 22 + 25}


async def test_the_old_go_and_the_number_of_the_newest_stays(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        on.store.commit(said(5, age=8))
        await on.retention.sweep()
        assert on.left() == []
        assert on.store.last_message(ROOM) == 5
        await on.retention.sweep()  # what is left of it is not removed again and again
        assert on.retention.statistics() == {"messages_removed": 5}
        on.store.commit([PutMessage(ROOM, 6, ALICE, "", b"x", NOW)])
        await on.retention.sweep()
        assert [one.seq for one in on.store.oldest_messages(ROOM, 10)] == [6]


async def test_in_small_batches(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        on.store.commit(said(3 * BATCH + 5))
        before = on.writer.statistics()["submissions"]
        await on.retention.sweep()
        assert len(on.left()) == 10
        assert on.writer.statistics()["submissions"] - before == 3


async def test_other_settings_hold_from_the_next_round_on(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        on.store.commit(said(8, age=2))
        await on.retention.sweep()
        assert len(on.left()) == 8
        on.policy = Policy(keep_messages=10, keep_days=1)
        await on.retention.sweep()
        assert on.left() == []
        on.store.commit([PutMessage(ROOM, 9, ALICE, "", b"x", NOW)])
        on.policy = Policy(is_log_kept=False)
        await on.retention.sweep()
        assert on.left() == []


async def test_many_rooms_are_gone_through_a_page_at_a_time(tmp_path: Path) -> None:
    rooms = [Aor(f"chat-{number}", "example.com") for number in range(230)]
    async with stage(tmp_path) as on:
        on.store.commit([op for room in rooms for op in said(1, room=room, age=30)])
        await on.retention.sweep()
        assert all(on.left(room) == [] for room in rooms)


async def test_it_runs_again_after_a_failure(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with stage(tmp_path) as on:
        on.store.commit(said(15))
        rounds: list[int] = []
        sweep = on.retention.sweep
        done = trio.Event()

        async def failing() -> None:
            rounds.append(len(on.left()))
            if len(rounds) == 1:
                raise StoreUnavailable("gone")
            await sweep()
            done.set()

        on.retention.sweep = failing  # type: ignore[method-assign]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(on.retention.run)
            await done.wait()
            nursery.cancel_scope.cancel()
        assert rounds == [15, 15]
        assert len(on.left()) == 10


def entries(*ages: float) -> list[LogEntry]:
    return [LogEntry(ROOM, seq, ALICE, NOW - age * DAY) for seq, age in enumerate(ages, 1)]


def test_what_goes() -> None:
    what = Kept(3, 7)
    assert to_remove([], 0, what, NOW) == ([], 0)
    assert to_remove(entries(1, 1, 1), 3, what, NOW) == ([], 0)
    assert to_remove(entries(2, 1, 1, 1), 4, what, NOW) == ([TrimLog(ROOM, 1, NOW - 2 * DAY)], 1)
    # more was said since the newest number was read: that one stays as it is, its place does not
    ops, count = to_remove(entries(9, 8), 2, what, NOW)
    assert ops == [TrimLog(ROOM, 1, NOW - 9 * DAY), EraseMessage(ROOM, 2, ALICE, NOW - 8 * DAY)]
    assert count == 2
    # a clock that went back: nothing behind one that is to be kept goes
    assert to_remove(entries(1, 9, 9), 3, what, NOW) == ([], 0)
