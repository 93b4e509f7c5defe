"""``imc db``: the tables in the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc.cli.common import ConfigPath, load_settings

if TYPE_CHECKING:
    from imc.store.backup import Contents

Url = Annotated[str, typer.Argument(metavar="URL", help="Kamailio's database, written as in its modparam db_url.")]
IsYes = Annotated[bool, typer.Option("--yes", help="Do it. Without, it is only told what would be done.")]
ReportFile = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Each row that needs an eye, as a line of JSON.")
]
RoomsTable = Annotated[str | None, typer.Option("--rooms", metavar="TABLE", help="In place of imc_rooms.")]
MembersTable = Annotated[str | None, typer.Option("--members", metavar="TABLE", help="In place of imc_members.")]
SubscriberTable = Annotated[str | None, typer.Option("--subscriber", metavar="TABLE", help="In place of subscriber.")]

app = typer.Typer(no_args_is_help=True, help="Look after the database.")


@app.command()
def upgrade(path: ConfigPath = None) -> None:
    """Create the tables that are missing and bring the others up to date. The daemon does it too, at its start."""
    from imc.cli.users import open_store

    with open_store(load_settings(path), may_create=True) as store:
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


@app.command("import-kamailio")
def import_kamailio(
    url: Url,
    *,
    path: ConfigPath = None,
    is_yes: IsYes = False,
    prefer_theirs: Annotated[
        bool, typer.Option("--prefer-theirs", help="Make rooms and accounts that differ here as they are there.")
    ] = False,
    report: ReportFile = None,
    rooms: RoomsTable = None,
    members: MembersTable = None,
    subscriber: SubscriberTable = None,
    silo: Annotated[str | None, typer.Option("--silo", metavar="TABLE", help="In place of silo, msilo's.")] = None,
) -> None:
    """Take over rooms, members, accounts and stored messages from a Kamailio's database. A dry run, without --yes.

    Kamailio may run, imc must not. What is here already stays as it is, so it may be run again.
    """
    from imc.cli import migrate

    tables = {"rooms": rooms, "members": members, "subscriber": subscriber, "silo": silo}
    migrate.run("import", url, path, tables, report, is_writing=is_yes, is_forced=prefer_theirs)


@app.command("export-kamailio")
def export_kamailio(
    url: Url,
    *,
    path: ConfigPath = None,
    is_yes: IsYes = False,
    prefer_ours: Annotated[
        bool, typer.Option("--prefer-ours", help="Make rooms and accounts that differ there as they are here.")
    ] = False,
    report: ReportFile = None,
    rooms: RoomsTable = None,
    members: MembersTable = None,
    subscriber: SubscriberTable = None,
    silo: Annotated[
        str | None, typer.Option("--silo", metavar="TABLE", help="msilo's table; made where it is missing.")
    ] = None,
) -> None:
    """Write rooms, members, accounts and waiting messages into a Kamailio's database. A dry run, without --yes.

    Kamailio must not run, imc may. What is there already stays as it is, so it may be run again.
    """
    from imc.cli import migrate

    tables = {"rooms": rooms, "members": members, "subscriber": subscriber, "silo": silo}
    migrate.run("export", url, path, tables, report, is_writing=is_yes, is_forced=prefer_ours)


def _words(contents: Contents) -> str:
    rows = contents.rows
    return (
        f"{rows['rooms']} rooms, {rows['members']} members, {rows['invitations']} invitations, "
        f"{rows['subscriber']} accounts, {rows['bindings']} registrations, {rows['outbox']} deliveries under way"
    )
