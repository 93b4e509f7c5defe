"""The commands ``imc …``.

What a command needs is imported when it runs: ``imc --version`` and ``imc --help`` answer at once. An expected error
(`imc.errors.ImcError`) is a line on stderr and exit status 1; wrong usage is 2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imc import __version__
from imc.cli import audit, config, db, log, operators, outbox, remote, rooms, users
from imc.cli.common import ConfigPath, Flags
from imc.errors import ImcError

app = typer.Typer(
    name="imc",
    help="Chat rooms over SIP.",
    no_args_is_help=True,
    add_completion=True,
    # A traceback with local variables could show a password.
    pretty_exceptions_enable=False,
)
app.add_typer(users.app, name="user")
app.add_typer(operators.app, name="operator")
app.add_typer(config.app, name="config")
app.add_typer(db.app, name="db")
app.add_typer(outbox.app, name="outbox")
app.add_typer(rooms.app, name="room")
app.add_typer(audit.app, name="audit")
remote.add_to(app)
log.add_to(app)


class Page(StrEnum):
    """The pages that are made from the code."""

    SETTINGS = "settings"
    RPC = "rpc"
    IMC = "imc"
    PERMISSIONS = "permissions"
    METRICS = "metrics"
    ROOM = "diagram-room"
    MEMBERSHIP = "diagram-membership"
    TRANSACTIONS = "diagram-transactions"


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"imc {__version__}")
        raise typer.Exit


@app.callback()
def _imc(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("serve")
def _serve(
    path: ConfigPath = None,
    flags: Flags = None,
    trace_spec: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append each decision to a file, for imc-conformance validate."),
    ] = None,
) -> None:
    """Run the daemon, until SIGTERM or Ctrl-C. SIGHUP reloads what can be reloaded."""
    from imc.cli.serve import run

    run(path, flags or [], trace_spec=trace_spec)


@app.command("demo")
def _demo(
    folder: Annotated[Path, typer.Option("--dir", metavar="FOLDER", help="Where all of it is kept.")] = Path("run"),
    port: Annotated[int, typer.Option(min=1, max=65_535, metavar="PORT", help="The port on 127.0.0.1.")] = 5060,
) -> None:
    """Run a daemon to try things with: two accounts, on this machine only. Says how to log in."""
    from imc.cli.demo import run

    run(folder, port)


@app.command("import-config")
def _import_config(
    file: Annotated[Path, typer.Argument(metavar="KAMAILIO.CFG", help="The configuration of Kamailio.")],
    defines: Annotated[
        list[str] | None, typer.Option("--define", "-A", metavar="NAME[=VALUE]", help="As after Kamailio's own -A.")
    ] = None,
) -> None:
    """Print an imc.toml from the modparam("imc", ...) lines of a kamailio.cfg; on stderr what cannot be taken."""
    from imc.cli.config import translate

    translate(file, defines or [])


@app.command(hidden=True)
def reference(page: Annotated[Page, typer.Argument(help="Which page.")]) -> None:
    """Print a page of docs/reference/ or docs/design/diagrams/ that is made from the code, in Markdown."""
    from imc.cli import diagrams, pages
    from imc.config.render import reference as settings

    makers: dict[Page, Callable[[], str]] = {
        Page.SETTINGS: settings,
        Page.RPC: pages.rpc,
        Page.IMC: lambda: pages.imc(app),
        Page.PERMISSIONS: diagrams.permissions,
        Page.METRICS: pages.metrics,
        Page.ROOM: diagrams.room,
        Page.MEMBERSHIP: diagrams.membership,
        Page.TRANSACTIONS: diagrams.transactions,
    }
    print(makers[page](), end="")


def main() -> None:
    """The console script."""
    try:
        app()
    except ImcError as error:
        for line in str(error).splitlines():
            print(f"imc: {line}", file=sys.stderr)
        sys.exit(1)
