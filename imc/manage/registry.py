"""What a method is, the registry of all of them, and how a call's parameters become arguments.

A method is a function with the `method` decorator; its docstring is its documentation. `describe` yields the whole
registry. Parameters that do not fit are -32602 (JSON-RPC 2.0 §5.1), but where Kamailio has an error of its own.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from imc.aor import Aor
from imc.errors import RpcError
from imc.manage.caller import ROLES
from imc.manage.jsonrpc import INVALID_PARAMS, Params


class Kind(enum.Enum):
    """What a parameter is; the value is what the documentation calls it."""

    TEXT = "string"
    ROOM = "address of a room"
    USER = "address of a user"
    NAMES = "strings, one or more"


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. ``complaint``: the whole message, with code 500, where Kamailio has one for a missing value.

    ``is_secret``: it is a password, or what somebody says: no log and no audit has it. ``role``: what a caller needs
    to give anything else than the default; "" for what the method needs. ``choices``: nothing else is taken, nor
    repeated, since it may be a password in the wrong place.
    """

    name: str
    kind: Kind
    doc: str
    default: str | None = None
    complaint: str | None = None
    is_secret: bool = False
    role: str = ""
    choices: tuple[str, ...] = ()

    @property
    def is_required(self) -> bool:
        return self.default is None


@dataclass(frozen=True, slots=True)
class Method:
    """One entry of the registry. ``is_reading``: it changes nothing, and may be cut off when it takes too long.

    One that is not gets the `imc.service.inbound.Act` that it is as ``act``, and has a row in the audit. ``role`` is
    the least that a caller needs (`imc.manage.caller.ROLES`). ``is_in_room``: where it changes a room, the row of that
    change is its row.
    """

    name: str
    aliases: tuple[str, ...]
    doc: str
    params: tuple[Param, ...]
    returns: str
    errors: tuple[tuple[int, str], ...]
    is_reading: bool
    handler: Callable[..., Awaitable[object]]
    role: str = "admin"
    is_in_room: bool = False

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

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[object]])


def method(
    name: str,
    *params: Param,
    returns: str,
    aliases: tuple[str, ...] = (),
    errors: tuple[tuple[int, str], ...] = (),
    is_reading: bool = True,
    role: str = "admin",
    is_in_room: bool = False,
) -> Callable[[Handler], Handler]:
    """Registers a handler. Whoever says nothing of a role makes a method for admins only."""
    assert role in ROLES, role

    def register(handler: Handler) -> Handler:
        doc = inspect.cleandoc(handler.__doc__ or "")
        entry = Method(name, aliases, doc, params, returns, errors, is_reading, handler, role, is_in_room)
        for key in (name, *aliases):
            assert key not in METHODS, key
            METHODS[key] = entry
        return handler

    return register


def describe() -> Iterator[Method]:
    """Every method once, sorted by name: what the reference documentation is made from."""
    return (METHODS[name] for name in sorted(METHODS) if METHODS[name].name == name)


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
        raise invalid(f"{len(method.params)} at most: {method.usage}")
    return given


def _by_name(method: Method, params: dict[str, Any]) -> dict[str, Any]:
    unknown = params.keys() - {param.name for param in method.params}
    if unknown:
        raise invalid(f"unknown name {min(unknown)[:100]!r}: {method.usage}")
    return params


def _convert(param: Param, value: object, default_domain: str | None) -> object:
    if param.kind is Kind.NAMES:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise invalid(f"{param.name}: {param.kind.value} needed")
        return names
    if value is None and param.default is not None:
        return param.default
    if not isinstance(value, str):
        if param.complaint is not None:
            raise RpcError(param.complaint, status=400)
        raise invalid(f"{param.name}: a string is needed")
    if param.choices and value not in param.choices:
        raise invalid(f"{param.name}: one of {', '.join(param.choices)}")
    return value if param.kind is Kind.TEXT else _address(param, value, default_domain)


def _address(param: Param, text: str, default_domain: str | None) -> Aor:
    if text in ("", "."):  # a lone dot is how Kamailio's tools write an empty parameter
        raise RpcError(f"Empty {param.name} name", status=400)
    try:
        return Aor.parse(text, default_domain)
    except ValueError as error:
        raise RpcError(f"Invalid {param.name} name", status=400) from error


def invalid(message: str) -> RpcError:
    """Parameters that do not fit."""
    return RpcError(f"Invalid params: {message}", code=INVALID_PARAMS, status=400)
