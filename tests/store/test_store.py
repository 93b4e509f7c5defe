"""imc.store.store, on every kind of database: commits, groups of them, crashes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imc.aor import Aor
from imc.errors import StoreConflict, StoreError, StoreUnavailable
from imc.store.guard import Guard
from imc.store.ops import (
    DeleteMember,
    DeleteOutbox,
    DeleteRoom,
    Op,
    PutBinding,
    PutMember,
    PutOutbox,
    PutRoom,
    PutWaiting,
)
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.databases import Database, Server
from tests.store.model import Tables, apply_commit
from tests.store.samples import ALICE, BOB, CAROL, INVITED, MEMBER, OTHER, OWNER, ROOM, binding
from tests.store.test_batch import histories

TOO_LONG = PutMember(ROOM, Aor("u" * 65, "example.com"), MEMBER)
CRASHER = """
import os, signal, sys
from imc.aor import Aor
from imc.rooms.model import Member, Role
from imc.store.ops import PutMember, PutOutbox, PutRoom
from imc.store.options import StoreOptions
from imc.store.store import Store

room, alice = Aor("chat-crash", "example.com"), Aor("alice", "example.com")
store = Store.open(StoreOptions(url=sys.argv[1], is_exclusive=True))
store.commit([PutRoom(room, True), PutMember(room, alice, Member(Role.OWNER))])
for number in range(int(sys.argv[2])):
    store.commit([PutMember(room, Aor(f"user{number}", "example.com"), Member(Role.INVITED, alice, number)),
                  PutOutbox(f"id{number}", 1.0, b"payload", b"recipients", number + 1)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def read_all(store: Store) -> Tables:
    """The whole database, as the model has it."""
    found = Tables()
    for summary in store.list_rooms(1000).rows:
        room = store.load_room(summary.room)
        assert room is not None
        found.rooms[room.aor] = room.is_private
        found.members |= {(room.aor, user): entry for user, entry in room.members.items()}
    found.bindings = {(one.aor, one.contact): one for one in store.load_bindings()}
    found.outbox = {
        row.id: PutOutbox(row.id, row.created, row.payload, row.recipients, row.seq) for row in store.load_outbox(1000)
    }
    for row in store.list_waiting(1000):
        key = row.aor, row.seq, row.part
        found.waiting[key] = PutWaiting(*key, row.is_dead, row.created, row.expires, row.tries, row.status, row.changed)
        # an entry that is closed is seen by its copies
        found.outbox.setdefault(row.id, PutOutbox(row.id, 1.0, row.payload, b"", row.seq))
    return found


def wipe(store: Store) -> None:
    found = read_all(store)
    orphans = [DeleteMember(room, user) for room in (ROOM, OTHER) for user in (ALICE, BOB)]
    store.commit([*map(DeleteRoom, {*found.rooms, ROOM, OTHER}), *orphans, *map(DeleteOutbox, found.outbox)])
    for table in ("imc_bindings", "imc_waiting", "imc_outbox"):
        store.database.write(lambda cursor, table=table: cursor.execute(f"DELETE FROM {table}"))  # type: ignore[misc]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(histories(max_size=25), st.lists(st.integers(1, 8), max_size=8))
def test_any_history_in_any_commits_is_that_history(store: Store, ops: list[Op], sizes: list[int]) -> None:
    expected = Tables()
    for op in ops:
        apply_commit(expected, [op])
    # A member without a room is not to be seen.
    expected.members = {key: entry for key, entry in expected.members.items() if key[0] in expected.rooms}
    wipe(store)
    rest = list(ops)
    for size in sizes:
        store.commit(rest[:size])
        rest = rest[size:]
    store.commit(rest)
    assert read_all(store) == expected


def test_a_commit_that_fails_changes_nothing(store: Store) -> None:
    with pytest.raises(StoreConflict):
        store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER), TOO_LONG])
    assert read_all(store) == Tables()
    with pytest.raises(StoreConflict):
        # It passes the check, and the driver cannot encode it.
        store.commit([PutRoom(ROOM, False), PutMember(ROOM, Aor("\udcff", "example.com"), OWNER)])
    assert read_all(store) == Tables()
    store.commit([PutRoom(ROOM, False)])
    assert read_all(store).rooms == {ROOM: False}


