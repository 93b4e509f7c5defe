"""The store: everything that outlives the process, behind one object.

Synchronous and thread-safe: one commit at a time, reads beside it. `imc.store.writer` and `imc.store.reader` bring it
to trio. Raises `imc.errors.StoreError` and its kinds only, and AccountError from the accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from imc.errors import StoreConflict, StoreError, StoreUnavailable
from imc.store.accounts import AccountStore
from imc.store.addresses import Addresses
from imc.store.audit import AuditStore, apply_audit
from imc.store.batch import Batch, coalesce
from imc.store.bindings import BindingStore, apply_bindings
from imc.store.database import Database, Staged
from imc.store.guard import Guard
from imc.store.messages import MessageStore, apply_log
from imc.store.migrations import inspect_tables, prepare
from imc.store.operators import OperatorStore
from imc.store.ops import Op, check
from imc.store.options import StoreOptions
from imc.store.outbox import OutboxStore, apply_outbox
from imc.store.rooms import RoomStore, apply_rooms, room_flag
from imc.store.schema import Tables, tables
from imc.store.sql import Builder, Cursor
from imc.store.statements import Statements, statements


class Store(RoomStore, MessageStore, BindingStore, OutboxStore, AccountStore, AuditStore, OperatorStore):
    """An open database. Made by `open`; closed by `close`, or at the end of a ``with``."""

    def __init__(
        self, database: Database, names: Tables, build: Builder, sql: Statements, warnings: Sequence[str]
    ) -> None:
        self.database = database
        self.tables = names
        self.build = build
        self.sql = sql
        self.warnings = tuple(warnings)
        self.addresses = Addresses()
        self.room_flag = room_flag(build, names)
        self._wall: Callable[[], float] = database.options.wall

    @classmethod
    def open(cls, options: StoreOptions) -> Store:
        """Reach the database, lock it if the options say so, and bring its schema up to date.

        ``warnings`` of the result are sentences for the log: settings of the server that endanger what is committed,
        tables that compare without case. ConfigError for a bad URL, StoreUnavailable where the database cannot be
        reached, StoreLocked where another daemon has it, StoreError where its schema is newer than this program or
        cannot be used.
        """
        database = Database(options)
        try:
            database.open()
            names = tables(options.rooms_table, options.members_table)
            notes = prepare(database, names)
            found = inspect_tables(database, names)
            build = Builder(database.kind, found.inexact)
            warnings = [*notes, *found.warnings, *database.warnings()]
            return cls(database, names, build, statements(build, names), warnings)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Give back connections and locks. A commit under way is waited for."""
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def place(self) -> str:
        """Which database this is, for people: without password."""
        return self.database.place

    def commit(self, ops: Iterable[Op]) -> None:
        """Write the ops, in their order, as one transaction. When it returns they are on disk.

        StoreConflict where one of them does not fit, StoreUnavailable where the database does not answer; then nothing
        was written, or (its connection was lost twice while committing) perhaps all of it: read again what matters.
        """
        ops = tuple(ops)
        check(ops)
        self._write(coalesce(ops))

    def commit_groups(
        self, groups: Sequence[Sequence[Op]], guards: Sequence[Guard | None] | None = None
    ) -> list[StoreError | None]:
        """Commit many submissions at once, and tell of each what became of it, in their order.

        They share one transaction. Where that meets a StoreConflict it is halved until the submission that does not
        fit stands alone: it fails, and so do those behind it with the same guard, since they were built on it; all
        others are committed. Any other failure is that of all that were not committed.
        """
        attempt = _Attempt(groups, guards or [None] * len(groups))
        sound = []
        for index, group in enumerate(groups):
            try:
                check(group)
                sound.append(index)
            except StoreConflict as error:
                attempt.fail(index, error)
        self._commit_some(attempt, sound)
        return attempt.results

    def stage_groups(self, groups: Sequence[Sequence[Op]]) -> Staged | None:
        """All submissions in one transaction that lacks its COMMIT; None where that cannot be had without waiting.

        Then, and where the COMMIT fails, `commit_groups` is to be asked, in a thread.
        """
        try:
            for group in groups:
                check(group)
        except StoreConflict:
            return None
        batch = coalesce(op for group in groups for op in group)
        return self.database.stage(self._applied(batch)) if _says_anything(batch) else None

    def _commit_some(self, attempt: _Attempt, chosen: Sequence[int]) -> StoreError | None:
        """Commit the chosen groups, the first half before the second. What it gives is the database's own failure."""
        chosen = attempt.still_sound(chosen)
        if not chosen:
            return None
        batch = coalesce(op for index in chosen for op in attempt.groups[index])
        failure: StoreError | None = None
        try:
            self._write(batch)
        except StoreConflict as error:
            if len(chosen) == 1:
                attempt.fail(chosen[0], error)
                return None
            half = len(chosen) // 2
            failure = self._commit_some(attempt, chosen[:half])
            if failure is None:
                return self._commit_some(attempt, chosen[half:])
            chosen = chosen[half:]
        except StoreError as error:
            failure = error
        if failure is not None:
            for index in chosen:
                attempt.results[index] = failure
        return failure

    def _write(self, batch: Batch) -> None:
        if _says_anything(batch):
            self.database.write(self._applied(batch))

    def _applied(self, batch: Batch) -> Callable[[Cursor], None]:
        """What writes the batch on a cursor."""
        wall = self._wall()

        def apply(cursor: Cursor) -> None:
            if batch.is_in_rooms:
                apply_rooms(self.sql, cursor, batch, wall)
            if batch.is_in_log:
                apply_log(self.sql, cursor, batch)
            if batch.is_in_bindings:
                apply_bindings(self.sql, cursor, batch)
            if batch.is_in_outbox:
                apply_outbox(self.sql, cursor, batch)
            if batch.is_in_audit:
                apply_audit(self.sql, cursor, batch)

        return apply


def _says_anything(batch: Batch) -> bool:
    return batch.is_in_rooms or batch.is_in_log or batch.is_in_bindings or batch.is_in_outbox or batch.is_in_audit


class _Attempt:
    """One `Store.commit_groups`: what became of each group, and which guards are void from which group on."""

    def __init__(self, groups: Sequence[Sequence[Op]], guards: Sequence[Guard | None]) -> None:
        self.groups = groups
        self.results: list[StoreError | None] = [None] * len(groups)
        self._guards = guards
        self._void: dict[Guard, int] = {}

    def fail(self, index: int, error: StoreConflict) -> None:
        self.results[index] = error
        guard = self._guards[index]
        if guard is not None:
            self._void[guard] = min(index, self._void.get(guard, index))

    def still_sound(self, chosen: Sequence[int]) -> list[int]:
        """Those of the chosen that rest on nothing that failed; the others fail."""
        sound = []
        for index in chosen:
            guard = self._guards[index]
            if guard is None or index <= self._void.get(guard, index):
                sound.append(index)
            else:
                self.results[index] = StoreUnavailable("what this was built on was not committed")
        return sound
