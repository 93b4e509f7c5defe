"""imc.store.database: connections, and what becomes of their failures."""

from __future__ import annotations

import socket
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy

from imc.errors import AccountError, StoreConflict, StoreError, StoreUnavailable
from imc.store.database import Database as StoreDatabase
from imc.store.database import Staged
from imc.store.ops import DeleteRoom, PutMember, PutOutbox, PutRoom
from imc.store.options import StoreOptions
from imc.store.sql import Cursor
from imc.store.store import Store
from imc.store.urls import engine_url
from tests.databases import Database
from tests.store.conftest import options_for
from tests.store.samples import ALICE, OTHER, OWNER, ROOM

SECRET = "correct-horse"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else can take."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose listener never says a word."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


def failure(options: StoreOptions) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        Store.open(options)
    text = str(caught.value)
    assert SECRET not in text
    assert "\n" not in text
    assert len(text) < 400
    return text


@pytest.mark.parametrize("scheme", ["mysql", "postgres"])
def test_a_server_that_is_not_there(scheme: str, closed_port: int) -> None:
    text = failure(StoreOptions(url=f"{scheme}://imc:{SECRET}@127.0.0.1:{closed_port}/imc"))
    assert f"//127.0.0.1:{closed_port}/imc: " in text
    assert "refused" in text


@pytest.mark.parametrize("scheme", ["mysql", "postgres"])
def test_a_server_that_does_not_answer(scheme: str, silent_port: int) -> None:
    url = f"{scheme}://imc:{SECRET}@127.0.0.1:{silent_port}/imc"
    text = failure(StoreOptions(url=url, timeout=0.1, connect_timeout=0.1))
    assert "time" in text


def test_a_host_without_an_address() -> None:
    failure(StoreOptions(url=f"mysql://imc:{SECRET}@db.invalid/imc"))


def test_a_database_that_is_not_there(server_database: Database) -> None:
    text = failure(StoreOptions(url=server_database.url.replace("/imc", "/none", 1)))
    assert "none" in text


def test_a_wrong_password(mariadb_database: Database) -> None:
    mariadb_database.execute("CREATE OR REPLACE USER 'guest'@'127.0.0.1' IDENTIFIED BY 'right'")
    url = mariadb_database.url.replace("root@", f"guest:{SECRET}@")
    assert "Access denied" in failure(StoreOptions(url=url))


def test_an_sqlite_file_where_none_can_be(tmp_path: Path) -> None:
    assert "No such file or directory" in failure(StoreOptions(url=f"sqlite:///{tmp_path}/none/imc.db"))
    assert "Is a directory" in failure(StoreOptions(url=f"sqlite:///{tmp_path}"))


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "imc.db"
    path.write_bytes(b"not a database, but long enough to be taken for one " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        Store.open(StoreOptions(url=f"sqlite:///{path}"))
    assert path.read_bytes().startswith(b"not a database")


def test_an_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "with blank %s '.db"
    with Store.open(StoreOptions(url=f"sqlite:///{path}", is_exclusive=True)) as store:
        store.commit([PutRoom(ROOM, False)])
        assert store.place == f"database {path}"
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert path.exists()


def test_a_relative_sqlite_file_starts_from_the_base(tmp_path: Path) -> None:
    with Store.open(StoreOptions(url="sqlite:///imc.db", base=tmp_path)):
        assert (tmp_path / "imc.db").exists()


def rows(cursor: Cursor, text: str) -> Any:
    cursor.execute(text)
    return cursor.fetchall()


def test_sqlite_syncs_at_each_commit(sqlite_database: Database) -> None:
    with Store.open(options_for(sqlite_database)) as store:
        for run in (store.database.read, store.database.write):
            assert run(lambda cursor: rows(cursor, "PRAGMA journal_mode")) == [("wal",)]
            assert run(lambda cursor: rows(cursor, "PRAGMA synchronous")) == [(2,)]
        assert store.warnings == ()


def test_postgresql_syncs_at_each_commit_whatever_its_default(server_database: Database) -> None:
    """And MariaDB, whose setting is the server's, is warned of."""
    if server_database.kind == "mariadb":
        with Store.open(options_for(server_database)) as store:
            assert store.warnings == (
                "innodb_flush_log_at_trx_commit is not 1: a crash may lose what was committed last",
            )
        return
    name = engine_url(server_database.url).database
    for before, after in (("off", "on"), ("local", "local")):
        server_database.execute(f"ALTER DATABASE {name} SET synchronous_commit = {before}")
        with Store.open(options_for(server_database)) as store:
            for run in (store.database.read, store.database.write):
                assert run(lambda cursor: rows(cursor, "SHOW synchronous_commit")) == [(after,)]
            assert store.warnings == ("fsync is off: a crash may damage the database",)


def test_an_sqlite_file_that_somebody_else_holds(sqlite_database: Database) -> None:
    with Store.open(StoreOptions(url=sqlite_database.url, timeout=0.05)) as store:
        engine = sqlalchemy.create_engine(engine_url(sqlite_database.url), poolclass=sqlalchemy.NullPool)
        with engine.connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="database is locked"):
                store.commit([PutRoom(ROOM, False)])
            # Readers do not wait for a writer.
            assert store.load_room(ROOM) is None
        store.commit([PutRoom(ROOM, False)])
        assert store.load_room(ROOM) is not None


