"""imc.store.kamailio, on every kind of database, with the tables that Kamailio's own packages make."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imc.aor import Aor
from imc.delivery.job import restore
from imc.errors import ConfigError, StoreError, StoreLocked, StoreUnavailable
from imc.rooms.model import Member, Role
from imc.store.accounts import Account
from imc.store.kamailio.read import Names
from imc.store.kamailio.transfer import export_kamailio, import_kamailio
from imc.store.ops import PutBinding, PutMember, PutRoom
from imc.store.options import StoreOptions
from imc.store.store import Store
from imc.store.urls import engine_url
from tests.databases import Database
from tests.store.kamailio.samples import (
    NOW,
    TABLES,
    fill,
    give,
    has_table,
    held,
    insert,
    make_schema,
    numbers,
    rows,
    silo,
    take,
    transfer,
    waiting,
)
from tests.store.samples import ALICE, BOB, INVITED, MEMBER, OWNER, ROOM, binding

CAROL = Aor("carol", "example.com")
EMPTY = Aor("chat-empty", "example.com")
FILLED = {
    "rooms": (7, 2, 0, 0, 4, 1),
    "members": (9, 3, 0, 0, 4, 2),
    "accounts": (6, 4, 0, 0, 2, 0),
    "messages": (8, 2, 0, 0, 4, 2),
}
AGAIN = {name: (read, 0, new, *rest) for name, (read, new, _, *rest) in FILLED.items()}
SILO = Names(silo="silo", asked=frozenset({"silo"}))


@pytest.fixture
def other(tmp_path: Path) -> Database:
    """A second database, of SQLite."""
    return Database("sqlite", f"sqlite:///{tmp_path}/other.db")


def check_filled(own: Database) -> None:
    """What `fill` comes to."""
    rooms, accounts = held(own.url)
    assert rooms == {
        ROOM: (True, {ALICE: OWNER, BOB: Member(Role.INVITED), Aor("carol", "example.org"): Member(Role.ADMIN)}),
        EMPTY: (False, {}),
    }
    assert accounts[ALICE] == Account.from_password(ALICE, "secret")
    assert accounts[BOB] == Account(aor=BOB, ha1="0" * 32, ha1b="1" * 32)
    assert accounts[CAROL] == Account(aor=CAROL, ha1="0" * 32)
    dave = Aor("dave", "example.com")
    assert accounts == accounts | {dave: Account(aor=dave, ha1="", ha1_sha256="a" * 64)}
    assert len(accounts) == 4
    copies = waiting(own)
    assert [copy[:8] for copy in copies] == [
        ("bob", "example.com", 0, 0, NOW - 100, 0, 0, 0),
        ("bob", "example.com", 0, 0, NOW - 100, NOW + 9, 0, 0),
    ]
    first, second = (restore("x", NOW, copy[8], copy[9]).dispatches[0] for copy in copies)
    date = ("Date", "Tue, 14 Nov 2023 22:11:40 GMT")
    assert (first.kind, first.sender, first.content_type, first.body) == (
        "message",
        ALICE,
        "text/plain",
        b"one\xff\x00",
    )
    assert (first.recipients, first.headers) == ((), (date,))
    assert (second.sender, second.headers) == (Aor("al-x", "example.com"), (date, ("X-A", "b")))


# spec R-ADDR-1, R-ADDR-4, R-ADDR-6, R-ADDR-8, R-ADDR-9
def test_from_every_kind(database: Database, other: Database) -> None:
    fill(database)
    before = [rows(database, table) for table in TABLES]
    lines = io.StringIO()
    dry = import_kamailio(transfer(database.url, other.url, file=lines))
    assert numbers(dry) == FILLED
    assert not Path(other.url.removeprefix("sqlite:///")).exists()
    done = take(database.url, other.url)
    assert (numbers(done), done.is_done, done.changes) == (FILLED, True, 2 + 3 + 4 + 2)
    check_filled(other)
    again = take(database.url, other.url)
    assert (numbers(again), again.changes) == (AGAIN, 0)
    assert numbers(import_kamailio(transfer(database.url, other.url))) == AGAIN
    assert [rows(database, table) for table in TABLES] == before
    check_reasons([json.loads(line) for line in lines.getvalue().splitlines()])


def check_reasons(entries: list[dict[str, str]]) -> None:
    reasons = {(entry["table"], entry["row"]): entry["why"] for entry in entries if entry["kind"] == "misfit"}
    assert reasons == {
        ("rooms", "name='chat with blanks', domain='example.com'"): "not a user part: 'chat with blanks'",
        ("rooms", f"name='{'c' * 60}', domain='example.com'"): (
            "the room's URI is 76 characters long, 64 fit (R-ADDR-4)"
        ),
        ("rooms", "name='chat-%00', domain='example.com'"): (
            "the room's name has characters that cannot be seen (R-ADDR-9)"
        ),
        ("rooms", "name='manager', domain='example.com'"): "it is the conference manager's address (R-ADDR-6)",
        ("members", "sip:chat-empty@example.com in sip:chat-garden@example.com"): "this member is a room (R-ADDR-8)",
        ("members", "sip:erin@example.org in sip:chat-never@example.com"): "there is no such room, or it did not fit",
        ("members", "username='al ice', domain='example.com', room='sip:chat-garden@example.com'"): (
            "not a user part: 'al ice'"
        ),
        ("members", "username='frank', domain='example.org', room='nonsense'"): (
            "room: not a complete address: 'nonsense'"
        ),
        ("accounts", "username='nobody', domain='example.com'"): (
            "it has neither a password nor a ha1: nobody can log in with it"
        ),
        ("accounts", "username='broken', domain='example.com'"): ("its ha1 is no digest: 32 hexadecimal digits, or 64"),
        ("messages", "id=5"): "it is a reminder for a set time (snd_time), which imc has not",
        ("messages", "id=6"): "src_addr: no SIP address with a user part",
        ("messages", "id=7"): "ctype: Bad media type",
        ("messages", "id=8"): "username is empty",
    }
    text = json.dumps(entries)
    assert "secret" not in text
    assert "'other'" not in text
    assert {(entry["table"], entry["why"]) for entry in entries if entry["kind"] == "note"} == {
        ("accounts", "its password does not give its ha1, which counts: no other digests are made"),
        ("messages", "extra_hdrs: without Via"),
        ("rooms", "nobody owns it (R-INV-1)"),
    }


def test_into_every_kind_and_back(database: Database, other: Database, tmp_path: Path) -> None:
    fill(other)
    assert numbers(take(other.url, database.url)) == FILLED
    check_filled(database)
    assert take(other.url, database.url).changes == 0
    # A daemon goes on from there.
    with Store.open(StoreOptions(url=database.url, is_exclusive=True)) as store:
        store.commit([PutMember(ROOM, CAROL, MEMBER)])
    back = Database("sqlite", f"sqlite:///{tmp_path}/back.db")
    make_schema(back)
    report = give(back.url, database.url)
    # Only the digest of SHA-256 has no place.
    assert numbers(report)["accounts"] == (4, 3, 0, 0, 1, 0)
    assert [numbers(report)[name][:2] for name in ("rooms", "members", "messages")] == [(2, 2), (4, 4), (2, 2)]
    assert rows(back, "imc_rooms") == [("chat-empty", "example.com", 0), ("chat-garden", "example.com", 1)]
    assert give(back.url, database.url).changes == 0
    assert take(back.url, database.url).changes == 0


def test_out_to_every_kind_and_in_again(database: Database, other: Database, tmp_path: Path) -> None:
    kamailio = Database("sqlite", f"sqlite:///{tmp_path}/kamailio.db")
    fill(kamailio)
    take(kamailio.url, other.url)
    make_schema(database, ("standard",))
    dry = export_kamailio(transfer(database.url, other.url, names=SILO))
    assert numbers(dry)["members"] == (3, 3, 0, 0, 0, 0)
    assert not has_table(database, "imc_rooms")
    done = give(database.url, other.url, names=SILO)
    assert numbers(done) == numbers(dry)
    assert [note for note in done.notes if "was made" in note] == [f"table {table} was made" for table in TABLES]
    assert dict(rows(database, "version")) == {
        "version": 1,
        "imc_rooms": 1,
        "imc_members": 1,
        "subscriber": 7,
        "silo": 8,
    }
    assert rows(database, "imc_members") == [
        ("alice", "example.com", "sip:chat-garden@example.com", 1),
        ("bob", "example.com", "sip:chat-garden@example.com", 4),
        ("carol", "example.org", "sip:chat-garden@example.com", 2),
    ]
    assert rows(database, "silo")[1][:9] == silo(body=b"one\xff\x00", exp_time=(1 << 31) - 1)[:9]
    assert give(database.url, other.url).changes == 0
    third = Database("sqlite", f"sqlite:///{tmp_path}/third.db")
    take(database.url, third.url)
    assert waiting(third) == waiting(other)
    assert held(third.url)[0] == held(other.url)[0]


def test_tables_of_the_packages_are_those_that_are_made(database: Database, other: Database, tmp_path: Path) -> None:
    make_schema(database)
    with Store.open(StoreOptions(url=other.url)) as store:
        store.commit([PutRoom(ROOM, is_private=True), PutMember(ROOM, ALICE, OWNER)])
    give(database.url, other.url)
    theirs = [columns(database, table) for table in TABLES]
    for table in (*TABLES, "version"):
        database.execute(f"DROP TABLE {table}")
    give(database.url, other.url, names=SILO)
    assert [columns(database, table) for table in TABLES] == theirs


def columns(database: Database, table: str) -> object:
    inspector = sqlalchemy.inspect(sqlalchemy.create_engine(engine_url(database.url), poolclass=sqlalchemy.NullPool))
    uniques = [one["column_names"] for one in inspector.get_unique_constraints(table)]
    return uniques, [
        (one["name"], str(one["type"]).split(" COLLATE")[0], one["nullable"]) for one in inspector.get_columns(table)
    ]


# --- what is there already --------------------------------------------------------------------------------------------


def differ(database: Database) -> None:
    """As `fill` has them, and not quite."""
    with Store.open(StoreOptions(url=database.url)) as store:
        store.commit(
            [
                *(PutRoom(ROOM, is_private=False), PutMember(ROOM, ALICE, OWNER), PutMember(ROOM, CAROL, INVITED)),
                *(PutMember(ROOM, BOB, Member(Role.MEMBER)), PutRoom(EMPTY, is_private=False)),
            ]
        )
        store.add_account(Account.from_password(ALICE, "another"))


def test_a_conflict_is_left_alone_unless_theirs_is_preferred(database: Database, other: Database) -> None:
    fill(other)
    differ(database)
    before = held(database.url)
    report = take(other.url, database.url)
    assert numbers(report) == {
        **FILLED,
        "rooms": (7, 0, 1, 1, 4, 1),
        "members": (9, 0, 1, 2, 4, 2),
        "accounts": (6, 3, 0, 1, 2, 0),
    }
    assert [(entry.row, entry.why) for entry in report.kept if entry.kind == "conflict"] == [
        (
            str(ROOM),
            "it is there already: private in the source, public there; 1 members only in the source; "
            "1 members only there; 1 members with another role",
        ),
        (str(ALICE), "it is there already, with another secret"),
    ]
    rooms, accounts = before
    assert held(database.url)[0] == rooms
    assert held(database.url)[1][ALICE] == accounts[ALICE]
    assert take(other.url, database.url).changes == 0
    assert take(other.url, database.url, is_forced=True).changes == 1 + 1 + 2 + 1
    check_filled(database)
    assert database.execute("SELECT COUNT(*) FROM imc_invitations") == [(0,)]
    assert take(other.url, database.url, is_forced=True).changes == 0


def test_a_conflict_there_is_left_alone_unless_ours_is_preferred(database: Database, other: Database) -> None:
    make_schema(database)
    uri = "sip:chat-garden@EXAMPLE.com"
    insert(
        database, "imc_rooms", "name domain flag", [("chat-garden", "EXAMPLE.com", 1), ("chat-empty", "example.com", 2)]
    )
    insert(
        database,
        "imc_members",
        "username domain room flag",
        [("zoe", "example.com", uri, 1), ("alice", "x.org", uri, 8)],
    )
    insert(database, "subscriber", "username domain ha1", [("alice", "Example.com", "f" * 32)])
    differ(other)
    before = [rows(database, table) for table in TABLES]
    report = give(database.url, other.url)
    assert numbers(report) == {
        "rooms": (2, 1, 0, 1, 0, 0),
        "members": (3, 0, 0, 3, 0, 0),
        "accounts": (1, 0, 0, 1, 0, 0),
        "messages": (0,) * 6,
    }
    after = [rows(database, table) for table in TABLES]
    assert after[1:] == before[1:]
    assert after[0] == [("chat-empty", "example.com", 0), ("chat-garden", "EXAMPLE.com", 1)]
    give(database.url, other.url, is_forced=True)
    assert rows(database, "imc_rooms") == [("chat-empty", "example.com", 0), ("chat-garden", "example.com", 0)]
    assert rows(database, "imc_members") == [
        ("alice", "example.com", str(ROOM), 1),
        ("bob", "example.com", str(ROOM), 0),
        ("carol", "example.com", str(ROOM), 4),
    ]
    assert database.execute("SELECT ha1 FROM subscriber") == [(Account.from_password(ALICE, "another").ha1,)]
    assert give(database.url, other.url, is_forced=True).changes == 0


def test_what_was_delivered_since_does_not_come_again(other: Database, sqlite_database: Database) -> None:
    fill(other)
    take(other.url, sqlite_database.url)
    sqlite_database.execute("DELETE FROM imc_waiting")
    sqlite_database.execute("DELETE FROM imc_outbox")
    assert numbers(take(other.url, sqlite_database.url)) == AGAIN


def test_imcs_own_database(database: Database) -> None:
    """Kamailio's tables, adopted in place: there is silo to import, and nothing to export."""
    fill(database)
    Store.open(StoreOptions(url=database.url)).close()
    before = [rows(database, table) for table in TABLES]
    report = take(database.url, database.url)
    assert report.notes[0].startswith("This is imc's own database")
    assert numbers(report) == {**dict.fromkeys(FILLED, (0,) * 6), "messages": FILLED["messages"]}
    assert len(waiting(database)) == 2
    assert [rows(database, table) for table in TABLES] == before
    assert give(database.url, database.url).notes[0].startswith("This is imc's own database")


