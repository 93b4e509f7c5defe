"""Wrong variants of room.m: each breaks what the frame asserts, and Rumur must say so. `spec/check_rooms.py` runs them.

As those of Quint show that its laws see, these show that the asserts do which room_frame.m has for more users.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import room_murphi

USERS, SERIALS = 3, 1
_ASSERTED = re.compile(r'\b(?:assert|invariant) "([^"]+)"')
_BROKEN = re.compile(
    r'^\s*(?:Assertion failed: .*:[\d.-]+: (.+)|invariant "(.+)" failed)$', re.MULTILINE | re.IGNORECASE
)


class Mutant(NamedTuple):
    """``old`` becomes ``new`` where it stands first in what decides on ``command``, or anywhere for "frame"."""

    name: str
    what: str
    law: str
    command: str
    old: str
    new: str

    def of(self, model: str) -> str:
        """ValueError where ``old`` is not there."""
        begin = 0 if self.command == "frame" else model.index(f"procedure decide{self.command}(")
        end = len(model) if self.command == "frame" else model.index("\nend;", begin)
        if self.old not in model[begin:end]:
            raise ValueError(f"{self.name}: {self.command} has no {self.old!r}")
        return model[:begin] + model[begin:end].replace(self.old, self.new, 1) + model[end:]


_REFUSED = "status := 403; effect := NOTHING;"

MUTANTS = (
    Mutant(
        "last owner unseen",
        "nobody is ever the last owner",
        "R-INV-1",
        "frame",
        "return forall v: User do v = u | standing[v] != OWNER endforall;",
        "return false;",
    ),
    Mutant("message comes back", "its sender has it too", "R-INV-2", "MESSAGE", "if !(v = a) then", "if true then"),
    Mutant(
        "outsider joins a private room",
        "as any other",
        "R-INV-3",
        "JOIN",
        _REFUSED,
        "status := 200; effect := BECOMES; becomes := MEMBER;",
    ),
    Mutant(
        "destroy by an admin",
        "admins end rooms",
        "R-INV-4",
        "DESTROY",
        "if standing[a] >= OWNER then",
        "if standing[a] >= ADMIN then",
    ),
    Mutant(
        "promotion by an admin",
        "admins make owners",
        "R-INV-4",
        "MODIFY_OWNER",
        "if standing[a] >= OWNER then",
        "if standing[a] >= ADMIN then",
    ),
    Mutant(
        "demotion by an admin",
        "admins take an admin's role",
        "R-INV-4",
        "MODIFY_MEMBER",
        "if standing[a] >= OWNER then",
        "if standing[a] >= ADMIN then",
    ),
    Mutant(
        "admin removes admin",
        "their rank is the same",
        "R-INV-5",
        "REMOVE",
        "elsif standing[u] >= ADMIN then\n        -- R-REMOVE-3\n        " + _REFUSED,
        "elsif standing[u] >= ADMIN then\n        status := 200; effect := BECOMES; becomes := OUTSIDER;",
    ),
    Mutant(
        "attempt counts as invitation",
        "a refused join leaves an invitation",
        "R-INV-6",
        "JOIN",
        _REFUSED,
        "status := 403; effect := BECOMES; becomes := INVITED;",
    ),
    Mutant(
        "attempt told to every member",
        "not to owners and admins alone",
        "R-INV-6",
        "JOIN",
        "if standing[v] >= ADMIN then",
        "if standing[v] >= MEMBER then",
    ),
    Mutant(
        "late failure removes a member",
        "an invitation fails after it was accepted",
        "R-INVITE-5",
        "UNDELIVERED",
        "if isPending(a, u, s) then",
        "if isPending(a, u, s) | standing[u] = MEMBER then",
    ),
    Mutant(
        "ended room keeps its people",
        "they are there when it is made anew",
        "no room has nobody",
        "frame",
        "if effect = GONE then endRoom();",
        "if effect = GONE then live := false;",
    ),
)


def asserted(model: str) -> set[str]:
    """The names of what a model asserts."""
    return set(_ASSERTED.findall(model))


def broken(mutant: Mutant, model: str, scratch: Path) -> str:
    """What Rumur finds broken in the mutant; "" where that is nothing. RuntimeError where Rumur says something else."""
    folder = scratch / f"murphi {mutant.name}"
    folder.mkdir()
    checked = room_murphi.check(mutant.of(model), USERS, SERIALS, folder, symmetry="heuristic", is_short=True)
    if not checked.error:
        return ""
    found = _BROKEN.search(checked.error)
    if found is None:
        raise RuntimeError(checked.error)
    return str(found[1] or found[2])
