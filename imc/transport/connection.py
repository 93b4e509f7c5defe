"""One TCP connection, after it was accepted or opened and until it is gone.

Invariants

- `Connection.send` never waits: the kernel takes the bytes, or they are kept up to ``write_buffer``. Who reads so
  slowly that they outgrow it, or that none leave in ``write_deadline``, is cut off. False means that the connection
  is of no more use.
- A message begun must be whole ``message_deadline`` after its first byte, however many bytes dribble in; an accepted
  connection must have sent its first message as long after it was accepted. Keep-alives are no messages.
- `Connection.run` returns how the connection ended and raises nothing but Cancelled; nobody is told of the end inside
  of `send`, whose caller may be in the middle of anything.

What TLS and WebSocket will add sits between the socket and the framer, in `Connection._read_once` and
`Connection.send`; neither the deadlines nor the bounds know about it.
"""

from __future__ import annotations

import contextlib
import enum
import socket
from collections.abc import Callable
from dataclasses import dataclass

import trio

from imc.errors import BadMessage
from imc.sip.flow import Flow
from imc.sip.framing import PONG, Ping, StreamFramer
from imc.transport.guard import Guard, Receive

_READ_SIZE = 65536
_READ_SIZE_HELD = 4096  # of who is new, or was held: a flood costs the others no more than this at a time
HELD = 0.25  # seconds
_WRITE_SIZE = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions:
    """Times in seconds, sizes in bytes."""

    max_message: int = 65536
    max_connections: int = 4096
    max_per_address: int = 1024
    message_deadline: float = 30.0
    idle_limit: float = 3900.0  # over an hour: a client that registers hourly keeps its connection
    write_buffer: int = 256 * 1024
    write_deadline: float = 30.0
    connect_timeout: float = 5.0
    max_connecting: int = 256
    linger: float = 1.0


class End(enum.Enum):
    """How a connection ended; the value is its name in statistics."""

    EOF = "eof"
    RESET = "reset"
    BAD_STREAM = "bad_stream"
    TOO_SLOW = "too_slow"
    IDLE = "idle"
    WRITE_OVERFLOW = "write_overflow"
    EVICTED = "evicted"
    STOPPED = "stopped"


