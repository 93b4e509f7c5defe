"""BINRPC over a Unix stream socket, for `kamcmd -s unix:PATH`: any number of calls a connection, answered in order.

What cannot be read as a call gets a fault, and the connection stays where the packet's end is known. Results and errors
are those of JSON-RPC, but that errors have Kamailio's codes (400, 500) where JSON-RPC has its own.
"""

from __future__ import annotations

import trio

from imc.errors import BadPacket, RpcError
from imc.manage import binrpc
from imc.manage.jsonrpc import METHOD_NOT_FOUND, Call, Params
from imc.manage.streams import StreamListener

_CHUNK = 65536
_NO_COOKIE = b"\0"


class CtlListener(StreamListener):
    """The socket that kamcmd is told with ``-s``."""

    via = "ctl"

    async def _refuse(self, stream: trio.SocketStream) -> None:
        await self._write(stream, binrpc.fault(_NO_COOKIE, 500, "Too many connections"))

    async def _serve(self, stream: trio.SocketStream, call: Call) -> None:
        buffer = bytearray()
        deadline = trio.current_time() + self._options.idle_timeout
        while True:
            with trio.fail_at(deadline):
                data = await stream.receive_some(_CHUNK)
            if not data:
                return
            was_empty = not buffer
            buffer += data
            try:
                while (packet := binrpc.take(buffer, self._options.max_request)) is not None:
                    await self._write(stream, await _answer(packet, call))
                    was_empty = True
            except BadPacket as error:  # where the next one begins is not known
                await self._write(stream, _refusal(error))
                return
            if was_empty:  # a deadline for the packet, not for each byte
                timeout = self._options.read_timeout if buffer else self._options.idle_timeout
                deadline = trio.current_time() + timeout


async def _answer(packet: binrpc.Packet, call: Call) -> bytes:
    """The reply or fault, whole."""
    method = ""
    try:
        method, values = binrpc.read_call(packet)
        result = await call(method, _params(values, packet.cookie))
    except BadPacket as error:
        return _refusal(error)
    except RpcError as error:
        if error.code == METHOD_NOT_FOUND:
            return binrpc.fault(packet.cookie, 500, f"command {method[:100]} not found")  # Kamailio's words
        return binrpc.fault(packet.cookie, error.code if error.code > 0 else error.status, error.message)
    return await trio.to_thread.run_sync(binrpc.reply, packet.cookie, result)


def _refusal(error: BadPacket) -> bytes:
    return binrpc.fault(error.cookie or _NO_COOKIE, 400, f"Bad packet: {error.reason}")


def _params(values: list[binrpc.Value], cookie: bytes) -> Params:
    """By name where the only one is a struct with names, else by position."""
    match values:
        case [dict() as named]:
            return {name: _as_text(value, cookie) for name, value in named.items()}
    return [_as_text(value, cookie) for value in values]


def _as_text(value: binrpc.Value, cookie: bytes) -> object:
    """kamcmd makes a number of every parameter that looks like one, and the methods take texts."""
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                raise BadPacket("octets that are not UTF-8", cookie) from error
        case int() | float():
            return str(value)
        case list():
            return [_as_text(each, cookie) for each in value]
    return value
