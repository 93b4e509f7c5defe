"""Which event a MESSAGE tells: by its header IMC-Event, else by the patterns of a profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from conformance.suite.case import MESSAGE, RELAYED

_ADDRESS = r"(?:sips?:)?[^\s@\[\]<>]+@[^\s@\[\]<>;]+"
_PLACES = {"address": _ADDRESS, "room": _ADDRESS, "user": _ADDRESS}
_PLACE = re.compile(r"\{(" + "|".join(_PLACES) + r")\}")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """``{address}``, ``{room}`` and ``{user}`` stand for any address, with or without its scheme."""
    return re.compile(_PLACE.sub(lambda match: _PLACES[match[1]], pattern), re.DOTALL)


class Classifier:
    """``events``: event id → patterns for the whole of a text, see `Profile`. ``is_actor``: whether it is an actor's.

    Without patterns what a room sends without IMC-Event is of no known event; with them, what none of them fits is a
    copy, unless there are patterns for copies too.
    """

    def __init__(self, events: Mapping[str, Sequence[str]], is_actor: Callable[[str], bool]) -> None:
        self._patterns = [(event, compile_pattern(each)) for event, all_of_one in events.items() for each in all_of_one]
        self._is_actor = is_actor
        self._default = MESSAGE if events and MESSAGE not in events else None

    def event(self, sender: str, header: str | None, text: str) -> str | None:
        """``sender`` is user@host of From, ``header`` the value of IMC-Event."""
        if header is not None:
            return header
        if self._is_actor(sender):
            return RELAYED
        return next((event for event, pattern in self._patterns if pattern.fullmatch(text)), self._default)
