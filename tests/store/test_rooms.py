"""imc.store.rooms, on every kind of database."""

from __future__ import annotations

from imc.aor import Aor
from imc.rooms.model import Member, Role, Room
from imc.store.ops import DeleteMember, DeleteRoom, Op, PutMember, PutRoom
from imc.store.options import StoreOptions
from imc.store.rooms import Page, RoomEntry, RoomSummary, role_of
from imc.store.store import Store
from tests.databases import Database
from tests.store.samples import (
    ADMIN,
    ALICE,
    BOB,
    CAROL,
    INVITED,
    MEMBER,
    ODD_USERS,
    OTHER,
    OWNER,
    ROOM,
)


def members(room: Room | None) -> dict[Aor, Member]:
    assert room is not None
    return dict(room.members)


def test_a_room_is_read_as_it_was_written(store: Store, options: StoreOptions) -> None:
    everybody = {ALICE: OWNER, BOB: ADMIN, CAROL: MEMBER, Aor("dave", "example.com"): INVITED}
    store.commit([PutRoom(ROOM, True), *(PutMember(ROOM, user, entry) for user, entry in everybody.items())])
    with Store.open(options) as another:
        room = another.load_room(ROOM)
    assert room is not None
    assert (room.aor, room.is_private, members(room)) == (ROOM, True, everybody)


def test_no_room_is_none(store: Store) -> None:
    assert store.load_room(ROOM) is None
    store.commit([PutRoom(OTHER, False)])
    assert store.load_room(ROOM) is None


def test_a_room_without_members_is_a_room(store: Store) -> None:
    store.commit([PutRoom(ROOM, False)])
    room = store.load_room(ROOM)
    assert room is not None
    assert members(room) == {}
    assert not room.is_private


def test_each_change_of_a_member_stands_for_itself(store: Store) -> None:
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER), PutMember(ROOM, BOB, INVITED)])
    again = Member(Role.INVITED, CAROL, 9)
    for op, entry in (
        (PutMember(ROOM, BOB, again), again),
        (PutMember(ROOM, BOB, MEMBER), MEMBER),
        (PutMember(ROOM, BOB, ADMIN), ADMIN),
        (PutMember(ROOM, BOB, INVITED), INVITED),
        (DeleteMember(ROOM, BOB), None),
        (DeleteMember(ROOM, BOB), None),
    ):
        store.commit([op])
        assert members(store.load_room(ROOM)).get(BOB) == entry
    assert members(store.load_room(ROOM)) == {ALICE: OWNER}


def test_an_accepted_invitation_leaves_no_row(store: Store, database: Database) -> None:
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, BOB, INVITED), PutMember(ROOM, CAROL, INVITED)])
    assert database.execute("SELECT username, invited_by, serial, created FROM imc_invitations ORDER BY username") == [
        ("bob", "sip:alice@example.com", 3, 1_700_000_000.25),
        ("carol", "sip:alice@example.com", 3, 1_700_000_000.25),
    ]
    store.commit([PutMember(ROOM, BOB, MEMBER)])
    store.commit([DeleteMember(ROOM, CAROL)])
    assert database.execute("SELECT username FROM imc_invitations") == []


def test_an_invitation_may_have_no_inviter(store: Store) -> None:
    unknown = Member(Role.INVITED)
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, BOB, unknown)])
    assert members(store.load_room(ROOM)) == {BOB: unknown}


def test_a_deleted_room_takes_its_members_with_it_and_no_others(store: Store, database: Database) -> None:
    for room in (ROOM, OTHER):
        store.commit([PutRoom(room, False), PutMember(room, ALICE, OWNER), PutMember(room, BOB, INVITED)])
    store.commit([DeleteRoom(ROOM)])
    assert store.load_room(ROOM) is None
    assert members(store.load_room(OTHER)) == {ALICE: OWNER, BOB: INVITED}
    assert database.execute("SELECT count(*) FROM imc_members") == [(2,)]
    assert database.execute("SELECT count(*) FROM imc_invitations") == [(1,)]


def test_a_room_may_be_made_again(store: Store) -> None:
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, BOB, OWNER), PutMember(ROOM, CAROL, INVITED)])
    store.commit([DeleteRoom(ROOM), PutRoom(ROOM, True), PutMember(ROOM, ALICE, OWNER)])
    room = store.load_room(ROOM)
    assert room is not None
    assert room.is_private
    assert members(room) == {ALICE: OWNER}


