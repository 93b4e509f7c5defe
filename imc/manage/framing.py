"""Where one call on a FIFO ends and the next begins, without any I/O.

Two kinds of call may follow each other in any order, told apart by their first character:

- ``{`` or ``[``: a JSON text, to its balancing bracket, over as many lines as it likes; so Kamailio's tools write it.
- ``:``: a call of the 2008 line format, ended by an empty line.

Blank lines between calls are skipped; any other line is refused. A call that can no longer become one ends early, so
that the next is read again: a line break within a JSON string; a line that begins another call where none can be; the
end of the last writer (`Framer.cut_off`). Every byte is looked at a bounded number of times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

HEAD_KEPT = 4096
"""How much of a refused call is kept, to find out who waits for an answer to it."""

_STRUCTURE = re.compile(rb'["{}\[\]\n]')
_IN_STRING = re.compile(rb'["\\\n]')
# Lines that are no argument of a call: the first line of another one, or JSON (an argument with a quote is quoted).
_NO_ARGUMENT = re.compile(rb':[A-Za-z0-9_.\-]{1,128}:[A-Za-z0-9_.\-]{0,256}\Z|\[?\{ *"')
# Lines that do not occur within JSON, and their beginnings.
_LINE_CALL = re.compile(rb":[A-Za-z0-9_.\-]{1,128}:")
_LINE_CALL_BEGUN = re.compile(rb":[A-Za-z0-9_.\-]{0,128}\Z")
_JSON_CALL = b'{"jsonrpc"'


@dataclass(frozen=True, slots=True)
class JsonText:
    """One JSON text with balanced brackets. It need not be JSON otherwise."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class LineCall:
    """The lines of one call, without their ends and without the empty line."""

    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """What is no call: why, and how it began."""

    reason: str
    head: bytes


Frame: TypeAlias = JsonText | LineCall | Refused


class Framer:
    """Feed it what was read; it returns what is complete."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._buffer = bytearray()  # what of the call under way was seen; cut to HEAD_KEPT once it is too large
        self._scanned = 0  # bytes of it that need not be looked at again
        self._reset()

    def _reset(self) -> None:
        self._kind = ""  # the call's first character; "" between calls, "?" in a line that is no call
        self._depth = 0
        self._is_in_string = False
        self._is_too_large = False
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def is_mid_call(self) -> bool:
        return bool(self._kind)

    def feed(self, data: bytes) -> list[Frame]:
        """What has become complete with this data."""
        self._buffer += data
        frames: list[Frame] = []
        while True:
            if not self._kind and not self._begin():
                return frames
            frame = self._read_json() if self._kind == "{" else self._read_lines()
            if frame is None:
                return frames
            frames.append(frame)

    def cut_off(self) -> list[Frame]:
        """Nothing more follows: what is under way is refused."""
        if not self._kind:
            self._buffer.clear()
            return []
        head = b"\n".join([*self._lines, bytes(self._buffer)])
        self._buffer.clear()
        return [self._refuse("cut off before its end", head)]

    def _begin(self) -> bool:
        rest = self._buffer.lstrip(b" \t\r\n")
        del self._buffer[: len(self._buffer) - len(rest)]
        if not self._buffer:
            return False
        first = chr(self._buffer[0])
        self._kind = "{" if first in "{[" else first if first == ":" else "?"
        self._scanned = 0
        return True

    def _refuse(self, reason: str, head: bytes) -> Refused:
        self._reset()
        self._scanned = 0
        return Refused(reason, head[:HEAD_KEPT])

    # JSON

    def _read_json(self) -> Frame | None:
        buffer = self._buffer
        while True:
            match = (_IN_STRING if self._is_in_string else _STRUCTURE).search(buffer, self._scanned)
            if match is None:
                self._scanned = len(buffer)
                self._drop_surplus()
                return None
            char, end = match[0], match.end()
            if char == b"\\":
                if end == len(buffer):  # what it escapes has not come yet
                    self._scanned = match.start()
                    self._drop_surplus()
                    return None
                end += 1
            elif char == b"\n" and self._is_in_string:  # RFC 8259 §7: must be escaped, so this never becomes JSON
                return self._end_json(end, "line break in a string")
            elif char == b"\n":
                is_another = self._is_another_call(end)
                if is_another is None:
                    self._scanned = match.start()
                    self._drop_surplus()
                    return None
                if is_another:
                    return self._end_json(end, "another call began before its end")
            elif char == b'"':
                self._is_in_string = not self._is_in_string
            else:
                self._depth += 1 if char in b"{[" else -1
            self._scanned = end
            if self._depth == 0:
                return self._end_json(end, None)

    def _is_another_call(self, start: int) -> bool | None:
        """Whether the line at ``start``, within JSON, begins another call. None: too little of it is there to tell."""
        rest = bytes(self._buffer[start : start + 200])
        if _LINE_CALL.match(rest):
            return True
        # A batch has its calls one level down; deeper there are none.
        has_room = self._depth > (1 if self._buffer.startswith(b"[") else 0)
        if has_room and rest.startswith(_JSON_CALL):
            return True
        if _LINE_CALL_BEGUN.match(rest) or (has_room and _JSON_CALL.startswith(rest)):
            return None
        return False

    def _end_json(self, end: int, fault: str | None) -> Frame:
        raw = bytes(self._buffer[:end])
        del self._buffer[:end]
        if self._is_too_large or len(raw) > self._max_size:
            fault = "too large"
        if fault is not None:
            return self._refuse(fault, raw)
        self._reset()
        self._scanned = 0
        return JsonText(raw)

    def _drop_surplus(self) -> None:
        if len(self._buffer) > self._max_size + HEAD_KEPT:
            self._is_too_large = True
            pending = self._buffer[self._scanned :]
            del self._buffer[HEAD_KEPT:]
            self._scanned = len(self._buffer)
            self._buffer += pending

    # Lines

    def _read_lines(self) -> Frame | None:
        while True:
            end = self._buffer.find(b"\n", self._scanned)
            if end < 0:
                self._scanned = len(self._buffer)
                if self._scanned > self._max_size:
                    self._is_too_large = True
                    del self._buffer[HEAD_KEPT:]
                    self._scanned = HEAD_KEPT
                return None
            line = bytes(self._buffer[:end]).strip(b" \t\r")
            if self._lines and _NO_ARGUMENT.match(line):  # left in the buffer, to be read again as a call of its own
                return self._refuse("another call began before the empty line", b"\n".join(self._lines))
            del self._buffer[: end + 1]
            self._scanned = 0
            self._size += end + 1
            frame = self._take_line(line)
            if frame is not None:
                return frame

    def _take_line(self, line: bytes) -> Frame | None:
        self._is_too_large = self._is_too_large or self._size > self._max_size
        if self._kind == "?":
            return self._refuse("neither JSON nor a call that begins with a colon", line)
        if line:
            if not self._is_too_large:
                self._lines.append(line)
            elif not self._lines:
                self._lines.append(line[:HEAD_KEPT])
            return None
        lines = tuple(self._lines)
        if self._is_too_large:
            return self._refuse("too large", b"\n".join(lines))
        self._reset()
        return LineCall(lines)
