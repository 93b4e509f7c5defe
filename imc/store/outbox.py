"""The outbox: what was promised and is not delivered yet. Its bytes are `imc.delivery`'s own."""

from __future__ import annotations

from typing import NamedTuple

from imc.store.batch import Batch
from imc.store.database import Database
from imc.store.sql import Cursor
from imc.store.statements import Statements


class OutboxRow(NamedTuple):
    """``seq`` grows with each entry and is never used twice; ``created`` is in unix seconds."""

    seq: int
    id: str
    created: float
    payload: bytes
    recipients: bytes


class OutboxStore:
    """The outbox's part of `imc.store.store.Store`."""

    database: Database
    sql: Statements

    def load_outbox(self, limit: int, after: int = 0) -> list[OutboxRow]:
        """At most ``limit`` entries in the order in which they were put, those after ``after`` (a ``seq``)."""
        rows = self.database.read(lambda cursor: self.sql.load_outbox.rows(cursor, after, limit))
        return [OutboxRow(seq, id_, created, bytes(payload), bytes(rest)) for seq, id_, created, payload, rest in rows]


def apply_outbox(sql: Statements, cursor: Cursor, batch: Batch) -> None:
    """Write the outbox of a batch, in the order in which entries were put."""
    sql.delete_outbox.many(cursor, [(id_,) for id_ in batch.outbox_deletes])
    sql.put_outbox.many(
        cursor, [(put.id, put.created, put.payload, put.recipients) for put in batch.outbox_puts.values()]
    )
    sql.update_outbox.many(cursor, list(batch.outbox_updates.items()))
