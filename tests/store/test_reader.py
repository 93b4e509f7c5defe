"""imc.store.reader"""

from __future__ import annotations

import threading

import pytest
import trio

from imc.errors import Overloaded, StoreUnavailable
from imc.store.reader import StoreReader


async def test_a_read_runs_in_a_thread_and_gives_what_it_read() -> None:
    reader = StoreReader()
    assert await reader.run(lambda a, b: (a, b), 1, 2) == (1, 2)
    assert await reader.run(threading.get_ident) != threading.get_ident()


async def test_errors_pass() -> None:
    def fail() -> None:
        raise StoreUnavailable("gone")

    reader = StoreReader()
    with pytest.raises(StoreUnavailable):
        await reader.run(fail)
    assert reader.statistics() == {"reads_waiting": 0}


async def test_reads_are_bounded_in_number_and_in_how_many_wait(nursery: trio.Nursery) -> None:
    reader = StoreReader(threads=2, max_waiting=5)
    gate = threading.Event()
    lock, running, most = threading.Lock(), [0], [0]

    def slow() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        assert gate.wait(10)
        with lock:
            running[0] -= 1

    async with trio.open_nursery() as inner:
        for _ in range(5):
            inner.start_soon(reader.run, slow)
        await trio.testing.wait_all_tasks_blocked()
        assert reader.statistics() == {"reads_waiting": 5}
        with pytest.raises(Overloaded):
            await reader.run(slow)
        gate.set()
    assert most[0] <= 2
    assert reader.statistics() == {"reads_waiting": 0}
    await reader.run(lambda: None)


async def test_a_cancelled_read_makes_room() -> None:
    reader = StoreReader(threads=1, max_waiting=1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await reader.run(lambda: None)
    assert reader.statistics() == {"reads_waiting": 0}
