"""WebSocket, the server's side (RFC 6455), with SIP in its messages (RFC 7118): octets in, messages and octets out.

The handshake is judged by `websockets.server`, frames are read and written by `websockets.frames`; what is between
frames is here: fragments, control frames, and whether a message has begun, which those do not tell.

Invariants

- No I/O, no time: `imc.transport.connection` has the deadlines and bounds, and they are those of every stream.
- The subprotocol is ``sip``, or there is no connection. No extension is offered: nothing is ever decompressed.
- Where there is a page, a plain request gets a file of it, one and no more, and the end: `has_replied`.
- One WebSocket message is one SIP message; it, and what is kept of it, is ``max_message`` octets at most.
- After BadMessage nothing more comes out; `output` has what the peer is told (RFC 6455 §7.1.7).
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from email.utils import formatdate

from websockets.datastructures import Headers, MultipleValuesError
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from imc.errors import BadMessage
from imc.page.site import Site
from imc.sip.framing import PONG, Ping

_SUBPROTOCOL = Subprotocol("sip")
_MAX_HEAD = 16_384  # octets of the handshake: cookies may be long
_MAX_CONTROL = 125  # RFC 6455 §5.5
_KEEP_ALIVE = b"\r\n\r\n"

_silent = logging.getLogger("imc.transport.websocket")  # a handshake that fails is its sender's business
_silent.disabled = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketOptions:
    """``allowed_origins`` are those of pages that may connect, ("*",) all. Times are in seconds."""

    allowed_origins: tuple[str, ...] = ()
    ping_interval: float = 30.0
    ping_deadline: float = 20.0


def _is_upgrade(headers: Headers) -> bool:
    return any("websocket" in value.lower() for value in headers.get_all("Upgrade"))


class _Refused(Exception):
    """The peer breaks the protocol; it is told the code and the reason."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocketFramer:
    """One per connection, in the place of `imc.sip.framing.StreamFramer`."""

    __slots__ = (
        "_buffer", "_has_begun", "_max_message", "_message", "_opcode", "_origins", "_out", "_parser", "_site", "_why",
        "body", "has_replied", "is_closed", "is_ready", "is_secure",
    )  # fmt: skip

    def __init__(
        self,
        max_message: int,
        allowed_origins: tuple[str, ...] = (),
        site: Site | None = None,
        *,
        is_secure: bool = False,
    ) -> None:
        """``site`` is the page that is served where no WebSocket is asked for; ``is_secure``: this is within TLS."""
        self._site = site
        self.is_secure = is_secure
        self.has_replied = False
        self.body = b""  # of the reply: the file's own octets, sent behind `output`, and never copied as a whole
        self._max_message = max_message
        self._origins: list[Origin | None] | None = None
        if "*" not in allowed_origins:
            # spec S-WS-2
            self._origins = [None, *(Origin(origin) for origin in allowed_origins)]
        self._buffer = bytearray()
        self._has_begun = False  # a frame
        self._message = bytearray()
        self._opcode: Opcode | None = None  # of a message whose last fragment has not come
        self._out: list[bytes] = []
        self._parser: Generator[None, None, Frame] | None = None
        self._why = ""
        self.is_ready = False
        self.is_closed = False

    @property
    def is_mid_message(self) -> bool:
        """Whether a message, or a frame, has begun and is not whole."""
        return self._has_begun or bool(self._buffer) or self._opcode is not None

    def output(self) -> bytes:
        """What WebSocket itself has to say: handshake, pongs, the close."""
        out, self._out = self._out, []
        return b"".join(out)

    def feed(self, data: bytes) -> Iterator[bytes | Ping]:
        """What is whole with ``data``, in order. BadMessage where the peer breaks the protocol, or is refused."""
        if self._why:
            raise BadMessage(self._why)
        if self.is_closed:
            return
        self._buffer += data
        try:
            if not self.is_ready:
                self._shake_hands()
            while self.is_ready and not self.is_closed and (frame := self._next_frame()) is not None:
                item = self._take(frame)
                if item is not None:
                    yield item
        except _Refused as refused:
            self._fail(refused.code, refused.reason)
        except ProtocolError as error:
            self._fail(CloseCode.PROTOCOL_ERROR, str(error))
        except PayloadTooBig:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "message too large")
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "not UTF-8")

    def _fail(self, code: CloseCode, reason: str) -> None:
        self._say_close(code, reason)
        self._why = f"WebSocket: {reason}"
        self._buffer.clear()
        self._message.clear()
        raise BadMessage(self._why) from None

    # The handshake

    # spec S-WS-1
    def _shake_hands(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end + 4 > _MAX_HEAD:
            if len(self._buffer) > _MAX_HEAD:
                self._refuse("handshake too large")
            return
        head = bytes(self._buffer[: end + 4])
        del self._buffer[: end + 4]
        protocol = ServerProtocol(origins=self._origins, subprotocols=[_SUBPROTOCOL], logger=_silent)
        is_head = self._site is not None and head.startswith(b"HEAD ")  # which the handshake's parser may not know
        protocol.receive_data(b"GET " + head[5:] if is_head else head)
        for event in protocol.events_received():
            assert isinstance(event, Request)
            if self._site is not None and (is_head or (head.startswith(b"GET ") and not _is_upgrade(event.headers))):
                self._give_file(self._site, "HEAD" if is_head else "GET", event)
                return
            self._let_own_page_in(protocol, event.headers)
            response = protocol.accept(event)
            protocol.send_response(response)
            self.is_ready = response.status_code == 101
        self._out += protocol.data_to_send()
        if not self.is_ready:
            self._refuse(str(protocol.handshake_exc or "no handshake"))

    # spec S-WS-7
    def _give_file(self, site: Site, method: str, request: Request) -> None:
        headers = {name.lower(): ", ".join(request.headers.get_all(name)) for name in request.headers}
        reply = site.reply(method, request.path, headers)
        lines = [f"HTTP/1.1 {reply.status.value} {reply.status.phrase}", f"Date: {formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in (*reply.headers, ("Connection", "close"))]
        self._out.append("\r\n".join((*lines, "", "")).encode())
        self.body = reply.body
        self._buffer.clear()
        self.has_replied = self.is_closed = True

    # spec S-WS-8
    def _let_own_page_in(self, protocol: ServerProtocol, headers: Headers) -> None:
        if self._site is None or self._origins is None:
            return
        try:
            origin, host = headers.get("Origin"), headers.get("Host")
        except MultipleValuesError:
            return
        if origin and host and self._site.is_own(origin, host, is_secure=self.is_secure):
            protocol.origins = [*self._origins, Origin(origin)]

    def _refuse(self, why: str) -> None:
        """Before there is a WebSocket, there is no close frame."""
        self.is_closed = True
        self._why = f"WebSocket: {why}"
        self._buffer.clear()
        raise BadMessage(self._why)

    # Frames

    def _read_exact(self, size: int) -> Generator[None, None, bytes]:
        while len(self._buffer) < size:
            yield
        self._has_begun = True
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _next_frame(self) -> Frame | None:
        """None where the next one is not whole."""
        if self._parser is None:
            if not self._buffer:
                return None
            # spec S-WS-3
            left = max(self._max_message - len(self._message), _MAX_CONTROL)
            self._parser = Frame.parse(self._read_exact, mask=True, max_size=left)
        try:
            next(self._parser)
        except StopIteration as stop:
            self._parser = None
            self._has_begun = False
            frame: Frame = stop.value
            return frame
        return None

    def _take(self, frame: Frame) -> bytes | Ping | None:
        """The message that ends with this frame, if one does."""
        data = bytes(frame.data)
        match frame.opcode:
            case Opcode.PING:
                self._out.append(Frame(Opcode.PONG, data).serialize(mask=False))
                return None
            case Opcode.PONG:
                return None
            case Opcode.CLOSE:
                self._closed_by_peer(data)
                return None
            case Opcode.CONT:
                if self._opcode is None:
                    raise _Refused(CloseCode.PROTOCOL_ERROR, "unexpected continuation frame")
            case _:
                if self._opcode is not None:
                    raise _Refused(CloseCode.PROTOCOL_ERROR, "expected a continuation frame")
                self._opcode = frame.opcode
        if len(self._message) + len(data) > self._max_message:
            raise _Refused(CloseCode.MESSAGE_TOO_BIG, "message too large")
        self._message += data
        return self._end_message() if frame.fin else None

    def _end_message(self) -> bytes | Ping | None:
        message, opcode = bytes(self._message), self._opcode
        self._message.clear()
        self._opcode = None
        if opcode is Opcode.TEXT:
            message.decode()  # RFC 6455 §8.1
        if message == _KEEP_ALIVE:
            return Ping.PING
        # RFC 3261 §7.5: CRLF before a start line is to be ignored
        return message if message.strip(b"\r\n") else None

    def _closed_by_peer(self, data: bytes) -> None:
        code = Close.parse(data).code  # the peer's must be a valid one
        self._say_close(CloseCode.NORMAL_CLOSURE if code == CloseCode.NO_STATUS_RCVD else code, "")

    def _say_close(self, code: int, reason: str) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._out.append(Frame(Opcode.CLOSE, Close(code, reason[:80]).serialize()).serialize(mask=False))

    # Out

    # spec S-WS-4
    def encode(self, message: bytes) -> bytes:
        """The frame of one SIP message, or keep-alive: text where it is UTF-8, since browsers mangle what is not."""
        try:
            message.decode()
        except UnicodeDecodeError:
            return Frame(Opcode.BINARY, message).serialize(mask=False)
        return Frame(Opcode.TEXT, message).serialize(mask=False)

    def pongs(self, count: int) -> bytes:
        """The answers to so many CRLF keep-alives, one message each."""
        return self.encode(PONG) * count

    def ping(self) -> bytes:
        """A ping: whoever lives answers it (RFC 6455 §5.5.2)."""
        return Frame(Opcode.PING, b"").serialize(mask=False)

    def close(self, code: CloseCode = CloseCode.GOING_AWAY) -> bytes:
        """The close frame, with which our direction ends; nothing where it has ended."""
        if self.is_ready:
            self._say_close(code, "")
        return self.output()
