"""What a room decides for itself: how much is repeated to whoever joins, and how much of what is said is kept (§20).

A setting that the room does not have is the server's (`DEFAULT`); what is in force is `kept`, a function of both.
"""

from __future__ import annotations

from typing import NamedTuple

from imc.rooms.policy import Policy

DEFAULT = -1


class RoomSettings(NamedTuple):
    """``replay``: messages repeated to whoever becomes a member. ``keep``, ``days``: messages, days; or `DEFAULT`."""

    replay: int = 0
    keep: int = DEFAULT
    days: int = DEFAULT


NEW_ROOM = RoomSettings()
OPTIONS = RoomSettings._fields  # spec R-SET-2: the words that `set` knows


class Kept(NamedTuple):
    """What is kept of what is said: the newest ``messages``, for ``days``. 0 messages: nothing."""

    messages: int
    days: int


def kept(settings: RoomSettings, policy: Policy) -> Kept:
    """What is in force in a room, whatever was allowed when it was set (spec R-HISTORY-6)."""
    limits = policy.limits
    messages = policy.keep_messages if settings.keep == DEFAULT else _within(settings.keep, limits.max_keep_messages)
    days = policy.keep_days if settings.days == DEFAULT else _within(settings.days, limits.max_keep_days)
    return Kept(messages if policy.is_log_kept else 0, days)


def replayed(settings: RoomSettings, policy: Policy) -> int:
    """How many messages are repeated to whoever becomes a member."""
    return min(_within(settings.replay, policy.limits.max_history), kept(settings, policy).messages)


def read_value(option: str, word: str, policy: Policy) -> int | None:
    """The value that a word of `set` means; None for a word that means none (spec R-SET-2)."""
    if option != "replay" and word.lower() == "default":
        return DEFAULT
    limits = policy.limits
    most = {"replay": limits.max_history, "keep": limits.max_keep_messages, "days": limits.max_keep_days}[option]
    number = read_number(word)
    if number is None or number < (option == "days") or (most is not None and number > most):
        return None
    return number


def read_number(word: str) -> int | None:
    """A number of at most nine digits; None for anything else."""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 9 else None


def _within(value: int, most: int | None) -> int:
    return value if most is None else min(value, most)