def test_members_left_over_from_a_lost_room_are_not_members_of_a_new_one(store: Store, database: Database) -> None:
    database.execute(
        "INSERT INTO imc_members (username, domain, room, flag) VALUES ('eve', 'example.com', :room, 1)",
        {"room": str(ROOM)},
    )
    database.execute("INSERT INTO imc_rooms (name, domain, flag) VALUES ('chat-other', 'example.com', 2)")
    database.execute(
        "INSERT INTO imc_members (username, domain, room, flag) VALUES ('eve', 'example.com', :room, 1)",
        {"room": str(OTHER)},
    )
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)])
    store.commit([PutRoom(OTHER, False), PutMember(OTHER, ALICE, OWNER)])
    assert members(store.load_room(ROOM)) == {ALICE: OWNER}
    assert members(store.load_room(OTHER)) == {ALICE: OWNER}


def test_a_room_put_again_keeps_its_members(store: Store) -> None:
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)])
    store.commit([PutRoom(ROOM, True)])
    room = store.load_room(ROOM)
    assert room is not None
    assert room.is_private
    assert members(room) == {ALICE: OWNER}


def test_an_odd_name_round_trips_and_is_nobody_elses(store: Store) -> None:
    plain = Aor("plain", "example.com")
    store.commit([PutRoom(OTHER, False)])
    for user in ODD_USERS:
        odd = Aor(user, "example.com")
        room = Aor(user[:48], "example.org")
        store.commit(
            [
                PutRoom(room, False),
                PutMember(room, odd, OWNER),
                PutMember(room, plain, Member(Role.INVITED, odd, 1)),
                PutMember(OTHER, odd, MEMBER),
                PutMember(OTHER, plain, OWNER),
            ]
        )
        assert members(store.load_room(room)) == {odd: OWNER, plain: Member(Role.INVITED, odd, 1)}
        assert store.count_rooms_owned(odd) == 1
        assert {entry.room for entry in store.rooms_of(odd, 10).rows} == {room, OTHER}
        store.commit([DeleteMember(OTHER, odd), DeleteRoom(room)])
        assert store.load_room(room) is None
        assert members(store.load_room(OTHER)) == {plain: OWNER}


def test_all_odd_names_fit_beside_each_other(store: Store) -> None:
    everybody = {Aor(user, "example.com"): MEMBER for user in ODD_USERS}
    store.commit([PutRoom(ROOM, False), *(PutMember(ROOM, user, entry) for user, entry in everybody.items())])
    assert members(store.load_room(ROOM)) == everybody
    gone = [Aor(user, "example.com") for user in ODD_USERS[::2]]
    store.commit([DeleteMember(ROOM, user) for user in gone])
    assert set(members(store.load_room(ROOM))) == set(everybody) - set(gone)


def test_upper_and_lower_case_are_two(store: Store) -> None:
    upper, lower = Aor("Chat-X", "example.com"), Aor("chat-x", "example.com")
    store.commit([PutRoom(upper, True), PutMember(upper, Aor("Alice", "example.com"), OWNER)])
    assert store.load_room(lower) is None
    store.commit([PutRoom(lower, False), PutMember(lower, ALICE, OWNER)])
    store.commit([PutMember(upper, ALICE, MEMBER)])
    assert members(store.load_room(upper)) == {Aor("Alice", "example.com"): OWNER, ALICE: MEMBER}
    assert members(store.load_room(lower)) == {ALICE: OWNER}
    store.commit([DeleteMember(upper, ALICE), DeleteRoom(lower)])
    assert members(store.load_room(upper)) == {Aor("Alice", "example.com"): OWNER}


MEMBER_FLAGS = {
    0: Role.MEMBER,
    1: Role.OWNER,
    2: Role.ADMIN,
    3: Role.OWNER,
    4: Role.INVITED,
    5: Role.INVITED,
    6: Role.INVITED,
    8: None,
    9: None,
    16: Role.MEMBER,
    1 << 16 | 1: Role.OWNER,
}