def test_a_commit_of_nothing_costs_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_transaction(_work: object) -> None:
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(store.database, "write", no_transaction)
    store.commit([])
    assert store.commit_groups([]) == []
    assert store.commit_groups([[], []]) == [None, None]
    put = PutOutbox("id", 0.0, b"", b"", 1)
    assert store.commit_groups([[put], [DeleteOutbox("id")]]) == [None, None]


def test_a_server_refuses_what_the_check_would_let_pass(server_store: Store, server_database: Database) -> None:
    long = "u" * 65
    rows = [(name, "example.com", str(ROOM), 0) for name in ("a", long, "b")]
    write, put_member = server_store.database.write, server_store.sql.put_member
    with pytest.raises(StoreConflict):
        write(lambda cursor: put_member.one(cursor, *rows[1]))
    with pytest.raises(StoreConflict):
        write(lambda cursor: put_member.many(cursor, rows))
    assert server_database.execute("SELECT count(*) FROM imc_members") == [(0,)]


def test_a_lax_server_is_asked_to_be_strict(mariadb_database: Database) -> None:
    mode = mariadb_database.execute("SELECT @@GLOBAL.sql_mode")[0][0]
    mariadb_database.execute("SET GLOBAL sql_mode = ''")
    try:
        with Store.open(StoreOptions(url=mariadb_database.url)) as store:
            row = ("u" * 65, "example.com", str(ROOM), 0)
            with pytest.raises(StoreConflict, match="Data too long"):
                store.database.write(lambda cursor: store.sql.put_member.one(cursor, *row))
    finally:
        mariadb_database.execute("SET GLOBAL sql_mode = :mode", {"mode": mode})


def join(name: str) -> list[Op]:
    return [PutMember(ROOM, Aor(name, "example.com"), MEMBER)]


def names_in_room(store: Store) -> list[str]:
    room = store.load_room(ROOM)
    assert room is not None
    return sorted(user.user for user in room.members)


@pytest.mark.parametrize("poison", [[TOO_LONG], [PutMember(ROOM, Aor("\udcff", "example.com"), MEMBER)]])
def test_a_poisoned_submission_fails_alone(store: Store, poison: list[Op]) -> None:
    store.commit([PutRoom(ROOM, False)])
    groups = [join("a"), join("b"), poison, join("c"), [*join("d"), *poison], join("e"), join("f")]
    results = store.commit_groups(groups)
    assert [type(result) for result in results] == [
        type(None), type(None), StoreConflict, type(None), StoreConflict, type(None), type(None)
    ]  # fmt: skip
    assert names_in_room(store) == ["a", "b", "c", "e", "f"]


def test_groups_are_committed_in_their_order(store: Store) -> None:
    groups: list[list[Op]] = [
        [PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)],
        [PutMember(ROOM, BOB, INVITED)],
        [TOO_LONG],
        [DeleteRoom(ROOM)],
        [PutRoom(ROOM, True), PutMember(ROOM, CAROL, OWNER)],
    ]
    assert [result is None for result in store.commit_groups(groups)] == [True, True, False, True, True]
    assert read_all(store) == Tables(rooms={ROOM: True}, members={(ROOM, CAROL): OWNER})


def test_what_was_built_on_a_failure_fails_too(store: Store) -> None:
    store.commit([PutRoom(ROOM, False)])
    one, two = Guard(), Guard()
    poison: list[Op] = [PutMember(ROOM, Aor("\udcff", "example.com"), MEMBER)]
    groups = [join("a"), poison, join("b"), join("c"), join("d")]
    results = store.commit_groups(groups, [one, one, two, one, None])
    assert [type(result) for result in results] == [
        type(None), StoreConflict, type(None), StoreUnavailable, type(None)
    ]  # fmt: skip
    assert names_in_room(store) == ["a", "b", "d"]
    results = store.commit_groups([join("e"), [TOO_LONG], join("f"), join("g")], [two, two, two, one])
    assert [type(result) for result in results] == [type(None), StoreConflict, StoreUnavailable, type(None)]
    assert names_in_room(store) == ["a", "b", "d", "e", "g"]


def test_a_database_that_fails_midway_fails_the_rest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit([PutRoom(ROOM, False)])
    poison: list[Op] = [PutMember(ROOM, Aor("\udcff", "example.com"), MEMBER)]
    write, calls = store.database.write, []

    def fail_third_time(work: object) -> object:
        calls.append(work)
        if len(calls) == 3:
            raise StoreUnavailable("gone")
        return write(work)  # type: ignore[arg-type]

    monkeypatch.setattr(store.database, "write", fail_third_time)
    # All four; then the first two; then the third, which fails, and the fourth with it.
    results = store.commit_groups([join("a"), join("b"), poison, join("c")])
    assert [type(result) for result in results] == [type(None), type(None), StoreUnavailable, StoreUnavailable]
    assert names_in_room(store) == ["a", "b"]


