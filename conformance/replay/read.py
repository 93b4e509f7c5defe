"""A file of any kind that is known, read into a recording."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO

from conformance.replay import containers, trace
from conformance.replay.recording import START_LINE, Notes, Recorded, Recording, Unreadable
from conformance.replay.streams import Streams

if TYPE_CHECKING:
    from conformance.replay.packets import Datagram

_MAX_PIPE = 1024 * 1024 * 1024
_BLOCK = 1024 * 1024


def read(path: Path) -> Recording:
    """The messages of a trace or capture. Unreadable where there is no file, or nothing in it that could be read.

    A pipe is read up to `_MAX_PIPE`; a device, which may never end, is not read.
    """
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise Unreadable(f"{path}: Is a directory")
        if stat.S_ISFIFO(kind):
            return _read_pipe(path)
        if not stat.S_ISREG(kind):
            raise Unreadable(f"{path}: neither a file nor a pipe")
        with path.open("rb") as file:
            return read_from(file, str(path))
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror or error}") from None


def _read_pipe(path: Path) -> Recording:
    """Through a temporary file, since a pipe cannot seek."""
    with path.open("rb") as pipe, TemporaryFile() as file:
        left = _MAX_PIPE
        while left and (data := pipe.read(min(left, _BLOCK))):
            file.write(data)
            left -= len(data)
        is_cut = not left and bool(pipe.read(1))
        file.seek(0)
        recording = read_from(file, str(path))
    if is_cut:
        recording.notes.add(f"only the first {_MAX_PIPE} octets of the pipe were read")
    return recording


def read_from(file: BinaryIO, name: str) -> Recording:
    """As `read`, from an open file that can seek."""
    recording = Recording(name)
    magic = file.read(4)
    file.seek(0)
    try:
        if not magic:
            raise Unreadable("the file is empty")
        if magic in containers.MAGICS:
            _read_capture(file, recording)
        else:
            trace.read(file, recording)
    except Unreadable as error:
        raise Unreadable(f"{name}: {error}") from None
    if not recording.messages:
        notes = "".join(f"\n  {note}" for note in recording.notes)
        raise Unreadable(f"{name}: there is no SIP message over UDP or TCP in it{notes}")
    recording.messages.sort(key=lambda message: message.at)  # stable: what has one time stays in order
    return recording


def _read_capture(file: BinaryIO, recording: Recording) -> None:
    for message in capture_messages(file, recording.notes):
        if not recording.add(message):
            recording.notes.add(f"{message.where}: too many messages; what follows is left out")
            return


def capture_messages(file: BinaryIO, notes: Notes) -> Iterator[Recorded]:
    """The SIP messages of a capture, as they became whole."""
    try:
        from conformance.replay.packets import Datagram, Packets
    except ImportError:
        raise Unreadable("captures need the package dpkt: pip install 'imc[conformance]'") from None
    packets, streams = Packets(notes), Streams(notes)
    for frame in containers.frames(file, notes):
        found = packets.take(frame)
        if isinstance(found, Datagram):
            message = _datagram(found, notes)
            if message is not None:
                yield message
        elif found is not None:
            yield from streams.take(found)
    packets.finish()
    yield from streams.finish()


def _datagram(found: Datagram, notes: Notes) -> Recorded | None:
    data = found.data.lstrip(b"\r\n")
    if START_LINE.match(data) is None:
        return None
    if found.is_cut:
        notes.add(f"packet {found.number}: the capture has only the first {len(found.data)} octets; left out")
        return None
    return Recorded(found.at, "udp", found.source, found.target, found.data, f"packet {found.number}")
