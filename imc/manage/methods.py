"""The methods that can be called, beside those of `imc.manage.outbox_methods`.

The shapes of ``imc.list_rooms``, ``imc.list_members`` and ``stats.*`` are Kamailio's, and so are the errors of
``imc.list_members``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
import trio

from imc.aor import Aor
from imc.errors import ImcError, Overloaded, RpcError, StoreUnavailable
from imc.manage.audit_methods import AuditMethods
from imc.manage.caller import Caller
from imc.manage.jsonrpc import FORBIDDEN, INTERNAL_ERROR, METHOD_NOT_FOUND, Call, Params
from imc.manage.operator_methods import OperatorMethods
from imc.manage.options import ManageOptions
from imc.manage.outbox_methods import OutboxMethods
from imc.manage.ports import Manager, MemberSummary, Operators, RoomSummary
from imc.manage.registry import METHODS, Kind, Method, Param, bind, describe, invalid, method
from imc.manage.room_methods import RoomMethods
from imc.manage.samples import Samples
from imc.manage.server_methods import ServerMethods
from imc.manage.user_methods import UserMethods
from imc.manage.watch_methods import WatchMethods
from imc.service.inbound import Act
from imc.service.rates import Buckets, Rate

log = structlog.get_logger("imc.manage")

_ROOM = Param("room", Kind.ROOM, "Its address: `sip:chat-1@example.com`, `chat-1@example.com`, or `chat-1`.")
_USER = Param("user", Kind.USER, "The user's address, in the same forms.")
_ROOM_AS_KAMAILIO = Param(_ROOM.name, _ROOM.kind, _ROOM.doc, complaint="No room name")
_NAMES = Param("name", Kind.NAMES, "`all`, a group with its colon (`imc:`), or a statistic, with or without its group.")
_BAD_ROOM = (500, "the room's address cannot be read, or is missing")
_NO_ROOM = (500, "no such room")


# Rows in the audit for what was refused, by caller (spec R-AUDIT-2).
_REFUSALS = Rate(100, 0.1)
_MOST_CALLERS = 1_000


class Methods(OutboxMethods, RoomMethods, ServerMethods, UserMethods, AuditMethods, WatchMethods, OperatorMethods):
    """The registry bound to the running server. `call` is all that the listeners use."""

    def __init__(self, manager: Manager, options: ManageOptions) -> None:
        self.manager = self._manager = manager
        self._options = options
        self._refusals = Buckets(_REFUSALS, _MOST_CALLERS)
        self.samples = Samples(manager.statistics, manager.measures.answer_seconds, time.time)

    def by(self, caller: Caller) -> Call:
        """`call` for one caller: what the listeners are given."""

        async def call(name: str, params: Params) -> object:
            return await self.call(name, params, caller)

        return call

    @property
    def operators(self) -> Operators:
        """Who may log in on the operators' page."""
        return self._manager.operators

    async def note(self, act: Act, result: str) -> None:
        """Write into the audit what was done without a method."""
        await self._manager.operations.note(act, result)

    # spec R-AUDIT-2
    async def note_refused(self, act: Act, result: str) -> None:
        """As `note`, for what was refused: bounded for each actor."""
        if self._refusals.take((act.actor, act.via), trio.current_time()):
            await self.note(act, result)

    async def call(self, name: str, params: Params, caller: Caller) -> object:
        """The method's result, ready for JSON. RpcError for everything that can go wrong."""
        calls, shown = self._manager.measures.calls, METHODS[name].name if name in METHODS else "unknown"
        try:
            result = await self._call(name, params, caller)
        except RpcError:
            calls.add(shown, "error")
            raise
        calls.add(shown, "ok")
        return result

    async def _call(self, name: str, params: Params, caller: Caller) -> object:
        entry = METHODS.get(name)
        if entry is None:
            raise RpcError("Method not found", code=METHOD_NOT_FOUND)
        if entry.is_reading:
            _check_role(entry, caller)
            arguments = bind(entry, params, self._options.default_domain)
            _check_params(entry, arguments, caller)
            return await self._run(entry, arguments)
        act = Act(actor=caller.name, via=caller.via, method=entry.name)
        try:
            _check_role(entry, caller)
            arguments = bind(entry, params, self._options.default_domain)
            _check_params(entry, arguments, caller)
            _describe(act, entry, arguments)
            result = await self._run(entry, {**arguments, "act": act})
        except RpcError as error:
            await self.note_refused(act, f"{error.code} {error.message}")
            raise
        if not (entry.is_in_room and act.is_noted):
            await self._manager.operations.note(act, "200")
        return result

    async def _run(self, entry: Method, arguments: dict[str, Any]) -> object:
        """RpcError for everything that can go wrong."""
        # A command that was begun is finished: only what reads may be cut off.
        timeout = self._options.call_timeout if entry.is_reading else float("inf")
        try:
            with trio.move_on_after(timeout):
                return await entry.handler(self, **arguments)
        except RpcError:
            raise
        except Overloaded as error:
            raise RpcError(f"Overloaded, try again in {error.retry_after} s") from error
        except StoreUnavailable as error:  # its text may tell of the database's address: for the log, not the caller
            log.warning("rpc-store-unavailable", method=entry.name, error=str(error))
            raise RpcError("The database cannot be used for now") from error
        except ImcError as error:
            raise RpcError(str(error)) from error
        except Exception as error:
            log.exception("rpc-failed", method=entry.name)
            raise RpcError("Internal error", code=INTERNAL_ERROR) from error
        raise RpcError(f"Not done within {timeout:g} s")

    @method(
        "imc.list_rooms",
        aliases=("imc_list_rooms",),
        returns='`[{"room": uri, "members": number, "owner": uri}, …]`, sorted by room',
        role="viewer",
    )
    async def _list_rooms(self) -> object:
        """List the live rooms, private ones too. Invited people are not counted."""
        return [
            {"room": row["room"], "members": row["members"], "owner": row["owner"]} for row in await self._room_rows()
        ]

    @method(
        "imc.rooms",
        returns='`[{"room": uri, "members": number, "owner": uri, "private": boolean}, …]`, sorted by room',
        role="viewer",
    )
    async def _rooms(self) -> object:
        """List the live rooms as `imc.list_rooms` does, and say which are private."""
        return await self._room_rows()

    @method(
        "imc.list_members",
        _ROOM_AS_KAMAILIO,
        aliases=("imc_list_members",),
        returns='`{"room": uri, "members": [uri, …], "count": number}`, owners first',
        errors=(_BAD_ROOM, _NO_ROOM),
        role="viewer",
    )
    async def _list_members(self, room: Aor) -> object:
        """List the members of a room, its admins and owners among them. Invited people are not listed."""
        users = [str(row.user) for row in await self._members_of(room) if row.role != "invited"]
        return {"room": str(room), "members": users, "count": len(users)}

    @method(
        "imc.members",
        _ROOM,
        returns='`[{"user": uri, "role": "owner"|"admin"|"member"|"invited"}, …]`, highest role first',
        errors=(_BAD_ROOM, _NO_ROOM),
        role="viewer",
    )
    async def _members(self, room: Aor) -> object:
        """List all who have a part in a room, with their roles."""
        return [{"user": str(row.user), "role": row.role} for row in await self._members_of(room)]

    @method(
        "imc.room_active",
        _ROOM,
        aliases=("imc_room_active",),
        returns="`true` or `false`",
        errors=(_BAD_ROOM,),
        role="viewer",
    )
    async def _room_active(self, room: Aor) -> object:
        """Tell whether a room exists."""
        return await self._manager.room_active(room)

    @method(
        "imc.room_member",
        _ROOM,
        _USER,
        aliases=("imc_room_member",),
        returns="`true` or `false`; `false` for the invited, and where there is no such room",
        errors=(_BAD_ROOM, (500, "the user's address cannot be read")),
        role="viewer",
    )
    async def _room_member(self, room: Aor, user: Aor) -> object:
        """Tell whether a user is a member, admin or owner of a room."""
        return await self._manager.room_member(room, user)

    @method(
        "imc.manager",
        Param("from", Kind.TEXT, "Address of the user to act as."),
        Param("to", Kind.TEXT, "Address of a room or of the conference manager."),
        Param("body", Kind.TEXT, "A command such as `#join`, or a text for the room.", is_secret=True),
        Param("content_type", Kind.TEXT, "Type of the body.", default="text/plain"),
        aliases=("imc_manager",),
        returns=(
            "The return code of `imc_manager()`: 1 done; -1 bad request; -20 unparsable; -30 create; -40 join; "
            "-50 invite, add; -60 accept; -70 reject; -80 remove; -90 leave; -100 members, rooms, history; "
            "-110 destroy; -120 modify, set, help; -130 unknown command; -200 message"
        ),
        is_reading=False,
        is_in_room=True,
    )
    async def _run_command(self, *, act: Act, **arguments: str) -> object:
        """Do as if the user had sent a MESSAGE with this body to that address, with the rights that the user has."""
        return await self._manager.run_command(
            arguments["from"], arguments["to"], arguments["body"], arguments["content_type"], act
        )

    @method(
        "imc.forget",
        _USER,
        Param("do", Kind.TEXT, "`yes`: do it; `no`: only say what would be done.", default="no"),
        Param("account", Kind.TEXT, "`remove` or `keep` the account.", default="keep"),
        returns=(
            '`{"user": uri, "done": boolean, "left": [uri, …], "ended": [uri, …], "refused": [uri, …], '
            '"declined": [uri, …], "registrations": number, "messages": number, "waiting": number, '
            '"addressed": number, "account": "none"|"kept"|"removed", "audit": number}`: rooms left, rooms that ended '
            "with their last owner, rooms whose last owner may not leave, invitations declined; `waiting`: copies of "
            "what they said, `addressed`: copies for them that go with the account, which is kept while `refused` has "
            "a room; `audit`: rows of the audit that name them, and stay until they are too old"
        ),
        errors=((500, "the user's address cannot be read, is a room's, or is unknown"),),
        is_reading=False,
    )
    async def _forget(self, user: Aor, do: str, account: str, act: Act) -> object:
        """Take what a user said out of every room's log, the user out of every room, and their registrations."""
        if do not in ("yes", "no") or account not in ("keep", "remove"):
            raise invalid("do: yes or no; account: keep or remove")
        is_done, with_account = do == "yes", account == "remove"
        return (await self._manager.forget(user, is_done=is_done, with_account=with_account, act=act)).as_json()

    @method(
        "stats.get_statistics",
        Param(
            "name", Kind.NAMES, "`all`, a group with a colon (`imc:`), or the name of a statistic with or without it."
        ),
        returns='`["imc:active_rooms = 3", …]`; names that are not known are left out',
        role="viewer",
    )
    async def _get_statistics(self, name: list[str]) -> object:
        """Give statistics as lines of text."""
        return [f"{group}:{key} = {value}" for group, key, value in select(self._manager.statistics(), name)]

    @method(
        "stats.fetch",
        _NAMES,
        returns='`{"imc.active_rooms": "3", …}`',
        role="viewer",
    )
    async def _fetch(self, name: list[str]) -> object:
        """Give statistics as an object of strings."""
        return {f"{group}.{key}": str(value) for group, key, value in select(self._manager.statistics(), name)}

    @method(
        "stats.fetchn",
        _NAMES,
        returns='`{"imc.active_rooms": 3, …}`',
        role="viewer",
    )
    async def _fetchn(self, name: list[str]) -> object:
        """Give statistics as an object of numbers."""
        return {f"{group}.{key}": value for group, key, value in select(self._manager.statistics(), name)}

    @method("core.version", returns="A text such as `imc 0.1.0 (Python 3.11.7/linux)`", role="viewer")
    async def _version(self) -> object:
        """Tell what is running."""
        python = ".".join(map(str, sys.version_info[:3]))
        return f"{self._options.version} (Python {python}/{sys.platform})"

    @method("system.listMethods", returns="`[name, …]`, sorted", role="viewer")
    async def _list_methods(self) -> object:
        """List the names of all methods."""
        return [entry.name for entry in describe()]

    @method(
        "system.methodHelp",
        Param("method", Kind.TEXT, "Name of a method."),
        returns="Text for people: how the method is called, and what it does",
        errors=((500, "no such method"),),
        role="viewer",
    )
    async def _method_help(self, method: str) -> object:
        """Explain a method."""
        entry = METHODS.get(method)
        if entry is None:
            raise RpcError(f"No method {method[:100]!r}")
        return f"{entry.usage}: {entry.doc}"

    async def _room_rows(self) -> list[dict[str, Any]]:
        rooms = await self._manager.list_rooms()
        # Beside the loop: a hundred thousand rooms take a tenth of a second to write out.
        return await trio.to_thread.run_sync(_room_rows, rooms)

    async def _members_of(self, room: Aor) -> list[MemberSummary]:
        members = await self._manager.list_members(room)
        if members is None:
            raise RpcError("Room not found", status=404)
        return sorted(members, key=lambda row: (_RANK.get(row.role, len(_RANK)), row.user))


