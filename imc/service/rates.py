"""Rates: token buckets per sender, per room, and for invitations; and rejections that are remembered (spec R-LIMIT-4).

Invariants
- A bucket holds ``burst`` tokens and gains ``rate`` a second; who finds it empty is refused, and pays nothing.
- The tables are bounded. The bucket unused for longest is forgotten first, and is as good as full when it comes back;
  so a bound must be larger than what fills up while somebody is kept waiting.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from imc.aor import Aor

_MAX_BUCKETS = 100_000


class Rate(NamedTuple):
    """``burst`` at once, ``rate`` a second in the long run."""

    burst: float
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateOptions:
    """``per_founder`` counts create and join, ``per_inviter`` people whom the inviter has not invited before,
    ``per_invitation`` those of one person to one room. After ``max_rejections`` of a room by a person within
    ``rejections_last`` seconds there are no more."""

    per_sender: Rate
    per_room: Rate
    per_inviter: Rate
    per_invitee: Rate
    per_invitation: Rate
    max_rejections: int
    rejections_last: float
    per_founder: Rate


class Buckets:
    """Buckets of one kind, by key."""

    __slots__ = ("_bound", "_levels", "_rate")

    def __init__(self, rate: Rate, bound: int = _MAX_BUCKETS) -> None:
        self._rate = rate
        self._bound = bound
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def has(self, key: Hashable, now: float) -> bool:
        """Whether a token is there."""
        return self._level(key, now) >= 1

    def take(self, key: Hashable, now: float) -> bool:
        """Take a token; False, and nothing is taken, where there is none."""
        level = self._level(key, now)
        if level < 1:
            return False
        self._levels[key] = (level - 1, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._bound:
            self._levels.popitem(last=False)
        return True

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until a token is there."""
        return max(0.0, (1 - self._level(key, now)) / self._rate.rate)

    def __len__(self) -> int:
        return len(self._levels)

    def _level(self, key: Hashable, now: float) -> float:
        level, since = self._levels.get(key, (self._rate.burst, now))
        return min(self._rate.burst, level + (now - since) * self._rate.rate)


class Rates:
    """``clock`` is monotonic, in seconds; ``on_hit`` is told which limit of [limits] has refused something of whom."""

    def __init__(
        self,
        options: RateOptions,
        clock: Callable[[], float],
        on_hit: Callable[[str, str], None] = lambda _limit, _who: None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._on_hit = on_hit
        self._senders = Buckets(options.per_sender)
        self._rooms = Buckets(options.per_room)
        self._inviters = Buckets(options.per_inviter)
        self._invitees = Buckets(options.per_invitee)
        self._invitations = Buckets(options.per_invitation)
        self._founders = Buckets(options.per_founder)
        self._acquainted: OrderedDict[tuple[Aor, Aor], None] = OrderedDict()
        self._rejections: OrderedDict[tuple[Aor, Aor], tuple[int, float]] = OrderedDict()

    def may_send(self, sender: Aor) -> bool:
        """One request more of this sender."""
        return self._take(self._senders, sender, "sender_rate")

    def may_speak(self, room: Aor) -> bool:
        """One message more in this room."""
        return self._take(self._rooms, room, "room_rate")

    def may_found(self, user: Aor) -> bool:
        """One create or join more by this user: what they answer tells of rooms that are private (abuse 18)."""
        return self._take(self._founders, user, "founding_rate")

    def _take(self, buckets: Buckets, who: Aor, limit: str) -> bool:
        is_there = buckets.take(who, self._clock())
        if not is_there:
            self._on_hit(limit, str(who))
        return is_there

    def may_invite(self, room: Aor, inviter: Aor, invitee: Aor) -> bool:
        """One invitation more; all buckets that it concerns pay, or none."""
        now = self._clock()
        count, until = self._rejections.get((room, invitee), (0, 0.0))
        if count >= self._options.max_rejections and now < until:
            self._on_hit("max_rejections", str(inviter))
            return False
        buckets: list[tuple[Buckets, Hashable, str]] = [
            (self._invitees, invitee, "invitee_rate"),
            (self._invitations, (room, invitee), "invitation_rate"),
        ]
        pair = inviter, invitee
        if pair not in self._acquainted:
            buckets.append((self._inviters, inviter, "inviter_rate"))
        for bucket, key, limit in buckets:
            if not bucket.has(key, now):
                self._on_hit(limit, str(inviter))
                return False
        for bucket, key, _ in buckets:
            bucket.take(key, now)
        _remember(self._acquainted, pair, None)
        return True

    def note_rejection(self, room: Aor, invitee: Aor) -> None:
        """The invitee has declined to come to the room."""
        now = self._clock()
        count, until = self._rejections.get((room, invitee), (0, 0.0))
        known = (count + 1 if now < until else 1, now + self._options.rejections_last)
        _remember(self._rejections, (room, invitee), known)


K = TypeVar("K")
V = TypeVar("V")


def _remember(table: OrderedDict[K, V], key: K, value: V) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > _MAX_BUCKETS:
        table.popitem(last=False)
