"""``imc-conformance scale``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from conformance.load.axes import Axis
    from conformance.load.scale import Growth
    from conformance.load.servers import Server

_WIDTH = 140  # of tables that go to a file
INCOMPLETE, WRONG, NOT_STARTED = 1, 2, 3


class Usage(Exception):
    """What was asked for makes no sense."""


def add_to(app: typer.Typer) -> None:
    app.command()(scale)


def scale(
    axes: Annotated[
        list[str] | None, typer.Argument(metavar="AXIS", help="What to make larger; all without. --axes lists them.")
    ] = None,
    *,
    list_axes: Annotated[bool, typer.Option("--axes", help="List the axes and end.")] = False,
    quick: Annotated[bool, typer.Option(help="Tiny sizes, to see that it works.")] = False,
    sizes: Annotated[
        str | None, typer.Option(metavar="N,N…", help="These sizes instead of an axis's own, up to 1,000,000.")
    ] = None,
    target: Annotated[str, typer.Option(metavar="imc|kamailio", help="The server.")] = "imc",
    vs: Annotated[
        str | None, typer.Option(metavar="imc|kamailio", help="Another one, in turn with the first where it can.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, max=20, help="How often, each time with new servers.")] = 1,
    sinks: Annotated[int, typer.Option(min=1, max=64, help="Processes that are the recipients.")] = 2,
    as_json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")] = None,
    with_json: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Measure nothing: take these figures, later ones before earlier."),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a drawing of each table, and all tables as figures.md.")
    ] = None,
) -> None:
    """Measure what a server costs as rooms, members and users become more, and print a table for each axis.

    Exit status: 0 the target did all of it, 1 something was lost or refused, 2 wrong usage, 3 a server or a sink did
    not start.
    """
    try:
        if list_axes:
            _print_axes()
            return
        chosen = _axes(axes or [], sizes, quick=quick)
        servers = _servers(target, vs)
        _check_writable(as_json, plots)
        if with_json:
            if axes or quick or sizes or vs:
                raise Usage("--from measures nothing: no AXIS, --quick, --sizes or --vs goes with it")
            growth = _read(with_json)
        else:
            growth = _measure(chosen, servers, sinks, repeat)
    except Usage as error:
        print(f"imc-conformance: {error}", file=sys.stderr)
        raise typer.Exit(WRONG) from None
    _write(growth, as_json, plots)
    first = next(iter(growth.versions))
    if not all(each.is_complete(first) for each in growth.series):
        raise typer.Exit(INCOMPLETE)


def _measure(chosen: list[tuple[Axis, list[int]]], servers: list[Server], sinks: int, repeat: int) -> Growth:
    from rich.console import Console

    from conformance.drivers.ending import ends_in_order
    from conformance.load import scale as measuring
    from conformance.load.measure import Options
    from conformance.load.sender import Names
    from conformance.load.servers import CannotStart
    from conformance.load.sinks import SinkDied

    notes = Console(stderr=True)

    def progress(axis: str, size: int, server: str, repetition: int) -> None:
        notes.print(f"{axis} {size:,}: {server}, {repetition} of {repeat}", highlight=False)

    try:
        with ends_in_order("imc-conformance"):
            return measuring.grow(
                chosen, servers, Options(sinks=sinks, names=Names(room="chat-")), repeat=repeat, progress=progress
            )
    except (CannotStart, SinkDied, OSError) as error:
        print(f"imc-conformance: {error}", file=sys.stderr)
        raise typer.Exit(NOT_STARTED) from None


def _write(growth: Growth, as_json: Path | None, plots: Path | None) -> None:
    from rich.console import Console

    from conformance.load import sheets
    from conformance.load.plots import draw

    if as_json is not None:
        as_json.write_text(json.dumps(growth.to_json(), indent=1) + "\n", encoding="utf-8")
    if plots is not None:
        (plots / "figures.md").write_text(sheets.page(growth), encoding="utf-8")
        for sheet in sheets.sheets(growth):
            (plots / f"{sheet.name}.svg").write_text(draw(sheet), encoding="utf-8")
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(sheets.terminal(growth))
    for doubt in sheets.doubts(growth):
        print(doubt, file=sys.stderr)


def _axes(names: list[str], sizes: str | None, *, quick: bool) -> list[tuple[Axis, list[int]]]:
    from conformance.load.axes import AXES, MOST

    unknown = [name for name in names if name not in AXES]
    if unknown:
        raise Usage(f"no axis {unknown[0]}; there are {', '.join(AXES)}")
    if sizes is None:
        return [(axis, list(axis.quick if quick else axis.sizes)) for axis in _chosen(names)]
    if quick:
        raise Usage("--quick has its own sizes")
    found = [int(word) if word.isascii() and word.isdigit() else 0 for word in sizes.split(",")]
    for axis in _chosen(names):
        if not all(axis.quick[0] <= size <= MOST for size in found):
            raise Usage(f"--sizes {sizes}: whole numbers from {axis.quick[0]} to {MOST}, with commas between")
    return [(axis, found) for axis in _chosen(names)]


def _chosen(names: list[str]) -> list[Axis]:
    from conformance.load.axes import AXES

    return [AXES[name] for name in dict.fromkeys(names or AXES)]


def _servers(target: str, vs: str | None) -> list[Server]:
    from conformance.load.servers import Imc, Kamailio

    kinds: dict[str, type[Imc] | type[Kamailio]] = {"imc": Imc, "kamailio": Kamailio}
    names = [target] if vs is None else [target, vs]
    for name in names:
        if name not in kinds:
            raise Usage(f"{name}: imc or kamailio; a server that runs already cannot be given its rooms")
    if target == vs:
        raise Usage("--vs needs another server than --target")
    return [kinds[name]() for name in names]


def _check_writable(as_json: Path | None, plots: Path | None) -> None:
    """Beforehand, since it takes its time."""
    try:
        if as_json is not None:
            as_json.open("a", encoding="utf-8").close()
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            (plots / "figures.md").open("a", encoding="utf-8").close()
    except OSError as error:
        raise Usage(f"{error.filename}: {error.strerror}") from None


def _read(paths: list[Path]) -> Growth:
    from conformance.load.scale import Growth

    found: list[Growth] = []
    for path in paths:
        try:
            found.append(Growth.from_json(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, UnicodeDecodeError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise Usage(f"{path}: {why}") from None
    first, *others = found
    for other in others:
        first.add(other)
    return first


def _print_axes() -> None:
    for axis in _chosen([]):
        print(f"{axis.name:10}{axis.title}: {', '.join(f'{size:,}' for size in axis.sizes)} {axis.unit}")
