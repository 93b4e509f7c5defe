"""The table of rows: transitions finds unknown names only when it meets them, so they are looked for here."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any, cast

import pytest

from imc.rooms.case import Case
from imc.rooms.effects import EFFECTS
from imc.rooms.machine import MACHINE, ROWS, STATE_OF, STATES, Row, take
from imc.rooms.model import Role
from imc.rooms.outcome import REFUSALS
from imc.rooms.permissions import PERMISSIONS, YES

TRIGGERS = {row.trigger for row in ROWS}
_NOT_IN_ROWS = {
    "members",
    "message",
    "history",
    "settings",
    "set",
}  # they change no standing, and are decided by their permission alone
# Commands about the sender: the subject's standing is the sender's
_SELF = {"create", "join", "accept", "reject", "leave", "destroy"}


def key(row: Row) -> tuple[str, str]:
    return row.trigger, row.source


def test_states_are_known() -> None:
    assert set(MACHINE.states) == set(STATES)
    for row in ROWS:
        assert row.source in STATES
        assert row.dest is None or row.dest in STATES


def test_conditions_are_properties_of_a_case() -> None:
    for row in ROWS:
        for name in row.conditions:
            assert isinstance(getattr(Case, name), property), name
            assert not name.startswith("may_")


def test_every_condition_of_a_case_is_used() -> None:
    names = {name for name, value in vars(Case).items() if isinstance(value, property)} - {"live_room"}
    assert names == {name for row in ROWS for name in row.conditions}


def test_effects_and_refusals_are_known() -> None:
    assert {name for row in ROWS for name in row.effects} == set(EFFECTS)
    assert {row.refusal for row in ROWS} - {""} <= set(REFUSALS)


def test_a_refusal_stays_where_it_is() -> None:
    for row in ROWS:
        if row.refusal:
            assert row.dest is None
        else:
            assert row.effects or row.clause == "R-INVITE-5"


def test_the_last_row_of_a_source_has_no_condition_and_no_other_row_follows_it() -> None:
    for where, group in groupby(sorted(ROWS, key=key), key=key):  # sorted() keeps the order of equals
        rows = list(group)
        assert rows[-1].conditions == (), where
        assert all(row.conditions for row in rows[:-1]), where


def test_no_row_is_written_twice() -> None:
    assert len(set(ROWS)) == len(ROWS)


def test_every_way_that_the_permissions_leave_open_has_a_row() -> None:
    """And no other: rows that could never be taken would be untested promises."""
    wanted = {("undelivered", state) for state in STATES}
    for command, permission in PERMISSIONS.items():
        if command in _NOT_IN_ROWS:
            continue
        triggers = [trigger for trigger in TRIGGERS if trigger.split()[0] == command]
        passing = [role for role in (None, *Role) if permission.of(role) == YES]
        subjects = [STATE_OF[role] for role in passing] if command in _SELF else list(STATES[1:])
        if command in ("create", "join"):
            subjects.append("no room")
        wanted |= {(trigger, state) for trigger in triggers for state in subjects}
    assert {key(row) for row in ROWS} == wanted


def test_triggers_are_commands() -> None:
    names = {trigger.split()[0] for trigger in TRIGGERS} - {"undelivered"}
    assert names == set(PERMISSIONS) - _NOT_IN_ROWS


def test_refusals_in_the_permissions_are_known() -> None:
    for permission in PERMISSIONS.values():
        assert set(permission[1:]) <= {YES, *REFUSALS}


@pytest.mark.parametrize("role", list(Role))
def test_an_outsider_never_may_more_than_the_invited_nor_these_than_a_member(role: Role) -> None:
    """Spec R-ROLE-1: rank only adds rights, but for an invitation, which only the invited have."""
    for command, permission in PERMISSIONS.items():
        if command in ("accept", "reject") or role is Role.INVITED:
            continue
        if permission.of(Role(role - 1)) == YES:
            assert permission.of(role) == YES


def test_the_machine_keeps_no_cases() -> None:
    assert MACHINE.models == []
    assert not MACHINE.auto_transitions
    assert "__dict__" not in dir(Case)


class Given:
    """A case of which each condition is as given."""

    def __init__(self, state: str, given: dict[str, bool]) -> None:
        self.state = state
        self.row: Row | None = None
        self.__dict__ |= given


@pytest.mark.parametrize(("trigger", "source"), sorted({key(row) for row in ROWS}))
def test_a_request_takes_the_row_that_the_machine_takes(trigger: str, source: str) -> None:
    names = sorted({name for row in ROWS if key(row) == (trigger, source) for name in row.conditions})
    for values in product((False, True), repeat=len(names)):
        one, other = (Given(source, dict(zip(names, values, strict=True))) for _ in range(2))
        MACHINE.events[trigger].trigger(cast(Any, one))
        assert take(trigger, cast(Case, other)) is other.row
        assert (one.row, one.state) == (other.row, other.state)


def test_where_no_row_fits_it_is_said() -> None:
    with pytest.raises(LookupError, match="no row for accept from member"):
        take("accept", cast(Case, Given("member", {})))
