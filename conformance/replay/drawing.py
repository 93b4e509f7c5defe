"""What a replay shows: arrows as they come, with marks where something is otherwise than recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from conformance.replay.script import Agent
from conformance.report.ladder import Kind, Mark
from conformance.suite.conversation import Arrow
from imc.sip.message import Request, Response


@dataclass(slots=True)
class Played:
    """What came of it: a ladder, its marks, and the same in lines."""

    arrows: list[Arrow] = field(default_factory=list)
    marks: dict[int, Mark] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    requests: int = 0
    responses: int = 0
    messages: int = 0
    hints: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Row:
    arrow: Arrow
    mark: Mark | None


class Drawing:
    """Collects. ``began`` is trio's time of the first moment, ``names`` what each agent is called."""

    def __init__(self, names: dict[Agent, str]) -> None:
        self.names = names
        self.began = 0.0
        self.played = Played()
        self._rows: list[_Row] = []

    def draw(self, agent: Agent, message: Request | Response, *, is_up: bool, mark: Mark | None = None) -> None:
        """A message of the agent, or to it."""
        self.row(agent, summary(message), message.render(), is_up=is_up, mark=mark)

    def row(
        self,
        agent: Agent,
        words: str,
        data: bytes | None,
        *,
        is_up: bool,
        mark: Mark | None = None,
        at: float | None = None,
    ) -> None:
        """An arrow; ``at`` in seconds since the beginning, by default now."""
        name = self.names[agent]
        ends = (name, "server") if is_up else ("server", name)
        moment = trio.current_time() - self.began if at is None else at
        self._rows.append(_Row(Arrow(at=moment, source=ends[0], target=ends[1], summary=words, data=data), mark))
        if mark is not None:
            note = f": {mark.note}" if mark.note else ""
            self.played.differences.append(f"{ends[0]} > {ends[1]}: {_PREFIX[mark.kind]}{words}{note}")

    def hint(self, text: str) -> None:
        """Advice, once."""
        if text not in self.played.hints:
            self.played.hints.append(text)

    def finish(self) -> Played:
        """All of it, in the order of time."""
        self._rows.sort(key=lambda row: row.arrow.at)
        self.played.arrows = [row.arrow for row in self._rows]
        self.played.marks = {place: row.mark for place, row in enumerate(self._rows) if row.mark is not None}
        return self.played


_PREFIX: Mapping[Kind, str] = {"differs": "", "missing": "missing: ", "extra": "not recorded: "}


def summary(message: Request | Response) -> str:
    """A message in a line."""
    if isinstance(message, Response):
        return f"{message.status} {message.reason} ({message.cseq.method})"
    text = message.body.decode("utf-8", "replace").strip().splitlines()
    first = text[0] if text else ""
    event = message.headers.get("IMC-Event")
    words = f"MESSAGE {f'[{event}] ' if event else ''}{first}" if message.method == "MESSAGE" else message.method
    if message.method in ("REGISTER", "OPTIONS"):
        words = f"{message.method} {message.uri}"
    return words if len(words) <= 100 else words[:99] + "…"
