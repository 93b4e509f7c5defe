"""imc.store.migrations.kamailio: databases that Kamailio has used before."""

from __future__ import annotations

import pytest
import sqlalchemy

from imc.aor import Aor
from imc.errors import AccountError, StoreConflict, StoreError
from imc.rooms.model import Member, Role
from imc.store.accounts import Account
from imc.store.migrations import upgrade
from imc.store.ops import DeleteMember, DeleteRoom, Op, PutMember, PutRoom
from imc.store.options import StoreOptions
from imc.store.store import Store
from imc.store.urls import engine_url
from tests.databases import Database
from tests.store.samples import ALICE, BOB, CAROL, INVITED, MEMBER, OWNER, ROOM

KEYS = {
    "sqlite": "INTEGER PRIMARY KEY NOT NULL",
    "mariadb": "INT(10) UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL",
    "postgresql": "SERIAL PRIMARY KEY NOT NULL",
}


def make_kamailio_tables(database: Database, options: str = "") -> None:
    """The columns and keys of Kamailio 5.6's tables, and rows as it writes them."""
    key = KEYS[database.kind]
    for statement in (
        f"CREATE TABLE version (id {key}, table_name VARCHAR(32) NOT NULL UNIQUE, "
        f"table_version INT NOT NULL) {options}",
        f"CREATE TABLE imc_rooms (id {key}, name VARCHAR(64) NOT NULL, domain VARCHAR(64) NOT NULL, "
        f"flag INT NOT NULL, CONSTRAINT r_idx UNIQUE (name, domain)) {options}",
        f"CREATE TABLE imc_members (id {key}, username VARCHAR(64) NOT NULL, domain VARCHAR(64) NOT NULL, "
        f"room VARCHAR(64) NOT NULL, flag INT NOT NULL, CONSTRAINT m_idx UNIQUE (username, domain, room)) {options}",
        f"CREATE TABLE subscriber (id {key}, username VARCHAR(64) DEFAULT '' NOT NULL, "
        "domain VARCHAR(64) DEFAULT '' NOT NULL, password VARCHAR(64) DEFAULT '' NOT NULL, "
        "ha1 VARCHAR(128) DEFAULT '' NOT NULL, ha1b VARCHAR(128) DEFAULT '' NOT NULL, "
        f"CONSTRAINT s_idx UNIQUE (username, domain)) {options}",
        "CREATE INDEX subscriber_name_idx ON subscriber (username)",
        "INSERT INTO version (table_name, table_version) VALUES ('imc_rooms', 1), ('subscriber', 7)",
        "INSERT INTO imc_rooms (name, domain, flag) VALUES ('chat-garden', 'example.com', 1), "
        "('chat-gone', 'example.com', 2)",
        "INSERT INTO imc_members (username, domain, room, flag) VALUES "
        "('alice', 'example.com', 'sip:chat-garden@example.com', 1), "
        "('bob', 'example.com', 'sip:chat-garden@example.com', 4), "
        "('carol', 'example.org', 'sip:chat-garden@example.com', 0), "
        "('dave', 'example.org', 'sip:chat-garden@example.com', 8)",
        "INSERT INTO subscriber (username, domain, ha1) VALUES ('alice', 'example.com', 'aa')",
    ):
        database.execute(statement)


EXPECTED = {ALICE: OWNER, BOB: Member(Role.INVITED), CAROL: MEMBER}