def test_flag_bits_of_kamailio_are_read_sensibly(store: Store, database: Database) -> None:
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, BOB, MEMBER)])
    for flag, role in MEMBER_FLAGS.items():
        assert role_of(flag) is role
        database.execute("UPDATE imc_members SET flag = :flag", {"flag": flag})
        assert members(store.load_room(ROOM)) == ({} if role is None else {BOB: Member(role)})
        assert store.count_rooms_owned(BOB) == (role is Role.OWNER)
        assert [entry.role for entry in store.rooms_of(BOB, 10).rows] == ([] if role is None else [role])


def test_flag_bits_of_rooms(store: Store, database: Database) -> None:
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, BOB, MEMBER)])
    for flag in range(8):
        is_live, is_private = not flag & 2, bool(flag & 1)
        database.execute("UPDATE imc_rooms SET flag = :flag", {"flag": flag})
        room = store.load_room(ROOM)
        assert (room is not None) is is_live
        assert store.count_rooms() == is_live
        assert len(store.rooms_of(BOB, 10).rows) == is_live
        assert len(store.list_rooms(10).rows) == is_live
        assert len(store.public_rooms(10).rows) == (flag == 0)
        if room is not None:
            assert room.is_private is is_private
            assert store.list_rooms(10).rows[0].is_private is is_private


def test_rows_that_no_address_can_have_are_left_out(store: Store, database: Database) -> None:
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, ALICE, OWNER)])
    for name, domain in (("a b", "example.com"), ("bob", "exa mple"), ("", "example.com"), ("bob", "Example.COM")):
        database.execute(
            "INSERT INTO imc_members (username, domain, room, flag) VALUES (:name, :domain, :room, 2)",
            {"name": name, "domain": domain, "room": str(ROOM)},
        )
    # The last is a user of example.com in another spelling.
    assert members(store.load_room(ROOM)) == {ALICE: OWNER, BOB: ADMIN}
    database.execute("INSERT INTO imc_rooms (name, domain, flag) VALUES ('a b', 'example.com', 0)")
    assert store.public_rooms(10).rows == [ROOM]
    assert [row.room for row in store.list_rooms(10).rows] == [ROOM]


def test_two_spellings_of_one_member_are_one_with_the_higher_rank(store: Store, database: Database) -> None:
    store.commit([PutRoom(ROOM, False), PutMember(ROOM, BOB, MEMBER), PutMember(ROOM, ALICE, OWNER)])
    for name, domain, flag in (("%62ob", "example.com", 2), ("alice", "EXAMPLE.com", 0)):
        database.execute(
            "INSERT INTO imc_members (username, domain, room, flag) VALUES (:name, :domain, :room, :flag)",
            {"name": name, "domain": domain, "room": str(ROOM), "flag": flag},
        )
    assert members(store.load_room(ROOM)) == {BOB: ADMIN, ALICE: OWNER}


def _many(count: int) -> list[Op]:
    ops: list[Op] = []
    for number in range(count):
        room = Aor(f"chat-{number:03}", "example.com" if number % 3 else "example.org")
        ops += [PutRoom(room, number % 2 == 1), PutMember(room, ALICE, OWNER), PutMember(room, BOB, INVITED)]
        if number % 2:
            ops += [PutMember(room, CAROL, OWNER), PutMember(room, Aor("dave", "example.com"), ADMIN)]
    return ops


def test_pages_of_all_rooms(store: Store) -> None:
    store.commit(_many(23))
    found: list[RoomSummary] = []
    page: Page[RoomSummary] = store.list_rooms(5)
    sizes = [len(page.rows)]
    found += page.rows
    while page.next is not None:
        page = store.list_rooms(5, page.next)
        sizes.append(len(page.rows))
        found += page.rows
    assert sizes == [5, 5, 5, 5, 3]
    assert [row.room.user for row in found] == [f"chat-{number:03}" for number in range(23)]
    assert found[0] == RoomSummary(
        room=Aor("chat-000", "example.org"), is_private=False, members=1, invited=1, owners=(ALICE,)
    )
    assert found[1] == RoomSummary(
        room=Aor("chat-001", "example.com"), is_private=True, members=3, invited=1, owners=(ALICE, CAROL)
    )
    assert store.list_rooms(5, ("zzz", "")).rows == []


def test_pages_of_public_rooms(store: Store) -> None:
    store.commit(_many(23))
    page = store.public_rooms(7)
    rest = store.public_rooms(7, page.next)
    assert [room.user for room in [*page.rows, *rest.rows]] == [f"chat-{number:03}" for number in range(0, 23, 2)]
    assert rest.next is None


