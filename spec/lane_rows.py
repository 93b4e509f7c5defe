"""The tables of `imc.sip.transactions` in Promela: `transaction_rows.pml`, which both models include."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

SPEC = Path(__file__).resolve().parent
sys.path.insert(0, str(SPEC.parent))

from imc.sip import transactions  # noqa: E402

FILE = "transaction_rows.pml"
_HEAD = """\
/* Made by `python spec/check_lanes.py --write-rows` from the tables in imc/sip/transactions.py: not to be edited.
 *
 * Durations are in units of T1. An event is an inline: it looks the state up, sets the next one, then does the actions,
 * in order, as imc.sip.client and imc.sip.server do. An event without a row cannot happen. */

bool p_row;
"""
DURATIONS = ("T1", "T2", "T4", "TIMER_F", "TIMER_J", "TIMER_K", "TIMER_100", "TIMER_GIVE_UP")


class Row(NamedTuple):
    """One row, by names: ``client``, ``TRYING``, ``TIMER_E``, (``SEND_REQUEST``, ``DOUBLE_E``), ``TRYING``."""

    side: str
    state: str
    event: str
    actions: tuple[str, ...]
    next: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.side, self.state, self.event

    def promela(self) -> str:
        letter = self.side[0]
        steps = [f"{self.side}_state[x] = {letter.upper()}_{self.next}"]
        steps += [f"{letter}_{action.lower()}(x)" for action in self.actions]
        return f"{self.side}_state[x] == {letter.upper()}_{self.state} -> " + "; ".join(steps)


_SIDES: tuple[tuple[str, type[Enum], type[Enum], Mapping[Any, Mapping[Any, Any]]], ...] = (
    ("client", transactions.ClientState, transactions.ClientEvent, transactions.CLIENT),
    ("server", transactions.ServerState, transactions.ServerEvent, transactions.SERVER),
)


def read_rows() -> list[Row]:
    """The rows of the code's tables, in the order of the generated file: by side, event, state."""
    return [
        Row(side, state.name, event.name, tuple(action.name for action in row.actions), row.next.name)
        for side, states, events, table in _SIDES
        for event in events
        for state in states
        if (row := table[state].get(event)) is not None
    ]


def read_durations() -> dict[str, int]:
    """The code's durations in units of T1. ValueError for one that is no multiple of it."""
    ticks = {name: getattr(transactions, name) / transactions.T1 for name in DURATIONS}
    odd = [name for name, value in ticks.items() if value != int(value)]
    if odd:
        raise ValueError(f"no multiples of T1: {', '.join(odd)}")
    return {name: int(value) for name, value in ticks.items()}


def render(rows: list[Row], durations: Mapping[str, int]) -> str:
    """The whole file."""
    lines = [_HEAD, *(f"#define {name} {value}" for name, value in durations.items())]
    for side, states, events, _ in _SIDES:
        lines += ["", *(f"#define {side[0].upper()}_{state.name} {state.value}" for state in states)]
        for event in events:
            mine = [row for row in rows if (row.side, row.event) == (side, event.name)]
            lines += [
                "",
                f"inline {side}_{event.name.lower()}(x) {{",
                "\tif",
                *(f"\t:: {row.promela()}" for row in mine),
            ]
            lines += ["\t:: else -> assert(p_row)", "\tfi", "}"]
    return "\n".join(lines) + "\n"


def generated() -> str:
    """What the file must be now."""
    return render(read_rows(), read_durations())
