"""A table of cases: rows by standings, each cell a case (``cases/status.toml``, which tells how to read one).

Texts in, tables as of ``[[case]]`` out; `conformance.suite.case` makes cases of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Standing = Literal["owner", "admin", "member", "invited", "outsider", "hidden", "none"]
_INSIDE: tuple[Standing, ...] = ("owner", "admin", "member", "invited")
_NO_ROOM = "no-room"


class Cell(NamedTuple):
    """What comes of a request: ``gets`` is exhaustive, actor to event."""

    status: int
    clause: str
    gets: dict[str, str]


def read_cell(text: str) -> Cell:
    """``200 R-INVITE-1 | alice invitation-sent | olga invitation``. ValueError."""
    head, *told = (part.split() for part in text.split("|"))
    if len(head) != 2 or not head[0].isdecimal():
        raise ValueError(f"{text!r} does not begin with a status and a clause")
    gets: dict[str, str] = {}
    for *names, event in told:
        if not names:
            raise ValueError(f"nobody gets {event!r}")
        for name in names:
            if gets.setdefault(name, event) != event:
                raise ValueError(f"{name} gets both {gets[name]} and {event}")
    return Cell(int(head[0]), head[1], gets)


AsCell = Annotated[
    Cell,
    BeforeValidator(
        lambda value: read_cell(str(value)),
        json_schema_input_type=Annotated[str, Field(pattern=r"^[1-6][0-9]{2} [RS]-[A-Z]+-[0-9]+( \| .+)*$")],
    ),
]


class Row(BaseModel):
    """One command, and what becomes of it by standing."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
    line: str
    text: str
    room: dict[str, str] = {}
    requires: list[str] = []
    owner: AsCell
    admin: AsCell
    member: AsCell
    invited: AsCell
    outsider: AsCell
    hidden: AsCell
    none: AsCell


class Table(BaseModel):
    """``quotations`` are by clause, ``senders`` by standing."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    room: dict[str, str]
    senders: dict[Standing, str]
    quotations: dict[str, str]
    row: list[Row]


def expand(data: Mapping[str, Any], family: str) -> list[dict[str, Any]]:
    """The cases of a table, as of TOML. ValidationError of pydantic; KeyError of a clause without a quotation."""
    table = Table.model_validate(data)
    return [_case(table, row, standing, kind, family) for row in table.row for standing, kind in _columns()]


def _columns() -> Iterator[tuple[Standing, str]]:
    for standing in _INSIDE:
        yield from ((standing, kind) for kind in ("public", "private"))
    yield from (("outsider", "public"), ("hidden", "private"), ("none", _NO_ROOM))


def _case(table: Table, row: Row, standing: Standing, kind: str, family: str) -> dict[str, Any]:
    cell: Cell = getattr(row, standing)
    by = table.senders[standing]
    who = standing if standing in _INSIDE else "outsider"
    room = {} if kind == _NO_ROOM else {"room": {"kind": kind, **table.room, **row.room}}
    text = row.text.replace("{self}", f"{{{by}}}")
    step = {"by": by, "text": text, "status": cell.status, "gets": dict(cell.gets)}
    return {
        "id": f"{family}/{row.id}.{who}.{kind}",
        "clause": cell.clause,
        "quotation": table.quotations[cell.clause],
        "level": "must",
        "title": f"{_plain(row.text)} by {_article(who)}, {'no such room' if kind == _NO_ROOM else kind + ' room'}",
        "tags": ["matrix", row.id.partition("-")[0]],
        "requires": row.requires,
        "actors": sorted(table.room),
        **room,
        "step": [step],
    }


def _plain(text: str) -> str:
    return text.replace("{", "").replace("}", "")


def _article(standing: str) -> str:
    return standing if standing == "invited" else f"{'a' if standing == 'member' else 'an'} {standing}"