@pytest.mark.parametrize(
    ("trouble", "relief", "text"),
    [
        ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000", "database or disk is full"),
        ("PRAGMA query_only = ON", "PRAGMA query_only = OFF", "attempt to write a readonly database"),
    ],
)
def test_a_disk_that_is_full_or_read_only_for_a_while(
    sqlite_database: Database, trouble: str, relief: str, text: str
) -> None:
    with Store.open(options_for(sqlite_database)) as store:
        store.commit([PutRoom(ROOM, False)])
        store.database.write(lambda cursor: rows(cursor, trouble))
        many = [PutMember(ROOM, ALICE._replace(user=f"user{number}"), OWNER) for number in range(2000)]
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=text):
                store.commit(many)
            room = store.load_room(ROOM)
            assert room is not None
            assert not room.members
        # Not in a transaction: a connection that may only read cannot begin one.
        connection: Any = store.database._connected_writer()
        connection.cursor().execute(relief).close()
        store.commit(many)
        room = store.load_room(ROOM)
        assert room is not None
        assert len(room.members) == 2000


def test_a_row_that_somebody_else_holds(server_database: Database) -> None:
    with Store.open(StoreOptions(url=server_database.url, timeout=0.1)) as store:
        store.commit([PutRoom(ROOM, False), PutRoom(OTHER, False)])
        engine = sqlalchemy.create_engine(engine_url(server_database.url), poolclass=sqlalchemy.NullPool)
        with engine.connect() as other:
            other.exec_driver_sql("UPDATE imc_rooms SET flag = 0 WHERE name = 'chat-garden'")
            with pytest.raises(StoreUnavailable):
                store.commit([PutRoom(OTHER, True), PutRoom(ROOM, True)])
        room = store.load_room(OTHER)
        assert room is not None
        assert not room.is_private
        store.commit([PutRoom(ROOM, True)])


def test_a_statement_that_takes_too_long_is_not_tried_again(server_database: Database) -> None:
    text = "SELECT SLEEP(20)" if server_database.kind == "mariadb" else "SELECT pg_sleep(20)"
    with Store.open(StoreOptions(url=server_database.url, timeout=0.1)) as store:
        for run in (store.database.read, store.database.write):
            calls: list[int] = []

            def work(cursor: Cursor, calls: list[int] = calls) -> Any:
                calls.append(1)
                return rows(cursor, text)

            with pytest.raises(StoreUnavailable):
                run(work)
            assert calls == [1]
        store.commit([PutRoom(ROOM, False)])
        assert store.count_rooms() == 1


def test_a_connection_that_is_lost_before_its_commit(server_database: Database) -> None:
    """The transaction is made once more, and once more only."""
    server = server_database.live_server
    with Store.open(options_for(server_database)) as store:
        calls = []

        def work(cursor: Cursor) -> None:
            calls.append(1)
            store.sql.put_room.one(cursor, *ROOM, len(calls))
            store.sql.put_member.one(cursor, *ALICE, str(ROOM), 1)
            if len(calls) <= losses:
                _kill_session(cursor, server_database)

        losses = 1
        store.database.write(work)
        assert len(calls) == 2
        assert server_database.execute("SELECT name, flag FROM imc_rooms") == [("chat-garden", 2)]
        losses = 100
        with pytest.raises(StoreUnavailable):
            store.database.write(work)
        assert len(calls) == 4
        assert server_database.execute("SELECT name, flag FROM imc_rooms") == [("chat-garden", 2)]
        store.commit([PutRoom(OTHER, False)])
    assert server.process is not None


def _kill_session(cursor: Cursor, database: Database) -> None:
    if database.kind == "mariadb":
        number = rows(cursor, "SELECT CONNECTION_ID()")[0][0]
        database.execute(f"KILL {number}")
    else:
        number = rows(cursor, "SELECT pg_backend_pid()")[0][0]
        database.execute(f"SELECT pg_terminate_backend({number}, 5000)")


