"""The model's transition tour over real UDP against the daemon, its trace held against the specification (spec §3-§13).

In CI the tour of classes: of transitions that differ in their users' names only, one. `make tour` (IMC_TOUR=all) plays
every transition.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import time

import pytest

from conformance.model.traces import Step, read
from conformance.model.validate import validate
from imc.service.spec_trace import SpecTrace, TraceOptions
from tests.e2e.stage import settings, stage
from tests.e2e.tour_player import ACCOUNT, Player

TRACES = Path(__file__).parents[2] / "spec" / "traces"
IS_ALL = os.environ.get("IMC_TOUR") == "all"
WALKS = read(TRACES / ("tour.json" if IS_ALL else "classes.json"))
CHUNKS = 27 if IS_ALL else 7


def chunk(number: int) -> list[tuple[str, list[Step]]]:
    return [(f"chat-{at}", walk) for at, walk in enumerate(WALKS) if at % CHUNKS == number]


@pytest.mark.parametrize("number", range(CHUNKS))
async def test_walks(tmp_path: Path, number: int) -> None:
    """Each walk is stopped in the middle, and goes on after a restart of the daemon (spec R-DURABLE-3)."""
    config = settings(tmp_path, "limits.enabled=false")
    trace = tmp_path / "trace"
    options = TraceOptions(path=trace, version="test")
    walks = chunk(number)
    steps = 0
    for is_rest in (False, True):
        async with stage(config, None if is_rest else {ACCOUNT: "secret"}, SpecTrace(options, time)) as on:
            player = Player(on, config)
            await player.prepare()
            for room, walk in walks:
                middle = len(walk) // 2
                await player.play(walk[middle:] if is_rest else walk[:middle], room)
            steps += player.steps
    assert steps == sum(len(walk) for _, walk in walks)
    with trace.open() as lines:
        figures = validate(lines)
    assert figures.decisions >= steps
    assert (figures.starts, figures.missing, figures.unknown, figures.torn) == (2, 0, 0, 0)
    assert figures.compared >= len(walks)  # each room was read again as it was left