def test_what_kamailio_has_no_place_for_is_told(other: Database, sqlite_database: Database) -> None:
    make_schema(other, ("standard", "imc", "auth_db"))
    with Store.open(StoreOptions(url=sqlite_database.url)) as store:
        store.commit([PutRoom(ROOM, is_private=True), PutMember(ROOM, ALICE, OWNER), PutMember(ROOM, BOB, INVITED)])
        store.commit([PutBinding(binding())])
        store.add_account(Account.from_password(ALICE, "secret"))
        store.add_account(Account(aor=BOB, ha1="", ha1_sha256="0" * 64))
    sqlite_database.execute("INSERT INTO imc_outbox VALUES (1, 'x', 1.0, X'', X'41')")
    sqlite_database.execute("INSERT INTO imc_room_settings VALUES ('r', 'h', 0, 0, 0)")
    sqlite_database.execute(
        "INSERT INTO imc_waiting VALUES ('u', 'h', 1, 0, 1, 0, 0, 0, 0, 0), ('u', 'h', 1, 1, 0, 0, 0, 0, 0, 0)"
    )
    report = export_kamailio(transfer(other.url, sqlite_database.url))
    assert report.notes == [
        "2 accounts have SHA digests, for which Kamailio has no columns",
        "1 invitations lose their inviter and serial: Kamailio has no columns for them",
        "1 rooms lose their settings (imc_room_settings)",
        "1 registrations stay here: clients register anew",
        "1 deliveries are under way: let imc finish them first",
        "1 copies are given up, and stay here",
        "1 messages wait: without a table silo they stay here",
    ]
    assert numbers(report)["accounts"] == (2, 1, 0, 0, 1, 0)


