"""What the management interfaces ask of the rest of imc.

Structural types: `imc.service` lies below and cannot import them, its objects need only have these attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from imc.aor import Aor


class RoomSummary(Protocol):
    """One live room."""

    @property
    def room(self) -> Aor: ...
    @property
    def members(self) -> int:
        """Members, admins and owners; the invited are not counted."""

    @property
    def owner(self) -> Aor | None:
        """The one who has owned it longest, or None where the database knows none."""

    @property
    def is_private(self) -> bool: ...


class MemberSummary(Protocol):
    """One who has a part in a room."""

    @property
    def user(self) -> Aor: ...
    @property
    def role(self) -> str:
        """``owner``, ``admin``, ``member`` or ``invited``."""


class Forgotten(Protocol):
    """What came of forgetting a user."""

    def as_json(self) -> Mapping[str, object]: ...


class Manager(Protocol):
    """The use cases. Every method may raise `imc.errors.StoreError` or `imc.errors.Overloaded`."""

    async def list_rooms(self) -> Sequence[RoomSummary]:
        """All live rooms, private ones too."""

    async def list_members(self, room: Aor) -> Sequence[MemberSummary] | None:
        """All who have a part in the room, or None: no such room."""

    async def room_active(self, room: Aor) -> bool:
        """``imc_room_active``: whether the room exists."""

    async def room_member(self, room: Aor, user: Aor) -> bool:
        """``imc_room_member``: whether the user is a member, admin or owner of the room."""

    async def forget(self, user: Aor, *, is_done: bool, with_account: bool) -> Forgotten:
        """Forget a user; without ``is_done`` only say what that would do."""

    async def run_command(self, from_: str, to: str, body: str, content_type: str) -> int:
        """``imc_manager``: do as if ``from_`` had sent a MESSAGE with this body to ``to``.

        Both are addresses as text. The return code is of Kamailio's classes: 1 done, -1 bad request, -20 unparsable …
        """

    def statistics(self) -> Mapping[str, int]:
        """Counters and gauges by name; ``group:name`` for those of another group than ``imc``. Has ``active_rooms``."""
