"""`imc-replay show`."""

from __future__ import annotations

from typing import Annotated

import typer

from conformance.replay.cli.common import DIFFERS, File, Server, address, load, tell, width


def show(
    file: File,
    server: Server = None,
    is_whole: Annotated[bool, typer.Option("--whole", help="Print each message whole.")] = False,
) -> None:
    """Print the ladder of a recording: who sent what to whom, and when.

    Exit status 1 where a part of the file could not be used.
    """
    from conformance.replay.ladder import arrows_of
    from conformance.report.ladder import draw
    from conformance.report.plain import visible

    recording = load(file)
    arrows, notes = arrows_of(recording, address(server, "--server"))
    tell(notes)
    print(draw(arrows, width=width()), end="")
    if is_whole:
        for recorded in recording.messages:
            print(f"\n{recorded.where}: {recorded.transport} {recorded.source} > {recorded.target}")
            print(visible(recorded.data.decode("utf-8", "backslashreplace").replace("\r\n", "\n"), keep="\n"))
    if recording.notes:
        raise typer.Exit(DIFFERS)
