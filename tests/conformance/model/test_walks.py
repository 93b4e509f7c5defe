"""Random walks of the core, each step as the rules say."""

from __future__ import annotations

from hypothesis import given, settings

from conformance.model import rules
from tests.conformance.model.walks import EXAMPLES, ROOMS, STEPS, Walk, made, rooms, seen

Walk.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
TestWalk = Walk.TestCase


@given(rooms())
def test_a_room_of_the_rules_is_one_of_the_core(room: rules.Room | None) -> None:
    assert room is None or seen(made(ROOMS[0], room)) == room