def test_what_was_committed_is_there_after_kill_9(database: Database) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHER, database.url, "25"], cwd=Path(__file__).parents[2], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    # The lock of the dead is free.
    with Store.open(StoreOptions(url=database.url, is_exclusive=True)) as store:
        room = store.load_room(Aor("chat-crash", "example.com"))
        assert room is not None
        assert room.is_private
        assert {entry.serial for user, entry in room.members.items() if user != ALICE} == set(range(25))
        assert [row.id for row in store.load_outbox(100)] == [f"id{number}" for number in range(25)]


def test_what_was_committed_is_there_after_the_server_was_killed(
    server_store: Store, server_database: Database
) -> None:
    server_store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER), PutBinding(binding())])
    _restart(server_database.live_server)
    assert read_all(server_store) == Tables(
        rooms={ROOM: False},
        members={(ROOM, ALICE): OWNER},
        bindings={(ALICE, binding().contact): binding()},
    )


def _restart(server: Server) -> None:
    server.stop()
    server.start()


def test_a_lost_connection_is_made_anew(server_store: Store, server_database: Database) -> None:
    """For the writer and for each of the readers' pool; nobody notices."""
    server_store.commit([PutRoom(ROOM, False)])
    assert server_store.count_rooms() == 1
    _restart(server_database.live_server)
    server_store.commit([PutMember(ROOM, ALICE, OWNER)])
    assert read_all(server_store).members == {(ROOM, ALICE): OWNER}
    _restart(server_database.live_server)
    assert server_store.count_rooms_owned(ALICE) == 1
    server_store.commit([PutMember(ROOM, BOB, OWNER)])
    assert server_store.count_rooms_owned(BOB) == 1


def test_while_the_server_is_gone_everything_is_unavailable(server_store: Store, server_database: Database) -> None:
    store, server = server_store, server_database.live_server
    store.commit([PutRoom(ROOM, False)])
    server.stop()
    try:
        for attempt in (
            lambda: store.commit([PutMember(ROOM, ALICE, OWNER)]),
            store.count_rooms,
            lambda: store.commit([PutMember(ROOM, ALICE, OWNER)]),
            lambda: store.load_room(ROOM),
            store.accounts_version,
        ):
            with pytest.raises(StoreUnavailable) as caught:
                attempt()
            assert "\n" not in str(caught.value)
            assert store.place in str(caught.value)
        results = store.commit_groups([join("a"), join("b")])
        assert [type(result) for result in results] == [StoreUnavailable, StoreUnavailable]
    finally:
        server.start()
    assert read_all(store) == Tables(rooms={ROOM: False})
    store.commit([PutMember(ROOM, ALICE, OWNER)])
    assert read_all(store).members == {(ROOM, ALICE): OWNER}


def test_two_stores_write_beside_each_other(store: Store, options: StoreOptions) -> None:
    """As `imc user add` beside the daemon."""
    with Store.open(options) as another:
        for number in range(10):
            store.commit([PutRoom(Aor(f"one{number}", "example.com"), False)])
            another.commit([PutRoom(Aor(f"two{number}", "example.com"), False)])
        assert store.count_rooms() == another.count_rooms() == 20


def test_other_names_of_the_tables(database: Database) -> None:
    options = StoreOptions(url=database.url, rooms_table="Some_rooms", members_table="x" * 63)
    with Store.open(options) as store:
        store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)])
        assert store.count_rooms_owned(ALICE) == 1
        quote = "`" if database.kind == "mariadb" else '"'
        assert database.execute(f"SELECT count(*) FROM {quote}Some_rooms{quote}") == [(1,)]
    with Store.open(StoreOptions(url=database.url)) as store:
        assert store.count_rooms() == 0
        store.commit([PutRoom(OTHER, False)])
    with Store.open(options) as store:
        assert read_all(store).rooms == {ROOM: False}


def test_any_error_of_the_store_is_a_store_error() -> None:
    assert issubclass(StoreConflict, StoreError)
    assert issubclass(StoreUnavailable, StoreError)
