"""A guard ties submissions together that were built on each other: where one is not committed, those behind it are not.

Whoever decides on what is not committed yet (a room goes ahead of its commits) gives all these submissions one guard.
"""

from __future__ import annotations


class Guard:
    """``is_good`` until a submission with it has failed; the writer sets it. Made anew to go on after that."""

    __slots__ = ("is_good",)

    def __init__(self) -> None:
        self.is_good = True
