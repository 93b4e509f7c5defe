"""Where one call on a FIFO ends and the next begins, without any I/O.

Two kinds of call may follow each other in any order, told apart by their first character:

- ``{`` or ``[``: a JSON text, to its balancing bracket, over as many lines as it likes; so Kamailio's tools write it.
- ``:``: a call of the 2008 line format, ended by an empty line.

Blank lines between calls are skipped; any other line is refused. A call that can no longer become one ends early, so
that the next is read again, even where it follows on the same line, as what a writer leaves unfinished and what the
next one writes do: at a line break within a JSON string; where another call begins and none can be; at the end of the
last writer (`Framer.cut_off`). Every byte is looked at a bounded number of times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

HEAD_KEPT = 4096
"""How much of a refused call is kept, to find out who waits for an answer to it."""

_STRUCTURE = re.compile(rb'["{}\[\]:]')
_IN_STRING = re.compile(rb'["\\\n]')
_COMMAND = rb":[A-Za-z_][A-Za-z0-9_.\-]{0,127}:"
_COMMAND_BEGUN = re.compile(rb":(?:[A-Za-z_][A-Za-z0-9_.\-]{0,127})?\Z")
_IS_COMMAND = re.compile(_COMMAND)  # never occurs in JSON outside of strings
_FIRST_LINE = re.compile(_COMMAND + rb"[A-Za-z0-9_.\-]{0,256}[ \t\r]*\Z")
_IS_JSON = re.compile(rb'[ \t]*\[?\{ *"')  # never begins an argument: one that has a quote is quoted itself
_JSON_CALL = b'{"jsonrpc"'
_RUBBISH_END = re.compile(rb'\n|\[?\{"jsonrpc"')
_TAIL = 400  # bytes: longer than any first line that is recognised


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
            read = {"{": self._read_json, ":": self._read_lines, "?": self._read_rubbish}[self._kind]
            frame = read()
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
            elif char == b"\n":  # RFC 8259 §7: must be escaped, so this never becomes JSON
                return self._end_json(self._end_of_rubbish(match.start()), "line break in a string")
            elif char in b"{:" and (is_another := self._is_another_call(match.start())) is not False:
                if is_another:
                    return self._end_json(match.start(), "another call began before its end")
                self._scanned = match.start()
                self._drop_surplus()
                return None
            elif char == b'"':
                self._is_in_string = not self._is_in_string
            elif char != b":":
                self._depth += 1 if char in b"{[" else -1
            self._scanned = end
            if self._depth == 0:
                return self._end_json(end, None)

    def _is_another_call(self, start: int) -> bool | None:
        """Whether what is at ``start``, within JSON, is another call. None: too little of it is there to tell."""
        rest = bytes(self._buffer[start : start + _TAIL])
        if rest.startswith(b":"):
            return True if _IS_COMMAND.match(rest) else None if _COMMAND_BEGUN.match(rest) else False
        # A batch has its calls one level down; deeper there are none.
        if self._depth <= (1 if self._buffer.startswith(b"[") else 0):
            return False
        return True if rest.startswith(_JSON_CALL) else None if _JSON_CALL.startswith(rest) else False

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
        buffer = self._buffer
        while True:
            end = buffer.find(b"\n", self._scanned)
            if end < 0:
                if len(buffer) > max(self._max_size, HEAD_KEPT + 2 * _TAIL):
                    self._is_too_large = True
                    del buffer[HEAD_KEPT:-_TAIL]
                self._scanned = len(buffer)
                return None
            begun = self._find_another_call(end)
            if begun is not None:
                head = [*self._lines, bytes(buffer[:begun])] if begun else self._lines
                del buffer[:begun]
                return self._refuse("another call began before the empty line", b"\n".join(head))
            line = bytes(buffer[:end]).strip(b" \t\r")
            del buffer[: end + 1]
            self._scanned = 0
            self._size += end + 1
            frame = self._take_line(line)
            if frame is not None:
                return frame

    def _find_another_call(self, line_end: int) -> int | None:
        """Where in the line at the beginning of the buffer another call begins, if it does."""
        start = max(0 if self._lines else 1, line_end - _TAIL)
        match = _FIRST_LINE.search(bytes(self._buffer[start:line_end]))
        if match:
            return start + match.start()
        if self._lines and (json := _IS_JSON.match(self._buffer)):
            return json.start()
        return None

    def _take_line(self, line: bytes) -> Frame | None:
        self._is_too_large = self._is_too_large or self._size > self._max_size
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

    # What is neither

    def _read_rubbish(self) -> Frame | None:
        buffer = self._buffer
        match = _RUBBISH_END.search(buffer, max(0, self._scanned - len(_JSON_CALL)))
        if match is None:
            if len(buffer) > HEAD_KEPT + 2 * _TAIL:
                del buffer[HEAD_KEPT:-_TAIL]
            self._scanned = len(buffer)
            return None
        end = self._end_of_rubbish(match.start()) if match[0] == b"\n" else match.start()
        rubbish = bytes(buffer[:end]).rstrip()
        del buffer[:end]
        return self._refuse("neither JSON nor a call that begins with a colon", rubbish)

    def _end_of_rubbish(self, line_end: int) -> int:
        """Where a call begins that ends the line, else the end of the line with its line break."""
        start = max(1, line_end - _TAIL)
        match = _FIRST_LINE.search(bytes(self._buffer[start:line_end]))
        return start + match.start() if match else line_end + 1
