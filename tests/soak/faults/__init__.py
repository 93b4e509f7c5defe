"""The faults, by name. Each module has one or several works; a name that begins several names them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.soak.faults import database, kill
from tests.soak.outcome import Work

WORKS: dict[str, Work] = {**kill.WORKS, **database.WORKS}


def named(words: Sequence[str]) -> Iterator[str]:
    """Names of works: themselves, or the beginning of several (`kill`); all where there are no words. KeyError."""
    if not words:
        yield from WORKS
    for word in words:
        found = [name for name in WORKS if name == word or name.startswith(word + "-")]
        if not found:
            raise KeyError(word)
        yield from found