# --- upper and lower case ---------------------------------------------------------------------------------------------


def test_kamailio_cannot_tell_rooms_apart_by_case(database: Database, other: Database) -> None:
    make_schema(database)
    upper = Aor("CHAT-garden", "example.com")
    with Store.open(StoreOptions(url=other.url)) as store:
        store.commit([PutRoom(ROOM, is_private=True), PutMember(ROOM, ALICE, OWNER), PutRoom(upper, is_private=True)])
        store.commit([PutMember(upper, BOB, OWNER), PutMember(ROOM, Aor("ALICE", "example.com"), MEMBER)])
    report = give(database.url, other.url)
    assert numbers(report)["rooms"] == (2, 1, 0, 0, 1, 0)
    assert rows(database, "imc_rooms") == [("CHAT-garden", "example.com", 1)]
    assert rows(database, "imc_members") == [("bob", "example.com", str(upper), 1)]
    assert give(database.url, other.url).changes == 0


def test_our_table_may_not_tell_them_apart_either(mariadb_database: Database, other: Database) -> None:
    """Kamailio's tables with the collation that MySQL gives them, adopted by imc."""
    make_schema(mariadb_database)
    insert(mariadb_database, "imc_rooms", "name domain flag", [("chat-garden", "example.com", 0)])
    insert(mariadb_database, "imc_members", "username domain room flag", [("alice", "example.com", str(ROOM), 1)])
    Store.open(StoreOptions(url=mariadb_database.url)).close()
    make_schema(other)
    insert(
        other, "imc_rooms", "name domain flag", [("chat-garden", "example.com", 0), ("Chat-Garden", "example.com", 0)]
    )
    insert(
        other, "imc_members", "username domain room flag",
        [("alice", "example.com", str(ROOM), 1), ("x", "example.com", "sip:Chat-Garden@example.com", 1)],
    )  # fmt: skip
    insert(other, "subscriber", "username domain ha1", [(name, "example.com", "0" * 32) for name in ("alice", "Alice")])
    report = take(other.url, mariadb_database.url)
    assert numbers(report) == {
        "rooms": (2, 0, 1, 0, 1, 0),
        "members": (2, 0, 1, 0, 1, 0),
        "accounts": (2, 1, 0, 0, 1, 0),
        "messages": (0,) * 6,
    }
    assert take(other.url, mariadb_database.url).changes == 0


