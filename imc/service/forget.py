"""A user is forgotten (spec R-HISTORY-9): by the rules where there are rules, else row by row.

Invariants
- Rooms are left and invitations declined as if the user had asked for it, by commands that are judged in turn:
  so a room is never without an owner behind the back of those in it, and whoever is concerned is told.
- Nothing is undone where it cannot be finished. Asked again, it goes on where it ended.
- The figures of `look` and `run` are of the same moment: before anything is done.
- Each commit takes back at most `BATCH` messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from imc.aor import Aor
from imc.errors import AccountError, StoreUnavailable
from imc.rooms.model import Role
from imc.service.inbound import Act, Inbound, Outcome, ask
from imc.service.rooms import Rooms
from imc.service.waiting import WaitingCopies
from imc.sip.ids import Ids
from imc.store.ops import EraseMessage
from imc.store.reader import StoreReader
from imc.store.store import Store
from imc.store.writer import Writer

BATCH = 200
_PAGE = 100


@dataclass(slots=True, kw_only=True)
class Forgotten:
    """What was done; or would be, where ``is_done`` is false.

    ``left`` are rooms that go on without the user, ``ended`` those that ended with their last owner, ``refused`` those
    whose last owner may not leave, ``declined`` those with an invitation. ``waiting``: copies of what the user said
    that wait for somebody; ``addressed``: copies for the user that wait, which go with the account. ``account``: none,
    kept or removed; it is kept, whatever is asked for, while the user is a last owner who may not leave. ``audit``:
    rows of the audit that name the user, which stay (spec R-AUDIT-4).
    """

    user: Aor
    is_done: bool
    left: list[Aor] = field(default_factory=list)
    ended: list[Aor] = field(default_factory=list)
    refused: list[Aor] = field(default_factory=list)
    declined: list[Aor] = field(default_factory=list)
    registrations: int = 0
    messages: int = 0
    waiting: int = 0
    addressed: int = 0
    account: str = "none"
    audit: int = 0

    def as_json(self) -> dict[str, object]:
        """For the interfaces: addresses as URIs."""
        rooms = {name: [str(room) for room in getattr(self, name)] for name in ("left", "ended", "refused", "declined")}
        return {
            "user": str(self.user),
            "done": self.is_done,
            **rooms,
            "registrations": self.registrations,
            "messages": self.messages,
            "waiting": self.waiting,
            "addressed": self.addressed,
            "account": self.account,
            "audit": self.audit,
        }


class Forget:
    """``unbind`` ends all registrations of a user, ``count_bindings`` says how many there are."""

    def __init__(
        self,
        *,
        rooms: Rooms,
        store: Store,
        reader: StoreReader,
        writer: Writer,
        ids: Ids,
        waiting: WaitingCopies,
        wake: Callable[[], None],
        count_bindings: Callable[[Aor], int],
        unbind: Callable[[Aor], Awaitable[None]],
    ) -> None:
        self._rooms = rooms
        self._store = store
        self._reader = reader
        self._writer = writer
        self._ids = ids
        self._waiting = waiting
        self._wake = wake
        self._count_bindings = count_bindings
        self._unbind = unbind

    async def look(self, user: Aor, *, with_account: bool) -> Forgotten:
        """What `run` would do. AccountError for a room, and for somebody unknown; StoreError, Overloaded."""
        found = Forgotten(user=user, is_done=False)
        keeps_last = self._rooms.policy.owner_leave == "refuse"
        for room, role in await self._parts(user):
            live = await self._reader.run(self._store.load_room, room)
            if role is Role.INVITED:
                found.declined.append(room)
            elif live is not None and live.is_last_owner(user):
                (found.refused if keeps_last else found.ended).append(room)
            else:
                found.left.append(room)
        found.registrations = self._count_bindings(user)
        found.audit = await self._reader.run(self._store.count_audit_of, str(user))  # spec R-AUDIT-4
        found.messages = await self._reader.run(self._store.count_said_by, user)
        found.waiting = await self._waiting.count_said_by(user)
        addressed = await self._waiting.count_for(user)
        if await self._reader.run(self._store.get_account, user) is not None:
            found.account = "removed" if with_account and not found.refused else "kept"
        if await self._reader.run(self._store.load_room, user) is not None:
            raise AccountError(f"{user} is a room, not a user")
        lists = found.left or found.ended or found.refused or found.declined
        if (
            not (lists or found.registrations or found.messages or found.waiting or addressed)
            and found.account == "none"
        ):
            raise AccountError(f"{user} is unknown: no account, no room, no registration, nothing said")
        found.addressed = addressed if with_account and not found.refused else 0
        return found

    async def run(self, user: Aor, *, with_account: bool, act: Act | None = None) -> Forgotten:
        """Forget the user; ``act`` is the call that wants it. As `look` it raises; what was done until then is done."""
        before = await self.look(user, with_account=with_account)
        done = Forgotten(user=user, is_done=True)
        for room, role in await self._parts(user):
            await self._leave(done, room, role, act)
        done.registrations, done.messages = before.registrations, before.messages
        done.audit = await self._reader.run(self._store.count_audit_of, str(user))
        await self._unbind(user)
        await self._erase(user)
        done.waiting = await self._waiting.drop_said_by(user)
        done.account = await self._account(user, with_account and not done.refused)
        if with_account and not done.refused:  # nobody will fetch it
            await self._waiting.drop(user, lambda _: True)
            done.addressed = before.addressed
        return done

    async def _parts(self, user: Aor) -> list[tuple[Aor, Role]]:
        """The rooms that the user has a part in."""
        found: list[tuple[Aor, Role]] = []
        after = None
        while True:
            page = await self._reader.run(self._store.rooms_of, user, _PAGE, after)
            found += [(entry.room, entry.role) for entry in page.rows]
            after = page.next
            if after is None:
                return found

    async def _leave(self, done: Forgotten, room: Aor, role: Role, act: Act | None) -> None:
        is_invited = role is Role.INVITED
        outcome = await self._command(done.user, room, "reject" if is_invited else "leave", act)
        if outcome.status == 403 and outcome.event == "last-owner":
            done.refused.append(room)
        elif outcome.status >= 500:
            raise StoreUnavailable(f"{room}: {outcome.warning}")
        elif outcome.status == 200 and is_invited:
            done.declined.append(room)
        elif outcome.status == 200:
            live = await self._reader.run(self._store.load_room, room)
            (done.ended if live is None else done.left).append(room)

    async def _command(self, user: Aor, room: Aor, words: str, act: Act | None) -> Outcome:
        """As if the user had sent it, but that they are not answered by MESSAGE (spec R-ANSWER-4)."""
        make = partial(
            Inbound,
            sender=user,
            to=room,
            content_type="text/plain",
            body=f"{self._rooms.policy.start_char}{words}".encode(),
            call_id=self._ids.call_id(),
            is_automatic=True,
            headers=(),
            act=act,
        )
        return await ask(make, self._rooms.handle, self._wake)

    async def _erase(self, user: Aor) -> None:
        """Take what the user said out of every log: the numbers of the messages stay (spec R-HISTORY-2)."""
        while found := await self._reader.run(self._store.said_by, user, BATCH):
            await self._writer.commit([EraseMessage(one.room, one.seq, user, one.created) for one in found])

    async def _account(self, user: Aor, with_account: bool) -> str:
        if await self._reader.run(self._store.get_account, user) is None:
            return "none"
        if not with_account:
            return "kept"
        try:
            await self._reader.run(self._store.remove_account, user)
        except AccountError:  # somebody else was faster
            return "none"
        return "removed"
