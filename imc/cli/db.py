"""``imc db``: the tables in the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc.cli.common import ConfigPath, load_settings

if TYPE_CHECKING:
    from imc.store.backup import Contents

app = typer.Typer(no_args_is_help=True, help="Look after the database.")


@app.command()
def upgrade(path: ConfigPath = None) -> None:
    """Create the tables that are missing and bring the others up to date. The daemon does it too, at its start."""
    from imc.cli.users import open_store

    with open_store(load_settings(path)) as store:
        for warning in store.warnings:
            print(f"note: {warning}")
        print(f"{store.place}: up to date")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; for your eyes only, it holds passwords.")],
    path: ConfigPath = None,
) -> None:
    """Write rooms, members, invitations, accounts, registrations and what is not delivered yet to a file.

    The daemon may run: the backup is of one moment.
    """
    import time

    from imc.cli.users import open_store
    from imc.store.backup import backup as write

    with open_store(load_settings(path)) as store:
        print(f"{file}: {_words(write(store, file, time.time))}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What imc db backup has written.")],
    path: ConfigPath = None,
    replace: Annotated[bool, typer.Option("--replace", help="Remove first all that the database holds.")] = False,
) -> None:
    """Fill the database from a backup, of whichever kind of database it was. The daemon must not run."""
    from imc.options import store_options
    from imc.store.backup import inspect_backup
    from imc.store.backup import restore as read
    from imc.store.store import Store

    settings = load_settings(path)
    inspect_backup(file)  # before a database is made for it
    with Store.open(store_options(settings, is_exclusive=True)) as store:
        print(f"{store.place}: {_words(read(store, file, may_replace=replace))}")


def _words(contents: Contents) -> str:
    rows = contents.rows
    return (
        f"{rows['rooms']} rooms, {rows['members']} members, {rows['invitations']} invitations, "
        f"{rows['subscriber']} accounts, {rows['bindings']} registrations, {rows['outbox']} deliveries under way"
    )