def test_rows_that_are_one_address_in_two_spellings(other: Database, sqlite_database: Database) -> None:
    make_schema(other)
    spellings = ("example.com", "EXAMPLE.com")
    insert(other, "imc_rooms", "name domain flag", [("chat-garden", host, 0) for host in spellings])
    insert(other, "imc_members", "username domain room flag", [("%61lice", host, str(ROOM), 1) for host in spellings])
    report = take(other.url, sqlite_database.url)
    assert numbers(report)["rooms"] == numbers(report)["members"] == (2, 1, 0, 0, 1, 0)
    assert {entry.why for entry in report.kept} == {"a row before it is of the same address"}


# --- bad input --------------------------------------------------------------------------------------------------------


def test_wrong_types_and_null(sqlite_database: Database, other: Database) -> None:
    """SQLite takes whatever comes; so may tables that somebody else made."""
    key = "id INTEGER PRIMARY KEY"
    for table, names in (
        ("imc_rooms", "name, domain, flag"),
        ("imc_members", "username, domain, room, flag"),
        ("subscriber", "username, domain, password, ha1, ha1b"),
        ("silo", "src_addr, dst_addr, username, domain, inc_time, exp_time, snd_time, ctype, body"),
    ):
        sqlite_database.execute(f"CREATE TABLE {table} ({key}, {names})")
    path = sqlite_database.url.removeprefix("sqlite://")
    with closing(sqlite3.connect(path)) as raw, raw:
        for name, flag in ((None, 0), (5, 0), (b"\xff", 0), ("x", None), ("x", "1"), ("x", -1), ("x", 1.5), ("", 0)):
            raw.execute("INSERT INTO imc_rooms (name, domain, flag) VALUES (?, 'example.com', ?)", (name, flag))
        raw.execute("INSERT INTO imc_rooms (name, domain, flag) VALUES (CAST(X'ff' AS TEXT), 'example.com', 0)")
        raw.execute(
            "INSERT INTO subscriber (username, domain, password, ha1, ha1b) "
            "VALUES ('a', 'b', CAST(X'ff' AS TEXT), '', '')"
        )
        raw.execute("INSERT INTO silo (src_addr, username, domain, ctype, body) VALUES ('sip:a@b', 'c', 'd', 'a/b', 7)")
    report = take(sqlite_database.url, other.url)
    assert numbers(report)["rooms"] == (9, 0, 0, 0, 9, 0)
    assert [entry.why for entry in report.kept] == [
        "name is NULL",
        "name is no text",
        "name is no text",
        "flag is NULL",
        "flag is no number from 0 on",
        "flag is no number from 0 on",
        "flag is no number from 0 on",
        "name is empty",
        "name is no text: it has a NUL, or is not UTF-8",
        "password is no text: it has a NUL, or is not UTF-8",
        "body: not bytes",
    ]


