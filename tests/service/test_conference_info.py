"""Documents of RFC 4575, compared whole."""

from __future__ import annotations

from immutables import Map

from imc.aor import Aor
from imc.rooms.model import Member, Role, Room, member
from imc.rooms.roster import Difference, Person, difference, roster_of
from imc.service.conference_info import full, partial

AOR = Aor("chat-x", "example.com")
HEAD = (
    "<?xml version='1.0' encoding='utf-8'?>\n"
    '<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:chat-x@example.com" '
)
COUNT = "<conference-state><user-count>{}</user-count></conference-state>"


def user(name: str) -> Aor:
    return Aor.make(name, "example.com")


def room(**roles: Role) -> Room:
    return Room(AOR, False, Map({user(name): member(role) for name, role in roles.items()}))


ONE = room(alice=Role.OWNER, bob=Role.MEMBER)


def test_a_full_document() -> None:
    """S-EVT-7."""
    people = "".join(
        f'<user entity="sip:{name}@example.com" state="full"><display-text>{name}</display-text>'
        f"<roles><entry>{role}</entry></roles></user>"
        for name, role in (("alice", "owner"), ("bob", "member"))
    )
    assert full(AOR, roster_of(ONE, 9)).at(41).decode() == (
        f'{HEAD}state="full" version="41"><conference-description><display-text>chat-x</display-text>'
        f"</conference-description>{COUNT.format(2)}<users>{people}</users></conference-info>"
    )


def test_a_partial_document() -> None:
    """S-EVT-6: who changed as a whole, who is gone as deleted, and the count."""
    two = room(alice=Role.OWNER, carol=Role.ADMIN)
    carol = (
        '<user entity="sip:carol@example.com" state="full"><display-text>carol</display-text>'
        "<roles><entry>admin</entry></roles></user>"
    )
    gone = '<user entity="sip:bob@example.com" state="deleted" />'
    assert partial(AOR, roster_of(ONE, 9), roster_of(two, 9)).at(2).decode() == (
        f'{HEAD}state="partial" version="2">{COUNT.format(2)}<users state="partial">{carol}{gone}</users>'
        "</conference-info>"
    )


def test_a_count_alone() -> None:
    """S-EVT-7: beyond those who are named."""
    before, after = roster_of(ONE, 1), roster_of(room(alice=Role.OWNER, bob=Role.MEMBER, carol=Role.MEMBER), 1)
    assert list(after.people) == [user("alice")]
    assert partial(AOR, before, after).at(2).decode() == (
        f'{HEAD}state="partial" version="2">{COUNT.format(3)}</conference-info>'
    )


def test_names_are_escaped_and_labels_tell_apart() -> None:
    """R-MSG-6; and nothing that a user may be called ends an attribute."""
    odd = Room(AOR, False, Map({user("a&b'"): member(Role.OWNER), user("A&b'"): member(Role.MEMBER)}))
    roster = roster_of(odd, 9)
    assert [person.label for person in roster.people.values()] == ["a&b'@example.com", "A&b'@example.com"]
    assert b'entity="sip:a&amp;b\'@example.com"' in full(AOR, roster).at(1)


def test_the_invited_are_not_in_it() -> None:
    """S-EVT-7."""
    members = ONE.members.set(user("carol"), Member(Role.INVITED, user("alice"), 1))
    assert roster_of(Room(AOR, False, members), 9) == roster_of(ONE, 9)


def test_differences() -> None:
    after = room(alice=Role.OWNER, bob=Role.ADMIN, dave=Role.MEMBER)
    assert difference(roster_of(ONE, 9), roster_of(after, 9)) == Difference(
        {user("bob"): Person(Role.ADMIN, "bob"), user("dave"): Person(Role.MEMBER, "dave")}, ()
    )
    assert difference(roster_of(after, 9), roster_of(room(alice=Role.OWNER), 9)).gone == (user("bob"), user("dave"))
    # a namesake comes: whoever is mistaken for them is shown otherwise
    alike = room(alice=Role.OWNER, bob=Role.MEMBER, b0b=Role.MEMBER)
    assert set(difference(roster_of(ONE, 9), roster_of(alike, 9)).changed) == {user("bob"), user("b0b")}
