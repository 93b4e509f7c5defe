"""The methods that can be called: one registry, from which calls are bound, helped with, and documented.

A method is a function with the `_method` decorator; its docstring is its documentation. `describe` yields the whole
registry. The shapes of ``imc.list_rooms``, ``imc.list_members`` and ``stats.*`` are Kamailio's, and so are the
errors of ``imc.list_members``; for all other methods parameters that do not fit are -32602 (JSON-RPC 2.0 §5.1).
"""

from __future__ import annotations

import enum
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
import trio

from imc.aor import Aor
from imc.errors import ImcError, Overloaded, RpcError, StoreUnavailable
from imc.manage.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, Params
from imc.manage.options import ManageOptions
from imc.manage.ports import Manager, MemberSummary, RoomSummary

log = structlog.get_logger("imc.manage")


class Kind(enum.Enum):
    """What a parameter is; the value is what the documentation calls it."""

    TEXT = "string"
    ROOM = "address of a room"
    USER = "address of a user"
    NAMES = "strings, one or more"


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. ``complaint``: the whole message, with code 500, where Kamailio has one for a missing value."""

    name: str
    kind: Kind
    doc: str
    default: str | None = None
    complaint: str | None = None

    @property
    def is_required(self) -> bool:
        return self.default is None


@dataclass(frozen=True, slots=True)
class Method:
    """One entry of the registry. ``is_reading``: it changes nothing, and may be cut off when it takes too long."""

    name: str
    aliases: tuple[str, ...]
    doc: str
    params: tuple[Param, ...]
    returns: str
    errors: tuple[tuple[int, str], ...]
    is_reading: bool
    handler: Callable[..., Awaitable[object]]

    @property
    def usage(self) -> str:
        """``name param [optional] …``"""
        words = [
            f"[{p.name}]" if not p.is_required else f"{p.name} …" if p.kind is Kind.NAMES else p.name
            for p in self.params
        ]
        return " ".join([self.name, *words])


METHODS: dict[str, Method] = {}
"""By name and by alias."""

_Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[object]])


def _method(
    name: str,
    *params: Param,
    returns: str,
    aliases: tuple[str, ...] = (),
    errors: tuple[tuple[int, str], ...] = (),
    is_reading: bool = True,
) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        doc = inspect.cleandoc(handler.__doc__ or "")
        entry = Method(name, aliases, doc, params, returns, errors, is_reading, handler)
        for key in (name, *aliases):
            assert key not in METHODS, key
            METHODS[key] = entry
        return handler

    return register


def describe() -> Iterator[Method]:
    """Every method once, sorted by name: what the reference documentation is made from."""
    return (METHODS[name] for name in sorted(METHODS) if METHODS[name].name == name)


_ROOM = Param("room", Kind.ROOM, "Its address: `sip:chat-1@example.com`, `chat-1@example.com`, or `chat-1`.")
_USER = Param("user", Kind.USER, "The user's address, in the same forms.")
_ROOM_AS_KAMAILIO = Param(_ROOM.name, _ROOM.kind, _ROOM.doc, complaint="No room name")
_NAMES = Param("name", Kind.NAMES, "`all`, a group with its colon (`imc:`), or a statistic, with or without its group.")
_BAD_ROOM = (500, "the room's address cannot be read, or is missing")
_NO_ROOM = (500, "no such room")


class Methods:
    """The registry bound to the running server. `call` is all that the listeners use."""

    def __init__(self, manager: Manager, options: ManageOptions) -> None:
        self._manager = manager
        self._options = options

    async def call(self, name: str, params: Params) -> object:
        """The method's result, ready for JSON. RpcError for everything that can go wrong."""
        method = METHODS.get(name)
        if method is None:
            raise RpcError("Method not found", code=METHOD_NOT_FOUND)
        arguments = bind(method, params, self._options.default_domain)
        # A command that was begun is finished: only what reads may be cut off.
        timeout = self._options.call_timeout if method.is_reading else float("inf")
        try:
            with trio.move_on_after(timeout):
                return await method.handler(self, **arguments)
        except RpcError:
            raise
        except Overloaded as error:
            raise RpcError(f"Overloaded, try again in {error.retry_after} s") from error
        except StoreUnavailable as error:  # its text may tell of the database's address: for the log, not the caller
            log.warning("rpc-store-unavailable", method=method.name, error=str(error))
            raise RpcError("The database cannot be used for now") from error
        except ImcError as error:
            raise RpcError(str(error)) from error
        except Exception as error:
            log.exception("rpc-failed", method=method.name)
            raise RpcError("Internal error", code=INTERNAL_ERROR) from error
        raise RpcError(f"Not done within {timeout:g} s")

    @_method(
        "imc.list_rooms",
        aliases=("imc_list_rooms",),
        returns='`[{"room": uri, "members": number, "owner": uri}, …]`, sorted by room',
    )
    async def _list_rooms(self) -> object:
        """List the live rooms, private ones too. Invited people are not counted."""
        return [
            {"room": row["room"], "members": row["members"], "owner": row["owner"]} for row in await self._room_rows()
        ]

    @_method(
        "imc.rooms",
        returns='`[{"room": uri, "members": number, "owner": uri, "private": boolean}, …]`, sorted by room',
    )
    async def _rooms(self) -> object:
        """List the live rooms as `imc.list_rooms` does, and say which are private."""
        return await self._room_rows()

    @_method(
        "imc.list_members",
        _ROOM_AS_KAMAILIO,
        aliases=("imc_list_members",),
        returns='`{"room": uri, "members": [uri, …], "count": number}`, owners first',
        errors=(_BAD_ROOM, _NO_ROOM),
    )
    async def _list_members(self, room: Aor) -> object:
        """List the members of a room, its admins and owners among them. Invited people are not listed."""
        users = [str(row.user) for row in await self._members_of(room) if row.role != "invited"]
        return {"room": str(room), "members": users, "count": len(users)}

    @_method(
        "imc.members",
        _ROOM,
        returns='`[{"user": uri, "role": "owner"|"admin"|"member"|"invited"}, …]`, highest role first',
        errors=(_BAD_ROOM, _NO_ROOM),
    )
    async def _members(self, room: Aor) -> object:
        """List all who have a part in a room, with their roles."""
        return [{"user": str(row.user), "role": row.role} for row in await self._members_of(room)]

    @_method(
        "imc.room_active",
        _ROOM,
        aliases=("imc_room_active",),
        returns="`true` or `false`",
        errors=(_BAD_ROOM,),
    )
    async def _room_active(self, room: Aor) -> object:
        """Tell whether a room exists."""
        return await self._manager.room_active(room)

    @_method(
        "imc.room_member",
        _ROOM,
        _USER,
        aliases=("imc_room_member",),
        returns="`true` or `false`; `false` for the invited, and where there is no such room",
        errors=(_BAD_ROOM, (500, "the user's address cannot be read")),
    )
    async def _room_member(self, room: Aor, user: Aor) -> object:
        """Tell whether a user is a member, admin or owner of a room."""
        return await self._manager.room_member(room, user)

    @_method(
        "imc.manager",
        Param("from", Kind.TEXT, "Address of the user to act as."),
        Param("to", Kind.TEXT, "Address of a room or of the conference manager."),
        Param("body", Kind.TEXT, "A command such as `#join`, or a text for the room."),
        Param("content_type", Kind.TEXT, "Type of the body.", default="text/plain"),
        aliases=("imc_manager",),
        returns=(
            "The return code of `imc_manager()`: 1 done; -1 bad request; -20 unparsable; -30 create; -40 join; "
            "-50 invite, add; -60 accept; -70 reject; -80 remove; -90 leave; -100 members, rooms, history; "
            "-110 destroy; -120 modify, set, help; -130 unknown command; -200 message"
        ),
        is_reading=False,
    )
    async def _run_command(self, **arguments: str) -> object:
        """Do as if the user had sent a MESSAGE with this body to that address, with the rights that the user has."""
        return await self._manager.run_command(
            arguments["from"], arguments["to"], arguments["body"], arguments["content_type"]
        )

    @_method(
        "imc.forget",
        _USER,
        Param("do", Kind.TEXT, "`yes`: do it; `no`: only say what would be done.", default="no"),
        Param("account", Kind.TEXT, "`remove` or `keep` the account.", default="keep"),
        returns=(
            '`{"user": uri, "done": boolean, "left": [uri, …], "ended": [uri, …], "refused": [uri, …], '
            '"declined": [uri, …], "registrations": number, "messages": number, "account": '
            '"none"|"kept"|"removed"}`: rooms left, rooms that ended with their last owner, rooms whose last owner '
            "may not leave, invitations declined"
        ),
        errors=((500, "the user's address cannot be read"),),
        is_reading=False,
    )
    async def _forget(self, user: Aor, do: str, account: str) -> object:
        """Take what a user said out of every room's log, the user out of every room, and their registrations."""
        if do not in ("yes", "no") or account not in ("keep", "remove"):
            raise _invalid("do: yes or no; account: keep or remove")
        return (await self._manager.forget(user, is_done=do == "yes", with_account=account == "remove")).as_json()

    @_method(
        "stats.get_statistics",
        Param(
            "name", Kind.NAMES, "`all`, a group with a colon (`imc:`), or the name of a statistic with or without it."
        ),
        returns='`["imc:active_rooms = 3", …]`; names that are not known are left out',
    )
    async def _get_statistics(self, name: list[str]) -> object:
        """Give statistics as lines of text."""
        return [f"{group}:{key} = {value}" for group, key, value in select(self._manager.statistics(), name)]

    @_method(
        "stats.fetch",
        _NAMES,
        returns='`{"imc.active_rooms": "3", …}`',
    )
    async def _fetch(self, name: list[str]) -> object:
        """Give statistics as an object of strings."""
        return {f"{group}.{key}": str(value) for group, key, value in select(self._manager.statistics(), name)}

    @_method(
        "stats.fetchn",
        _NAMES,
        returns='`{"imc.active_rooms": 3, …}`',
    )
    async def _fetchn(self, name: list[str]) -> object:
        """Give statistics as an object of numbers."""
        return {f"{group}.{key}": value for group, key, value in select(self._manager.statistics(), name)}

    @_method("core.version", returns="A text such as `imc 0.1.0 (Python 3.11.7/linux)`")
    async def _version(self) -> object:
        """Tell what is running."""
        python = ".".join(map(str, sys.version_info[:3]))
        return f"{self._options.version} (Python {python}/{sys.platform})"

    @_method("system.listMethods", returns="`[name, …]`, sorted")
    async def _list_methods(self) -> object:
        """List the names of all methods."""
        return [method.name for method in describe()]

    @_method(
        "system.methodHelp",
        Param("method", Kind.TEXT, "Name of a method."),
        returns="Text for people: how the method is called, and what it does",
        errors=((500, "no such method"),),
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


def bind(method: Method, params: Params, default_domain: str | None) -> dict[str, Any]:
    """The arguments by name, each as its `Kind` says. RpcError where they do not fit."""
    given = _by_position(method, params) if isinstance(params, list) else _by_name(method, params)
    return {param.name: _convert(param, given.get(param.name), default_domain) for param in method.params}


def _by_position(method: Method, params: list[Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    rest = params
    for param in method.params:
        if param.kind is Kind.NAMES:
            return {**given, param.name: rest}
        if rest:
            given[param.name], *rest = rest
    if rest:
        raise _invalid(f"{len(method.params)} at most: {method.usage}")
    return given


def _by_name(method: Method, params: dict[str, Any]) -> dict[str, Any]:
    unknown = params.keys() - {param.name for param in method.params}
    if unknown:
        raise _invalid(f"unknown name {min(unknown)[:100]!r}: {method.usage}")
    return params


def _convert(param: Param, value: object, default_domain: str | None) -> object:
    if param.kind is Kind.NAMES:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise _invalid(f"{param.name}: {param.kind.value} needed")
        return names
    if value is None and param.default is not None:
        return param.default
    if not isinstance(value, str):
        if param.complaint is not None:
            raise RpcError(param.complaint, status=400)
        raise _invalid(f"{param.name}: a string is needed")
    return value if param.kind is Kind.TEXT else _address(param, value, default_domain)


def _address(param: Param, text: str, default_domain: str | None) -> Aor:
    if text in ("", "."):  # a lone dot is how Kamailio's tools write an empty parameter
        raise RpcError(f"Empty {param.name} name", status=400)
    try:
        return Aor.parse(text, default_domain)
    except ValueError as error:
        raise RpcError(f"Invalid {param.name} name", status=400) from error


def _invalid(message: str) -> RpcError:
    return RpcError(f"Invalid params: {message}", code=INVALID_PARAMS, status=400)