def test_columns_and_tables_that_are_missing(database: Database, other: Database) -> None:
    with pytest.raises(StoreError, match=r"(no such file|is not Kamailio's: it has none of the tables imc_rooms)"):
        import_kamailio(transfer(database.url, other.url))
    make_schema(database, ("standard", "imc"))
    with pytest.raises(StoreError, match="there is no table silo"):
        import_kamailio(transfer(database.url, other.url, names=SILO))
    assert numbers(import_kamailio(transfer(database.url, other.url)))["rooms"] == (0,) * 6
    database.execute("ALTER TABLE imc_members DROP COLUMN flag")
    with pytest.raises(StoreError, match="table imc_members is not Kamailio's: it has no column flag"):
        take(database.url, other.url)
    database.execute("DROP TABLE imc_members")
    with pytest.raises(StoreError, match="no table imc_members; rooms and members are of no use without each other"):
        take(database.url, other.url)
    assert not Path(other.url.removeprefix("sqlite:///")).exists()


def test_other_names_of_tables(database: Database, other: Database) -> None:
    fill(database)
    for table in TABLES:
        database.execute(f"ALTER TABLE {table} RENAME TO my_{table}")
    names = {"rooms": "my_imc_rooms", "members": "my_imc_members", "subscriber": "my_subscriber", "silo": "my_silo"}
    assert numbers(take(database.url, other.url, names=Names(**names, asked=frozenset(names.values())))) == FILLED


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("mysql://u:hidden@127.0.0.1:1/x", StoreUnavailable, "database mysql://127.0.0.1:1/x"),
        ("postgres://u:hidden@127.0.0.1:1/x", StoreUnavailable, "database postgresql://127.0.0.1:1/x"),
        ("sqlite:////nowhere/x.db", StoreUnavailable, "there is no such file"),
        ("oracle://x", ConfigError, "unknown kind of database"),
    ],
)
def test_what_cannot_be_reached(url: str, error: type[Exception], words: str, other: Database) -> None:
    for work in (import_kamailio, export_kamailio):
        with pytest.raises(error, match=words) as caught:
            work(transfer(url, other.url, is_writing=True))
        assert "hidden" not in str(caught.value)
    assert not Path(other.url.removeprefix("sqlite:///")).exists()


