"""The command ``imc-replay``.

Exit status: 0 the same as recorded, or done; 1 something differs, or a part of the file could not be used (`show`,
`anonymize`); 2 nothing of the file could be read, or wrong usage; 3 the target cannot be reached.
"""

from __future__ import annotations

from typing import Annotated

import typer

from conformance.replay.cli import anonymize, record, run, show

app = typer.Typer(
    name="imc-replay",
    help="Read, replay, record and anonymize SIP conversations with a chat-room server.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def _print_ignored(value: bool) -> None:
    if not value:
        return
    from conformance.replay.compare import COMPARED, IGNORED

    for title, rows in (("Compared", COMPARED), ("Ignored", IGNORED)):
        print(f"{title}:")
        for what, why in rows:
            print(f"  {what}: {why}")
    raise typer.Exit


@app.callback()
def _replay(
    _ignored: Annotated[
        bool,
        typer.Option(
            "--ignored", callback=_print_ignored, is_eager=True, help="Print what is compared, what not, and why."
        ),
    ] = False,
) -> None:
    pass


app.command("show")(show.show)
app.command("run")(run.run)
app.command("record")(record.record)
app.command("anonymize")(anonymize.anonymize)


def main() -> None:
    """The console script."""
    app()
