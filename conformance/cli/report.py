"""``imc-conformance report`` and ``diff``: what came of runs, from their JSON.

Exit status: 0 done (diff: nothing is worse), 1 something came to be worse, 2 wrong usage, or a file that cannot be read
or written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from conformance.suite.verdict import RunVerdict

WORSE, UNREADABLE = 1, 2


def add_to(app: typer.Typer) -> None:
    app.command()(report)
    app.command()(diff)


def report(
    files: Annotated[list[Path], typer.Argument(metavar="RUN.json...", help="What `run --json` wrote, a server each.")],
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page that needs no other.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")] = None,
    as_text: Annotated[
        bool, typer.Option("--text", help="Print text; without --html and --junit it is printed anyway.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="In JUnit XML, a should-case that failed is a failure, not skipped.")
    ] = False,
) -> None:
    """Tell what came of runs: what failed and deviates, with what was sent, and clauses against servers."""
    from conformance.report import text

    runs = [_read(path) for path in files]
    if page:
        _write(page, _page(runs))
    if junit:
        from conformance.report.junit import render

        _write(junit, render(runs, is_strict=strict))
    if as_text or not (page or junit):
        _print(text.render(runs))


def diff(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="The earlier run.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="The later one.")],
) -> None:
    """Say which cases came to be worse, better or otherwise. Exit status 1 where one is worse."""
    from conformance.report.compare import compare, render

    comparison = compare(_read(before), _read(after))
    _print(render(comparison))
    if comparison.is_worse:
        raise typer.Exit(WORSE)


def _page(runs: list[RunVerdict]) -> str:
    try:
        from conformance.report import html
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise _stop("--html needs jinja2: pip install 'imc[conformance]'") from None
    return html.render(runs)


def _read(path: Path) -> RunVerdict:
    from conformance.report.json import NotARun, read

    try:
        return read(path)
    except NotARun as error:
        raise _stop(str(error)) from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _stop(f"{path}: {error.strerror}") from None


def _print(text: str) -> None:
    """With escapes for what the terminal's encoding does not have."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _stop(why: str) -> typer.Exit:
    print(f"imc-conformance: {why}", file=sys.stderr)
    return typer.Exit(UNREADABLE)
