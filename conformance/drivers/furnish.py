"""The commands by which a room comes to stand as a case wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from conformance.suite.case import Room


def commands(room: Room, address: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """(actor, command without its start character), in their order; ``address`` gives an actor's user@host."""
    owner = room.those("owner")[0]
    yield owner, "create private" if room.kind == "private" else "create"
    for actor, standing in room.standings.items():
        if actor == owner:
            continue
        if room.kind == "private" or standing == "invited":
            yield owner, f"invite {address(actor)}"
        if standing != "invited":
            yield actor, "accept" if room.kind == "private" else "join"
        if standing in ("admin", "owner"):
            yield owner, f"modify {address(actor)} {standing}"
