"""What operators do, by whatever management interface: acts on rooms (spec §21), accounts, registrations, the daemon's
own settings, and the audit (spec §22). `imc.manage.ports.Operations` says what each gives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import trio

from imc.aor import Aor
from imc.errors import RpcError
from imc.registrar.bindings import Binding, Bindings
from imc.rooms.commands import Add, BadCommand, CreateFor, Destroy, Invite, Modify, Remove, SetPrivate, parse_command
from imc.rooms.commands import Set as SetOption
from imc.rooms.model import Role
from imc.rooms.operators import Act as OperatorsAct
from imc.rooms.settings import kept
from imc.service.audit import Audit
from imc.service.inbound import Act, Inbound, Outcome, ask
from imc.service.rooms import Rooms
from imc.sip.ids import Ids
from imc.store.accounts import Account
from imc.store.audit import AuditFilter
from imc.store.ops import PutAudit
from imc.store.reader import StoreReader
from imc.store.store import Store


class Operations:
    """``control`` is the daemon's own: `imc.app.Control`. ``default_domain`` is that of an address without host."""

    def __init__(
        self,
        *,
        rooms: Rooms,
        store: Store,
        reader: StoreReader,
        ids: Ids,
        audit: Audit,
        bindings: Bindings,
        unbind: Callable[[Aor], Awaitable[None]],
        check_account: Callable[[Aor], bool],
        control: Any,
        wall: Callable[[], float],
        wake: Callable[[], None],
        default_domain: Callable[[], str],
    ) -> None:
        self._rooms = rooms
        self._store = store
        self._reader = reader
        self._ids = ids
        self._audit = audit
        self._bindings = bindings
        self._unbind = unbind
        self._check_account = check_account
        self._control = control
        self._wall = wall
        self._wake = wake
        self._default_domain = default_domain

    async def note(self, act: Act, result: str) -> None:
        await self._audit.note(act, result)

    # --- rooms ------------------------------------------------------------------------------------------------------

    async def room(self, room: Aor) -> Mapping[str, object] | None:
        """What there is to tell of a room, but for what was said in it."""
        found, newest = await self._reader.run(self._store.load_room_and_log, room)
        if found is None:
            return None
        roles = [member.role for member in found.members.values()]
        what = kept(found.settings, self._rooms.policy)
        return {
            "room": str(room),
            "private": found.is_private,
            "owners": sorted(str(user) for user, member in found.members.items() if member.role is Role.OWNER),
            "admins": roles.count(Role.ADMIN),
            "members": len(roles) - roles.count(Role.INVITED),
            "invited": roles.count(Role.INVITED),
            "settings": found.settings._asdict(),
            "kept": what._asdict(),
            "logged": newest,
        }

    async def create_room(self, act: Act, room: Aor, owner: Aor, *, is_private: bool) -> Outcome:
        return await self._administer(act, CreateFor(room=room, user=owner, is_private=is_private))

    async def destroy_room(self, act: Act, room: Aor) -> Outcome:
        return await self._administer(act, Destroy(room=room))

    async def invite(self, act: Act, room: Aor, user: Aor) -> Outcome:
        return await self._administer(act, Invite(room=room, user=user))

    async def add(self, act: Act, room: Aor, user: Aor) -> Outcome:
        return await self._administer(act, Add(room=room, user=user))

    async def remove(self, act: Act, room: Aor, user: Aor) -> Outcome:
        return await self._administer(act, Remove(room=room, user=user))

    async def set_role(self, act: Act, room: Aor, user: Aor, role: str) -> Outcome:
        return await self._administer(act, Modify(room=room, user=user, role=Role[role.upper()]))

    async def set_option(self, act: Act, room: Aor, option: str, value: str) -> Outcome:
        policy = self._rooms.policy
        command = parse_command(f"{policy.start_char}set {option} {value}", room, policy)
        if isinstance(command, BadCommand) or not isinstance(command, SetOption) or command.room != room:
            raise RpcError("Invalid params: no such option, or its value is not good", status=400)
        return await self._administer(act, command)

    async def set_private(self, act: Act, room: Aor, *, is_private: bool) -> Outcome:
        return await self._administer(act, SetPrivate(room=room, is_private=is_private))

    # spec R-ADMIN-1
    async def _administer(self, act: Act, command: OperatorsAct) -> Outcome:
        manager = self._rooms.policy.manager
        assert manager is not None  # [imc] manager_uri has a default
        return await self._ask(
            act, manager, command.room, b"", "", lambda inbound: self._rooms.administer(inbound, command)
        )

    # spec R-ADMIN-7
    async def run_as(self, act: Act, from_: str, to: str, body: str, content_type: str) -> Outcome:
        """As if ``from_`` had sent it; the answers are in the outcome, and go to nobody."""
        try:
            sender, target = (Aor.parse(text, self._default_domain()) for text in (from_, to))
            octets = body.encode()
        except ValueError as error:
            raise RpcError(f"Invalid params: {error}", status=400) from error
        act.room, act.user = str(target), str(sender)
        return await self._ask(act, sender, target, octets, content_type, self._rooms.handle)

    async def _ask(  # noqa: PLR0917  what a MESSAGE has
        self, act: Act, sender: Aor, to: Aor, body: bytes, content_type: str, hand_over: Callable[[Inbound], None]
    ) -> Outcome:
        make = partial(
            Inbound,
            sender=sender,
            to=to,
            content_type=content_type,
            body=body,
            call_id=self._ids.call_id(),
            is_automatic=False,
            headers=(),
            act=act,
            is_operator=hand_over != self._rooms.handle,
            takes_answers=True,
        )
        return await ask(make, hand_over, self._wake)

    # --- users ------------------------------------------------------------------------------------------------------

    async def users(self, after: tuple[str, str] | None, limit: int) -> tuple[Sequence[Aor], str]:
        page = await self._reader.run(self._store.list_accounts, limit, after)
        return page.rows, "" if page.next is None else str(Aor(*page.next))

    async def add_user(self, user: Aor, password: str) -> bool:
        """AccountError."""
        is_served = self._check_account(user)
        account = Account.from_password(user, password)
        await trio.to_thread.run_sync(self._store.add_account, account)
        return is_served

    async def set_password(self, user: Aor, password: str) -> None:
        """AccountError."""
        await trio.to_thread.run_sync(self._store.set_account, Account.from_password(user, password))

    async def remove_user(self, user: Aor) -> None:
        """AccountError."""
        await trio.to_thread.run_sync(self._store.remove_account, user)

    async def registered(
        self, user: str, after: tuple[str, str] | None, limit: int
    ) -> tuple[Sequence[Mapping[str, object]], str]:
        """Users and their contacts, sorted by user; ``user`` alone where it is not ""."""
        now = self._wall()
        if user:
            try:
                aors = [Aor.parse(user, self._default_domain())]
            except ValueError as error:
                raise RpcError("Invalid user name", status=400) from error
        else:
            aors = sorted(aor for aor in self._bindings.aors() if after is None or tuple(aor) > after)
        found: list[dict[str, object]] = []
        for aor in aors:
            bindings = self._bindings.lookup(aor, now)
            if not bindings:
                continue
            if len(found) == limit:
                return found, str(found[-1]["user"])
            found.append({"user": str(aor), "contacts": [self._contact(one, now) for one in bindings]})
        return found, ""

    def _contact(self, binding: Binding, now: float) -> dict[str, object]:
        flow = binding.flow
        is_stream = flow is not None and flow.is_reliable
        return {
            "contact": binding.contact,
            "q": binding.q / 1_000,
            "expires": max(0, round(binding.expires_wall - now)),
            "registered": binding.registered_wall,
            "transport": (binding.uri.transport or "udp") if flow is None else flow.transport,
            "from": "" if flow is None else f"{flow.remote[0]}:{flow.remote[1]}",
            "connected": self._control.is_open(flow) if is_stream else None,
            "path": list(binding.path),
            "agent": binding.user_agent,
        }

    async def kick(self, user: Aor) -> int:
        count = len(self._bindings.lookup(user, self._wall()))
        if count:
            await self._unbind(user)
        return count

    # --- the daemon -------------------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, object]:
        found: Mapping[str, object] = self._control.status()
        return found

    async def reload(self) -> Mapping[str, object]:
        """RpcError where the configuration is not good; all is as before then."""
        found: Mapping[str, object] = await self._control.reload_file()
        return found

    def limits(self) -> Sequence[Mapping[str, object]]:
        found: Sequence[Mapping[str, object]] = self._control.limits()
        return found

    def set_limit(self, limit: str, value: str) -> Mapping[str, object]:
        """RpcError."""
        found: Mapping[str, object] = self._control.set_limit(limit, value)
        return found

    # --- the audit --------------------------------------------------------------------------------------------------

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
    ) -> tuple[Sequence[PutAudit], str]:
        wanted = AuditFilter(room=room, user=user, actor=actor, act=act, since=since, until=until)
        rows = await self._audit.rows(wanted, limit, before)
        return rows, str(rows[-1].id) if len(rows) == limit else ""