def test_a_file_that_is_no_database(tmp_path: Path, other: Database) -> None:
    (tmp_path / "text").write_text("no database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        import_kamailio(transfer(f"sqlite:///{tmp_path}/text", other.url))


def test_beside_a_daemon(database: Database, other: Database) -> None:
    """It has its rooms in memory: nothing is imported under it. A dry run and an export only read."""
    fill(other)
    with Store.open(StoreOptions(url=database.url, is_exclusive=True)):
        with pytest.raises(StoreLocked, match="another imc daemon uses the database"):
            take(other.url, database.url)
        assert numbers(import_kamailio(transfer(other.url, database.url))) == FILLED
        assert numbers(give(other.url, database.url))["rooms"] == (0,) * 6


def test_it_is_all_or_nothing(sqlite_database: Database, other: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(other)
    broken = transfer(other.url, sqlite_database.url, is_writing=True)
    monkeypatch.setattr(broken.codec, "pack", lambda _: 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError):
        import_kamailio(broken)
    assert held(sqlite_database.url) == ({}, {})
    assert numbers(take(other.url, sqlite_database.url)) == FILLED


def test_memory_is_bounded(sqlite_database: Database, other: Database) -> None:
    make_schema(other)
    Store.open(StoreOptions(url=sqlite_database.url)).close()  # what that imports does not count
    count = 20_000
    insert(other, "imc_rooms", "name domain flag", [("chat-garden", "example.com", 0)])
    members = ((f"user{number:06}", "example.com", str(ROOM), int(not number)) for number in range(count))
    insert(other, "imc_members", "username domain room flag", members)
    tracemalloc.start()
    try:
        assert numbers(take(other.url, sqlite_database.url))["members"] == (count, count, 0, 0, 0, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20  # the rows themselves are more


# --- there and back ---------------------------------------------------------------------------------------------------

names = st.sampled_from(["alice", "bob", "carol", "d%C3%A9", "o'hara", "e.f-g", "no name", ""])
hosts = st.sampled_from(["example.com", "sip.example.org", "192.0.2.1"])
room_names = st.sampled_from(["chat-a", "chat-b", "chat-%C3%A9", "x" * 64])
people = st.tuples(names, hosts)
rooms_of_them = st.dictionaries(
    st.tuples(room_names, hosts),
    st.tuples(st.sampled_from([0, 1, 2]), st.dictionaries(people, st.sampled_from([0, 1, 2, 4, 5, 8, 9]), max_size=5)),
    max_size=4,
)
digests = st.sampled_from(["", *(hashlib.md5(bytes([one])).hexdigest() for one in range(3))])
accounts_of_them = st.dictionaries(
    people, st.tuples(st.sampled_from(["", "secret", "é"]), digests, digests), max_size=5
)
messages_of_them = st.lists(
    st.builds(
        silo,
        username=names,
        domain=hosts,
        body=st.one_of(st.none(), st.binary(max_size=40)),
        exp_time=st.sampled_from([0, int(NOW) - 1, int(NOW) + 1000]),
        inc_time=st.integers(0, int(NOW)),
        extra_hdrs=st.sampled_from([None, "", "X-A: b\r\n", "Subject: é\r\nFrom: x\r\n"]),
        callid=st.sampled_from(["", "a@b", "c@d"]),
        ctype=st.sampled_from(["text/plain", "", "message/cpim", "text/plain;charset=utf-8", "x"]),
        snd_time=st.sampled_from([0, 0, 0, 7]),
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """With empty databases to copy: of Kamailio's, and of imc's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_schema(Database("sqlite", f"sqlite:///{folder}/kamailio"))
        Store.open(StoreOptions(url=f"sqlite:///{folder}/imc")).close()
        yield folder


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rooms_of_them, accounts_of_them, messages_of_them)
def test_in_out_and_in_is_in(folder: Path, rooms: Any, accounts: Any, messages: Any) -> None:
    """What an import took, an export gives, and what it gives, another import takes: all of it."""
    first, second, one, two = (
        Database("sqlite", f"sqlite:///{folder}/{name}.db") for name in ("first", "second", "one", "two")
    )
    for file in folder.glob("*.db-*"):
        file.unlink()
    for name, kind in (("first", "kamailio"), ("second", "kamailio"), ("one", "imc"), ("two", "imc")):
        shutil.copy(folder / kind, folder / f"{name}.db")
    for (name, host), (flag, members) in rooms.items():
        insert(first, "imc_rooms", "name domain flag", [(name, host, flag)])
        in_it = [(*user, f"sip:{name}@{host}", role) for user, role in members.items()]
        if in_it:
            insert(first, "imc_members", "username domain room flag", in_it)
    for user, secrets in accounts.items():
        insert(first, "subscriber", "username domain password ha1 ha1b", [(*user, *secrets)])
    if messages:
        insert(
            first,
            "silo",
            "src_addr dst_addr username domain inc_time exp_time snd_time ctype body extra_hdrs callid status",
            messages,
        )
    taken = numbers(take(first.url, one.url))
    given_ = numbers(give(second.url, one.url, names=SILO))
    back = numbers(take(second.url, two.url))
    for table, counts in taken.items():
        assert given_[table] == back[table] == (counts[1], counts[1], 0, 0, 0, 0)
    assert held(two.url) == held(one.url)
    assert waiting(two) == waiting(one)
    for url in (first.url, second.url):
        assert take(url, one.url).changes == 0
        assert give(url, one.url).changes == 0
