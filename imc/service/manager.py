"""The management interfaces' use cases (`imc.manage.ports.Manager`), and the source document's functions as Python API.

``imc_manager`` (`Manager.run_command`), ``imc_room_active``, ``imc_room_member``: what they say is what was committed,
read from the database.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

from imc.aor import Aor
from imc.errors import RpcError
from imc.measures import Measures, Snapshot
from imc.rooms.model import Role
from imc.service.forget import Forget, Forgotten
from imc.service.inbound import Act, Inbound, ask
from imc.service.operations import Operations
from imc.service.operators import Operators
from imc.service.outbox import copy_of
from imc.service.rooms import Rooms
from imc.service.traffic import Traffic
from imc.service.waiting import WaitingCopies
from imc.sip.ids import Ids
from imc.store.outbox import WaitingRow
from imc.store.reader import StoreReader
from imc.store.store import Store

BAD_REQUEST = -1  # spec R-ANSWER-5
_PAGE = 1_000
_MOST_SEARCHED = 20_000
_WAITING_PAGE = 200


class RoomSummary(NamedTuple):
    """One live room; the invited are not counted."""

    room: Aor
    members: int
    owner: Aor | None
    is_private: bool


class MemberSummary(NamedTuple):
    """One who has a part in a room; ``role`` is owner, admin, member or invited."""

    user: Aor
    role: str


class WaitingSummary(NamedTuple):
    """One recipient's copy that waits, or is dead: as `imc.manage.ports.WaitingSummary`."""

    id: str
    recipient: Aor
    sender: Aor
    event: str
    is_dead: bool
    created: float
    expires: float
    tries: int
    status: int
    changed: float
    content_type: str
    body: bytes


