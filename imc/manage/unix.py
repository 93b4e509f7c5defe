"""JSON-RPC over a Unix stream socket: one JSON text a line, any number of lines a connection, answered in order.

Who may connect is a matter of the file's permissions. A line longer than ``max_request`` is answered with an error and
the connection closed; so is a connection beyond ``max_connections``, one idle for ``idle_timeout``, one that takes
longer than ``read_timeout`` for a line, and one that does not read its answers within ``write_timeout``.
"""

from __future__ import annotations

import trio

from imc.manage import jsonrpc
from imc.manage.caller import of_socket
from imc.manage.files import listen_unix
from imc.manage.methods import Methods, log
from imc.manage.options import ManageOptions

_CHUNK = 65536


class UnixListener:
    """The socket. Making it binds it (ListenError); `close` removes it."""

    def __init__(self, path: str, methods: Methods, options: ManageOptions) -> None:
        sock, self._place = listen_unix(path, options.file_mode, options.max_connections)
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        self._methods = methods
        self._options = options
        self._connections = 0

    @property
    def path(self) -> str:
        return self._place.path

    def close(self) -> None:
        self._listener.socket.close()
        self._place.remove()

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    stream = await self._listener.accept()
                except OSError as error:  # out of descriptors; those who wait stay in the queue
                    log.warning("unix-accept-failed", error=error.strerror)
                    await trio.sleep(0.1)
                    continue
                self._connections += 1
                nursery.start_soon(self._serve_guarded, stream)

    async def _serve_guarded(self, stream: trio.SocketStream) -> None:
        try:
            async with stream:
                if self._connections > self._options.max_connections:
                    await self._send(stream, jsonrpc.error_response(jsonrpc.INTERNAL_ERROR, "Too many connections"))
                else:
                    await self._serve(stream, self._methods.by(of_socket(stream.socket, "socket")))
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass  # the caller is gone, or might as well be
        except Exception:
            log.exception("unix-connection-failed")
        finally:
            self._connections -= 1

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
        with trio.fail_after(self._options.write_timeout):
            await stream.send_all(data + b"\n")