def test_a_transaction_that_lost_to_another_is_made_once_more(server_store: Store) -> None:
    deadlock: Exception = psycopg.errors.DeadlockDetected("deadlock detected")
    if server_store.database.kind == "mysql":
        deadlock = pymysql.err.OperationalError(1213, "Deadlock found when trying to get lock")
    calls = []

    def work(cursor: Cursor) -> None:
        calls.append(1)
        server_store.sql.put_room.one(cursor, *ROOM, 0)
        if len(calls) < 2 or len(calls) > 2:
            raise deadlock

    server_store.database.write(work)
    assert len(calls) == 2
    assert server_store.count_rooms() == 1
    with pytest.raises(StoreUnavailable, match=r"[Dd]eadlock"):
        server_store.database.write(work)
    assert len(calls) == 4


def test_an_exception_of_the_callers_own_rolls_back(store: Store) -> None:
    def work(cursor: Cursor) -> None:
        store.sql.put_room.one(cursor, *ROOM, 0)
        raise AccountError("no")

    with pytest.raises(AccountError):
        store.database.write(work)
    assert store.count_rooms() == 0
    store.commit([PutRoom(ROOM, False)])


def test_a_wrong_statement_is_an_error_of_its_own_kind(store: Store) -> None:
    for run in (store.database.read, store.database.write):
        with pytest.raises(StoreError) as caught:
            run(lambda cursor: rows(cursor, "SELECT nothing FROM nowhere"))
        assert not isinstance(caught.value, (StoreUnavailable, StoreConflict))
    store.commit([PutRoom(ROOM, False)])


def test_many_readers_at_once(store: Store) -> None:
    """More than there are connections: they wait for each other."""
    from concurrent.futures import ThreadPoolExecutor

    store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)])
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(store.load_room, [ROOM] * 200))
    assert all(room is not None and dict(room.members) == {ALICE: OWNER} for room in found)


def test_no_connection_in_time(sqlite_database: Database) -> None:
    database = StoreDatabase(StoreOptions(url=sqlite_database.url, readers=1, timeout=0.05))
    database.open()
    held = [database.checkout(), database.checkout()]
    with pytest.raises(StoreUnavailable):
        database.read(lambda cursor: rows(cursor, "SELECT 1"))
    for connection in held:
        connection.close()
    assert database.read(lambda cursor: rows(cursor, "SELECT 1")) == [(1,)]
    database.close()


def test_a_unix_socket(mariadb_database: Database) -> None:
    server: Any = mariadb_database.live_server
    name = engine_url(mariadb_database.url).database
    with Store.open(StoreOptions(url=f"mysql://root@localhost/{name}?unix_socket={server.socket}")) as store:
        store.commit([PutRoom(ROOM, False)])
        assert store.count_rooms() == 1


def test_what_is_staged_is_there_when_it_is_committed(sqlite_database: Database) -> None:
    with Store.open(options_for(sqlite_database)) as store:
        staged = store.stage_groups([[PutRoom(ROOM, False)]])
        assert staged is not None
        assert store.load_room(ROOM) is None
        assert store.stage_groups([[PutRoom(ROOM, False)]]) is None  # one at a time
        assert staged.commit()
        assert store.load_room(ROOM) is not None
        store.commit([DeleteRoom(ROOM)])


def test_staging_waits_for_nobody_and_leaves_nothing_behind(sqlite_database: Database) -> None:
    with Store.open(options_for(sqlite_database)) as store:
        engine = sqlalchemy.create_engine(engine_url(sqlite_database.url), poolclass=sqlalchemy.NullPool)
        with engine.connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")
            assert store.stage_groups([[PutRoom(ROOM, False)]]) is None
        assert store.stage_groups([[PutRoom(ROOM, False), PutOutbox("", 0.0, b"", b"x", 1)]]) is None  # it does not fit
        assert store.stage_groups([[]]) is None
        store.commit([PutRoom(ROOM, False)])
        assert store.load_room(ROOM) is not None


def test_a_commit_that_fails_is_said_and_keeps_nobody_from_writing(sqlite_database: Database) -> None:
    class Failing:
        """A connection that cannot commit."""

        is_rolled_back = False

        def commit(self) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        def rollback(self) -> None:
            self.is_rolled_back = True

    with Store.open(options_for(sqlite_database)) as store:
        connection, lock = Failing(), threading.Lock()
        lock.acquire()
        assert not Staged(connection, lock).commit()
        assert connection.is_rolled_back
        assert not lock.locked()
        store.commit([PutRoom(ROOM, False)])


def test_servers_are_written_to_in_the_thread(server_store: Store) -> None:
    assert server_store.stage_groups([[PutRoom(ROOM, False)]]) is None
