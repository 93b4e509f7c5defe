"""TCP streams put together from segments, and the SIP messages in them.

Invariants

- Octets come out once and in order, whatever order, overlap or repetition they were captured in; of two versions of an
  octet the first counts. What was not captured is a gap: what was begun is dropped, and reading goes on at the next
  start line, with a note.
- A direction keeps at most `_MAX_WAITING` octets out of order, and one message of `_MAX_MESSAGE`; there are at most
  `_MAX_DIRECTIONS`, the one unused for longest goes first. All together keep at most `_MAX_KEPT` octets; beyond them
  the one unused for longest gives up what it keeps.
- The cost of a segment grows with the logarithm of those that wait, in whatever order they come.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING

from conformance.replay.recording import START_LINE, Address, Notes, Recorded
from imc.errors import BadMessage
from imc.sip.framing import Ping, StreamFramer

if TYPE_CHECKING:
    from conformance.replay.packets import Segment

_MAX_WAITING = 1024 * 1024
_MAX_SEGMENTS = 4096
_MAX_MESSAGE = 262_144
_MAX_DIRECTIONS = 4096
_MAX_KEPT = 64 * 1024 * 1024
_SEGMENT = 512  # octets that a segment takes beside its data
_TAIL = 4200  # octets in which a start line may have begun
_MOD = 2**32


# Behind a body that was not seen whole there is no line end.
_AFTER_A_BODY = re.compile(
    rb"(?:ACK|BYE|CANCEL|INFO|INVITE|MESSAGE|NOTIFY|OPTIONS|PRACK|PUBLISH|REFER|REGISTER|SUBSCRIBE|UPDATE) "
    rb"[^\s]{1,4096} SIP/2\.0\r\n|SIP/2\.0 [1-6][0-9]{2} "
)


def _starts(data: bytes) -> list[int]:
    """Where a message may begin."""
    at_line = {match.start() for match in START_LINE.finditer(data)}
    found = {at for at in at_line if at == 0 or data[at - 1 : at] == b"\n"}
    return sorted(found | {match.start() for match in _AFTER_A_BODY.finditer(data)})


class Splitter:
    """Cuts octets into SIP messages; it may begin, and begin again, in the middle of one."""

    def __init__(self) -> None:
        self._framer: StreamFramer | None = None
        self._tail = b""
        self.has_seen_sip = False
        self.faults: list[str] = []
        self.kept = 0  # octets of a message that is not whole, at most

    def feed(self, data: bytes) -> list[bytes]:
        found: list[bytes] = []
        if self._framer is None:
            data = self._tail + data
            self._tail = b""
        starts = _starts(data)
        cuts = sorted({0, *starts, len(data)})
        for begin, end in pairwise(cuts):
            if self._framer is None and begin in starts:
                self._framer = StreamFramer(_MAX_MESSAGE)
                self.has_seen_sip = True
            if self._framer is not None:
                self._feed(self._framer, data[begin:end], found)
        if self._framer is None:
            # The next start line may have begun; nothing that failed is looked at again.
            rest = max(starts[-1] + 1 if starts else 0, len(data) - _TAIL)
            self._tail = b"\0" + data[rest:] if rest else data
        return found

    def _feed(self, framer: StreamFramer, data: bytes, found: list[bytes]) -> None:
        self.kept += len(data)
        try:
            for item in framer.feed(data):
                if not isinstance(item, Ping):
                    self.kept -= len(item)
                    found.append(item)
            if not framer.is_mid_message:
                self.kept = 0
        except BadMessage as error:
            self._framer = None
            self.kept = 0
            self.faults.append(str(error))

    def lose(self) -> bool:
        """Octets are missing here. Whether a message was begun."""
        was_begun = self._framer is not None and self._framer.is_mid_message
        self._framer = None
        self._tail = b""
        self.kept = 0
        return was_begun


class _Direction:
    """One half of a connection."""

    def __init__(self, segment: Segment, notes: Notes) -> None:
        self._notes = notes
        self._source, self._target = segment.source, segment.target
        # Places are sequence numbers that do not turn over.
        self._next = segment.seq
        self._waiting: dict[int, Segment] = {}
        self._places: list[int] = []  # of what waits: a heap
        self._size = 0
        self._splitter = Splitter()
        self._has_start = segment.is_syn
        self._is_told = segment.is_syn

    def take(self, segment: Segment) -> Iterator[Recorded]:
        if not segment.data:
            return
        ahead = self._ahead(segment.seq)
        if ahead > 0:
            self._keep(segment, self._next + ahead)
            if self._size > _MAX_WAITING or len(self._waiting) > _MAX_SEGMENTS:
                yield from self._skip_gap()
            return
        yield from self._deliver(segment, -ahead)
        yield from self._drain()

    def is_at(self, seq: int) -> bool:
        return self._next % _MOD == seq

    @property
    def kept(self) -> int:
        """Octets, at most."""
        return self._size + _SEGMENT * len(self._waiting) + self._splitter.kept

    def give_up(self) -> Iterator[Recorded]:
        """Keep nothing, for want of room; what comes next is read."""
        self._notes.add(
            f"{self._source} > {self._target}: no room for more that is not whole; what was begun here is left out"
        )
        while self._waiting:
            yield from self._skip_gap()
        self._splitter.lose()

    def finish(self) -> Iterator[Recorded]:
        """What waits for octets that will not come."""
        while self._waiting:
            yield from self._skip_gap()
        if self._splitter.has_seen_sip and self._splitter.lose():
            self._notes.add(f"{self._source} > {self._target}: the last message is not whole; it is left out")

    def _ahead(self, seq: int) -> int:
        return (seq - self._next + _MOD // 2) % _MOD - _MOD // 2

    def _keep(self, segment: Segment, place: int) -> None:
        old = self._waiting.get(place)
        if old is None:
            heappush(self._places, place)
        if old is None or len(old.data) < len(segment.data):
            self._size += len(segment.data) - (len(old.data) if old else 0)
            self._waiting[place] = segment

    def _drain(self) -> Iterator[Recorded]:
        while self._places and self._places[0] <= self._next:
            place = heappop(self._places)
            segment = self._waiting.pop(place)
            self._size -= len(segment.data)
            yield from self._deliver(segment, self._next - place)

    def _skip_gap(self) -> Iterator[Recorded]:
        place = self._places[0]
        missing = place - self._next
        number = self._waiting[place].number
        was_begun = self._splitter.lose()
        if self._splitter.has_seen_sip or was_begun:
            self._notes.add(
                f"packet {number}: {missing} octets before it were not captured ({self._source} > {self._target}); "
                "reading goes on at the next message"
            )
        self._next = place
        yield from self._drain()

    def _deliver(self, segment: Segment, known: int) -> Iterator[Recorded]:
        """``known`` octets of the segment were there before."""
        data = segment.data[known:]
        if not data:
            return
        self._next += len(data)
        messages = self._splitter.feed(data)
        for fault in self._splitter.faults:
            self._notes.add(
                f"packet {segment.number}: not a message of a stream ({fault}); left out up to the next one"
            )
        self._splitter.faults.clear()
        if self._splitter.has_seen_sip and not self._is_told:
            self._is_told = True
            self._notes.add(
                f"packet {segment.number}: the connection {self._source} > {self._target} began before the capture"
            )
        for message in messages:
            yield Recorded(segment.at, "tcp", self._source, self._target, message, f"packet {segment.number}")


class Streams:
    """Segments in, messages out."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        # Both begin with those unused for longest.
        self._directions: OrderedDict[tuple[Address, Address], _Direction] = OrderedDict()
        self._kept: OrderedDict[tuple[Address, Address], int] = OrderedDict()  # octets, where there are any
        self._size = 0  # of all of them

    def take(self, segment: Segment) -> Iterator[Recorded]:
        key = segment.source, segment.target
        direction = self._directions.get(key)
        if direction is not None and segment.is_syn and not direction.is_at(segment.seq):
            # The same ports again; a SYN that is only repeated finds nothing begun.
            yield from self._end(key)
            direction = None
        if direction is None:
            if not segment.data and not segment.is_syn:
                return
            direction = self._directions[key] = _Direction(segment, self._notes)
            if len(self._directions) > _MAX_DIRECTIONS:
                yield from self._end(next(iter(self._directions)))
        self._directions.move_to_end(key)
        yield from direction.take(segment)
        self._count(key, direction.kept)
        while self._size > _MAX_KEPT:
            oldest = next(iter(self._kept))
            yield from self._directions[oldest].give_up()
            self._count(oldest, 0)

    def finish(self) -> Iterator[Recorded]:
        for key in list(self._directions):
            yield from self._end(key)

    def _end(self, key: tuple[Address, Address]) -> Iterator[Recorded]:
        yield from self._directions.pop(key).finish()
        self._count(key, 0)

    def _count(self, key: tuple[Address, Address], kept: int) -> None:
        self._size += kept - self._kept.pop(key, 0)
        if kept:
            self._kept[key] = kept
