"""Pages drawn from the tables that the daemon runs on: the machine of rooms, the permissions, the SIP transactions.

Diagrams are Mermaid, which the hosts of sources show as pictures, and which can be read as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any

from imc.rooms.machine import NO_ROOM, ROWS, STATES, Row
from imc.rooms.model import Role
from imc.rooms.permissions import PERMISSIONS, YES
from imc.sip.transactions import CLIENT, SERVER

_STANDINGS = STATES[1:]
_MADE = "This page is made from the code by `imc reference {page}`; a test fails where it is stale.\n\n"

_ROOM = """\
# The life of a room

{made}A room is there from its first owner on, and as long as it has one (R-INV-1). It is private or public from
the start to the end.

{diagram}
What can become of a command to an address where there is no room:

{table}
Each other command gets 404 there (R-HIDE-1).
"""

_MEMBERSHIP = """\
# Standing in a room

{made}The machine moves the standing of one user: the one a command names, else its sender. Who may give the command at
all is judged before, by the [permissions](../../reference/permissions.md). What is in brackets must hold.

{diagram}
Every row of the machine, for a room that is there. Of the rows of one command and standing the first stands of which
all conditions hold. *undelivered* is no command: an invitation could not be delivered.

{table}"""

_TRANSACTIONS = """\
# SIP transactions

{made}The non-INVITE transactions of RFC 3261 §17, with RFC 4320 and what `spec/sip.md` says of them. A label is
the event, and behind the slash what is done, in order.

## Client: imc sends a request

{client}
## Server: imc answers one

{server}"""

_PERMISSIONS = """\
# Permissions

{made}Who may give which command, by their standing in the room. A cell is **yes**, or the event of the refusal; all
of them are 403. To an outsider of a private room every refusal but those of create and join is `room-not-found`, 404
(R-HIDE-1). The last column is the clause of [spec/room.md](../../spec/room.md) that a refusal rests on.

{permissions}
## Whom a command is about

Where the sender may give the command, the standing of the user whom it names decides. A cell is what they become, or
the event of the refusal; the first of several whose condition holds.

{subjects}"""


def room() -> str:
    """docs/design/diagrams/room.md."""
    lines = ['state "no room" as none', 'state "live room" as live', "[*] --> none"]
    lines += [f"none --> live : {_label(row)}" for row in ROWS if row.source == NO_ROOM and row.dest is not None]
    lines += [f"live --> none : {_label(row)}" for row in ROWS if row.dest == NO_ROOM]
    table = _rows(row for row in ROWS if row.source == NO_ROOM and row.trigger != "undelivered")
    return _ROOM.format(made=_MADE.format(page="diagram-room"), diagram=_diagram(lines), table=table)


def membership() -> str:
    """docs/design/diagrams/membership.md."""
    moves: dict[tuple[str, str], list[str]] = {}
    live = [row for row in ROWS if row.source != NO_ROOM]
    for row in live:
        if row.dest not in (None, NO_ROOM):
            moves.setdefault((row.source, str(row.dest)), []).append(_label(row))
    lines = ["[*] --> outsider"]
    lines += [f"{source} --> {dest} : {', '.join(labels)}" for (source, dest), labels in moves.items()]
    lines += [f"{row.source} --> [*] : {_label(row)}" for row in live if row.dest == NO_ROOM]
    made = _MADE.format(page="diagram-membership")
    return _MEMBERSHIP.format(made=made, diagram=_diagram(lines), table=_rows(live))


def transactions() -> str:
    """docs/design/diagrams/transactions.md."""
    made = _MADE.format(page="diagram-transactions")
    return _TRANSACTIONS.format(made=made, client=_transaction(CLIENT), server=_transaction(SERVER))


def permissions() -> str:
    """docs/reference/permissions.md."""
    head = ["Command", *(role.name.lower() for role in reversed(Role)), "outsider", "Clause"]
    lines = [
        [command, *(_cell(line.of(role)) for role in (*reversed(Role), None)), line.clause]
        for command, line in PERMISSIONS.items()
    ]
    targeted = ("invite", "add", "remove", "modify")
    triggers = dict.fromkeys(row.trigger for row in ROWS if row.trigger.split()[0] in targeted)
    subjects = [[trigger, *(_outcomes(trigger, standing) for standing in reversed(_STANDINGS))] for trigger in triggers]
    return _PERMISSIONS.format(
        made=_MADE.format(page="permissions"),
        permissions=_table(head, lines),
        subjects=_table(["Command", *reversed(_STANDINGS)], subjects),
    )


def _label(row: Row) -> str:
    return f"{row.trigger}{_condition(row)}"


def _condition(row: Row) -> str:
    return f" [{', '.join(_words(name) for name in row.conditions)}]" if row.conditions else ""


def _words(name: str) -> str:
    """A condition or an effect, as words."""
    return name.removeprefix("is_").replace("_", " ")


def _rows(rows: Iterable[Row]) -> str:
    lines = [
        [
            row.trigger,
            row.source,
            ", ".join(map(_words, row.conditions)),
            f"`{row.refusal}`" if row.refusal else row.dest or "unchanged",
            ", ".join(map(_words, row.effects)),
            row.clause,
        ]
        for row in rows
    ]
    return _table(["Command", "Standing", "If", "Becomes, or the refusal", "Effect", "Clause"], lines)


def _outcomes(trigger: str, standing: str) -> str:
    found = [row for row in ROWS if (row.trigger, row.source) == (trigger, standing)]
    return "; ".join(f"{_outcome(row)}{_condition(row)}" for row in found)


def _outcome(row: Row) -> str:
    return f"`{row.refusal}`" if row.refusal else f"**{row.dest or 'unchanged'}**"


def _cell(cell: str) -> str:
    return "**yes**" if cell == YES else f"`{cell}`"


def _transaction(table: Mapping[Any, Mapping[Any, Any]]) -> str:
    return _diagram(["[*] --> NEW", *_transaction_lines(table), "TERMINATED --> [*]"])


def _transaction_lines(table: Mapping[Any, Mapping[Any, Any]]) -> Iterator[str]:
    for state, rows in table.items():
        for event, row in rows.items():
            actions = ", ".join(_member(action) for action in row.actions)
            yield f"{state.name} --> {row.next.name} : {_member(event)} / {actions}"


def _member(member: IntEnum | Any) -> str:
    """SEND_REQUEST as "send request"; the letters of timers stay as they are."""
    words = str(member.name).split("_")
    return " ".join(word if len(word) == 1 or word[-1].isdigit() else word.lower() for word in words)


def _diagram(lines: Iterable[str]) -> str:
    return "```mermaid\nstateDiagram-v2\n" + "".join(f"    {line}\n" for line in lines) + "```\n"


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
