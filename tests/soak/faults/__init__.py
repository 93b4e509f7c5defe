"""The faults, by name. Each module has one or several works; a name that begins several names them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.soak.faults import away, clock, database, edge, kill, loss, overload, second, steady, tcp
from tests.soak.outcome import Work

_MODULES = (kill, database, second, clock, loss, tcp, overload, away, steady, edge)
WORKS: dict[str, Work] = {name: work for module in _MODULES for name, work in module.WORKS.items()}


def named(words: Sequence[str]) -> Iterator[str]:
    """Names of works: themselves, or the beginning of several (`kill`); all where there are no words. KeyError."""
    if not words:
        yield from WORKS
    for word in words:
        found = [name for name in WORKS if name == word or name.startswith(word + "-")]
        if not found:
            raise KeyError(word)
        yield from found
