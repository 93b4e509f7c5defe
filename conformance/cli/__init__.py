"""The command ``imc-conformance``.

Exit status: 0 all is as the specification says, 1 something is not, 2 wrong usage or unreadable input; 3 of ``run``: no
server to hold against it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from conformance.cli import load, report, run, scale
from conformance.model.validate import Disagreement, Figures, NotATrace

app = typer.Typer(
    name="imc-conformance",
    help="Hold a chat-room server against the specification.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
run.add_to(app)
report.add_to(app)
load.add_to(app)
scale.add_to(app)
DISAGREES, UNREADABLE = 1, 2


@app.callback()
def _conformance() -> None:
    pass


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Traces, the oldest first; - is stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check what `imc serve --trace-spec` wrote: every decision, against the rules of the specification.

    Says the first record that does not agree, with file and line.
    """
    from conformance.model.validate import validate as check

    place = _Place()
    try:
        figures = check(place.lines(files))
    except Disagreement as wrong:
        _say(as_json, {"agrees": False, "where": str(place), "why": str(wrong)}, f"{place}: {wrong}")
        raise typer.Exit(DISAGREES) from None
    except (NotATrace, OSError, UnicodeDecodeError) as error:
        print(f"imc-conformance: {place}: {error}", file=sys.stderr)
        raise typer.Exit(UNREADABLE) from None
    _say(as_json, {"agrees": True, **_plain(figures)}, _sentences(figures))


@app.command()
def traces(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; spec/traces in the source.")],
) -> None:
    """Write the transition tour of the rules as JSON: every transition, and one of each class."""
    from conformance.model import graph, rules
    from conformance.model.tour import tour
    from conformance.model.traces import render

    found = graph.explore(rules.step)
    for name, ways in (("tour", []), ("classes", graph.renamings())):
        walks = tour(found, ways)
        (folder / f"{name}.json").write_text(render(walks, found), encoding="utf-8")
        print(f"{name}.json: {sum(map(len, walks))} steps in {len(walks)} walks over {len(found)} transitions")


@app.command()
def clauses(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A source tree with spec/, imc/ and tests/.")],
) -> None:
    """Print an index of the clauses: what each says, and which cases, tests and code hold it."""
    from conformance.report.clauses import NoSource, page

    try:
        print(page(folder), end="")
    except NoSource as error:
        print(f"imc-conformance: {error}", file=sys.stderr)
        raise typer.Exit(UNREADABLE) from None


class _Place:
    """Where a line that is being read stands."""

    def __init__(self) -> None:
        self.name, self.line = "", 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}"

    def lines(self, files: list[Path]) -> Iterator[str]:
        for path in files:
            self.name, self.line = str(path), 0
            with sys.stdin if str(path) == "-" else path.open(encoding="utf-8") as file:
                for self.line, text in enumerate(file, 1):
                    yield text


def _plain(figures: Figures) -> dict[str, object]:
    return {**asdict(figures), "rooms": len(figures.rooms), "clauses": dict(sorted(figures.clauses.items()))}


def _sentences(figures: Figures) -> str:
    lines = [
        f"{figures.decisions} decisions on {len(figures.rooms)} rooms agree with the specification; they rest on "
        f"{len(figures.clauses)} clauses.",
        f"{figures.compared} of {figures.snapshots} readings of rooms could be compared with what was decided before.",
    ]
    if figures.missing:
        lines.append(f"{figures.missing} decisions were not written down: nothing is known of them.")
    if figures.unknown:
        lines.append(f"{figures.unknown} commits failed: the rooms were taken as they were found afterwards.")
    if figures.torn:
        lines.append(f"{figures.torn} lines were not written whole: the process was killed.")
    return "\n".join(lines)


def _say(as_json: bool, data: dict[str, object], text: str) -> None:
    print(json.dumps(data) if as_json else text)


def main() -> None:
    """The console script."""
    app()
