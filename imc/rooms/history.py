"""What was said, as it is repeated: lines that nobody can take for a notice or for another's (spec R-HISTORY-5).

Invariants
    Each line begins with ``[label time]``, or with ``| `` where it goes on with the line before.
    No line holds what may be shown as a line's end, or more bytes than were asked for.
    A label is that of one person among the members and all who are repeated.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from imc.aor import Aor
from imc.rooms.model import Room
from imc.rooms.names import lookalike_key

CONTINUATION = "| "
_BREAK = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")  # as spec R-MSG-7
_SHOWN_TYPE = 80


class Said(NamedTuple):
    """One message of the log. ``text`` is None for what is not text/plain; ``time`` is in unix seconds."""

    sender: Aor
    time: float
    type: str
    size: int
    text: str | None


class Repeated(NamedTuple):
    """The lines, the oldest first, and whether there was no room for messages before them."""

    lines: tuple[str, ...]
    is_cut: bool


def repeat(room: Room, said: Sequence[Said], *, max_line: int, max_bytes: int) -> Repeated:
    """The newest of ``said``, which is in order, as lines of at most ``max_line`` bytes, ``max_bytes`` in all."""
    labels = labels_of((*room.audience, *(one.sender for one in said)))
    found: deque[list[str]] = deque()
    size = 0
    for one in reversed(said):
        lines = lines_of(one, labels[one.sender], max_line, max_bytes)
        size += sum(len(line.encode()) + 2 for line in lines)
        if found and size > max_bytes:
            break
        found.appendleft(lines)
    return Repeated(tuple(line for lines in found for line in lines), len(found) < len(said))


def labels_of(users: Iterable[Aor]) -> dict[Aor, str]:
    """What is shown of each: the user part, or the whole address where another's looks alike (spec R-MSG-6)."""
    users = set(users)
    seen: set[str] = set()
    twice: set[str] = set()
    for user in users:
        key = lookalike_key(user.user)
        (twice if key in seen else seen).add(key)
    return {user: f"{user.user}@{user.host}" if lookalike_key(user.user) in twice else user.user for user in users}


def lines_of(said: Said, label: str, max_line: int, max_bytes: int) -> list[str]:
    """One message. A text of more than ``max_bytes`` is named, as what is no text is."""
    head = f"[{label} {stamp(said.time)}]: "
    if said.text is None or said.size > max_bytes:
        kind = said.type if said.type and len(said.type) <= _SHOWN_TYPE else "something"
        return [f"{head}({kind}, {said.size} bytes)"]
    first, *further = text_lines(said.text)
    lines = _cut(head, first, max_line)
    for line in further:
        lines += _cut(CONTINUATION, line, max_line)
    return lines


def text_lines(text: str) -> list[str]:
    """A text's lines; a line's end at its very end begins no further one."""
    lines = _BREAK.split(text)
    return lines[:-1] if len(lines) > 1 and not lines[-1] else lines


def stamp(time: float) -> str:
    """UTC, to the minute: ``2026-11-30 14:05``."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M")


def _cut(head: str, line: str, max_line: int) -> list[str]:
    """The line behind its head; what does not fit goes on in further ones, parted at a blank where there is one."""
    lines: list[str] = []
    rest = line.encode()
    while True:
        room = max_line - len(head.encode())
        if len(rest) <= room:
            return [*lines, head + rest.decode()]
        part = rest[:room].decode(errors="ignore")  # not through the middle of a character
        blank = part.rfind(" ") + 1
        if blank > len(part) // 2:
            part = part[:blank]
        lines.append(head + part)
        rest = rest[len(part.encode()) :]
        head = CONTINUATION
