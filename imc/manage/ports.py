"""What the management interfaces ask of the rest of imc.

Structural types: `imc.service` lies below and cannot import them, its objects need only have these attributes.
`imc.service.inbound.Act` alone is shared: who called, for the audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from imc.aor import Aor
from imc.measures import Measures, Snapshot
from imc.service.inbound import Act


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


class Acted(Protocol):
    """What came of an act, or of what a user was made to do. Status and code are those of spec R-ANSWER-1 and -5."""

    @property
    def status(self) -> int: ...
    @property
    def code(self) -> int: ...
    @property
    def event(self) -> str:
        """The event id of a refusal."""

    @property
    def warning(self) -> str:
        """The words of a refusal."""

    @property
    def clause(self) -> str: ...
    @property
    def is_changed(self) -> bool: ...
    @property
    def answers(self) -> Sequence[tuple[str, str]]:
        """(event, text) of what the user would have got."""


class AuditRow(Protocol):
    """One row of the audit. ``created`` in unix seconds; ``detail`` is JSON, or ""."""

    @property
    def id(self) -> int: ...
    @property
    def created(self) -> float: ...
    @property
    def actor(self) -> str: ...
    @property
    def via(self) -> str: ...
    @property
    def act(self) -> str: ...
    @property
    def room(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def result(self) -> str: ...


class Operations(Protocol):
    """What operators do. Acts on rooms give what came of them, refused or not; the others raise RpcError, or
    `imc.errors.AccountError`. What is paged gives the rows and the next page's beginning, "" after the last."""

    async def note(self, act: Act, result: str) -> None:
        """Write an act into the audit."""

    async def room(self, room: Aor) -> Mapping[str, object] | None: ...
    async def create_room(self, act: Act, room: Aor, owner: Aor, *, is_private: bool) -> Acted: ...
    async def destroy_room(self, act: Act, room: Aor) -> Acted: ...
    async def invite(self, act: Act, room: Aor, user: Aor) -> Acted: ...
    async def add(self, act: Act, room: Aor, user: Aor) -> Acted: ...
    async def remove(self, act: Act, room: Aor, user: Aor) -> Acted: ...
    async def set_role(self, act: Act, room: Aor, user: Aor, role: str) -> Acted: ...
    async def set_option(self, act: Act, room: Aor, option: str, value: str) -> Acted: ...
    async def set_private(self, act: Act, room: Aor, *, is_private: bool) -> Acted: ...
    async def run_as(self, act: Act, from_: str, to: str, body: str, content_type: str) -> Acted: ...
    async def users(self, after: tuple[str, str] | None, limit: int) -> tuple[Sequence[Aor], str]: ...
    async def add_user(self, user: Aor, password: str) -> bool:
        """Whether its domain is served."""

    async def set_password(self, user: Aor, password: str) -> None: ...
    async def remove_user(self, user: Aor) -> None: ...
    async def registered(
        self, user: str, after: tuple[str, str] | None, limit: int
    ) -> tuple[Sequence[Mapping[str, object]], str]: ...
    async def kick(self, user: Aor) -> int: ...
    def status(self) -> Mapping[str, object]: ...
    async def reload(self) -> Mapping[str, object]: ...
    def limits(self) -> Sequence[Mapping[str, object]]: ...
    def set_limit(self, limit: str, value: str) -> Mapping[str, object]: ...
    async def audit(
        self,
        *,
        room: str,
        user: str,
        actor: str,
        act: str,
        since: float | None,
        until: float | None,
        before: int | None,
        limit: int,
    ) -> tuple[Sequence[AuditRow], str]:
        """Rows of the audit, the newest first; those before the id ``before`` alone."""


class Operator(Protocol):
    """Who may log in on the operators' page; ``secret`` is another one after each change of the password."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def created(self) -> float: ...


class Operators(Protocol):
    """The operators. What changes them raises `imc.errors.AccountError`."""

    async def get(self, name: str) -> Operator | None: ...
    async def check(self, name: str, password: str) -> Operator | None:
        """The operator whose name and password these are; as long for a name that nobody has."""

    async def list(self) -> Sequence[Operator]: ...
    async def add(self, name: str, role: str, password: str) -> None: ...
    async def set_password(self, name: str, password: str) -> None: ...
    async def set_role(self, name: str, role: str) -> None: ...
    async def remove(self, name: str) -> None: ...


class Talker(Protocol):
    """A room or a user, and what they sent of late; ``name`` is "" for those that the tables had no place for."""

    @property
    def name(self) -> str: ...
    @property
    def messages(self) -> int: ...
    @property
    def copies(self) -> int: ...
    @property
    def octets(self) -> int: ...
    @property
    def refused(self) -> int: ...


class Hit(Protocol):
    """A limit and who hit it. Times in unix seconds."""

    @property
    def limit(self) -> str: ...
    @property
    def who(self) -> str: ...
    @property
    def times(self) -> int: ...
    @property
    def first(self) -> float: ...
    @property
    def last(self) -> float: ...


class Traffic(Protocol):
    """Counts of late."""

    def talkers(self, minutes: int, limit: int) -> tuple[Sequence[Talker], Sequence[Talker]]:
        """The busiest senders and rooms of the last ``minutes``, ``limit`` of each."""

    def hits(self, limit: int) -> Sequence[Hit]:
        """The latest first."""

    def totals(self) -> Mapping[str, int]:
        """How often each limit was hit since the start."""


class Manager(Protocol):
    """The use cases. Every method may raise `imc.errors.StoreError` or `imc.errors.Overloaded`."""

    async def list_rooms(self) -> Sequence[RoomSummary]:
        """All live rooms, private ones too."""

    async def find_rooms(self, text: str, after: str, limit: int) -> tuple[Sequence[RoomSummary], str]:
        """Live rooms whose address has ``text``, by name, and what the next page begins after, "" after the last."""

    async def list_members(self, room: Aor) -> Sequence[MemberSummary] | None:
        """All who have a part in the room, or None: no such room."""

    async def room_active(self, room: Aor) -> bool:
        """``imc_room_active``: whether the room exists."""

    async def room_member(self, room: Aor, user: Aor) -> bool:
        """``imc_room_member``: whether the user is a member, admin or owner of the room."""

    @property
    def operations(self) -> Operations: ...
    @property
    def operators(self) -> Operators: ...
    @property
    def traffic(self) -> Traffic: ...
    async def forget(self, user: Aor, *, is_done: bool, with_account: bool, act: Act | None = None) -> Forgotten:
        """Forget a user; without ``is_done`` only say what that would do."""

    async def run_command(self, from_: str, to: str, body: str, content_type: str, act: Act | None = None) -> int:
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
