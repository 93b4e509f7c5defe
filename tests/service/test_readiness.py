"""imc.service.readiness: what is complained of, and that it costs one read however many ask."""

from __future__ import annotations

from typing import Any

import trio

from imc.errors import StoreUnavailable
from imc.service.readiness import PATIENCE, Readiness


class Base:
    """A database that answers when ``gate`` is set."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.gate = trio.Event()
        self.error: Exception | None = None
        self.reads = 0
        self.is_draining = self.is_failing = False
        self.readiness = Readiness(
            read=self.read,
            spawn=nursery.start_soon,
            is_draining=lambda: self.is_draining,
            is_failing=lambda: self.is_failing,
        )

    async def read(self) -> None:
        self.reads += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error


async def test_each_reason_and_none(nursery: trio.Nursery, autojump_clock: Any) -> None:
    base = Base(nursery)
    base.gate.set()
    assert await base.readiness.complaints() == ()
    base.is_draining = base.is_failing = True
    base.error = StoreUnavailable("database postgresql://secret.example/imc: gone")
    assert await base.readiness.complaints() == (
        "the daemon is about to end",
        "the database did not take the last transaction",
        "the database cannot be read",
    )
    base.is_draining = base.is_failing = False
    base.error = None
    assert await base.readiness.complaints() == ()


async def test_a_database_that_hangs_is_asked_once(nursery: trio.Nursery, autojump_clock: Any) -> None:
    base = Base(nursery)
    began = trio.current_time()
    found: list[tuple[str, ...]] = []

    async def ask() -> None:
        found.append(await base.readiness.complaints())

    async with trio.open_nursery() as asking:
        for _ in range(100):
            asking.start_soon(ask)
    assert trio.current_time() - began == PATIENCE
    assert set(found) == {("the database did not answer within 2 s",)}
    assert len(found) == 100
    await ask()
    assert base.reads == 1
    base.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert await base.readiness.complaints() == ()
    assert base.reads == 2
