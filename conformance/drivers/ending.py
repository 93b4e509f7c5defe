"""A program that is told to end first ends what it has started."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer


@contextmanager
def ends_in_order(program: str) -> Iterator[None]:
    """SIGTERM is as Ctrl-C in here: the block is left by its ``finally``s, and the exit status is 128 and the signal.

    For the main thread. typer.Exit, where it was told to end.
    """
    came: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        signal.raise_signal(signal.SIGINT)  # which trio delivers where nothing is torn

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        if isinstance(error, BaseExceptionGroup) and error.split(KeyboardInterrupt)[0] is None:
            raise
        number = came[0] if came else signal.SIGINT
        print(f"{program}: ended by {signal.Signals(number).name}", file=sys.stderr)
        raise typer.Exit(128 + number) from None
    finally:
        signal.signal(signal.SIGTERM, before)
