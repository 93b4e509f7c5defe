"""What judgements need to know beside the room, from the store and the accounts (`imc.service.circumstances.Facts`)."""

from __future__ import annotations

import trio

from imc.aor import Aor
from imc.rooms.model import Role
from imc.rooms.outcome import RoomRow
from imc.service.accounts import Accounts
from imc.service.identity import Secrets
from imc.store.reader import StoreReader
from imc.store.store import Store

_ROOMS = 1_000


class StoreFacts:
    """``active`` counts the live rooms: read once, then kept by those who make and end rooms.

    ``is_owning_limited``: whether it matters how many rooms a user owns.
    """

    def __init__(
        self,
        store: Store,
        reader: StoreReader,
        accounts: Accounts[Secrets],
        *,
        max_list: int,
        is_owning_limited: bool = True,
    ) -> None:
        self._store = store
        self._reader = reader
        self._accounts = accounts
        self.max_list = max_list
        self.is_owning_limited = is_owning_limited
        self.active = 0

    async def room_exists(self, aor: Aor) -> bool:
        return await self._reader.run(self._store.room_exists, aor)

    async def account_exists(self, aor: Aor) -> bool:
        return await self._accounts.load(aor) is not None

    def account_at_hand(self, aor: Aor) -> bool | None:
        try:
            return self._accounts.peek(aor, trio.current_time()) is not None
        except LookupError:
            return None

    def rooms_owned_at_hand(self, user: Aor) -> int | None:
        del user
        return None if self.is_owning_limited else 0

    async def rooms_owned(self, user: Aor) -> int:
        if not self.is_owning_limited:
            return 0
        return await self._reader.run(self._store.count_rooms_owned, user)

    async def rooms_to_see(self, user: Aor) -> list[RoomRow]:
        """Spec R-ROOMS-1: the public rooms and the user's own, by address; one more than a list shows, if there is."""
        limit = self.max_list + 1
        public = await self._reader.run(self._store.public_rooms, limit)
        own = await self._reader.run(self._store.rooms_of, user, limit)
        rows = {room: RoomRow(room, is_private=False) for room in public.rows}
        rows |= {entry.room: RoomRow(entry.room, entry.is_private, entry.role) for entry in own.rows}
        return sorted(rows.values())

    async def rooms_of(self, user: Aor) -> frozenset[Aor]:
        """The rooms that somebody is in, the first `_ROOMS` of them; not those that they are invited to."""
        page = await self._reader.run(self._store.rooms_of, user, _ROOMS)
        return frozenset(entry.room for entry in page.rows if entry.role > Role.INVITED)

    def rooms_total(self) -> int:
        return self.active
