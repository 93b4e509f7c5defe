"""`imc-replay anonymize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from conformance.replay import trace
from conformance.replay.cli.common import DIFFERS, File, fail, load, tell


def anonymize(
    file: File,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The trace to write; it must not exist.")],
) -> None:
    """Write a recording without the names of users and hosts, and without what they said: to attach to a bug report.

    It still shows and replays the same. Exit status 1 where messages had to be left out.
    """
    from conformance.replay.anonymize import anonymize as clean

    recording = load(file)
    result, notes = clean(recording)
    tell(f"{file}: {note}" for note in notes)
    try:
        with out.open("xb") as to:
            to.write(trace.head(server=result.server, is_anonymous=True))
            for message in result.messages:
                to.write(trace.render(message))
    except OSError as error:
        fail(f"{out}: {error.strerror or error}")
    if notes or recording.notes:
        raise typer.Exit(DIFFERS)
