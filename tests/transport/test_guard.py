from __future__ import annotations

from typing import Any

import structlog.testing

from imc.transport.guard import Guard


def fail(guard: Guard) -> None:
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        guard.failed("receive", "peer")


def test_at_most_one_traceback_a_second() -> None:
    now = 100.0
    guard = Guard(lambda: now)
    with structlog.testing.capture_logs() as logs:
        for seconds in (0.0, 0.5, 0.4, 0.2, 5.0):
            now += seconds
            fail(guard)
    assert guard.failures == 5
    records: list[Any] = [(record["event"], record["where"], record["peer"], record["unlogged"]) for record in logs]
    assert records == [
        ("unhandled exception", "receive", "peer", 0),
        ("unhandled exception", "receive", "peer", 2),
        ("unhandled exception", "receive", "peer", 0),
    ]
