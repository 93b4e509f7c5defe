"""JSON-RPC over a Unix stream socket: one JSON text a line, any number of lines a connection, answered in order.

A line longer than ``max_request`` is answered with an error and the connection closed. One idle for ``idle_timeout``,
or that takes longer than ``read_timeout`` for a line, is closed. The rest is told in `imc.manage.streams`.
"""

from __future__ import annotations

import trio

from imc.manage import jsonrpc
from imc.manage.streams import StreamListener

_CHUNK = 65536


class UnixListener(StreamListener):
    """The socket for programs."""

    via = "socket"

    async def _refuse(self, stream: trio.SocketStream) -> None:
        await self._send(stream, jsonrpc.error_response(jsonrpc.INTERNAL_ERROR, "Too many connections"))

    async def _serve(self, stream: trio.SocketStream, call: jsonrpc.Call) -> None:
        buffer = bytearray()
        searched = 0
        deadline = trio.current_time() + self._options.idle_timeout
        while True:
            with trio.fail_at(deadline):
                data = await stream.receive_some(_CHUNK)
            was_empty = not buffer
            buffer += data
            while (end := buffer.find(b"\n", searched)) >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                searched = 0
                if not await self._answer(stream, line, call):
                    return
                was_empty = True
            if not data:  # the last line need not be ended
                await self._answer(stream, bytes(buffer), call)
                return
            searched = len(buffer)
            if searched > self._options.max_request:
                await self._answer(stream, bytes(buffer), call)
                return
            if was_empty:  # a deadline for the line, not for each byte
                timeout = self._options.read_timeout if buffer else self._options.idle_timeout
                deadline = trio.current_time() + timeout

    async def _answer(self, stream: trio.SocketStream, line: bytes, call: jsonrpc.Call) -> bool:
        """False: nothing more is to be read."""
        if len(line) > self._options.max_request:
            message = f"Invalid Request: longer than {self._options.max_request} bytes"
            await self._send(stream, jsonrpc.error_response(jsonrpc.INVALID_REQUEST, message))
            return False
        if line.strip():
            document = jsonrpc.parse(line, self._options.max_batch)
            response = await jsonrpc.execute(document, call)
            if response is not None:
                await self._send(stream, response)
        return True

    async def _send(self, stream: trio.SocketStream, response: jsonrpc.Response | list[jsonrpc.Response]) -> None:
        data = await trio.to_thread.run_sync(jsonrpc.encode, response)
        await self._write(stream, data + b"\n")
