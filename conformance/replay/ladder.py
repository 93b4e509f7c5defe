"""A recording as the arrows of a ladder."""

from __future__ import annotations

from conformance.replay.recording import Address, Recording
from conformance.replay.script import NoServer, build, lane_names
from conformance.suite.conversation import Arrow


def arrows_of(recording: Recording, server: Address | None = None) -> tuple[list[Arrow], list[str]]:
    """Its messages, retransmissions included, and what is to be said of it.

    The lanes are named by users, where it shows who is who.
    """
    names: dict[Address, str] = {}
    notes: list[str] = []
    try:
        script = build(recording, server)
    except NoServer as error:
        notes.append(f"it cannot be told who is the server: {error}")
    else:
        lanes = lane_names(script.agents)
        names = {place: lanes[agent] for agent in script.agents for place in agent.seen_at}
        names |= dict.fromkeys(script.server_side, "server")
        notes = script.notes
    began = recording.messages[0].at if recording.messages else 0.0
    return [
        Arrow(
            at=each.at - began,
            source=names.get(each.source, str(each.source)),
            target=names.get(each.target, str(each.target)),
            summary=each.summary,
            data=each.data,
        )
        for each in recording.messages
    ], notes
