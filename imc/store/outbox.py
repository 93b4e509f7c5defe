"""The outbox: what was promised and is not delivered yet. Its bytes are `imc.delivery`'s own.

An entry has the recipients whose copies are on their way, and goes when they are done. A copy that takes longer has a
row of its own, which keeps the entry: it waits, or is dead (nobody tries any more, but an operator may).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from imc.aor import Aor
from imc.store.batch import Batch
from imc.store.database import Database
from imc.store.schema import DEAD, WAITING
from imc.store.sql import Cursor
from imc.store.statements import Statements


class OutboxRow(NamedTuple):
    """``seq`` grows with each entry; ``created`` is in unix seconds."""

    seq: int
    id: str
    created: float
    payload: bytes
    recipients: bytes


class WaitingRow(NamedTuple):
    """One recipient's copy, and its outbox entry. Times are in unix seconds; ``expires`` 0: never."""

    aor: Aor
    seq: int
    part: int
    is_dead: bool
    created: float
    expires: float
    tries: int
    status: int
    changed: float
    id: str
    payload: bytes


class OutboxStore:
    """The outbox's part of `imc.store.store.Store`."""

    database: Database
    sql: Statements

    def load_outbox(self, limit: int, after: int = 0) -> list[OutboxRow]:
        """At most ``limit`` entries that list recipients, in the order of ``seq``, those after ``after``."""
        rows = self.database.read(lambda cursor: self.sql.load_outbox.rows(cursor, after, limit))
        return [OutboxRow(seq, id_, created, bytes(payload), bytes(rest)) for seq, id_, created, payload, rest in rows]

    def outbox_end(self) -> int:
        """The highest ``seq`` in use, be it by a copy's row alone; 0 where there is none."""
        return max(int(end) for (end,) in self.database.read(self.sql.outbox_end.rows))

    def count_waiting(self) -> list[tuple[Aor, int]]:
        """How many copies wait for each recipient who has any; the dead do not count."""
        rows = self.database.read(self.sql.count_waiting.rows)
        return [(Aor(user, host), int(count)) for user, host, count in rows]

    def twice_listed(self) -> list[tuple[Aor, int, int]]:
        """(recipient, seq, part) of copies whose entry lists its recipients still: some of them twice, that is."""
        rows = self.database.read(self.sql.twice_listed.rows)
        return [(Aor(user, host), seq, part) for user, host, seq, part in rows]

    def load_waiting(self, aor: Aor, limit: int) -> list[WaitingRow]:
        """A recipient's first copies that wait, in the order of their entries."""
        return self._waiting(self.database.read(lambda cursor: self.sql.load_waiting.rows(cursor, *aor, limit)))

    def list_waiting(self, limit: int, after: tuple[Aor, int, int] | None = None) -> list[WaitingRow]:
        """All copies, the dead included, by recipient and entry; those after (recipient, seq, part)."""
        key = ("", "", 0, 0) if after is None else (*after[0], *after[1:])
        rows = self.database.read(lambda cursor: self.sql.list_waiting.rows(cursor, key[0], *key, limit))
        return self._waiting(rows)

    def old_waiting(self, before: float, limit: int, *, is_dead: bool) -> list[WaitingRow]:
        """Copies that began to wait, or that died, at ``before`` or earlier, the oldest first."""
        statement = self.sql.old_dead if is_dead else self.sql.old_waiting
        return self._waiting(self.database.read(lambda cursor: statement.rows(cursor, before, limit)))

    def expired_waiting(self, now: float, limit: int) -> list[WaitingRow]:
        """Copies whose senders had them end by now."""
        return self._waiting(self.database.read(lambda cursor: self.sql.expired_waiting.rows(cursor, now, limit)))

    def surplus_dead(self, keep: int, limit: int) -> list[WaitingRow]:
        """Dead copies beyond the newest ``keep``."""
        return self._waiting(self.database.read(lambda cursor: self.sql.surplus_dead.rows(cursor, limit, keep)))

    @staticmethod
    def _waiting(rows: Sequence[tuple[Any, ...]]) -> list[WaitingRow]:
        found = []
        for user, host, seq, part, state, created, expires, tries, status, changed, id_, payload in rows:
            key = (Aor(user, host), seq, part, state == DEAD)
            found.append(WaitingRow(*key, created, expires, tries, status, changed, id_, bytes(payload)))
        return found


def apply_outbox(sql: Statements, cursor: Cursor, batch: Batch) -> None:
    """Write the outbox of a batch, in the order in which entries were put."""
    sql.delete_outbox.many(cursor, [(id_,) for id_ in batch.outbox_deletes])
    sql.put_outbox.many(
        cursor, [(put.id, put.created, put.payload, put.recipients, put.seq) for put in batch.outbox_puts.values()]
    )
    sql.update_outbox.many(cursor, list(batch.outbox_updates.items()))
    if batch.waiting or batch.closed:
        _apply_waiting(sql, cursor, batch)


def _apply_waiting(sql: Statements, cursor: Cursor, batch: Batch) -> None:
    puts, deletes = [], []
    for (aor, seq, part), put in batch.waiting.items():
        if put is None:
            deletes.append((*aor, seq, part))
        else:
            state = DEAD if put.is_dead else WAITING
            puts.append((*aor, seq, part, state, put.created, put.expires, put.tries, put.status, put.changed))
    sql.put_waiting.many(cursor, puts)
    sql.delete_waiting.many(cursor, deletes)
    sql.close_outbox.many(cursor, [(seq, b"") for seq in batch.closed])
    done = dict.fromkeys(seq for *_, seq, _ in deletes) | batch.closed
    sql.delete_done_outbox.many(cursor, [(seq,) for seq in done])
