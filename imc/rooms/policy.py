"""What the operator decides about rooms. Names and defaults are the source document's where it has them."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Literal

from imc.aor import Aor


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on rooms; None is no bound (spec R-LIMIT-1, R-LIMIT-2, R-LIMIT-3, R-SET-2)."""

    max_members: int | None = 10_000  # people in one room, the invited counted
    max_rooms_per_owner: int | None = 1_000
    max_rooms: int | None = 1_000_000
    max_command_line: int | None = 1_024  # characters
    max_text: int | None = 65_536  # bytes of a room message
    max_list_entries: int | None = 1_000
    max_history: int | None = 100  # messages that are repeated at once
    max_keep_messages: int | None = 10_000  # that a room may have kept
    max_keep_days: int | None = 365


UNLIMITED = Limits(
    max_members=None,
    max_rooms_per_owner=None,
    max_rooms=None,
    max_command_line=None,
    max_text=None,
    max_list_entries=None,
    max_history=None,
    max_keep_messages=None,
    max_keep_days=None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Settings that decisions depend on.

    ``room_pattern`` is a glob on the user part, with case. ``domains`` are served hosts in canonical form; none at all
    means any host. ``keep_messages`` and ``keep_days`` hold for rooms that have not set them; without ``is_log_kept``
    nothing is kept in any. ValueError where ``start_char`` is not one visible character that can begin no blank.
    """

    create_on_join: bool = True
    check_on_create: bool = False
    owner_leave: Literal["destroy", "refuse"] = "destroy"
    add_requires_consent: bool = True
    start_char: str = "#"
    room_pattern: str = "*"
    domains: tuple[str, ...] = ()
    manager: Aor | None = None
    is_log_kept: bool = True
    keep_messages: int = 1_000
    keep_days: int = 30
    limits: Limits = field(default_factory=Limits)
    _room_user: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _is_any_user: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.start_char) != 1 or self.start_char.isspace() or not self.start_char.isprintable():
            raise ValueError(f"imc_cmd_start_char must be one visible character, not {self.start_char!r}")
        object.__setattr__(self, "_room_user", re.compile(fnmatch.translate(self.room_pattern)))
        object.__setattr__(self, "_is_any_user", not self.room_pattern.strip("*"))

    def is_served(self, host: str) -> bool:
        return not self.domains or host in self.domains

    def may_be_room(self, aor: Aor) -> bool:
        """Whether a room may be made at this address (spec R-ADDR-7)."""
        is_named_so = self._is_any_user or self._room_user.match(aor.user) is not None
        return is_named_so and aor != self.manager and self.is_served(aor.host)

    def is_reserved(self, aor: Aor) -> bool:
        """Whether the address is the manager's, or one that only a room can have (spec R-ADDR-8)."""
        return aor == self.manager or (not self._is_any_user and self.may_be_room(aor))
