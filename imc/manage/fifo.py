"""Calls over FIFOs: JSON-RPC as Kamailio's jsonrpcs has it (``reply_name``), and the 2008 line format.

- One reader a FIFO. Its calls are done one after the other; their replies are delivered beside it, so a caller that
  never reads its reply FIFO delays nobody.
- A reply goes to a FIFO that exists in ``fifo_reply_dir``, named by a bare name; nothing is ever created there.
- Replies for one name are written in order, each as one opening, as `cat reply_fifo` expects it.
- At most ``max_connections`` replies wait; what comes then is dropped and logged.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque

import structlog
import trio

from imc.errors import ListenError
from imc.manage import jsonrpc, mi
from imc.manage.caller import FIFO
from imc.manage.files import make_fifo, open_fifo, open_reply_fifo
from imc.manage.framing import Frame, Framer, JsonText, LineCall, Refused
from imc.manage.methods import Methods
from imc.manage.options import ManageOptions

log = structlog.get_logger("imc.manage")

_REPLY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}\Z")
_GUESS = re.compile(rb'"reply_name"\s*:\s*"([A-Za-z0-9_][A-Za-z0-9_.\-]{0,127})"')
_POLL = 0.05  # seconds between two tries to open a reply FIFO
_CHECK = 10.0  # seconds between two looks whether the FIFO is still in its place
_CHUNK = 65536


class Replies:
    """The way back: hands replies to whoever reads their FIFOs."""

    def __init__(self, options: ManageOptions) -> None:
        self._options = options
        self._waiting: dict[str, deque[bytes]] = {}
        self._count = 0
        try:
            self._directory = os.open(options.fifo_reply_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ListenError(f"manage.fifo_reply_dir {options.fifo_reply_dir}: {error.strerror}") from error

    def close(self) -> None:
        os.close(self._directory)

    def send(self, nursery: trio.Nursery, name: str, data: bytes) -> None:
        """Queue a reply; dropped where the name is no bare name, or too many wait."""
        if not _REPLY_NAME.match(name) or ".." in name:
            log.warning("fifo-reply-name-refused", name=name[:200])
        elif self._count >= self._options.max_connections:
            log.warning("fifo-reply-dropped", name=name, waiting=self._count)
        else:
            self._count += 1
            if name in self._waiting:
                self._waiting[name].append(data)
            else:
                self._waiting[name] = deque([data])
                nursery.start_soon(self._deliver_all, name)

    async def _deliver_all(self, name: str) -> None:
        waiting = self._waiting[name]
        try:
            while waiting:
                data = waiting.popleft()
                try:
                    await self._deliver(name, data)
                except OSError as error:
                    log.warning("fifo-reply-failed", name=name, error=error.strerror)
                finally:
                    self._count -= 1
        finally:
            self._count -= len(waiting)
            del self._waiting[name]

    async def _deliver(self, name: str, data: bytes) -> None:
        fd = None
        with trio.move_on_after(self._options.reply_wait):
            while (fd := open_reply_fifo(self._directory, name)) is None:  # noqa: ASYNC110  nothing tells of a reader
                await trio.sleep(_POLL)
        if fd is None:
            log.info("fifo-reply-unread", name=name)
            return
        try:
            with trio.move_on_after(self._options.write_timeout) as scope:
                await _write_all(fd, data)
            if scope.cancelled_caught:
                log.info("fifo-reply-cut", name=name)
        finally:
            trio.lowlevel.notify_closing(fd)
            os.close(fd)


async def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        await trio.lowlevel.wait_writable(fd)
        with contextlib.suppress(BlockingIOError):
            rest = rest[os.write(fd, rest[:_CHUNK]) :]


class FifoListener:
    """One FIFO. Making one makes the file (ListenError); `close` removes it."""

    def __init__(self, path: str, methods: Methods, replies: Replies, options: ManageOptions) -> None:
        self._call = methods.by(FIFO)
        self._replies = replies
        self._options = options
        self._framer = Framer(options.max_request)
        self._place = make_fifo(path, options.file_mode)
        try:
            self._fd = open_fifo(self._place)
        except ListenError:
            self._place.remove()
            raise

    @property
    def path(self) -> str:
        return self._place.path

    def close(self) -> None:
        os.close(self._fd)
        self._place.remove()

    async def run(self) -> None:
        """Serve until cancelled."""
        self._framer = Framer(self._options.max_request)
        async with trio.open_nursery() as nursery:
            while True:
                for frame in await self._next_frames():
                    await self._serve(frame, nursery)

    async def _next_frames(self) -> list[Frame]:
        """What has become complete; a call that is not complete within ``read_timeout`` is refused."""
        deadline = trio.current_time() + (self._options.read_timeout if self._framer.is_mid_call else _CHECK)
        while True:
            with trio.move_on_at(deadline) as scope:
                await trio.lowlevel.wait_readable(self._fd)
            if scope.cancelled_caught:
                if not self._framer.is_mid_call and not self._place.is_ours():
                    self._open_again()
                return self._framer.cut_off()
            try:
                data = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                continue
            if not data:
                frames = self._framer.cut_off()
                self._open_again()
                return frames
            was_mid_call = self._framer.is_mid_call
            frames = self._framer.feed(data)
            if frames:
                return frames
            if not was_mid_call:
                deadline = trio.current_time() + self._options.read_timeout

    def _open_again(self) -> None:
        """The last writer is gone: open anew, else the end of the file would be reported again and again.

        Opened before the old end is closed, so that what somebody writes meanwhile stays in the FIFO. A FIFO that
        was removed is made again.
        """
        if not self._place.is_ours():
            log.warning("fifo-vanished", path=self.path)
            self._place = make_fifo(self.path, self._options.file_mode)
        fd = open_fifo(self._place)
        trio.lowlevel.notify_closing(self._fd)
        os.close(self._fd)
        self._fd = fd

    async def _serve(self, frame: Frame, nursery: trio.Nursery) -> None:
        if isinstance(frame, JsonText):
            await self._serve_json(frame.raw, nursery)
        elif isinstance(frame, LineCall):
            request = mi.parse(frame.lines)
            answer = await mi.execute(request, self._call)
            if request.reply_name:
                self._replies.send(nursery, request.reply_name, answer)
        else:
            self._refuse(frame, nursery)

    async def _serve_json(self, raw: bytes, nursery: trio.Nursery) -> None:
        document = jsonrpc.parse(raw, self._options.max_batch)
        response = await jsonrpc.execute(document, self._call)
        name = document.reply_name or _guess_reply_name(raw)
        if response is not None and name:
            data = await trio.to_thread.run_sync(jsonrpc.encode, response)
            self._replies.send(nursery, name, data + b"\n")

    def _refuse(self, frame: Refused, nursery: trio.Nursery) -> None:
        """Tell the caller, where it can be made out who that is."""
        log.info("fifo-call-refused", path=self.path, reason=frame.reason, head=frame.head[:80].decode("latin-1"))
        if frame.head.startswith(b":"):
            request = mi.parse((frame.head.partition(b"\n")[0],))
            if request.reply_name:
                self._replies.send(nursery, request.reply_name, mi.refusal(400, f"parse error: {frame.reason}"))
        elif name := _guess_reply_name(frame.head):
            response = jsonrpc.error_response(jsonrpc.PARSE_ERROR, f"Parse error: {frame.reason}")
            self._replies.send(nursery, name, jsonrpc.encode(response) + b"\n")


def _guess_reply_name(raw: bytes) -> str:
    match = _GUESS.search(raw)
    return match[1].decode() if match else ""
