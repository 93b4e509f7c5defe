"""imc.store.migrations, on every kind of database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from imc.errors import StoreError, StoreUnavailable
from imc.store import migrations
from imc.store.migrations import HEAD, Upgrade, upgrade
from imc.store.ops import PutMember, PutRoom
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.databases import Database
from tests.store.samples import ALICE, OWNER, ROOM

REPOSITORY = Path(__file__).parents[2]
OPENER = """
import sys
from imc.store.options import StoreOptions
from imc.store.store import Store

print("ready", flush=True)
sys.stdin.readline()
with Store.open(StoreOptions(url=sys.argv[1])) as store:
    print(store.count_rooms(), "alembic" in sys.modules)
"""


def test_the_newest_revision_is_the_one_that_the_program_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    # Compared as text to tell newer from older.
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)
    assert all(len(revision) == 4 and revision.isdigit() for revision in revisions)


def test_upgrade_says_what_it_did(database: Database) -> None:
    options = StoreOptions(url=database.url)
    first = upgrade(options)
    assert first == Upgrade(place=first.place, before=None, after=HEAD, notes=())
    assert upgrade(options) == Upgrade(place=first.place, before=HEAD, after=HEAD, notes=())
    with Store.open(options) as store:
        assert store.count_rooms() == 0


def test_the_first_start_makes_the_tables_and_the_second_changes_nothing(database: Database) -> None:
    options = StoreOptions(url=database.url)
    with Store.open(options) as store:
        store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)])
    assert database.execute("SELECT version_num FROM imc_schema") == [(HEAD,)]
    with Store.open(options) as store:
        assert store.count_rooms() == 1


def test_a_start_on_a_database_that_is_up_to_date_does_without_alembic(database: Database) -> None:
    upgrade(StoreOptions(url=database.url))
    done = subprocess.run(
        [sys.executable, "-c", OPENER, database.url],
        cwd=REPOSITORY, input="go\n", capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["ready", "0", "False"]


def test_programs_that_start_at_once_do_not_get_into_each_others_way(database: Database) -> None:
    command = [sys.executable, "-W", "error", "-c", OPENER, database.url]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert err == ""
        assert out.split()[0] == "0"
        assert process.returncode == 0
    assert database.execute("SELECT version_num FROM imc_schema") == [(HEAD,)]


def test_a_schema_newer_than_the_program_is_refused(database: Database) -> None:
    options = StoreOptions(url=database.url)
    with Store.open(options) as store:
        store.commit([PutRoom(ROOM, False)])
    database.execute("UPDATE imc_schema SET version_num = '0007'")
    for attempt in (Store.open, upgrade):
        with pytest.raises(StoreError, match=r"revision 0007, newer than this imc, which knows 0005") as caught:
            attempt(options)
        assert not isinstance(caught.value, StoreUnavailable)
    assert database.execute("SELECT name FROM imc_rooms") == [(ROOM.user,)]


def test_a_migration_that_was_cut_off_is_done_again(database: Database) -> None:
    options = StoreOptions(url=database.url)
    with Store.open(options) as store:
        store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)])
    database.execute("DROP TABLE imc_schema")
    database.execute("DROP TABLE imc_meta")
    on = " ON imc_bindings" if database.kind == "mariadb" else ""
    database.execute(f"DROP INDEX imc_bindings_expires_idx{on}")
    with Store.open(options) as store:
        assert store.load_room(ROOM) is not None
        assert store.accounts_version() == ""
    with Store.open(options):
        assert database.execute("SELECT version_num FROM imc_schema") == [(HEAD,)]


def test_a_table_that_is_gone_is_made_again(database: Database) -> None:
    options = StoreOptions(url=database.url)
    with Store.open(options) as store:
        store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)])
    database.execute("DROP TABLE imc_members")
    with Store.open(options) as store:
        room = store.load_room(ROOM)
        assert room is not None
        assert not room.members


def test_a_failed_upgrade_leaves_the_database_to_others(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[str]:
        raise StoreError("no")

    with monkeypatch.context() as patch:
        patch.setattr(migrations.kamailio, "adopt", fail)
        for attempt in (Store.open, upgrade):
            with pytest.raises(StoreError, match="no"):
                attempt(StoreOptions(url=database.url))
    with Store.open(StoreOptions(url=database.url)) as store:
        assert store.count_rooms() == 0


def test_upgrade_does_not_hang_on_one_that_is_under_way(
    server_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imc.store import locks
    from imc.store.database import Database as StoreDatabase

    monkeypatch.setattr(migrations, "_LOCK_WAIT", 0.1)
    other = StoreDatabase(StoreOptions(url=server_database.url))
    other.open()
    other.write(lambda cursor: locks.acquire_upgrade(other.kind, cursor, 0.0))
    with pytest.raises(StoreUnavailable, match="is being upgraded by somebody else"):
        Store.open(StoreOptions(url=server_database.url))
    other.close()
    Store.open(StoreOptions(url=server_database.url)).close()