class Manager:
    """``statistics`` gathers the figures of all parts; ``default_domain`` is that of an address without host."""

    def __init__(
        self,
        *,
        rooms: Rooms,
        store: Store,
        reader: StoreReader,
        forget: Forget,
        ids: Ids,
        waiting: WaitingCopies,
        traffic: Traffic,
        operators: Operators,
        operations: Operations,
        statistics: Callable[[], Mapping[str, int]],
        measures: Measures,
        complaints: Callable[[], Awaitable[tuple[str, ...]]],
        wake: Callable[[], None],
        default_domain: Callable[[], str],
    ) -> None:
        self._rooms = rooms
        self._store = store
        self._reader = reader
        self._forget = forget
        self._ids = ids
        self._waiting = waiting
        self.traffic = traffic
        self.operators = operators
        self.operations = operations
        self._statistics = statistics
        self.measures = measures
        self._complaints = complaints
        self._wake = wake
        self._default_domain = default_domain

    async def list_rooms(self) -> list[RoomSummary]:
        found: list[RoomSummary] = []
        after = None
        while True:
            page = await self._reader.run(self._store.list_rooms, _PAGE, after)
            for row in page.rows:
                owner = row.owners[0] if row.owners else None
                found.append(RoomSummary(row.room, row.members, owner, row.is_private))
            after = page.next
            if after is None:
                return found

    async def find_rooms(self, text: str, after: str, limit: int) -> tuple[list[RoomSummary], str]:
        """Live rooms whose address has ``text``, by name, and what the next page begins after, "" after the last.

        At most `_MOST_SEARCHED` are looked at for a page, which may be empty for that.
        """
        found: list[RoomSummary] = []
        wanted = text.lower()
        searched = 0
        place = _position(after)
        while True:
            page = await self._reader.run(self._store.list_rooms, _PAGE, place)
            for row in page.rows:
                if wanted not in str(row.room).lower():
                    continue
                if len(found) == limit:
                    return found, " ".join(found[-1].room)
                owner = row.owners[0] if row.owners else None
                found.append(RoomSummary(row.room, row.members, owner, row.is_private))
            if page.next is None:
                return found, ""
            place, searched = page.next, searched + _PAGE
            if searched >= _MOST_SEARCHED:
                return found, " ".join(place)

    async def list_members(self, room: Aor) -> list[MemberSummary] | None:
        live = await self._reader.run(self._store.load_room, room)
        if live is None:
            return None
        ranked = sorted(live.members.items(), key=lambda one: (-one[1].role, one[0]))
        return [MemberSummary(user, member.role.name.lower()) for user, member in ranked]

    async def room_active(self, room: Aor) -> bool:
        return await self._reader.run(self._store.room_exists, room)

    async def room_member(self, room: Aor, user: Aor) -> bool:
        live = await self._reader.run(self._store.load_room, room)
        role = None if live is None else live.role(user)
        return role is not None and role > Role.INVITED

    async def run_command(
        self, from_: str, to: str, body: str, content_type: str = "text/plain", act: Act | None = None
    ) -> int:
        """As if ``from_`` had sent this body to ``to``; the return code of imc_manager() (spec R-ANSWER-5)."""
        try:
            sender = Aor.parse(from_, self._default_domain())
            target = Aor.parse(to, self._default_domain())
        except ValueError:
            return BAD_REQUEST
        try:
            octets = body.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write
            return BAD_REQUEST
        policy = self._rooms.policy
        is_theirs = target == policy.manager or policy.may_be_room(target) or await self.room_active(target)
        if not is_theirs:
            return BAD_REQUEST
        make = partial(
            Inbound,
            sender=sender,
            to=target,
            content_type=content_type,
            body=octets,
            call_id=self._ids.call_id(),
            is_automatic=False,
            headers=(),
            act=act,
        )
        return (await ask(make, self._rooms.handle, self._wake)).code

    async def forget(self, user: Aor, *, is_done: bool, with_account: bool, act: Act | None = None) -> Forgotten:
        """Forget a user (spec R-HISTORY-9); without ``is_done`` only say what that would do."""
        if not is_done:
            return await self._forget.look(user, with_account=with_account)
        return await self._forget.run(user, with_account=with_account, act=act)

    async def outbox(self, recipient: str, state: str, after: str, limit: int) -> tuple[list[WaitingSummary], str]:
        """As `imc.manage.ports.Manager.outbox`."""
        found: list[WaitingSummary] = []
        async with aclosing(self._copies(recipient, state, _key(after))) as rows:
            async for row in rows:
                if len(found) == limit:
                    last = found[-1]
                    return found, f"{last.recipient.user} {last.recipient.host} {last.id.replace('.', ' ')}"
                found.append(_summary(row))
        return found, ""

    async def outbox_retry(self, recipient: str, id_: str) -> int:
        """As `imc.manage.ports.Manager.outbox_retry`."""
        count = await self._waiting.retry(self._whose(recipient), lambda row: _is_meant(row, "dead", id_))
        self._wake()
        return count

    async def outbox_drop(self, recipient: str, state: str, id_: str) -> int:
        """As `imc.manage.ports.Manager.outbox_drop`."""
        count = await self._waiting.drop(self._whose(recipient), lambda row: _is_meant(row, state, id_))
        self._wake()
        return count

    def _whose(self, recipient: str) -> Aor | None:
        """The one who is meant; None for all. RpcError."""
        if recipient in ("", "all"):
            return None
        try:
            return Aor.parse(recipient, self._default_domain())
        except ValueError as error:
            raise RpcError("Invalid recipient name", status=400) from error

    async def _copies(
        self, recipient: str, state: str, after: tuple[Aor, int, int] | None
    ) -> AsyncGenerator[WaitingRow, None]:
        """Those of somebody, or of "" everybody, in order."""
        aor = self._whose(recipient)
        if aor is not None:
            after = max(after, (aor, 0, -1)) if after is not None else (aor, 0, -1)
        while True:
            rows = await self._waiting.page(_WAITING_PAGE, after)
            for row in rows:
                if aor is not None and row.aor != aor:
                    return
                if _is_meant(row, state, ""):
                    yield row
            if len(rows) < _WAITING_PAGE:
                return
            after = (rows[-1].aor, rows[-1].seq, rows[-1].part)

    def statistics(self) -> Mapping[str, int]:
        return self._statistics()

    def snapshot(self) -> Snapshot:
        """All figures of this moment."""
        measures = self.measures
        return Snapshot(figures=self._statistics(), tallies=measures.tallies(), histograms=measures.histograms())

    async def complaints(self) -> tuple[str, ...]:
        """As `imc.manage.metrics.web.Watched.complaints`."""
        return await self._complaints()

    # The names of the source document (§1.4, and Kamailio's later ones).
    imc_manager = run_command
    imc_room_active = room_active
    imc_room_member = room_member


def _is_meant(row: WaitingRow, state: str, id_: str) -> bool:
    return state in ("all", "dead" if row.is_dead else "waiting") and id_ in ("", f"{row.seq}.{row.part}")


def _summary(row: WaitingRow) -> WaitingSummary:
    dispatch = copy_of(row)
    return WaitingSummary(
        id=f"{row.seq}.{row.part}",
        recipient=row.aor,
        sender=Aor("", "") if dispatch is None else dispatch.sender,
        event="" if dispatch is None else dispatch.kind,
        is_dead=row.is_dead,
        created=row.created,
        expires=row.expires,
        tries=row.tries,
        status=row.status,
        changed=row.changed,
        content_type="" if dispatch is None else dispatch.content_type,
        body=b"" if dispatch is None else dispatch.body,
    )


def _position(text: str) -> tuple[str, str] | None:
    """Name and host that a page of rooms ended with. RpcError."""
    if not text:
        return None
    name, space, host = text.partition(" ")
    if not space:
        raise RpcError("Invalid params: after is no page's next", status=400)
    return name, host


def _key(text: str) -> tuple[Aor, int, int] | None:
    """(recipient, seq, part) that a page ended with. RpcError."""
    if not text:
        return None
    try:
        user, host, seq, part = text.split(" ")
        return Aor(user, host), int(seq), int(part)
    except ValueError:
        raise RpcError("Invalid params: after is no page's next", status=400) from None
