"""What listeners on Unix stream sockets have in common: binding, accepting, the bound on connections, and their ends.

Who may connect is a matter of the file's permissions. A connection beyond ``max_connections`` is refused and closed;
one that does not read its answers within ``write_timeout`` is ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import trio

from imc.manage.caller import of_socket
from imc.manage.files import listen_unix
from imc.manage.jsonrpc import Call
from imc.manage.methods import Methods, log
from imc.manage.options import ManageOptions


class StreamListener(ABC):
    """A socket. Making it binds it (ListenError); `close` removes it."""

    via: ClassVar[str]
    """The way that the audit names."""

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
                    log.warning("unix-accept-failed", path=self.path, error=error.strerror)
                    await trio.sleep(0.1)
                    continue
                self._connections += 1
                nursery.start_soon(self._serve_guarded, stream)

    async def _serve_guarded(self, stream: trio.SocketStream) -> None:
        try:
            async with stream:
                if self._connections > self._options.max_connections:
                    await self._refuse(stream)
                else:
                    await self._serve(stream, self._methods.by(of_socket(stream.socket, self.via)))
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass  # the caller is gone, or might as well be
        except Exception:
            log.exception("unix-connection-failed", path=self.path)
        finally:
            self._connections -= 1

    @abstractmethod
    async def _serve(self, stream: trio.SocketStream, call: Call) -> None:
        """Answer until the connection is to be closed. BrokenResourceError and TooSlowError end it, too."""

    @abstractmethod
    async def _refuse(self, stream: trio.SocketStream) -> None:
        """Say that there are too many connections."""

    async def _write(self, stream: trio.SocketStream, data: bytes) -> None:
        with trio.fail_after(self._options.write_timeout):
            await stream.send_all(data)
