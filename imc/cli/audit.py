"""``imc audit``: who did what, from the database (spec §22). The daemon may run, or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imc.aor import Aor
from imc.cli.common import AsJson, ConfigPath, load_settings, print_table
from imc.errors import ImcError

if TYPE_CHECKING:
    from imc.store.ops import PutAudit

app = typer.Typer(no_args_is_help=True, help="Who did what to which room, and what operators did.")
_PAGE = 1_000

Room = Annotated[str, typer.Option(metavar="ADDRESS", help="Only what is about this room.")]
User = Annotated[str, typer.Option(metavar="ADDRESS", help="Only what is about this user.")]
Caller = Annotated[str, typer.Option(metavar="NAME", help="Only what this user, by address, or this operator did.")]
Since = Annotated[str, typer.Option(metavar="TIME", help="Not what was before: 2026-11-30, or 2026-11-30T14:05, UTC.")]
Until = Annotated[str, typer.Option(metavar="TIME", help="Not what was at this time or later.")]


@app.command("list")
def list_(  # noqa: PLR0917  options of a command
    room: Room = "",
    user: User = "",
    caller: Caller = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="So many rows.")] = 100,
    path: ConfigPath = None,
    is_json: AsJson = False,
) -> None:
    """List what was done, the newest first."""
    found = []
    for row in _rows(path, room=room, user=user, caller=caller, since=since, until=until):
        found.append(row)
        if len(found) == limit:
            break
    if is_json:
        print(json.dumps([_object(row) for row in found], indent=2))
        return
    cells = [
        [_stamp(row.created), row.actor, row.via, row.act, row.room, row.user, row.detail, row.result] for row in found
    ]
    print_table(["Time", "Who", "Way", "Act", "Room", "About", "Detail", "Result"], cells)


@app.command()
def export(  # noqa: PLR0917  options of a command
    room: Room = "",
    user: User = "",
    caller: Caller = "",
    since: Since = "",
    until: Until = "",
    path: ConfigPath = None,
) -> None:
    """Print all of it, an object of JSON a line, the newest first."""
    for row in _rows(path, room=room, user=user, caller=caller, since=since, until=until):
        print(json.dumps(_object(row), ensure_ascii=False))


def _rows(path: ConfigPath, **asked: str) -> Iterator[PutAudit]:
    from imc.cli.users import open_store
    from imc.store.audit import AuditFilter

    settings = load_settings(path)
    domain = settings.imc.domains[0]
    wanted = AuditFilter(
        room=_uri(asked["room"], domain),
        user=_uri(asked["user"], domain),
        actor=_uri(asked["caller"], domain) if "@" in asked["caller"] else asked["caller"],
        since=_time("since", asked["since"]),
        until=_time("until", asked["until"]),
    )
    with open_store(settings) as store:
        before = None
        while rows := store.audit_rows(wanted, _PAGE, before):
            yield from rows
            before = rows[-1].id


def _object(row: PutAudit) -> dict[str, Any]:
    from imc.manage.audit_methods import row_of

    return {**row_of(row), "time": datetime.fromtimestamp(row.created, UTC).isoformat(timespec="milliseconds")}


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _uri(text: str, domain: str) -> str:
    if not text:
        return ""
    try:
        return str(Aor.parse(text, domain))
    except ValueError:
        raise ImcError(f"{text!r} is no address: write sip:NAME@DOMAIN") from None


def _time(key: str, text: str) -> float | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ImcError(f"--{key} {text!r} is no time: write 2026-11-30 or 2026-11-30T14:05") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
