"""Who sends how much of late, and which limits were hit by whom: counts alone, never what was said.

Invariants

- Traffic is counted in slots of `SLOT` seconds, of which the last `SLOTS` are kept. A slot knows at most `MOST_NAMES`
  senders and as many rooms; what comes from others while it is full is counted without a name.
- Limits: at most `MOST_HITS` pairs of a limit and who hit it; the one that was not hit for longest is forgotten. The
  totals of each limit are kept.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from imc.aor import Aor
from imc.measures import Tally
from imc.rooms.outcome import Decision

SLOT = 60.0
SLOTS = 60
MOST_NAMES = 2_000
MOST_HITS = 1_000
OTHERS = ""
"""The name of those that a full slot does not know."""

# Which setting of [limits] a refusal comes from, where it is one.
_LIMIT_OF = {
    "room-full": "max_members",
    "too-many-rooms": "max_rooms_per_owner",
    "server-full": "max_rooms",
    "text-too-long": "max_text",
    "command-too-long": "max_command_line",
}


class Talker(NamedTuple):
    """A room or a user (`OTHERS`: some that are not known) and what they sent: messages, copies made of them, bytes,
    and what was refused."""

    name: str
    messages: int
    copies: int
    octets: int
    refused: int


class Hit(NamedTuple):
    """``limit`` is the name of the setting in [limits], ``who`` a user's address, a room's, or an IP address. Times are
    in unix seconds."""

    limit: str
    who: str
    times: int
    first: float
    last: float


_Row = list[int]  # messages, copies, octets, refused


class _Slot:
    __slots__ = ("rooms", "senders", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.senders: dict[str, _Row] = {}
        self.rooms: dict[str, _Row] = {}


class Traffic:
    """``wall`` gives unix seconds; ``limits`` counts the hits of each limit for those who measure."""

    def __init__(self, wall: Callable[[], float], limits: Tally | None = None) -> None:
        self._wall = wall
        self._limits = Tally() if limits is None else limits
        self._slots: deque[_Slot] = deque(maxlen=SLOTS)
        self._hits: OrderedDict[tuple[str, str], Hit] = OrderedDict()
        self._totals: Counter[str] = Counter()
        self._counts = {"room_messages": 0, "room_copies": 0, "room_commands": 0, "refusals": 0, "limits_hit": 0}

    def statistics(self) -> dict[str, int]:
        return dict(self._counts)

    # --- in ---------------------------------------------------------------------------------------------------------

    def judged(self, sender: Aor, decision: Decision, size: int, *, is_command: bool) -> None:
        """A MESSAGE of ``size`` bytes was decided on."""
        refusal = decision.refusal
        if refusal is not None:
            self._counts["refusals"] += 1
            if limit := _LIMIT_OF.get(refusal.event):
                self.hit(limit, str(sender))
        elif is_command:
            self._counts["room_commands"] += 1
        else:
            self._counts["room_messages"] += 1
            self._counts["room_copies"] += len(decision.recipients)
        copies = 0 if is_command or refusal is not None else len(decision.recipients)
        self._add(str(sender), str(decision.address), (refusal is None, copies, size, refusal is not None))

    def limited(self, sender: Aor, room: Aor, size: int) -> None:
        """A MESSAGE was too much, and is to be sent again later."""
        self._counts["refusals"] += 1
        self._add(str(sender), str(room), (0, 0, size, 1))

    def hit(self, limit: str, who: str) -> None:
        """A limit has refused something."""
        now = self._wall()
        key = limit, who
        known = self._hits.get(key)
        first, count = (now, 0) if known is None else (known.first, known.times)
        self._hits[key] = Hit(limit, who, count + 1, first, now)
        self._hits.move_to_end(key)
        if len(self._hits) > MOST_HITS:
            self._hits.popitem(last=False)
        self._totals[limit] += 1
        self._limits.add(limit)
        self._counts["limits_hit"] += 1

    def _add(self, sender: str, room: str, more: Iterable[int]) -> None:
        slot = self._slot()
        values = tuple(more)
        for table, name in ((slot.senders, sender), (slot.rooms, room)):
            row = table.get(name)
            if row is None:
                row = table.setdefault(name if len(table) < MOST_NAMES else OTHERS, [0, 0, 0, 0])
            for index, value in enumerate(values):
                row[index] += value

    def _slot(self) -> _Slot:
        now = self._wall()
        if not self._slots or not 0 <= now - self._slots[-1].since < SLOT:
            self._slots.append(_Slot(now - now % SLOT))
        return self._slots[-1]

    # --- out --------------------------------------------------------------------------------------------------------

    def talkers(self, minutes: int, limit: int) -> tuple[list[Talker], list[Talker]]:
        """The busiest senders and rooms of the last ``minutes``, the present one among them, ``limit`` of each."""
        oldest = self._wall() - minutes * 60.0
        slots = [slot for slot in self._slots if slot.since > oldest]
        return (
            _busiest((slot.senders for slot in slots), limit),
            _busiest((slot.rooms for slot in slots), limit),
        )

    def hits(self, limit: int) -> list[Hit]:
        """The latest first."""
        return [hit for _, hit in zip(range(limit), reversed(self._hits.values()), strict=False)]

    def totals(self) -> dict[str, int]:
        """How often each limit was hit since the start."""
        return dict(self._totals)


def _busiest(tables: Iterable[dict[str, _Row]], limit: int) -> list[Talker]:
    sums: dict[str, _Row] = {}
    for table in tables:
        for name, row in table.items():
            total = sums.setdefault(name, [0, 0, 0, 0])
            for index, value in enumerate(row):
                total[index] += value
    ranked = sorted(sums.items(), key=lambda one: (-one[1][0] - one[1][3], one[0]))
    return [Talker(name, *row) for name, row in ranked[:limit]]
