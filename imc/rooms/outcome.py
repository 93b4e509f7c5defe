"""What a decision is given and what it gives: frozen values without behaviour.

Refusal is a value. Its event id decides its status, by one table, so that the same thing is never refused in two ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from imc.aor import Aor
from imc.rooms.model import Change, Role, Room
from imc.rooms.settings import RoomSettings

# Final response of each refusal (spec R-ANSWER-1, R-NOTICE-2)
REFUSALS: dict[str, int] = {
    "empty-command": 400,
    "unknown-command": 400,
    "missing-parameter": 400,
    "too-many-parameters": 400,
    "bad-parameter": 400,
    "bad-address": 400,
    "bad-role": 400,
    "name-too-long": 400,
    "command-too-long": 400,
    "room-needed": 400,
    "not-permitted": 403,
    "not-a-member": 403,
    "not-invited": 403,
    "private-room": 403,
    "room-exists": 403,
    "room-full": 403,
    "too-many-rooms": 403,
    "too-many-invitations": 403,
    "room-name-not-allowed": 403,
    "already-member": 403,
    "rank-too-low": 403,
    "use-leave": 403,
    "last-owner": 403,
    "invited-has-no-role": 403,
    "address-is-a-room": 403,
    "sender-is-a-room": 403,
    "room-not-found": 404,
    "user-not-in-room": 404,
    "manager-takes-commands": 404,
    "text-too-long": 413,
    "server-full": 503,
    "try-later": 503,
}


class RoomRow(NamedTuple):
    """One line of a list of rooms, with the role of the one who asked."""

    room: Aor
    is_private: bool
    role: Role | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Circumstances outside the room, found out by the caller before the decision.

    ``serial``: of the invitation that an invite or add may make; greater than any before it for this room and user.
    ``rooms_owned``, ``rooms_total``: by the sender, and in all; needed by create and join of a new room only.
    ``is_target_room``, ``is_sender_room``: whether a live room has the address of the user named, or of the sender.
    ``is_account``: whether the room's address is that of an account.
    ``rooms``: for the command rooms, in order; the public ones and the sender's own, or one more than the limit.
    ``is_automatic``: whether the request is marked as sent by no person (spec R-ANSWER-4).
    ``is_operator``: whether it is an operator's, which `imc.rooms.operators` judges.
    """

    serial: int = 0
    rooms_owned: int = 0
    rooms_total: int = 0
    is_target_room: bool = False
    is_sender_room: bool = False
    is_account: bool = False
    rooms: tuple[RoomRow, ...] = ()
    is_automatic: bool = False
    is_operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One text to some people. ``event`` is its id, and goes into the header ``IMC-Event``.

    ``room`` is the address it comes from. ``is_answer``: it is for the sender of the request alone. ``user`` is whom it
    is about, ``by`` who did it; ``detail`` the piece of a command that a refusal is about. Lists: ``members`` or
    ``rooms``, and how many more there are. ``settings``: those of the room from now on; ``option``: the one that was
    set.

    A `history` says how many messages it is to hold (``count``), and whether it is repeated to a new member. The caller
    puts the ``lines`` there, and whether more was left off (``left_off``).
    """

    event: str
    room: Aor
    recipients: tuple[Aor, ...]
    is_answer: bool = False
    user: Aor | None = None
    by: Aor | None = None
    role: Role | None = None
    is_private: bool = False
    detail: str = ""
    members: tuple[tuple[Aor, Role], ...] = ()
    rooms: tuple[RoomRow, ...] = ()
    left_off: int = 0
    settings: RoomSettings | None = None
    option: str = ""
    count: int = 0
    is_replay: bool = False
    lines: tuple[str, ...] = ()


class Refused(NamedTuple):
    """Why nothing was done: the event id, its status, and the clause that says so."""

    event: str
    status: int
    clause: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome of one request: nothing of it has happened yet.

    ``address`` is where its changes belong and its notices come from; ``room`` what is there afterwards (None: no
    room). ``status`` is the final response, ``clause`` the rule behind it, ``code`` what imc_manager() returns (spec
    R-ANSWER-5). ``recipients`` are those of a room message; a command has notices.
    """

    address: Aor
    room: Room | None
    status: int
    clause: str
    code: int
    changes: tuple[Change, ...] = ()
    notices: tuple[Notice, ...] = ()
    refusal: Refused | None = None
    recipients: tuple[Aor, ...] = ()
