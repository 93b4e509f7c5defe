"""The commands of a room as text, as far as a tool must know them: which of their words name somebody.

spec R-CMD-1 … R-CMD-3. Kamailio's imc has the same commands with the same parameters.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Kind = Literal["room", "user", "role", "private", "word", "blank"]

ROLES = frozenset(("owner", "admin", "member"))
# Parameters in order; more than these are words.
COMMANDS: dict[str, tuple[Kind, ...]] = {
    "create": ("room", "private"), "join": ("room",), "invite": ("user", "room"), "add": ("user", "room"),
    "accept": ("room",), "reject": ("room",), "deny": ("room",), "remove": ("user", "room"), "leave": ("room",),
    "exit": ("room",), "destroy": ("room",), "members": ("room",), "list": ("room",),
    "modify": ("user", "role", "room"), "rooms": (), "help": (),
}  # fmt: skip
# What does not show that the address it was sent to is a room: a manager takes these as well.
_SAYS_NOTHING = frozenset(("rooms", "help"))

_PIECE = re.compile(r"[ \t]+|[^ \t]+")


class Piece(NamedTuple):
    """A part of a command line; all of them together are the line."""

    kind: Kind
    text: str


class Command(NamedTuple):
    """The first line of a text; ``start`` is its start character, ``name`` as written, ``rest`` the other lines."""

    start: str
    name: str
    pieces: list[Piece]
    rest: str

    @property
    def is_known(self) -> bool:
        return self.name.lower() in COMMANDS

    @property
    def room(self) -> str | None:
        """The room that it names."""
        return next((piece.text for piece in self.pieces if piece.kind == "room"), None)

    @property
    def is_for_a_room(self) -> bool:
        """Whether it means the room that it was sent to."""
        return self.is_known and self.name.lower() not in _SAYS_NOTHING and self.room is None

    def __str__(self) -> str:
        return f"{self.start}{self.name}{''.join(piece.text for piece in self.pieces)}{self.rest}"


def read_command(text: str, start: str = "#") -> Command | None:
    """The command that a text is, None where it is none."""
    if not text.startswith(start):
        return None
    end = next((at for at, char in enumerate(text) if char in "\r\n"), len(text))
    line, rest = text[len(start) : end], text[end:]
    name = re.match(r"[^ \t]*", line)
    assert name is not None
    kinds = list(COMMANDS.get(name[0].lower(), ()))
    pieces: list[Piece] = []
    for match in _PIECE.finditer(line, name.end()):
        word = match[0]
        if word.isspace():
            pieces.append(Piece("blank", word))
        elif word.lower() == "private" and "private" in kinds:
            kinds.clear()
            pieces.append(Piece("private", word))
        else:
            pieces.append(Piece(kinds.pop(0) if kinds and kinds[0] != "private" else "word", word))
    return Command(start, name[0], pieces, rest)
