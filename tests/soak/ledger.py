"""What was sent, what was acknowledged, and what arrived.

Invariants
- A record is known by its number, which never comes twice; its Call-ID is ``NUMBER.RUN``. A copy of a text ends with
  ``~NUMBER``, a notice names the command by In-Reply-To.
- Acknowledged is what had a 2xx. It is *lost* for whoever of its audience it has not reached when the books are closed.
- *Repeated*: a record reached somebody once more as another transaction. It is excused where imc could not know better
  (spec S-LANE-8, R-ORDER-3): a crash, a silence or a broken stream lies between the two.
- *Disordered*: somebody got A for the first time after B, though A was answered before B was first sent; so A was
  decided first (spec R-ORDER-2, S-LANE-2).
- *Leaked*: a record that was refused for good reached somebody (spec R-DURABLE-2).
- *Wrong*: an answer or a room that is not as what was answered before has it (spec R-DURABLE-3).
- Books that were closed are kept until the next closing, so that what comes late is known.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from imc.sip.message import Request

_MARK = re.compile(rb"~(\d{8})\s*\Z")
_SHOWN = 12


@dataclass(slots=True)
class Heard:
    """How often a record reached somebody: when for the first and the last time, and with which Call-ID the last."""

    first: float
    last: float
    call_id: str
    count: int = 1


@dataclass(slots=True)
class Record:
    """A request. ``status`` 0: no answer came; None: it is under way. Times are the clock's."""

    number: int
    what: str
    audience: frozenset[int]
    sent_at: float
    answered_at: float = 0.0
    status: int | None = None
    heard: dict[int, Heard] = field(default_factory=dict)
    is_closed: bool = False

    @property
    def is_acknowledged(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def missing(self) -> list[int]:
        """Whoever it was promised to and has not reached."""
        return [user for user in self.audience if user not in self.heard] if self.is_acknowledged else []


@dataclass(slots=True)
class Excuse:
    """From ``begin`` to ``end`` imc could not know what became of a try to ``user`` (None: to anybody)."""

    kind: str
    user: int | None
    begin: float
    end: float | None = None

    def covers(self, user: int | None, begin: float, end: float) -> bool:
        is_theirs = self.user is None or self.user == user
        return is_theirs and self.begin <= end and (self.end is None or self.end >= begin)


@dataclass(slots=True)
class Verdict:
    """The sums so far. ``excused`` is by the kind of excuse; ``examples`` are the first of what must not be."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: int = 0
    due: int = 0
    delivered: int = 0
    lost: int = 0
    repeated: int = 0
    disordered: int = 0
    leaked: int = 0
    wrong: int = 0
    excused: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.repeated or self.disordered or self.leaked or self.wrong)

    def blame(self, text: str) -> None:
        """Something is wrong."""
        self.wrong += 1
        self.note(text)

    def note(self, text: str) -> None:
        if len(self.examples) < _SHOWN:
            self.examples.append(text)


class Ledger:
    """``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.run_id = secrets.token_hex(4)
        self.verdict = Verdict()
        self.recoveries: list[float] = []
        self.last_arrival = 0.0
        self._records: dict[int, Record] = {}
        self._serial = 0
        self._excuses: list[Excuse] = []
        self._newest: dict[int, float] = {}  # user: when the newest of what has reached them was first sent
        self._ended_at: float | None = None
        self._in_reply_to = re.compile(rf"<?(\d+)\.{self.run_id}")

    # What is sent

    def send(self, what: str, audience: Iterable[int]) -> Record:
        """A request is about to be sent; ``audience`` are those who must hear of it once it has a 2xx."""
        self._serial += 1
        record = Record(self._serial, what, frozenset(audience), self.clock())
        self._records[record.number] = record
        self.verdict.sent += 1
        return record

    def call_id(self, record: Record) -> str:
        return f"{record.number}.{self.run_id}"

    def answer(self, record: Record, status: int) -> None:
        """Its final status; 0 where none came."""
        record.answered_at, record.status = self.clock(), status
        self.verdict.statuses[status] += 1
        if record.is_acknowledged:
            self.verdict.acknowledged += 1
            self.verdict.due += len(record.audience)
            if self._ended_at is not None:
                self.recoveries.append(record.answered_at - self._ended_at)
                self._ended_at = None
        elif status >= 300:
            for user in record.heard:
                self._leak(record, user)

    # What arrives

    def number_of(self, request: Request) -> int | None:
        """The number of the record that a MESSAGE is about; None for one that is about none."""
        found = _MARK.search(request.body)
        if found is not None:
            return int(found[1])
        named = self._in_reply_to.match(request.headers.get("In-Reply-To") or "")
        return int(named[1]) if named is not None else None

    def arrive(self, user: int, request: Request) -> None:
        """A MESSAGE that ``user`` has not seen in this transaction, and takes."""
        number = self.number_of(request)
        if number is None:
            return
        now = self.last_arrival = self.clock()
        record = self._records.get(number)
        if record is None:
            self.verdict.repeated += 1
            self.verdict.note(f"{number} reached user{user} long after its books were closed")
            return
        if user not in record.audience:  # whoever acted is told as well
            return
        heard = record.heard.get(user)
        if heard is not None:
            self._repeat(record, user, heard, request.call_id, now)
            return
        record.heard[user] = Heard(now, now, request.call_id)
        self.verdict.delivered += 1
        if record.status is not None and record.status >= 300:
            self._leak(record, user)
        self._check_order(record, user)

    def _repeat(self, record: Record, user: int, heard: Heard, call_id: str, now: float) -> None:
        # A request that its sender repeated over a crash is judged anew, and is another message then (R-ORDER-3).
        begin = heard.last if call_id == heard.call_id else record.sent_at
        excuse = self._excuse(user, begin, now)
        if excuse is None:
            self.verdict.repeated += 1
            after = f"{now - heard.last:.3f} s after the last time, Call-ID {heard.call_id} then {call_id}"
            self.verdict.note(f"{record.number} ({record.what}) reached user{user} again {after}")
        else:
            self.verdict.excused[excuse.kind] += 1
        heard.last, heard.call_id = now, call_id
        heard.count += 1

    def _check_order(self, record: Record, user: int) -> None:
        newest = self._newest.get(user, 0.0)
        if record.status is not None and record.is_acknowledged and record.answered_at < newest:
            self.verdict.disordered += 1
            self.verdict.note(
                f"{record.number} ({record.what}) reached user{user} behind one that was first sent "
                f"{newest - record.answered_at:.3f} s after it was answered"
            )
        self._newest[user] = max(newest, record.sent_at)

    def _leak(self, record: Record, user: int) -> None:
        if self._excuse(None, record.sent_at, self.clock()) is None:
            self.verdict.leaked += 1
            self.verdict.note(f"{record.number} ({record.what}) was refused with {record.status}, reached user{user}")
        else:
            self.verdict.excused["refused"] += 1

    # Excuses, recovery

    def is_excused(self, record: Record) -> bool:
        """Whether imc crashed, or the like, while it was under way."""
        return self._excuse(None, record.sent_at, self.clock()) is not None

    def excuse(self, kind: str, user: int | None = None) -> Excuse:
        """From now on, until `pardon`."""
        found = Excuse(kind, user, self.clock())
        self._excuses.append(found)
        return found

    def pardon(self, excuse: Excuse) -> None:
        """It is over."""
        excuse.end = self.clock()

    def pardon_all(self, user: int) -> None:
        """Whatever was with this user alone is over."""
        for excuse in self._excuses:
            if excuse.user == user and excuse.end is None:
                excuse.end = self.clock()

    def _excuse(self, user: int | None, begin: float, end: float) -> Excuse | None:
        return next((each for each in reversed(self._excuses) if each.covers(user, begin, end)), None)

    def fault_ends(self) -> None:
        """Now: the seconds until the next 2xx are a recovery."""
        self._ended_at = self.clock()

    # The end

    def missing(self) -> list[tuple[Record, int]]:
        """What was acknowledged and has not arrived."""
        records = (record for record in self._records.values() if not record.is_closed)
        return [(record, user) for record in records for user in record.missing()]

    def close(self) -> Verdict:
        """All that could arrive has arrived: what is missing is lost. The sums so far."""
        for record, user in self.missing():
            self.verdict.lost += 1
            self.verdict.note(
                f"{record.number} ({record.what}) was answered {record.status} at {record.answered_at:.3f} "
                f"and never reached user{user}"
            )
        oldest = min((record.sent_at for record in self._records.values() if not record.is_closed), default=0.0)
        self._records = {number: record for number, record in self._records.items() if not record.is_closed}
        for record in self._records.values():
            record.is_closed = record.status is not None
        self._excuses = [each for each in self._excuses if each.end is None or each.end >= oldest]
        return self.verdict