class Connection:
    """One connected, non-blocking socket. `run` is its task; `send` and `stop` may be called from anywhere."""

    __slots__ = (
        "_buffer",
        "_deadline_is_idle",
        "_end",
        "_flushed",
        "_framer",
        "_guard",
        "_is_accepted",
        "_is_held",
        "_is_mid_message",
        "_may_send",
        "_nursery",
        "_options",
        "_scope",
        "_sock",
        "flow",
        "last_heard",
        "received",
        "sent",
    )

    def __init__(
        self,
        sock: socket.socket,
        flow: Flow,
        options: TcpOptions,
        nursery: trio.Nursery,
        guard: Guard,
        *,
        accepted: bool,
    ) -> None:
        self.flow = flow
        self.last_heard = trio.current_time()
        self.received = 0
        self.sent = 0
        self._sock = sock
        self._options = options
        self._nursery = nursery
        self._guard = guard
        self._is_accepted = accepted
        self._framer = StreamFramer(options.max_message)
        self._buffer = bytearray()
        self._flushed: trio.Event | None = None
        self._end: End | None = None
        self._may_send = True
        self._is_mid_message = False
        self._is_held = False
        self._deadline_is_idle = not accepted
        self._scope = trio.CancelScope(
            deadline=self.last_heard + (options.message_deadline if accepted else options.idle_limit)
        )

    @property
    def is_open(self) -> bool:
        """Whether requests may still be sent on it: neither side has begun to end it."""
        return self._end is None

    # Sending

    def send(self, data: bytes) -> bool:
        """True: given to the kernel, or kept. False: the connection is gone, or just now cut off."""
        if not self._may_send:
            return False
        if not self._buffer:
            try:
                taken = self._sock.send(data)
            except BlockingIOError:
                taken = 0
            except OSError:
                self._abort(End.RESET)
                return False
            if taken == len(data):
                self.sent += 1
                return True
            data = data[taken:]
        # spec S-NET-4
        if len(self._buffer) + len(data) > self._options.write_buffer:
            self._abort(End.WRITE_OVERFLOW)
            return False
        self._buffer += data
        self.sent += 1
        if self._flushed is None:
            self._flushed = trio.Event()
            self._nursery.start_soon(self._flush)
        return True

    async def _flush(self) -> None:
        try:
            while self._buffer and self._may_send:
                with trio.move_on_after(self._options.write_deadline) as waiting:
                    await trio.lowlevel.wait_writable(self._sock)
                if waiting.cancelled_caught:
                    self._abort(End.WRITE_OVERFLOW)
                else:
                    self._write_some()
        except (OSError, trio.ClosedResourceError):
            self._abort(End.RESET)
        finally:
            if self._flushed is not None:
                self._flushed.set()
                self._flushed = None

    def _write_some(self) -> None:
        with contextlib.suppress(BlockingIOError), memoryview(self._buffer) as view:
            taken = self._sock.send(view[:_WRITE_SIZE])
        del self._buffer[:taken]

    def stop(self, end: End = End.STOPPED) -> None:
        """End it from this side: what is buffered is still sent, but nothing is read any more."""
        if self._end is None:
            self._end = end
            self._scope.cancel()

    def _abort(self, end: End) -> None:
        """End it at once: what is buffered is of no use any more."""
        self._may_send = False
        self._buffer.clear()
        self.stop(end)
        self._scope.cancel()  # also where it lingers already

    # Receiving

    async def run(self, receive: Receive, batch_end: Callable[[], None]) -> End:
        """Read until it ends. ``receive`` gets each message, ``batch_end`` follows the messages of one read.

        Where ``receive`` says so, nothing is read for a moment: whoever floods is held up by their own kernel.
        """
        with self._scope:
            try:
                while self._end is None:
                    await trio.lowlevel.wait_readable(self._sock)
                    self._read_once(receive, batch_end)
                    if self._is_held:
                        await trio.sleep(HELD)
            except BadMessage:
                self.stop(End.BAD_STREAM)  # RFC 3261 §18.3: where a message ends cannot be known any more
            except (OSError, trio.ClosedResourceError):
                self._abort(End.RESET)
            except Exception:
                self._guard.failed("stream", self.flow)
                self._abort(End.BAD_STREAM)
        if self._end is None:
            self._end = End.IDLE if self._deadline_is_idle else End.TOO_SLOW
        return self._end

    def _read_once(self, receive: Receive, batch_end: Callable[[], None]) -> None:
        try:
            data = self._sock.recv(_READ_SIZE if self.received and not self._is_held else _READ_SIZE_HELD)
        except BlockingIOError:
            return
        self._is_held = False
        if not data:
            self._end = End.EOF
            return
        messages = pings = 0
        try:
            for item in self._framer.feed(data):
                if isinstance(item, Ping):
                    pings += 1
                    continue
                messages += 1
                try:
                    if receive(item, self.flow):
                        self._is_held = True
                except Exception:
                    self._guard.failed("receive", self.flow)
        finally:
            # spec S-NET-1
            if pings:
                self.send(PONG * pings)  # RFC 5626 §4.4.1
            if messages:
                self.received += messages
                self._say_batch_end(batch_end)
        self._set_deadline(has_messages=messages > 0)

    def _say_batch_end(self, batch_end: Callable[[], None]) -> None:
        try:
            batch_end()
        except Exception:
            self._guard.failed("end of batch", self.flow)

    # spec S-NET-2
    def _set_deadline(self, *, has_messages: bool) -> None:
        now = self.last_heard = trio.current_time()
        was_mid_message, self._is_mid_message = self._is_mid_message, self._framer.is_mid_message
        if self._is_mid_message:
            if has_messages or not was_mid_message:  # its first byte came just now
                self._scope.deadline = now + self._options.message_deadline
                self._deadline_is_idle = False
        elif self.received or not self._is_accepted:
            self._scope.deadline = now + self._options.idle_limit
            self._deadline_is_idle = True

    # Ending

    # spec S-NET-8
    async def finish(self) -> None:
        """After `run`: what courtesy is left, for at most ``linger`` seconds.

        A peer that only closed its own direction still gets the answers that are under way. One that is cut off gets
        what is buffered, and its further bytes are read and dropped: closing with bytes unread would be a reset, and
        a reset takes back answers that the peer has not read.
        """
        if not self._may_send:
            return
        self._scope = trio.CancelScope(deadline=trio.current_time() + self._options.linger)
        with self._scope, contextlib.suppress(OSError, trio.ClosedResourceError):
            if self._end is End.EOF:
                await trio.sleep_forever()
            while self._flushed is not None:
                await self._flushed.wait()
            self._may_send = False
            self._sock.shutdown(socket.SHUT_WR)
            while self._sock.recv(_READ_SIZE):
                await trio.lowlevel.wait_readable(self._sock)

    def close(self) -> None:
        """Release the socket. `send` is False from now on."""
        self._may_send = False
        self._end = self._end or End.STOPPED
        self._buffer.clear()
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