def test_rooms_of_one_name_on_two_hosts_are_paged_one_by_one(store: Store) -> None:
    hosts = ["a.example", "b.example", "c.example"]
    store.commit([PutRoom(Aor("chat", host), False) for host in hosts])
    seen = []
    page = store.public_rooms(1)
    while page.rows:
        seen += page.rows
        page = store.public_rooms(1, page.next)
    assert [room.host for room in seen] == hosts


def test_pages_of_the_rooms_of_a_user(store: Store) -> None:
    store.commit(_many(9))
    page = store.rooms_of(CAROL, 3)
    assert page.rows[0] == RoomEntry(room=Aor("chat-001", "example.com"), is_private=True, role=Role.OWNER)
    rest = store.rooms_of(CAROL, 3, page.next)
    assert [entry.room.user for entry in [*page.rows, *rest.rows]] == ["chat-001", "chat-003", "chat-005", "chat-007"]
    assert rest.next is None
    assert {entry.role for entry in store.rooms_of(BOB, 100).rows} == {Role.INVITED}
    assert store.rooms_of(Aor("nobody", "example.com"), 3) == Page([], None)


def test_counts(store: Store) -> None:
    assert store.count_rooms() == 0
    store.commit(_many(9))
    assert store.count_rooms() == 9
    assert [store.count_rooms_owned(user) for user in (ALICE, BOB, CAROL)] == [9, 0, 4]
    store.commit([DeleteRoom(Aor("chat-001", "example.com"))])
    assert store.count_rooms() == 8
    assert store.count_rooms_owned(CAROL) == 3


def test_a_large_room(store: Store) -> None:
    users = [Aor(f"user{number}", "example.com") for number in range(1000)]
    store.commit([PutRoom(ROOM, False), *(PutMember(ROOM, user, MEMBER) for user in users)])
    assert members(store.load_room(ROOM)) == dict.fromkeys(users, MEMBER)
    store.commit([DeleteMember(ROOM, user) for user in users[:-1]])
    assert members(store.load_room(ROOM)) == {users[-1]: MEMBER}


def test_statements_use_an_index(store: Store, database: Database) -> None:
    store.commit(_many(50))
    members_by_room = "SELECT * FROM imc_members WHERE room = 'sip:chat-001@example.com'"
    public = (
        "SELECT name, domain, flag FROM imc_rooms WHERE name >= 'a' AND (name > 'a' OR domain > '') AND flag = 0 "
        "ORDER BY name, domain LIMIT 5"
    )
    if database.kind == "sqlite":
        plans = [str(database.execute(f"EXPLAIN QUERY PLAN {text}")) for text in (members_by_room, public)]
        assert "USING INDEX imc_members_room_idx" in plans[0]
        assert "USING COVERING INDEX imc_rooms_flag_idx" in plans[1]
        assert "TEMP B-TREE" not in plans[1]
    elif database.kind == "mariadb":
        rows = [database.execute(f"EXPLAIN {text}")[0] for text in (members_by_room, public)]
        assert rows[0][5] == "imc_members_room_idx"
        assert rows[1][5] == "imc_rooms_flag_idx"
        assert "filesort" not in str(rows[1])
    else:
        # So few rows would be read whole.
        database.execute("ALTER ROLE root SET enable_seqscan = off")
        try:
            for text, index in ((members_by_room, "imc_members_room_idx"), (public, "imc_rooms_flag_idx")):
                plan = str(database.execute(f"EXPLAIN {text}"))
                assert index in plan
                assert "Sort" not in plan
        finally:
            database.execute("ALTER ROLE root RESET enable_seqscan")


def test_whether_there_is_a_room(store: Store) -> None:
    assert not store.room_exists(ROOM)
    store.commit([PutRoom(ROOM, True), PutMember(ROOM, ALICE, OWNER)])
    assert store.room_exists(ROOM)
    assert not store.room_exists(ALICE)
    store.commit([DeleteRoom(ROOM)])
    assert not store.room_exists(ROOM)


def test_an_address_is_one_object_for_all_rooms(store: Store) -> None:
    store.commit([op for room in (ROOM, OTHER) for op in (PutRoom(room, False), PutMember(room, ALICE, OWNER))])
    (one,), (another,) = members(store.load_room(ROOM)), members(store.load_room(OTHER))
    assert one is another