def test_kamailios_tables_are_adopted_with_their_rows(database: Database) -> None:
    make_kamailio_tables(database)
    before = database.execute("SELECT id, username, domain, room, flag FROM imc_members ORDER BY id")
    options = StoreOptions(url=database.url)
    with Store.open(options) as store:
        notes = [warning for warning in store.warnings if "was added" in warning]
        assert notes == [
            "table imc_rooms: the index imc_rooms_flag_idx was added",
            "table imc_members: the index imc_members_room_idx was added",
            "table subscriber: column ha1_sha256 was added",
            "table subscriber: column ha1_sha512_256 was added",
        ]
        room = store.load_room(ROOM)
        assert room is not None
        assert room.is_private
        assert dict(room.members) == EXPECTED
        assert store.load_room(Aor("chat-gone", "example.com")) is None
        assert store.get_account(ALICE) == Account(aor=ALICE, ha1="aa")
    assert database.execute("SELECT id, username, domain, room, flag FROM imc_members ORDER BY id") == before
    with Store.open(options) as store:
        assert not [warning for warning in store.warnings if "was added" in warning]
        store.commit([PutMember(ROOM, BOB, MEMBER), DeleteMember(ROOM, CAROL), PutMember(ROOM, CAROL, INVITED)])
        store.set_account(Account.from_password(ALICE, "other"))
        room = store.load_room(ROOM)
        assert room is not None
        assert dict(room.members) == {ALICE: OWNER, BOB: MEMBER, CAROL: INVITED}
    assert database.execute("SELECT flag FROM imc_members WHERE username = 'bob'") == [(0,)]


def test_kamailio_finds_what_it_looks_for_in_tables_that_imc_made(store: Store, database: Database) -> None:
    assert database.execute("SELECT table_name, table_version FROM version ORDER BY table_name") == [
        ("imc_members", 1),
        ("imc_rooms", 1),
        ("subscriber", 7),
    ]
    store.commit([PutRoom(ROOM, True), PutMember(ROOM, ALICE, OWNER), PutMember(ROOM, BOB, INVITED)])
    assert database.execute("SELECT id, name, domain, flag FROM imc_rooms") == [(1, "chat-garden", "example.com", 1)]
    assert database.execute("SELECT username, domain, room, flag FROM imc_members ORDER BY username") == [
        ("alice", "example.com", "sip:chat-garden@example.com", 1),
        ("bob", "example.com", "sip:chat-garden@example.com", 4),
    ]


def test_versions_that_kamailio_wrote_stay(database: Database) -> None:
    make_kamailio_tables(database)
    database.execute("DROP TABLE imc_members")
    Store.open(StoreOptions(url=database.url)).close()
    assert database.execute("SELECT table_name, table_version FROM version ORDER BY table_name") == [
        ("imc_members", 1),
        ("imc_rooms", 1),
        ("subscriber", 7),
    ]


def test_addresses_in_other_spellings_are_written_in_canonical_form(database: Database) -> None:
    make_kamailio_tables(database, "COLLATE=utf8mb4_bin" if database.kind == "mariadb" else "")
    for statement in (
        "INSERT INTO imc_rooms (name, domain, flag) VALUES ('chat-%6fld', 'EXAMPLE.com', 0)",
        "INSERT INTO imc_members (username, domain, room, flag) VALUES "
        "('%65ve', 'Example.Org', 'sip:chat-%6fld@EXAMPLE.com', 1), "
        "('Frank', 'example.org', 'sip:chat-old@example.com', 2), "
        # The canonical form of this one is there already.
        "('CAROL%2f', 'example.org', 'sip:chat-garden@example.com', 0), "
        "('CAROL%2F', 'example.org', 'sip:chat-garden@example.com', 0)",
        "INSERT INTO subscriber (username, domain, ha1) VALUES ('eve', 'EXAMPLE.ORG', 'ee')",
    ):
        database.execute(statement)
    notes = upgrade(StoreOptions(url=database.url)).notes
    assert [note for note in notes if "was added" not in note] == [
        "table imc_rooms: 1 addresses were written in canonical form",
        "table imc_members: 1 addresses were written in canonical form",
        "table imc_members: 1 rows are left out, their canonical address has a row already",
        "table subscriber: 1 addresses were written in canonical form",
    ]
    old = Aor("chat-old", "example.com")
    with Store.open(StoreOptions(url=database.url)) as store:
        room = store.load_room(old)
        assert room is not None
        assert dict(room.members) == {
            Aor("eve", "example.org"): OWNER,
            Aor("Frank", "example.org"): Member(Role.ADMIN),
        }
        assert store.get_account(Aor("eve", "example.org")) is not None
    again = upgrade(StoreOptions(url=database.url)).notes
    assert again == ("table imc_members: 1 rows are left out, their canonical address has a row already",)


