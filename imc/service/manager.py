"""The management interfaces' use cases (`imc.manage.ports.Manager`), and the source document's functions as Python API.

``imc_manager`` (`Manager.run_command`), ``imc_room_active``, ``imc_room_member``: what they say is what was committed,
read from the database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import trio

from imc.aor import Aor
from imc.rooms.model import Role
from imc.service.forget import Forget, Forgotten
from imc.service.inbound import Inbound, Outcome
from imc.service.rooms import Rooms
from imc.sip.ids import Ids
from imc.store.reader import StoreReader
from imc.store.store import Store

BAD_REQUEST = -1  # spec R-ANSWER-5
_PAGE = 1_000


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
        statistics: Callable[[], Mapping[str, int]],
        wake: Callable[[], None],
        default_domain: Callable[[], str],
    ) -> None:
        self._rooms = rooms
        self._store = store
        self._reader = reader
        self._forget = forget
        self._ids = ids
        self._statistics = statistics
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

    async def list_members(self, room: Aor) -> list[MemberSummary] | None:
        live = await self._reader.run(self._store.load_room, room)
        if live is None:
            return None
        ranked = sorted(live.members.items(), key=lambda one: (-one[1].role, one[0]))
        return [MemberSummary(user, member.role.name.lower()) for user, member in ranked]

    async def room_active(self, room: Aor) -> bool:
        return await self._reader.run(self._store.load_room, room) is not None

    async def room_member(self, room: Aor, user: Aor) -> bool:
        live = await self._reader.run(self._store.load_room, room)
        role = None if live is None else live.role(user)
        return role is not None and role > Role.INVITED

    async def run_command(self, from_: str, to: str, body: str, content_type: str) -> int:
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
        done = trio.Event()
        outcomes: list[Outcome] = []

        def answer(outcome: Outcome) -> None:
            outcomes.append(outcome)
            done.set()

        inbound = Inbound(
            sender=sender,
            to=target,
            content_type=content_type,
            body=octets,
            call_id=self._ids.call_id(),
            is_automatic=False,
            headers=(),
            answer=answer,
        )
        self._rooms.handle(inbound)
        self._wake()
        await done.wait()
        return outcomes[0].code

    async def forget(self, user: Aor, *, is_done: bool, with_account: bool) -> Forgotten:
        """Forget a user (spec R-HISTORY-9); without ``is_done`` only say what that would do."""
        work = self._forget.run if is_done else self._forget.look
        return await work(user, with_account=with_account)

    def statistics(self) -> Mapping[str, int]:
        return self._statistics()

    # The names of the source document (§1.4, and Kamailio's later ones).
    imc_manager = run_command
    imc_room_active = room_active
    imc_room_member = room_member
