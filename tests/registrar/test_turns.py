from __future__ import annotations

import pytest

from imc.errors import Overloaded
from imc.registrar.turns import Turns


def test_one_at_a_time_in_order_of_arrival() -> None:
    # spec S-REG-2
    turns = Turns()
    done: list[str] = []
    turns.take("a", lambda: done.append("a1"))
    turns.take("a", lambda: done.append("a2"))
    turns.take("b", lambda: done.append("b1"))
    assert (done, len(turns)) == (["a1", "b1"], 2)
    turns.end("a")
    assert done == ["a1", "b1", "a2"]
    turns.end("a")
    turns.end("b")
    assert len(turns) == 0


def test_many_jobs_that_end_at_once_do_not_nest() -> None:
    turns = Turns(max_per_key=5000)
    done: list[int] = []

    def job(number: int) -> None:
        done.append(number)
        if number:
            turns.end("a")

    turns.take("a", lambda: job(0))
    for number in range(1, 5000):
        turns.take("a", lambda number=number: job(number))  # type: ignore[misc]
    turns.end("a")
    assert done == list(range(5000))
    assert len(turns) == 0


def test_a_job_that_takes_another_turn_waits_for_itself_to_end() -> None:
    turns = Turns()
    done: list[str] = []

    def outer() -> None:
        turns.take("a", lambda: done.append("inner"))
        done.append("outer")
        turns.end("a")

    turns.take("a", outer)
    assert done == ["outer", "inner"]


def test_a_job_that_fails_lets_the_next_one_go() -> None:
    turns = Turns()
    done: list[str] = []

    def fail() -> None:
        raise RuntimeError("no")

    turns.take("a", lambda: done.append("first"))
    turns.take("a", fail)
    turns.take("a", lambda: done.append("third"))
    with pytest.raises(RuntimeError):
        turns.end("a")
    assert done == ["first", "third"]
    turns.end("a")
    with pytest.raises(RuntimeError):
        turns.take("a", fail)
    assert len(turns) == 0


def test_bounds() -> None:
    turns = Turns(max_waiting=3, max_per_key=2)
    for key in "ab":
        turns.take(key, lambda: None)
    for _ in range(2):
        turns.take("a", lambda: None)
    with pytest.raises(Overloaded):
        turns.take("a", lambda: None)
    turns.take("b", lambda: None)
    with pytest.raises(Overloaded):
        turns.take("b", lambda: None)
    turns.end("a")
    turns.take("b", lambda: None)
