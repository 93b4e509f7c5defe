"""What the management interfaces ask of the rest of imc.

Structural types: `imc.service` lies below and cannot import them, its objects need only have these attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from imc.aor import Aor
from imc.measures import Measures, Snapshot


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


class WaitingSummary(Protocol):
    """One recipient's copy that waits, or is dead. Times are in unix seconds; ``expires`` 0: never."""

    @property
    def id(self) -> str: ...
    @property
    def recipient(self) -> Aor: ...
    @property
    def sender(self) -> Aor:
        """The room, where a room sent it."""

    @property
    def event(self) -> str:
        """The event id of a notice, or ``message``."""

    @property
    def is_dead(self) -> bool: ...
    @property
    def created(self) -> float: ...
    @property
    def expires(self) -> float: ...
    @property
    def tries(self) -> int:
        """How many final answers did not settle it."""

    @property
    def status(self) -> int:
        """Of the last try; 0 before it."""

    @property
    def changed(self) -> float: ...
    @property
    def content_type(self) -> str: ...
    @property
    def body(self) -> bytes: ...


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

    async def outbox(self, recipient: str, state: str, after: str, limit: int) -> tuple[Sequence[WaitingSummary], str]:
        """Copies that wait (``waiting``), dead letters (``dead``) or both (``all``), and where the next page begins.

        ``recipient`` "" is everybody; ``after`` "" is the beginning. RpcError for an address that cannot be read.
        """

    async def outbox_retry(self, recipient: str, id_: str) -> int:
        """Put dead letters of somebody, or of ``all``, back; with ``id_`` one alone. How many."""

    async def outbox_drop(self, recipient: str, state: str, id_: str) -> int:
        """Delete copies. How many."""

    measures: Measures
    """What is counted while it works; the methods count their calls there."""

    def snapshot(self) -> Snapshot:
        """All figures of this moment."""

    async def complaints(self) -> tuple[str, ...]:
        """Why requests cannot be served now, in words; nothing where they can."""

    def statistics(self) -> Mapping[str, int]:
        """Counters and gauges by name; ``group:name`` for those of another group than ``imc``. Has ``active_rooms``."""
