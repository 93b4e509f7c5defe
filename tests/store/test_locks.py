"""imc.store.locks: one daemon to a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from imc.errors import StoreLocked, StoreUnavailable
from imc.store.locks import FileLock
from imc.store.ops import PutMember, PutRoom
from imc.store.options import StoreOptions
from imc.store.store import Store
from imc.store.urls import engine_url
from tests.databases import Database
from tests.store.samples import ALICE, OTHER, OWNER, ROOM


def daemon(database: Database, lock_wait: float = 0.0) -> StoreOptions:
    return StoreOptions(url=database.url, is_exclusive=True, lock_wait=lock_wait)


def test_a_second_daemon_is_refused(database: Database) -> None:
    with Store.open(daemon(database)) as store:
        for wait in (0.0, 0.1):
            with pytest.raises(StoreLocked, match="another imc daemon uses the database"):
                Store.open(daemon(database, wait))
        store.commit([PutRoom(ROOM, False)])
    with Store.open(daemon(database)) as store:
        assert store.count_rooms() == 1


def test_a_command_works_beside_a_daemon(database: Database) -> None:
    with Store.open(daemon(database)) as store, Store.open(StoreOptions(url=database.url)) as command:
        command.commit([PutRoom(ROOM, False)])
        assert store.count_rooms() == 1
    with Store.open(StoreOptions(url=database.url)), Store.open(daemon(database)):
        pass


def test_an_open_that_fails_gives_the_lock_back(database: Database) -> None:
    Store.open(daemon(database)).close()
    database.execute("UPDATE imc_schema SET version_num = '9999'")
    with pytest.raises(Exception, match="newer"):
        Store.open(daemon(database))
    database.execute("UPDATE imc_schema SET version_num = '0001'")
    Store.open(daemon(database)).close()


def test_two_databases_of_one_server_have_two_daemons(server_database: Database) -> None:
    server = server_database.live_server
    url = server.create_database()
    try:
        with Store.open(daemon(server_database)), Store.open(StoreOptions(url=url, is_exclusive=True, lock_wait=0.0)):
            pass
    finally:
        server.drop_database(url)


def test_a_daemon_that_lost_its_session_cannot_write_beside_another(server_database: Database) -> None:
    """The lock is a fence: it is in the session that writes."""
    first = Store.open(daemon(server_database))
    first.commit([PutRoom(ROOM, False)])
    _end_all_sessions(server_database)
    second = Store.open(daemon(server_database))
    with pytest.raises(StoreLocked):
        first.commit([PutMember(ROOM, ALICE, OWNER)])
    second.commit([PutRoom(OTHER, False)])
    room = first.load_room(ROOM)
    assert room is not None
    assert not room.members
    second.close()
    first.commit([PutMember(ROOM, ALICE, OWNER)])
    first.close()


def _end_all_sessions(database: Database) -> None:
    if database.kind == "postgresql":
        database.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        return
    name = engine_url(database.url).database
    query = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND db = :name"
    for (number,) in database.execute(query, {"name": name}):
        database.execute(f"KILL {number}")
    while database.execute(query, {"name": name}):
        pass


def test_a_file_lock_is_given_back(tmp_path: Path) -> None:
    one, two = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    one.acquire(0.0)
    with pytest.raises(StoreLocked, match="lock is locked"):
        two.acquire(0.0)
    one.release()
    two.acquire(0.0)
    two.release()
    two.release()
    assert (tmp_path / "lock").exists()


def test_a_file_lock_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        FileLock(tmp_path / "none" / "lock").acquire(0.0)


def test_two_names_of_one_file_are_one_database(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "imc.db")
    with Store.open(StoreOptions(url=f"sqlite:///{tmp_path}/imc.db", is_exclusive=True)):
        second = StoreOptions(url=f"sqlite:///{tmp_path}/link.db", is_exclusive=True, lock_wait=0.0)
        with pytest.raises(StoreLocked):
            Store.open(second)
