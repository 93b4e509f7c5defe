"""``imc outbox``: copies that wait for their recipients, and dead letters, of the running daemon."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from imc.cli.common import AsJson, ConfigPath
from imc.cli.remote import daemon_of

app = typer.Typer(no_args_is_help=True, help="What could not be delivered yet: copies that wait, and dead letters.")
_PAGE = 500


class State(StrEnum):
    DEAD = "dead"
    WAITING = "waiting"
    ALL = "all"


Recipient = Annotated[str, typer.Argument(help="Only what is for this user. Without it, for everybody.")]
Whose = Annotated[str, typer.Argument(help="The user whose copies are meant; or the word all.")]
Which = Annotated[str, typer.Option("--id", help="Only the copy with this id, as imc outbox list shows it.")]


@app.command("list")
def list_(
    recipient: Recipient = "",
    state: Annotated[State, typer.Option(help="Which ones.")] = State.ALL,
    path: ConfigPath = None,
    is_json: AsJson = False,
) -> None:
    """List copies that wait for their recipient, and dead letters: those that nobody tries to deliver any more."""
    from imc.manage import client

    rows = list(_copies(recipient, state, path, has_body=False))
    if recipient and not rows:
        print(f"imc: nothing is there for {recipient}; imc outbox list shows for whom there is", file=sys.stderr)
    if is_json:
        client.show_json(rows, sys.stdout)
    else:
        client.show_table(client.outbox_table(rows), sys.stdout)


@app.command()
def export(
    recipient: Recipient = "",
    state: Annotated[State, typer.Option(help="Which ones.")] = State.DEAD,
    path: ConfigPath = None,
) -> None:
    """Print dead letters whole, one a line as JSON."""
    for row in _copies(recipient, state, path, has_body=True):
        print(json.dumps(row, ensure_ascii=False))


@app.command()
def retry(recipient: Whose, id_: Which = "", path: ConfigPath = None) -> None:
    """Send dead letters again: now where their recipient can be reached, else when they can be."""
    count = _call(path, "imc.outbox_retry", {"recipient": recipient, "id": id_})
    print(f"{count} put back")
    if not count:
        why = "an invitation is not: its inviter was told that it failed; nor is what its sender had expire"
        print(f"imc: {why}", file=sys.stderr)


@app.command()
def drop(
    recipient: Whose,
    id_: Which = "",
    state: Annotated[State, typer.Option(help="Which ones.")] = State.DEAD,
    path: ConfigPath = None,
) -> None:
    """Delete copies, unread: dead letters, or what --state says."""
    count = _call(path, "imc.outbox_drop", {"recipient": recipient, "state": state.value, "id": id_})
    print(f"{count} deleted")
    if state is State.DEAD and not count:
        print("imc: dead letters are meant; --state waiting or all for others", file=sys.stderr)


def _copies(recipient: str, state: State, path: ConfigPath, *, has_body: bool) -> Iterator[dict[str, Any]]:
    """Page by page."""
    after = ""
    while True:
        page: Any = _call(
            path,
            "imc.outbox",
            {
                "recipient": recipient,
                "state": state.value,
                "after": after,
                "limit": str(_PAGE),
                "body": "yes" if has_body else "no",
            },
        )
        yield from page["copies"]
        after = page["next"]
        if not after:
            return


def _call(path: ConfigPath, method: str, params: dict[str, Any]) -> object:
    from imc.manage import client

    endpoint, token = daemon_of(path)
    return client.call(endpoint, method, params, token=token)