def test_a_table_without_kamailios_columns_is_refused_and_left_alone(database: Database) -> None:
    # As the module had it in 2008.
    database.execute(
        "CREATE TABLE imc_members (user VARCHAR(128) NOT NULL)".replace(
            "user", '"user"' if database.kind == "postgresql" else "user"
        )
    )
    with pytest.raises(StoreError, match="table imc_members is not Kamailio's: it has no column id, username, domain"):
        Store.open(StoreOptions(url=database.url))
    assert database.execute("SELECT * FROM imc_members") == []


def test_a_table_without_its_key_gets_one(database: Database) -> None:
    key = KEYS[database.kind]
    database.execute(
        f"CREATE TABLE imc_rooms (id {key}, name VARCHAR(64) NOT NULL, domain VARCHAR(64) NOT NULL, flag INT NOT NULL)"
    )
    database.execute("INSERT INTO imc_rooms (name, domain, flag) VALUES ('a', 'b', 0)")
    with Store.open(StoreOptions(url=database.url)) as store:
        assert "table imc_rooms: a unique index was added" in store.warnings
        store.commit([PutRoom(Aor("a", "b"), True), PutRoom(Aor("a", "c"), True)])
        assert store.count_rooms() == 2


def test_a_table_that_holds_a_room_twice_is_refused(database: Database) -> None:
    key = KEYS[database.kind]
    database.execute(
        f"CREATE TABLE imc_rooms (id {key}, name VARCHAR(64) NOT NULL, domain VARCHAR(64) NOT NULL, flag INT NOT NULL)"
    )
    database.execute("INSERT INTO imc_rooms (name, domain, flag) VALUES ('a', 'b', 0), ('a', 'b', 1)")
    with pytest.raises(StoreConflict, match="table imc_rooms holds the same name, domain twice"):
        Store.open(StoreOptions(url=database.url))
    assert database.execute("SELECT count(*) FROM imc_rooms") == [(2,)]


CASELESS = "ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci"
UPPER_BOB = Aor("BOB", "example.com")
UPPER_ROOM = Aor("CHAT-garden", "example.com")


@pytest.fixture
def caseless(mariadb_database: Database) -> Store:
    """Kamailio's tables in a character set and collation that kamdbctl may well choose."""
    make_kamailio_tables(mariadb_database, CASELESS)
    return Store.open(StoreOptions(url=mariadb_database.url))


def test_tables_that_compare_without_case_are_warned_of(caseless: Store) -> None:
    with caseless as store:
        assert [warning for warning in store.warnings if "collation" in warning] == [
            f"table {name} has the collation latin1_swedish_ci: addresses that differ only in case cannot both have a "
            "row in it"
            for name in ("imc_rooms", "imc_members", "subscriber")
        ]


def test_reads_of_them_are_exact(caseless: Store) -> None:
    with caseless as store:
        room = store.load_room(ROOM)
        assert room is not None
        assert dict(room.members) == EXPECTED
        assert store.load_room(UPPER_ROOM) is None
        assert store.count_rooms_owned(Aor("ALICE", "example.com")) == 0
        assert store.rooms_of(UPPER_BOB, 10).rows == []
        assert store.rooms_of(BOB, 10).rows[0].room == ROOM
        assert store.get_account(Aor("ALICE", "example.com")) is None
        assert store.get_account(ALICE) is not None


