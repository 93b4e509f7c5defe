"""``imc db``: the tables in the database."""

from __future__ import annotations

import typer

from imc.cli.common import ConfigPath, load_settings

app = typer.Typer(no_args_is_help=True, help="Look after the database.")


@app.callback()
def _db() -> None:
    """Keeps ``upgrade`` a command of its own, though it is the only one."""


@app.command()
def upgrade(path: ConfigPath = None) -> None:
    """Create the tables that are missing and bring the others up to date. The daemon does it too, at its start."""
    from imc.cli.users import open_store

    with open_store(load_settings(path)) as store:
        for warning in store.warnings:
            print(f"note: {warning}")
        print(f"{store.place}: up to date")
