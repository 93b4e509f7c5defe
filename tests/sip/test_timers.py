from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from imc.sip.timers import TimerWheel


class Entry:
    __slots__ = ("due", "name")

    def __init__(self, name: object = None) -> None:
        self.due = 0
        self.name = name


def test_an_entry_fires_once_at_its_deadline() -> None:
    wheel: TimerWheel[Entry] = TimerWheel()
    entry = Entry()
    wheel.schedule(entry, 0.5)
    assert wheel.next_deadline() == 0.5
    assert wheel.advance(0.49) == []
    assert wheel.advance(0.5) == [entry]
    assert wheel.advance(10) == []
    assert wheel.next_deadline() is None
    assert len(wheel) == 0


def test_entries_fire_in_order_of_their_ticks() -> None:
    wheel: TimerWheel[Entry] = TimerWheel()
    entries = [Entry(at) for at in (3.0, 0.1, 32.0, 0.1, 1.0)]
    for entry in entries:
        wheel.schedule(entry, float(str(entry.name)))
    assert [entry.name for entry in wheel.advance(40)] == [0.1, 0.1, 1.0, 3.0, 32.0]


def test_a_deadline_in_the_past_fires_at_the_next_tick() -> None:
    wheel: TimerWheel[Entry] = TimerWheel()
    wheel.advance(100)
    entry = Entry()
    wheel.schedule(entry, 5)
    assert wheel.next_deadline() == pytest.approx(100.05)
    assert wheel.advance(100.05) == [entry]


def test_scheduling_again_moves_the_entry() -> None:
    wheel: TimerWheel[Entry] = TimerWheel()
    entry = Entry()
    wheel.schedule(entry, 1)
    wheel.schedule(entry, 2)
    assert wheel.advance(1.5) == []
    wheel.schedule(entry, 2)
    assert wheel.advance(2) == [entry]


def test_cancelled_and_scheduled_for_the_same_tick_fires_once() -> None:
    wheel: TimerWheel[Entry] = TimerWheel()
    entry = Entry()
    wheel.schedule(entry, 1)
    entry.due = 0
    wheel.schedule(entry, 1)
    assert wheel.advance(1) == [entry]


@pytest.mark.parametrize("granularity", [0, -0.1])
def test_a_wheel_needs_a_granularity(granularity: float) -> None:
    with pytest.raises(ValueError, match="granularity"):
        TimerWheel(granularity)


@given(
    st.floats(min_value=0, max_value=1e7, allow_nan=False),
    st.floats(min_value=0, max_value=100, allow_nan=False),
    st.sampled_from([0.05, 0.01, 0.25]),
)
def test_nothing_is_early_and_nothing_a_granularity_late(start: float, delay: float, granularity: float) -> None:
    wheel: TimerWheel[Entry] = TimerWheel(granularity)
    wheel.advance(start)
    entry = Entry()
    wheel.schedule(entry, start + delay)
    at = wheel.next_deadline()
    assert at is not None
    assert start + delay - 1e-6 <= at < start + max(delay, 0) + granularity + 1e-6
    assert wheel.advance(at) == [entry]


class WheelModel(RuleBasedStateMachine):
    """The wheel beside a plain dict of deadlines, in milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.wheel: TimerWheel[Entry] = TimerWheel()
        self.entries = [Entry(n) for n in range(5)]
        self.deadlines: dict[int, int] = {}  # entry -> tick
        self.ms = 0

    @rule(n=st.integers(0, 4), delay=st.integers(0, 3000))
    def schedule(self, n: int, delay: int) -> None:
        at = self.ms + delay
        self.wheel.schedule(self.entries[n], at / 1000)
        self.deadlines[n] = max(-(-at // 50), self.ms // 50 + 1)

    @rule(n=st.integers(0, 4))
    def cancel(self, n: int) -> None:
        self.entries[n].due = 0
        self.deadlines.pop(n, None)

    @rule(delay=st.integers(0, 2000))
    def advance(self, delay: int) -> None:
        self.ms += delay
        fired = [entry.name for entry in self.wheel.advance(self.ms / 1000)]
        expected = {n: tick for n, tick in self.deadlines.items() if tick <= self.ms // 50}
        assert sorted(map(str, fired)) == sorted(map(str, expected))
        assert [expected[int(str(n))] for n in fired] == sorted(expected.values())
        self.deadlines = {n: tick for n, tick in self.deadlines.items() if n not in expected}

    @invariant()
    def the_next_deadline_is_never_late(self) -> None:
        at = self.wheel.next_deadline()
        if self.deadlines:
            assert at is not None
            assert at <= min(self.deadlines.values()) * 0.05 + 1e-9

    @invariant()
    def what_waits_is_held(self) -> None:
        assert len(self.wheel) >= len(self.deadlines)


TestWheelModel = WheelModel.TestCase
TestWheelModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