def test_writes_to_them_never_touch_another_row(caseless: Store, mariadb_database: Database) -> None:
    rows = "SELECT username, domain, room, flag FROM imc_members ORDER BY id"
    with caseless as store:
        before = mariadb_database.execute(rows)
        refused: list[list[Op]] = [
            [PutMember(ROOM, UPPER_BOB, OWNER)],
            [PutMember(ROOM, Aor("new", "example.com"), MEMBER), PutMember(ROOM, UPPER_BOB, MEMBER)],
            [PutRoom(UPPER_ROOM, False), PutMember(UPPER_ROOM, UPPER_BOB, OWNER)],
            [PutMember(UPPER_ROOM, BOB, MEMBER)],
        ]
        for ops in refused:
            with pytest.raises(StoreConflict, match="upper and lower case"):
                store.commit(ops)
            assert mariadb_database.execute(rows) == before
        store.commit([DeleteMember(ROOM, UPPER_BOB), DeleteMember(ROOM, Aor("ALICE", "example.com"))])
        store.commit([DeleteRoom(UPPER_ROOM)])
        assert mariadb_database.execute(rows) == before
        with pytest.raises(AccountError):
            store.remove_account(Aor("ALICE", "example.com"))
        with pytest.raises(AccountError):
            store.set_account(Account.from_password(Aor("ALICE", "example.com"), "x"))
        with pytest.raises(AccountError):
            store.add_account(Account.from_password(Aor("ALICE", "example.com"), "x"))
        assert store.get_account(ALICE) == Account(aor=ALICE, ha1="aa")


def test_they_work_otherwise(caseless: Store) -> None:
    with caseless as store:
        results = store.commit_groups(
            [
                [PutMember(ROOM, BOB, MEMBER)],
                [PutMember(ROOM, UPPER_BOB, MEMBER)],
                [DeleteMember(ROOM, CAROL)],
                [PutMember(ROOM, Aor("%25_'", "example.com"), INVITED)],
            ]
        )
        assert [result is None for result in results] == [True, False, True, True]
        room = store.load_room(ROOM)
        assert room is not None
        assert dict(room.members) == {ALICE: OWNER, BOB: MEMBER, Aor("%25_'", "example.com"): INVITED}
        # Once Bob is gone, there is room for BOB.
        store.commit([DeleteMember(ROOM, BOB), PutMember(ROOM, UPPER_BOB, MEMBER)])
        store.commit([DeleteRoom(ROOM), PutRoom(UPPER_ROOM, False), PutMember(UPPER_ROOM, ALICE, OWNER)])
        assert store.load_room(ROOM) is None
        room = store.load_room(UPPER_ROOM)
        assert room is not None
        assert dict(room.members) == {ALICE: OWNER}
        assert [row.room for row in store.list_rooms(10).rows] == [UPPER_ROOM]


def test_tables_without_transactions_are_warned_of(mariadb_database: Database) -> None:
    make_kamailio_tables(mariadb_database, "ENGINE=MyISAM DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
    with Store.open(StoreOptions(url=mariadb_database.url)) as store:
        assert [warning for warning in store.warnings if "MyISAM" in warning] == [
            f"table {name} has the engine MyISAM, which has no transactions and may lose rows in a crash; "
            f"ALTER TABLE {name} ENGINE=InnoDB"
            for name in ("imc_rooms", "imc_members", "subscriber")
        ]
        assert not [warning for warning in store.warnings if "collation" in warning]


def test_no_row_is_lost_when_a_caseless_table_is_tidied(mariadb_database: Database) -> None:
    make_kamailio_tables(mariadb_database, CASELESS)
    mariadb_database.execute("UPDATE imc_members SET domain = 'EXAMPLE.org' WHERE domain = 'example.org'")
    with Store.open(StoreOptions(url=mariadb_database.url)) as store:
        assert "table imc_members: 2 addresses were written in canonical form" in store.warnings
        room = store.load_room(ROOM)
        assert room is not None
        assert dict(room.members) == EXPECTED
    engine = sqlalchemy.create_engine(engine_url(mariadb_database.url), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM imc_members").scalar() == 4
