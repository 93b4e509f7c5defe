"""Cutting a stream (TCP, TLS) into messages (RFC 3261 §18.3) and keep-alive pings (RFC 5626 §4.4.1).

Invariants:

* What comes out does not depend on how the octets were cut on their way in, a fault included: what was whole before it
  comes out first.
* The cost is linear in the octets, however small the pieces. What is kept is at most ``max_message`` octets, and what
  came in one piece.
* After BadMessage nothing more comes out: where the next message starts is not known, the connection must be closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from imc.errors import BadMessage
from imc.sip.grammar import MAX_UINT32, parse_digits


class Ping(Enum):
    """A double CRLF between messages; the answer is a single CRLF, ``PONG`` (RFC 5626 §4.4.1)."""

    PING = b"\r\n\r\n"


PONG = b"\r\n"

# Content-Length = ( "Content-Length" / "l" ) HCOLON 1*DIGIT ;  HCOLON = *( SP / HTAB ) ":" SWS
# The value is all of the (folded) line, so that a wrong one is seen.
_CONTENT_LENGTH = re.compile(rb"\r\n(?:Content-Length|l)[ \t]*+:((?:[^\r\n]++|\r\n[ \t])*+)(?=\r\n|\Z)", re.IGNORECASE)


class StreamFramer:
    """One per connection. ``max_message`` bounds a message, head and body together, in octets."""

    __slots__ = ("_buffer", "_error", "_max_message", "_needed", "_scanned")

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        self._buffer = bytearray()
        self._scanned = 0  # octets of the buffer in which no end of head begins
        self._needed = 0  # octets of the message at the front of the buffer; 0 while its head is not whole
        self._error: tuple[str, int] | None = None  # reason and status: the exception would hold its frames, and us

    @property
    def is_mid_message(self) -> bool:
        """Whether a message has begun and is not whole: the time the peer has for it is running."""
        return not b"\r\n\r\n".startswith(self._buffer[:4])

    def feed(self, data: bytes) -> Iterator[bytes | Ping]:
        """What is whole with ``data``, in order; then BadMessage, if what follows cannot be a message.

        It must be iterated to its end. Status 400 is for a head that gives no length of body, 413 for a message that
        is too large.
        """
        if self._error is not None:
            reason, status = self._error
            raise BadMessage(reason, status=status)
        self._buffer += data
        return self._cut()

    def _cut(self) -> Iterator[bytes | Ping]:
        buffer = self._buffer
        start = 0
        try:
            while (end := self._find_end(start)) > 0:
                item = bytes(buffer[start:end])
                start = end
                self._scanned = self._needed = 0
                if item == b"\r\n\r\n":
                    yield Ping.PING
                elif item != b"\r\n":
                    yield item
        except BadMessage as exc:
            self._error = exc.reason, exc.status
            raise
        finally:
            del buffer[:start]

    def _find_end(self, start: int) -> int:
        """Where what begins at ``start`` ends, 0 while that is not known."""
        buffer = self._buffer
        size = len(buffer) - start
        if self._needed == 0:
            if buffer[start : start + 1] == b"\r":
                return self._find_end_of_crlf(start)
            at = buffer.find(b"\r\n\r\n", start + max(self._scanned - 3, 0))
            if at < 0:
                self._scanned = size
                if size > self._max_message:
                    raise BadMessage("Message Too Large", status=413)
                return 0
            head_size = at + 4 - start
            if head_size > self._max_message:
                raise BadMessage("Message Too Large", status=413)
            self._needed = head_size + _content_length(bytes(buffer[start:at]))
            if self._needed > self._max_message:
                raise BadMessage("Message Too Large", status=413)
        return start + self._needed if size >= self._needed else 0

    def _find_end_of_crlf(self, start: int) -> int:
        """A double CRLF is one item, a single one before a start line is another (RFC 3261 §7.5: to be ignored)."""
        seen = bytes(self._buffer[start : start + 4])
        if seen == b"\r\n\r\n":
            return start + 4
        if b"\r\n\r\n".startswith(seen):
            return 0
        if seen.startswith(b"\r\n"):
            return start + 2
        raise BadMessage("CR Without LF Between Messages")


# spec S-READ-3
def _content_length(head: bytes) -> int:
    # RFC 3261 §18.3: "The Content-Length header field MUST be used with stream oriented transports."
    values = {match[1].strip(b" \t\r\n") for match in _CONTENT_LENGTH.finditer(head)}
    if not values:
        raise BadMessage("Missing Content-Length")
    lengths = {parse_digits(value.decode("latin-1"), "Content-Length", MAX_UINT32) for value in values}
    if len(lengths) > 1:
        raise BadMessage("Conflicting Content-Length")
    return lengths.pop()
