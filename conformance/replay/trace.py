r"""Traces: messages as text, one after another.

The format, ``imc-trace 1``::

    # imc-trace 1
    # server: 192.0.2.1:5060

    @ 2026-05-01T12:00:00.000000Z udp 192.0.2.7:40001 > 192.0.2.1:5060 354
    MESSAGE sip:chat-a@example.com SIP/2.0
    …

A line ``@ TIME TRANSPORT SOURCE > TARGET [SIZE]`` stands before each message. TIME is UTC, or seconds since anything;
TRANSPORT is udp or tcp; SIZE is in octets, and that many follow as they were on the wire, then a line end. Without SIZE
a message is written by hand: it ends before the next such line, lines may end with LF (CRLF is put into its head, and
Content-Length is added), line ends at its end do not count. Lines that begin with ``#`` are comments before the first
message and after a message with SIZE; ``# server: ADDRESS`` and ``# anonymous: yes`` mean something.

What sngrep saves as text and what `ngrep -W byline -t` prints is read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

from conformance.replay.recording import START_LINE, Address, Recorded, Recording, Unreadable, is_time

HEAD = "# imc-trace 1"
MAX_MESSAGE = 1024 * 1024
_MAX_LINE = 4096

_MARK = re.compile(rb"@ (\S+) (udp|tcp) (\S+) > (\S+)(?: (\d{1,8}))?[ \t]*\r?\n?", re.IGNORECASE)
_DATE = rb"\d{4}[/-]\d\d[/-]\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?"
_OTHER_MARK = re.compile(
    rb"(?:([UT]) )?(?:\[? ?(" + _DATE + rb") ?\]? )?(?:\+[\d.]+ )?(\S+:\d+) -> (\S+:\d+)(?: \[[A-Z]+\])?(?: #\d+)?\s*"
)
_SERVER = re.compile(rb"#\s*server:\s*(\S+)")
_ANONYMOUS = re.compile(rb"#\s*anonymous:\s*yes\b")
_VIA = re.compile(rb"^(?:Via|v)\s*:\s*SIP\s*/\s*2\.0\s*/\s*(\w+)", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"\r\n(?:Content-Length|l)[ \t]*:[ \t]*(\d+)[ \t]*(?=\r\n|\Z)", re.IGNORECASE)


class _Mark(NamedTuple):
    at: float
    transport: str
    source: Address
    target: Address
    size: int | None
    is_ngrep: bool


def render(message: Recorded) -> bytes:
    """One message of a trace, its mark included."""
    when = datetime.fromtimestamp(message.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    mark = f"@ {when} {message.transport} {message.source} > {message.target} {len(message.data)}\n"
    return mark.encode() + message.data + b"\n\n"


def head(*, server: Address | None = None, is_anonymous: bool = False, comments: tuple[str, ...] = ()) -> bytes:
    """What a trace begins with."""
    lines = [HEAD, *(f"# {comment}" for comment in comments)]
    if server is not None:
        lines.append(f"# server: {server}")
    if is_anonymous:
        lines.append("# anonymous: yes")
    return "\n".join(lines).encode() + b"\n\n"


def read(file: BinaryIO, recording: Recording) -> None:
    """Add the messages of a text. Unreadable where there is no mark of a message in it."""
    reader = _Reader(file, recording)
    for message in reader.messages():
        if not recording.add(message):
            recording.notes.add(f"{message.where}: too many messages; what follows is left out")
            break
    if not reader.has_marks:
        raise Unreadable("neither a capture nor a trace: no line says that a message follows")


class _Reader:
    def __init__(self, file: BinaryIO, recording: Recording) -> None:
        self._file = file
        self._recording = recording
        self._line = 0
        self.has_marks = False

    def messages(self) -> Iterator[Recorded]:
        line = self._next()
        while line:
            mark = self._mark(line)
            if mark is None:
                self._look_at(line)
                line = self._next()
                continue
            self.has_marks = True
            place = f"line {self._line}"
            if mark.size is None:
                data, line = self._by_hand(mark)
            else:
                data, line = self._sized(mark.size, place)
            if data is None:
                continue
            if START_LINE.match(data.lstrip(b"\r\n")) is None:
                self._recording.notes.add(f"{place}: what follows is no SIP message; left out")
                continue
            transport = mark.transport or _transport_of(data)
            yield Recorded(mark.at, transport, mark.source, mark.target, data, place)

    def _next(self) -> bytes:
        """The next line with its end; more than is let pass comes in pieces."""
        line = self._file.readline(_MAX_LINE)
        if line:
            self._line += 1
        return line

    def _mark(self, line: bytes) -> _Mark | None:
        ours = _MARK.fullmatch(line)
        other = None if ours or b"->" not in line else _OTHER_MARK.fullmatch(line)
        if ours is None and (other is None or not (other[1] or other[2])):
            if line.startswith(b"@ "):
                self._recording.notes.add(f"line {self._line}: begins like a message's mark and is none")
            return None
        try:
            if ours is not None:
                at, size = _time(ours[1]), int(ours[5]) if ours[5] else None
                source, target = _address(ours[3]), _address(ours[4])
                return _Mark(at, ours[2].decode().lower(), source, target, size, is_ngrep=False)
            assert other is not None
            at = _time(other[2]) if other[2] else 0.0
            transport = {b"U": "udp", b"T": "tcp", None: ""}[other[1]]
            return _Mark(at, transport, _address(other[3]), _address(other[4]), None, is_ngrep=other[1] is not None)
        except ValueError as error:
            self._recording.notes.add(f"line {self._line}: {error}; the message is left out")
            return None

    def _look_at(self, line: bytes) -> None:
        server = _SERVER.match(line)
        if server:
            try:
                self._recording.server = _address(server[1])
            except ValueError as error:
                self._recording.notes.add(f"line {self._line}: {error}")
        if _ANONYMOUS.match(line):
            self._recording.is_anonymous = True

    def _sized(self, size: int, place: str) -> tuple[bytes | None, bytes]:
        if size > MAX_MESSAGE:
            self._recording.notes.add(f"{place}: {size} octets are too many for a message; left out")
            return None, self._next()
        data = self._file.read(size)
        self._line += data.count(b"\n")
        if len(data) < size:
            self._recording.notes.add(f"{place}: {len(data)} of {size} octets are there; the file was cut off")
            return None, b""
        return data, self._next()

    def _by_hand(self, mark: _Mark) -> tuple[bytes | None, bytes]:
        lines: list[bytes] = []
        size = 0
        place = self._line
        while (line := self._next()) and self._mark(line) is None:
            size += len(line)
            if size <= MAX_MESSAGE and not (mark.is_ngrep and re.fullmatch(rb"#+\s*", line)):
                lines.append(line)
        if size > MAX_MESSAGE:
            self._recording.notes.add(f"line {place}: {size} octets are too many for a message; left out")
            return None, line
        return _as_sent(lines), line


def _as_sent(lines: list[bytes]) -> bytes:
    """The octets of a message that was written by hand, or by a program that shows it."""
    while lines and not lines[0].strip():
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    if lines and re.match(rb"[^\n]*SIP/2\.0\.\r?\n|SIP/2\.0 [^\n]*\.\r?\n", lines[0]) and b".\n" in lines:
        after = lines.index(b".\n") + 1
        # ngrep shows CR as a dot; the last line of a body has none.
        dotted = len(lines) if after == len(lines) else len(lines) - 1
        lines = [re.sub(rb"\.\r?\n", b"\r\n", line) for line in lines[:dotted]] + lines[dotted:]
    end = next((at for at, line in enumerate(lines) if not line.strip(b"\r\n")), len(lines))
    start = b"\r\n".join(line.rstrip(b"\r\n") for line in lines[:end])
    body = b"".join(lines[end + 1 :])
    stated = _LENGTH.search(start)
    if stated is not None and len(stated[1]) < 9 and int(stated[1]) <= len(body):
        return start + b"\r\n\r\n" + body[: int(stated[1])]
    body = body[:-2] if body.endswith(b"\r\n") else body[:-1] if body.endswith(b"\n") else body
    start = _LENGTH.sub(b"", start)
    return start + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _transport_of(data: bytes) -> str:
    via = _VIA.search(data)
    return "udp" if via is None or via[1].upper() == b"UDP" else "tcp"


def _address(text: bytes) -> Address:
    return Address.parse(text.decode("ascii", "replace"))


def _time(text: bytes) -> float:
    """Unix seconds of a date in UTC, or the number that it is. ValueError."""
    plain = text.decode("ascii", "replace").replace("/", "-")
    try:
        seconds = float(plain)
    except ValueError:
        date = datetime.fromisoformat(plain.removesuffix("Z"))
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    if not is_time(seconds):
        raise ValueError(f"not a time: {plain!r}")
    return seconds
