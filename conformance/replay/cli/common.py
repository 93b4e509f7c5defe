"""What the commands share: reading a file, saying what is wrong with it, exit status."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import trio
import typer

from conformance.replay.read import read
from conformance.replay.recording import Address, Recording, Unreadable
from conformance.report.plain import visible

T = TypeVar("T")
DIFFERS, UNREADABLE, NOT_REACHABLE = 1, 2, 3
_LINE_END = "\n"

File = Annotated[Path, typer.Argument(metavar="FILE", help="A trace, or a pcap or pcapng capture.")]
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="IP:PORT", help="Who is the server in it; guessed where not given."),
]


def fail(text: str, status: int = UNREADABLE) -> NoReturn:
    print(f"imc-replay: {visible(text, keep=_LINE_END)}", file=sys.stderr)
    raise typer.Exit(status)


def load(path: Path) -> Recording:
    """The recording; what was left out is told on stderr."""
    try:
        recording = read(path)
    except Unreadable as error:
        fail(str(error))
    tell(f"{path}: {note}" for note in recording.notes)
    return recording


def tell(notes: Iterable[str]) -> None:
    """Warnings on stderr."""
    for note in notes:
        print(f"imc-replay: {visible(note, keep=_LINE_END)}", file=sys.stderr)


def address(text: str | None, option: str, default_port: int | None = None) -> Address | None:
    if text is None:
        return None
    try:
        return Address.parse(text, default_port)
    except ValueError as error:
        fail(f"{option}: {error}")


def run_trio(work: Callable[..., Awaitable[T]], *args: object) -> T:
    """`trio.run`; of exceptions that nurseries put together the first comes out alone."""
    try:
        return trio.run(work, *args)
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


def width() -> int:
    """Of the terminal, in cells."""
    return max(60, min(shutil.get_terminal_size((120, 24)).columns, 240))
