"""What a judgement needs to know beside the room: who else has that address, how many rooms there are, which ones.

Most of it is known at once; what is not is read from the database, and remembered where that helps (bounded, the oldest
forgotten first).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from imc.aor import Aor
from imc.rooms.commands import Add, Command, Create, CreateFor, Invite, Join, Rooms, Targeted
from imc.rooms.model import Room
from imc.rooms.outcome import Context, RoomRow
from imc.service.inbound import Inbound

_REMEMBERED = 100_000
_OF_SENDER = {
    (is_room, is_automatic): Context(is_sender_room=is_room, is_automatic=is_automatic)
    for is_room in (False, True)
    for is_automatic in (False, True)
}


class Facts(Protocol):
    """What is read. Each may raise `imc.errors.StoreError`."""

    async def room_exists(self, aor: Aor) -> bool: ...

    async def account_exists(self, aor: Aor) -> bool: ...

    async def rooms_owned(self, user: Aor) -> int: ...

    async def rooms_to_see(self, user: Aor) -> Sequence[RoomRow]:
        """The public rooms and the user's own, sorted, up to the limit of a list and one more."""
        ...

    def rooms_total(self) -> int: ...

    def account_at_hand(self, aor: Aor) -> bool | None:
        """`account_exists` as far as it is in memory; None where that must be asked."""
        ...

    def rooms_owned_at_hand(self, user: Aor) -> int | None:
        """`rooms_owned` where nothing needs to be read for it."""
        ...


@dataclass(slots=True)
class _Founder:
    """Rooms that one user has founded since the start: ``decided`` in memory, ``committed`` to the disk."""

    decided: int = 0
    committed: int = 0


def founder_of(command: Command | None, sender: Aor) -> Aor:
    """Who owns the room that a command makes."""
    return command.user if isinstance(command, CreateFor) else sender


class Circumstances:
    """``wall`` gives unix seconds, for the serials of invitations: they grow over restarts too (spec R-INVITE-5)."""

    def __init__(self, facts: Facts, wall: Callable[[], float]) -> None:
        self._facts = facts
        self._wall = wall
        self._serial = 0
        self._is_room: OrderedDict[Aor, bool] = OrderedDict()
        self._founders: OrderedDict[Aor, _Founder] = OrderedDict()

    def note_room(self, aor: Aor, *, is_there: bool) -> None:
        """A room was made, or is gone; or it was read whether there is one."""
        self._is_room[aor] = is_there
        self._is_room.move_to_end(aor)
        if len(self._is_room) > _REMEMBERED:
            self._is_room.popitem(last=False)

    def known(self, aor: Aor) -> bool | None:
        """Whether a live room has this address; None where `learn` must be asked."""
        return self._is_room.get(aor)

    async def learn(self, aor: Aor) -> bool:
        """Whether a live room has this address; from now on known."""
        known = self._is_room.get(aor)
        if known is not None:
            return known
        read = await self._facts.room_exists(aor)
        known = self._is_room.get(aor)
        if known is None:  # else the room was made, or ended, while the database was asked: that is newer
            self.note_room(aor, is_there=read)
            return read
        return known

    def of_sender(self, inbound: Inbound) -> Context | None:
        """For a room message; None where `learn` must be asked about the sender first."""
        is_room = self._is_room.get(inbound.sender)
        return None if is_room is None else _OF_SENDER[is_room, inbound.is_automatic]

    def at_once(self, inbound: Inbound, command: Command, room: Room | None) -> Context | None:
        """For a command; None where `gather` must be asked."""
        is_sender_room = self._is_room.get(inbound.sender)
        is_target_room: bool | None = False
        if isinstance(command, Invite | Add):
            is_target_room = self._is_room.get(command.user)
        if isinstance(command, Rooms | CreateFor) or is_sender_room is None or is_target_room is None:
            return None
        owned, total, is_account = 0, 0, False
        if room is None and isinstance(command, Create | Join):
            owned_known = self._facts.rooms_owned_at_hand(inbound.sender)
            account_known = self._facts.account_at_hand(command.room)
            if owned_known is None or account_known is None:
                return None
            owned, is_account = owned_known, account_known
            total = self._facts.rooms_total()
        return Context(
            serial=self._next_serial(),
            rooms_owned=owned,
            rooms_total=total,
            is_account=is_account,
            is_sender_room=is_sender_room,
            is_target_room=is_target_room,
            is_automatic=inbound.is_automatic,
            is_operator=inbound.is_operator,
        )

    async def gather(self, inbound: Inbound, command: Command) -> Context:
        """Everything that this command can depend on."""
        facts = self._facts
        is_founding = isinstance(command, Create | Join | CreateFor)
        founder = founder_of(command, inbound.sender)
        return Context(
            serial=self._next_serial(),
            rooms_owned=await self._rooms_owned(founder) if is_founding else 0,
            rooms_total=facts.rooms_total(),
            is_target_room=await self.learn(command.user) if isinstance(command, Targeted) else False,
            is_sender_room=await self.learn(inbound.sender),
            is_account=await facts.account_exists(command.room) if is_founding else False,
            rooms=tuple(await facts.rooms_to_see(inbound.sender)) if isinstance(command, Rooms) else (),
            is_automatic=inbound.is_automatic,
            is_operator=inbound.is_operator,
        )

    async def _rooms_owned(self, user: Aor) -> int:
        """As the database has it, less what `count_founded` adds of it: what was committed before it was asked."""
        founder = self._founders.get(user)
        committed = 0 if founder is None else founder.committed
        return await self._facts.rooms_owned(user) - committed

    # spec R-CREATE-4
    def count_founded(self, context: Context, user: Aor) -> Context:
        """What `gather` found, with the rooms that the user founded since, or that are on their way to the disk.

        Those that were committed while the database was asked may count twice: so the quota is kept.
        """
        founder = self._founders.get(user)
        return context if founder is None else replace(context, rooms_owned=context.rooms_owned + founder.decided)

    def founding(self, user: Aor) -> Callable[[bool], None]:
        """A room is being founded by this user; the result is to be told whether that was committed."""
        founder = self._founders.setdefault(user, _Founder())
        self._founders.move_to_end(user)
        if len(self._founders) > _REMEMBERED:
            self._founders.popitem(last=False)
        founder.decided += 1

        def end(is_committed: bool) -> None:
            if is_committed:
                founder.committed += 1
            else:
                founder.decided -= 1

        return end

    def _next_serial(self) -> int:
        self._serial = max(self._serial + 1, int(self._wall() * 1_000_000))
        return self._serial