def _check_role(entry: Method, caller: Caller) -> None:
    if not caller.may(entry.role):
        raise RpcError(f"{entry.name} needs the role {entry.role}", code=FORBIDDEN, status=403)


def _check_params(entry: Method, arguments: Mapping[str, object], caller: Caller) -> None:
    for param in entry.params:
        if param.role and arguments[param.name] != param.default and not caller.may(param.role):
            raise RpcError(f"{entry.name}: {param.name} needs the role {param.role}", code=FORBIDDEN, status=403)


# spec R-AUDIT-2
def _describe(act: Act, entry: Method, arguments: Mapping[str, object]) -> None:
    """What the audit may say of a call: its arguments but for secrets, and which room and user it is about."""
    shown: dict[str, object] = {}
    for param in entry.params:
        value = arguments[param.name]
        if param.kind is Kind.ROOM:
            act.room = str(value)
        elif param.kind is Kind.USER:
            act.user = str(value)
        elif not param.is_secret and value != param.default:
            shown[param.name] = value
    act.detail = json.dumps(shown, separators=(",", ":")) if shown else ""


_RANK = {"owner": 0, "admin": 1, "member": 2, "invited": 3}


def _room_rows(rooms: Sequence[RoomSummary]) -> list[dict[str, Any]]:
    return [
        {
            "room": str(row.room),
            "members": row.members,
            "owner": "" if row.owner is None else str(row.owner),
            "private": row.is_private,
        }
        for row in sorted(rooms, key=lambda row: row.room)
    ]


def select(statistics: Mapping[str, int], names: Sequence[str]) -> list[tuple[str, str, int]]:
    """(group, name, value) of what is asked for, each once, in the order asked for.

    ``all``; ``group:``; ``group:name``; ``name``, of whatever group. A dot is as good as the colon.
    """
    rows = []
    for key, value in statistics.items():
        group, _, name = key.rpartition(":")
        rows.append((group or "imc", name, value))
    chosen: dict[tuple[str, str], int] = {}
    for wanted in names:
        for group, name, value in rows:
            forms = ("all", f"{group}:", f"{group}.", f"{group}:{name}", f"{group}.{name}", name)
            if wanted in forms:
                chosen[group, name] = value
    return [(group, name, value) for (group, name), value in chosen.items()]
