"""The asking side: one call over HTTP or a Unix socket, and how the command line reads arguments and shows results."""

from __future__ import annotations

import http.client
import json
import math
import socket
import time
from datetime import UTC, datetime
from typing import IO, Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imc.errors import RpcError, Unreachable
from imc.manage.options import parse_listen

_MAX_REPLY = 256 * 1024 * 1024  # bytes; a hundred thousand rooms are about 10 MB
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where all addresses are listened on, loopback is one


def endpoint_of(listen: str, socket_path: str | None = None) -> str:
    """Where a daemon with these settings is asked: its Unix socket if it has one, else HTTP.

    Unreachable where it has neither.
    """
    if socket_path:
        return f"unix:{socket_path}"
    if not listen:
        raise Unreachable("neither manage.socket nor manage.listen is set: the daemon takes no calls")
    host, port = parse_listen(listen)
    host = _ANY.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/RPC"


def call(
    endpoint: str, method: str, params: list[Any] | dict[str, Any], timeout: float = 10.0, *, token: str | None = None
) -> object:
    """The method's result.

    ``endpoint`` is ``unix:/path``, ``/path``, ``http://host:port/RPC`` or ``https://…``; ``timeout`` is for the whole
    call, in seconds. RpcError: the daemon refused. Unreachable: no daemon, no answer in time, or no JSON-RPC answer.
    """
    request = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}, allow_nan=False).encode()
    deadline = time.monotonic() + timeout
    try:
        if endpoint.startswith(("http://", "https://")):
            raw, status = _ask_http(endpoint, request, deadline, token)
        else:
            raw, status = _ask_unix(endpoint.removeprefix("unix:"), request, deadline), ""
    except TimeoutError as error:
        raise Unreachable(f"{endpoint}: no answer within {timeout:g} s") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or repr(error)
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            reason += " (is the daemon running?)"
        elif isinstance(error, PermissionError):
            reason += " (ask as the user that the daemon runs as)"
        raise Unreachable(f"{endpoint}: {reason}") from error
    return _result(endpoint, raw, status)


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def _ask_unix(path: str, request: bytes, deadline: float) -> bytes:
    reply = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_remaining(deadline))
        sock.connect(path)
        sock.sendall(request + b"\n")
        while not reply.endswith(b"\n"):
            sock.settimeout(_remaining(deadline))
            data = sock.recv(65536)
            if not data:
                break
            reply += data
            if len(reply) > _MAX_REPLY:
                raise ValueError("the answer is too long")
    return bytes(reply)


def _ask_http(url: str, request: bytes, deadline: float, token: str | None) -> tuple[bytes, str]:
    """(body, status line)"""
    parts = urlsplit(url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=_remaining(deadline))
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("POST", parts.path or "/RPC", request, headers)
        assert connection.sock is not None
        connection.sock.settimeout(_remaining(deadline))
        response = connection.getresponse()
        reply = bytearray()
        while data := response.read1(65536):
            reply += data
            _remaining(deadline)
            if len(reply) > _MAX_REPLY:
                raise ValueError("the answer is too long")
        return bytes(reply), f"{response.status} {response.reason}"
    finally:
        connection.close()


def _result(endpoint: str, raw: bytes, status: str) -> object:
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError):
        reply = None
    error = reply.get("error") if isinstance(reply, dict) else None
    if isinstance(error, dict) and isinstance(error.get("message"), str) and isinstance(error.get("code"), int):
        raise RpcError(error["message"], code=error["code"])
    if not isinstance(reply, dict) or "result" not in reply:
        said = f" ({status})" if status else ""
        raise Unreachable(f"{endpoint}: the answer is no JSON-RPC{said}")
    return reply["result"]


# The command line


def params_of(arguments: list[str]) -> list[Any] | dict[str, Any]:
    """The parameters of ``imc rpc METHOD [ARG…]``: each as JSON where it is JSON, else as a string.

    One argument that is a JSON object gives the parameters by name.
    """
    values = [_value_of(argument) for argument in arguments]
    if len(values) == 1 and isinstance(values[0], dict):
        return values[0]
    return values


def _value_of(argument: str) -> Any:
    try:
        value = json.loads(argument)
    except (ValueError, RecursionError):
        return argument
    if isinstance(value, float) and not math.isfinite(value):  # NaN, Infinity, 1e999: no JSON
        return argument
    return value


def rooms(endpoint: str, *, is_json: bool, timeout: float = 10.0, token: str | None = None, file: IO[str]) -> None:
    """``imc rooms [--json]``: the rooms as a table, or as the JSON of ``imc.rooms``."""
    found = call(endpoint, "imc.rooms", [], timeout, token=token)
    return show_json(found, file) if is_json else show_table(rooms_table(found), file)


def members(
    endpoint: str, room: str, *, is_json: bool, timeout: float = 10.0, token: str | None = None, file: IO[str]
) -> None:
    """``imc members ROOM [--json]``: a table with roles, or ``imc.list_members`` as JSON with ``roles`` beside it."""
    found: Any = call(endpoint, "imc.members", [room], timeout, token=token)
    if not is_json:
        return show_table(members_table(found), file)
    listed: Any = call(endpoint, "imc.list_members", [room], timeout, token=token)
    return show_json({**listed, "roles": {row["user"]: row["role"] for row in found}}, file)


def rooms_table(rows: Any) -> Table:
    """From the result of ``imc.rooms``."""
    table = _table("Room", "Members", "Owner", "Kind")
    for row in rows:
        kind = "private" if row["private"] else "public"
        table.add_row(_text(row["room"]), str(row["members"]), _text(row["owner"]), kind)
    return table


def members_table(rows: Any) -> Table:
    """From the result of ``imc.members``."""
    table = _table("User", "Role")
    for row in rows:
        table.add_row(_text(row["user"]), _text(row["role"]))
    return table


def outbox_table(rows: Any) -> Table:
    """From the copies of ``imc.outbox``."""
    table = _table("Id", "Recipient", "From", "Event", "State", "Since", "Status")
    for row in rows:
        since = datetime.fromtimestamp(row["created"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        who = (_text(row["recipient"]), _text(row["from"]), _text(row["event"]))
        table.add_row(row["id"], *who, row["state"], since, str(row["status"] or ""))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column == "Members" else "left", overflow="fold")
    return table


def _text(value: object) -> Text:
    """As it is: no markup, and no control character that a terminal would obey."""
    return Text("".join(char if char.isprintable() else "�" for char in str(value)))


def show_table(table: Table, file: IO[str]) -> None:
    """On a terminal as wide as it is, else as wide as it needs, so that no address is broken for a program."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        width = console.measure(table, options=console.options.update(width=1_000_000)).maximum
        console = Console(file=file, highlight=False, width=max(width, 1))
    console.print(table)


def show_json(value: object, file: IO[str]) -> None:
    file.write(json.dumps(value, indent=2) + "\n")
