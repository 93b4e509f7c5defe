"""The line format of the 2008 management interface (mi_fifo), without any I/O.

A call (from the mi_fifo documentation of 2006-2008)::

    request    = first_line argument*        ; ended by an empty line
    first_line = ':'command_name':'reply_fifo'\\n'
    argument   = (arg_name '::' (arg_value)? ) | (arg_value)
    arg_value  = not-quoted_string | '"' string '"'

An answer is a status line, then one node a line, ``name:: value attribute=value …``, a node within another indented by
a tab, and an empty line at the end::

    200 OK
    ROOM::  URI=sip:chat-1@example.com MEMBERS=2 OWNER=sip:alice@example.com

Unlike then, a quoted value ends on its line, and a name is a word: the ``::`` of an IPv6 address is none.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from imc.errors import RpcError
from imc.manage.jsonrpc import INVALID_PARAMS, Call, Params

_NAMED = re.compile(r"([A-Za-z_]\w*)\s*::\s*(.*)\Z", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\Z')


@dataclass(frozen=True, slots=True)
class LineRequest:
    """``reply_name`` is empty where no reply is wanted. ``fault``: why the arguments cannot be read, or None."""

    command: str
    reply_name: str
    params: Params
    fault: str | None = None


def parse(lines: tuple[bytes, ...]) -> LineRequest:
    """The lines of one call, the first one included. Never raises; what cannot be read is a ``fault``."""
    command, reply_name = _first_line(lines[0]) if lines else ("", "")
    if not command:
        return LineRequest("", reply_name, [], "the first line is not :command:reply_fifo")
    positional: list[str] = []
    named: dict[str, Any] = {}
    for line in lines[1:]:
        try:
            name, value = _argument(line.decode())
        except ValueError as error:  # UnicodeDecodeError is one
            return LineRequest(command, reply_name, [], f"argument {len(positional) + len(named) + 1}: {error}")
        if name:
            named[name] = value
        else:
            positional.append(value)
    if positional and named:
        return LineRequest(command, reply_name, [], "some arguments have names and some have none")
    return LineRequest(command, reply_name, named or positional)


def _first_line(line: bytes) -> tuple[str, str]:
    empty, _, rest = line.decode("latin-1").partition(":")
    command, colon, reply_name = rest.partition(":")
    if empty or not colon:
        return "", ""
    return command.strip(), reply_name.strip()


def _argument(line: str) -> tuple[str, str]:
    """(name or empty, value). ValueError with a text for people."""
    text = line.strip()
    match = _NAMED.match(text)
    name, value = (match[1], match[2]) if match else ("", text)
    if '"' not in value:
        return name, value
    quoted = _QUOTED.match(value)
    if quoted is None:
        raise ValueError("a quote is not closed, or stands within a value")
    return name, re.sub(r"\\(.)", r"\1", quoted[1])


async def execute(request: LineRequest, call: Call) -> bytes:
    """Do the call, and give the whole answer. ``call(method, params)`` is as for `imc.manage.jsonrpc.execute`."""
    if request.fault is not None:
        return refusal(400, f"parse error: {request.fault}")
    command = COMMANDS.get(request.command)
    if command is None:
        return refusal(500, f"command '{request.command[:100]}' not available")
    try:
        rows = await command(call, request.params)
    except RpcError as error:
        return refusal(error.status, error.message)
    return render("200 OK", rows)


def refusal(status: int, reason: str) -> bytes:
    return render(f"{status} {reason}", [])


def render(status_line: str, rows: list[str]) -> bytes:
    """Status line, rows, empty line. What would break a line is replaced."""
    lines = [re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", "?", line) for line in (status_line, *rows)]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


async def _list_rooms(call: Call, params: Params) -> list[str]:
    rooms: Any = await call("imc.list_rooms", params)
    # The node has a name and no value, hence two blanks.
    return [f"ROOM::  URI={row['room']} MEMBERS={row['members']} OWNER={row['owner']}" for row in rooms]


async def _list_members(call: Call, params: Params) -> list[str]:
    result: Any = await call("imc.list_members", params)
    members = [f"\tMEMBER:: {user}" for user in result["members"]]
    return [f"ROOM:: {result['room']} NR_OF_MEMBERS={result['count']}", *members]


async def _get_statistics(call: Call, params: Params) -> list[str]:
    lines: Any = await call("stats.get_statistics", params)
    return list(lines)


async def _version(call: Call, params: Params) -> list[str]:
    return [f"Server:: {await call('core.version', params)}"]


async def _which(_call: Call, params: Params) -> list[str]:
    if params:
        raise RpcError("no arguments are taken", code=INVALID_PARAMS, status=400)
    return sorted(COMMANDS)


def _as_text(method: str) -> Callable[[Call, Params], Awaitable[list[str]]]:
    """A command whose result is one number or truth value, given as a row of its own."""

    async def run(call: Call, params: Params) -> list[str]:
        return [str(int(await call(method, params)))]  # type: ignore[call-overload]

    return run


COMMANDS: dict[str, Callable[[Call, Params], Awaitable[list[str]]]] = {
    "imc_list_rooms": _list_rooms,
    "imc_list_members": _list_members,
    "imc_room_active": _as_text("imc.room_active"),
    "imc_room_member": _as_text("imc.room_member"),
    "imc_manager": _as_text("imc.manager"),
    "get_statistics": _get_statistics,
    "version": _version,
    "which": _which,
}
"""The commands of this format, each made of a JSON-RPC method."""
