"""What the store is told: where the database is, and how long to wait for it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imc.errors import ConfigError

# PostgreSQL cuts identifiers at 63 bytes ("Lexical Structure"), MySQL refuses more than 64 characters.
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")
OWN_TABLES = frozenset(
    {
        *("imc_invitations", "imc_bindings", "imc_outbox", "imc_meta", "imc_schema"),
        *("imc_waiting", "imc_messages", "imc_room_settings"),
    }
)
_TAKEN = OWN_TABLES | {"subscriber", "version"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """Times are in seconds.

    ``url`` is a database URL in Kamailio's or SQLAlchemy's form; ``base`` is the directory that a relative SQLite path
    starts from. A SQLite file that is missing is made with ``may_create`` only. ``is_exclusive`` takes the lock that
    only one daemon can have, and waits ``lock_wait`` for it.
    ``timeout`` bounds one statement and the wait for a row lock, ``connect_timeout`` the way to the server.
    ``readers`` bounds the connections for reading; one more is for writing. ``wall`` gives unix seconds.

    ConfigError where a table's name is no identifier, or taken.
    """

    url: str
    rooms_table: str = "imc_rooms"
    members_table: str = "imc_members"
    base: Path | None = None
    is_exclusive: bool = False
    may_create: bool = True
    lock_wait: float = 2.0
    timeout: float = 10.0
    connect_timeout: float = 5.0
    readers: int = 4
    wall: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        for key, name in (("rooms_table", self.rooms_table), ("members_table", self.members_table)):
            if not _TABLE.match(name):
                raise ConfigError(f"{key}: {name!r} is not a name of letters, digits and underscores, at most 63 long")
            if name.lower() in _TAKEN:
                raise ConfigError(f"{key}: {name!r} is the name of another table")
        if self.rooms_table.lower() == self.members_table.lower():
            raise ConfigError("rooms_table and members_table have the same name")
