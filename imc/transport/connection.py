"""One connection, TCP or what runs over it, after it was accepted or opened and until it is gone.

Invariants

- `Connection.send` never waits: the kernel takes the bytes, or they are kept up to ``write_buffer``. Who reads so
  slowly that they outgrow it, or that none leave in ``write_deadline``, is cut off. False means that the connection
  is of no more use.
- A message begun must be whole ``message_deadline`` after its first byte, however many bytes dribble in; an accepted
  connection must have sent its first message as long after it was accepted. Keep-alives are no messages.
- The handshakes of TLS and WebSocket are over ``handshake_deadline`` after the connection was made.
- `Connection.run` returns how the connection ended and raises nothing but Cancelled; nobody is told of the end inside
  of `send`, whose caller may be in the middle of anything.

TLS and WebSocket are layers without I/O between the socket and the messages (`imc.transport.tls`,
`imc.transport.websocket`): what comes from the socket goes through `Connection._read_once`, what goes to it through
`Connection._write`, whatever is spoken. So the bounds hold for octets on the wire.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from imc.errors import BadMessage
from imc.sip.flow import Flow
from imc.sip.framing import PONG, Ping, StreamFramer
from imc.transport.guard import Guard, Receive
from imc.transport.tls import TlsLayer, why_no_tls
from imc.transport.websocket import WebSocketFramer, WebSocketOptions

_READ_SIZE = 65536
_READ_SIZE_HELD = 4096  # of who is new, or was held: a flood costs the others no more than this at a time
HELD = 0.25  # seconds
_HELD_LATELY = 10.0  # seconds
_WRITE_SIZE = 65536
_DROPPED = 262_144  # bytes of who was cut off, beyond which they get a reset
_FILE_PIECE = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions:
    """Times in seconds, sizes in bytes."""

    max_message: int = 65536
    max_connections: int = 4096
    max_per_address: int = 1024
    message_deadline: float = 30.0
    handshake_deadline: float = 10.0
    idle_limit: float = 3900.0  # over an hour: a client that registers hourly keeps its connection
    write_buffer: int = 256 * 1024
    write_deadline: float = 30.0
    connect_timeout: float = 5.0
    max_connecting: int = 256
    linger: float = 1.0
    websocket: WebSocketOptions = field(default_factory=WebSocketOptions)


class End(enum.Enum):
    """How a connection ended; the value is its name in statistics."""

    EOF = "eof"
    RESET = "reset"
    BAD_STREAM = "bad_stream"
    BAD_TLS = "bad_tls"
    NO_HANDSHAKE = "no_handshake"
    TOO_SLOW = "too_slow"
    IDLE = "idle"
    WRITE_OVERFLOW = "write_overflow"
    EVICTED = "evicted"
    STOPPED = "stopped"


class _Due(enum.Enum):
    """What it means that the deadline passes; the value is how the connection ends, None where it goes on."""

    HANDSHAKE = End.NO_HANDSHAKE
    MESSAGE = End.TOO_SLOW
    SILENCE = End.IDLE
    PONG = "no pong"
    PING = None


class Connection:
    """One connected, non-blocking socket. `run` is its task; `send` and `stop` may be called from anywhere.

    ``tls`` and ``web`` are the layers of a connection that has them. ``why`` is what was wrong with its handshake.
    """

    __slots__ = (
        "_buffer", "_due", "_end", "_flushed", "_framer", "_guard", "_is_accepted", "_is_held", "_is_mid_message",
        "_may_send", "_nursery", "_options", "_ready", "_scope", "_since", "_sock", "_tls", "_wary_until", "_web",
        "flow", "last_heard", "received", "sent", "why",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        flow: Flow,
        options: TcpOptions,
        nursery: trio.Nursery,
        guard: Guard,
        *,
        accepted: bool,
        tls: TlsLayer | None = None,
        web: WebSocketFramer | None = None,
    ) -> None:
        self.flow = flow
        self.last_heard = self._since = trio.current_time()
        self.received = 0
        self.sent = 0
        self._sock = sock
        self._options = options
        self._nursery = nursery
        self._guard = guard
        self._is_accepted = accepted
        self._tls = tls
        self._web = web
        self._framer = web or StreamFramer(options.max_message)
        self._ready: trio.Event | None = None  # made where somebody waits for it
        self.why = ""
        self._buffer = bytearray()
        self._flushed: trio.Event | None = None
        self._end: End | None = None
        self._may_send = True
        self._is_mid_message = False
        self._is_held = False
        self._wary_until = 0.0
        self._due = _Due.SILENCE
        self._scope = trio.CancelScope()
        self._set_first_deadline()

    @property
    def is_open(self) -> bool:
        """Whether requests may still be sent on it: neither side has begun to end it."""
        return self._end is None

    @property
    def is_ready(self) -> bool:
        """Whether all handshakes are over."""
        return (self._tls is None or self._tls.is_ready) and (self._web is None or self._web.is_ready)

    @property
    def _is_page(self) -> bool:
        """Whether it was asked for a file, which is all that goes out."""
        return self._web is not None and self._web.has_replied

    async def wait_ready(self) -> None:
        """Until all handshakes are over, or the connection is."""
        if self._end is None and not self.is_ready:
            self._ready = self._ready or trio.Event()
            await self._ready.wait()

    def peer_names(self) -> frozenset[str]:
        """Who the peer has shown to be, by a certificate that was verified."""
        return self._tls.peer_names() if self._tls is not None else frozenset()

    # Sending

    def send(self, data: bytes) -> bool:
        """One message. True: given to the kernel, or kept. False: the connection is gone, or just now cut off."""
        if self._web is not None:
            if not self._web.is_ready or self._web.is_closed:
                return False
            data = self._web.encode(data)
        if not self._write(data):
            return False
        self.sent += 1
        return True

    def _write(self, data: bytes) -> bool:
        """Octets for the peer, through TLS where that is spoken. As `send`."""
        if not self._may_send:
            return False
        if self._tls is not None:
            try:
                data = self._tls.encrypt(data)
            except ssl.SSLError:  # its handshake is not over, or it has failed
                self._abort(End.BAD_TLS)
                return False
        return self._write_raw(data)

    def _write_raw(self, data: bytes) -> bool:
        """Octets for the socket. As `send`."""
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
                return True
            data = data[taken:]
        # spec S-NET-4
        if len(self._buffer) + len(data) > self._options.write_buffer:
            self._abort(End.WRITE_OVERFLOW)
            return False
        self._buffer += data
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
        try:
            if self._tls is not None and not self._is_accepted:
                self._write_raw(self._tls.start())
            while self._end is None:
                with self._scope:
                    await self._read_all(receive, batch_end)
                if self._end is None:
                    self._on_deadline()
            return self._end
        finally:
            if self._ready is not None:
                self._ready.set()

    async def _read_all(self, receive: Receive, batch_end: Callable[[], None]) -> None:
        try:
            while self._end is None:
                await trio.lowlevel.wait_readable(self._sock)
                if self._is_calm():
                    self._read_once(receive, batch_end)
                else:
                    # One of them in each turn of the loop: however many flood, datagrams and all others have theirs.
                    async with self._guard.turnstile:
                        self._read_once(receive, batch_end)
                if self._is_held:
                    self._wary_until = trio.current_time() + _HELD_LATELY
                    await trio.sleep(HELD)
        except BadMessage as error:
            self.why = error.reason
            self.stop(End.BAD_STREAM)  # RFC 3261 §18.3: where a message ends cannot be known any more
        except ssl.SSLError as error:
            # spec S-TLS-4
            self.why = why_no_tls(error)
            if self._tls is not None:
                self._write_raw(self._tls.output())  # the alert
            self.stop(End.BAD_TLS)
        except (OSError, trio.ClosedResourceError):
            self._abort(End.RESET)
        except Exception:
            self._guard.failed("stream", self.flow)
            self._abort(End.BAD_STREAM)

    def _is_calm(self) -> bool:
        """Whether it is not new, and was not held lately."""
        return bool(self.received) and trio.current_time() >= self._wary_until

    def _read_once(self, receive: Receive, batch_end: Callable[[], None]) -> None:
        try:
            data = self._sock.recv(_READ_SIZE if self._is_calm() else _READ_SIZE_HELD)
        except BlockingIOError:
            return
        self._is_held = False
        if not data:
            self._end = End.EOF
            return
        if self._tls is not None:
            data = self._tls.decrypt(data)
            self._say(self._tls.output())
            if self._tls.is_at_end:
                self._end = End.EOF
            if not data:  # a part of the handshake, or of a record, which counts for nothing
                self._note_ready()
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
            if self._web is not None and (own := self._web.output()):
                self._write(own)
            # spec S-NET-1
            if pings:
                self._write(PONG * pings if self._web is None else self._web.pongs(pings))  # RFC 5626 §4.4.1
            if messages:
                self.received += messages
                self._say_batch_end(batch_end)
        if self._web is not None and self._web.is_closed:
            self._end = self._end or End.EOF
        self._note_ready()
        self._set_deadline(has_messages=messages > 0)

    def _say(self, octets: bytes) -> None:
        """What TLS itself has to say."""
        if octets:
            self._write_raw(octets)

    def _note_ready(self) -> None:
        """When the handshakes are over, the time for the first message runs."""
        if self._due is _Due.HANDSHAKE and self.is_ready:
            self._set_first_deadline()
            if self._ready is not None:
                self._ready.set()

    def _say_batch_end(self, batch_end: Callable[[], None]) -> None:
        try:
            batch_end()
        except Exception:
            self._guard.failed("end of batch", self.flow)

    # Deadlines

    def _set_first_deadline(self) -> None:
        options = self._options
        if not self.is_ready:
            # spec S-TLS-2
            self._set_due(_Due.HANDSHAKE, self._since + options.handshake_deadline)
        elif self._is_accepted:
            self._set_due(_Due.MESSAGE, self._since + options.message_deadline)
        else:
            self._set_due(_Due.SILENCE, self.last_heard + options.idle_limit)

    def _set_due(self, due: _Due, when: float) -> None:
        self._due = due
        self._scope.deadline = when

    # spec S-NET-2
    def _set_deadline(self, *, has_messages: bool) -> None:
        now = self.last_heard = trio.current_time()
        if self._due is _Due.HANDSHAKE:
            return
        was_mid_message, self._is_mid_message = self._is_mid_message, self._framer.is_mid_message
        if self._is_mid_message:
            if has_messages or not was_mid_message:  # its first byte came just now
                self._set_due(_Due.MESSAGE, now + self._options.message_deadline)
        elif self.received or not self._is_accepted:
            if self._web is None:
                self._set_due(_Due.SILENCE, now + self._options.idle_limit)
            else:
                self._set_due(_Due.PING, now + self._options.websocket.ping_interval)

    # spec S-WS-5
    def _on_deadline(self) -> None:
        """A WebSocket that was silent is pinged; all else has ended."""
        if self._due is _Due.PING and self._web is not None:
            self._scope = trio.CancelScope()
            self._set_due(_Due.PONG, trio.current_time() + self._options.websocket.ping_deadline)
            self._write(self._web.ping())
            return
        if self._due is _Due.HANDSHAKE:
            self.why = "no handshake in time"
        self._end = self._due.value if isinstance(self._due.value, End) else End.IDLE

    # Ending

    # spec S-NET-8
    async def finish(self) -> None:
        """After `run`: what courtesy is left, for at most ``linger`` seconds.

        A peer that only closed its own direction still gets the answers that are under way. One that is cut off gets
        what is buffered, and its further bytes, up to a bound, are read and dropped: closing with bytes unread would
        be a reset, and a reset takes back answers that the peer has not read.
        """
        if not self._may_send:
            return
        # spec S-WS-7
        within = self._options.write_deadline if self._is_page else self._options.linger
        self._scope = trio.CancelScope(deadline=trio.current_time() + within)
        with self._scope, contextlib.suppress(OSError, trio.ClosedResourceError):
            if self._end is End.EOF and self._web is None:
                await trio.sleep_forever()
            if self._web is not None:
                await self._send_file(self._web.body)
            self._say_goodbye()
            while self._flushed is not None:
                await self._flushed.wait()
            self._may_send = False
            self._scope.deadline = min(self._scope.deadline, trio.current_time() + self._options.linger)
            self._sock.shutdown(socket.SHUT_WR)
            dropped = 0
            while dropped < _DROPPED and (data := self._sock.recv(_READ_SIZE)):
                dropped += len(data)
                await trio.lowlevel.wait_readable(self._sock)
        if self._may_send:  # the answers had their time
            self._say_goodbye()

    async def _send_file(self, content: bytes) -> None:
        """Piece by piece, so that who reads slowly holds one piece in memory, and not all of it."""
        for start in range(0, len(content), _FILE_PIECE):
            while self._flushed is not None:
                await self._flushed.wait()
            if not self._write(content[start : start + _FILE_PIECE]):
                return

    def _say_goodbye(self) -> None:
        """The close of WebSocket and of TLS, so that the peer knows that nothing was cut off."""
        if self._end is End.BAD_TLS:
            return
        if self._web is not None and (close := self._web.close()):
            self._write(close)
        if self._tls is not None and self._tls.is_ready:
            self._say(self._tls.close())

    def close(self) -> None:
        """Release the socket. `send` is False from now on."""
        self._may_send = False
        self._end = self._end or End.STOPPED
        self._buffer.clear()
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
