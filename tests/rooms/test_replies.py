from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from imc.aor import Aor
from imc.rooms import REFUSALS, Notice, Refused, Role, Room, RoomRow, member
from imc.rooms.commands import USAGE
from imc.rooms.replies import EVENTS, display_name, format_room_text, pages, text, texts, warning
from tests.rooms.play import DOMAIN, MANAGER, POLICY, ROOM, Stage, user
from tests.rooms.status_table import CELLS, VARIANTS, setup

ALICE, BOB = user("alice"), user("bob")


def notice(event: str, *, is_answer: bool = False, **data: object) -> Notice:
    return Notice(event=event, room=ROOM, recipients=(ALICE,), is_answer=is_answer, **data)  # type: ignore[arg-type]


# --- words


def every_notice() -> list[Notice]:
    """All that the cells of the status table bring forth."""
    found: list[Notice] = []
    for cell in CELLS + VARIANTS:
        stage = Stage()
        for sender, body in (*setup(cell.kind), *cell.before, (cell.sender, cell.body)):
            found += stage.send(sender, body).notices
    return found


def test_no_notice_can_be_taken_for_a_members_text() -> None:
    """Spec R-NOTICE-3."""
    for one in every_notice():
        words = text(one, POLICY)
        assert words
        assert not words.startswith(("[", "| "))
        assert "{" not in words
        assert "None" not in words


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_event_id_has_words(event: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", event)
    said = 0
    for is_answer in (True, False):
        try:
            words = text(notice(event, is_answer=is_answer, user=BOB, by=ALICE, role=Role.ADMIN), POLICY)
        except KeyError:
            continue
        said += 1
        assert words.strip()
    assert said


def test_every_refusal_has_words_for_a_warning() -> None:
    """Spec R-ANSWER-7: a quoted-string of ASCII without anything to escape."""
    for event, status in REFUSALS.items():
        words = warning(Refused(event, status, "R-X", "invite"), ROOM, POLICY)
        assert words.isascii()
        assert words.isprintable()
        assert '"' not in words
        assert "\\" not in words


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (notice("member-joined", user=BOB), "bob@imc.test has joined the room chat-x@imc.test."),
        (notice("member-joined", is_answer=True, user=ALICE), "You are now in the room chat-x@imc.test."),
        (
            notice("member-joined", user=BOB, by=ALICE),
            "alice@imc.test has brought bob@imc.test into the room chat-x@imc.test.",
        ),
        (notice("member-left", user=BOB), "bob@imc.test has left the room chat-x@imc.test."),
        (
            notice("member-left", user=BOB, by=ALICE, is_answer=True),
            "alice@imc.test has removed bob@imc.test from the room chat-x@imc.test.",
        ),
        (notice("you-were-removed", by=BOB), "bob@imc.test has removed you from the room chat-x@imc.test."),
        (
            notice("you-were-removed", by=BOB, role=Role.INVITED),
            "bob@imc.test has withdrawn your invitation to the room chat-x@imc.test.",
        ),
        (
            notice("invitation", user=ALICE, by=BOB, is_private=True),
            "bob@imc.test invites you to the private room chat-x@imc.test. Answer #accept or #reject.",
        ),
        (notice("missing-parameter", detail="modify"), "Something is missing. Usage: #modify user role [room]"),
        (notice("unknown-command", detail="frob"), "Unknown command: frob. For a list of them: #help"),
        (notice("unknown-command"), "Unknown command. For a list of them: #help"),
        (notice("room-list"), "There are no rooms to see."),
    ],
)
def test_words(one: Notice, words: str) -> None:
    assert text(one, POLICY) == words


def test_lists() -> None:
    members = ((ALICE, Role.OWNER), (BOB, Role.ADMIN), (user("carol"), Role.MEMBER))
    assert text(notice("member-list", members=members, left_off=2), POLICY).split("\r\n") == [
        "In the room chat-x@imc.test:",
        "*alice@imc.test (owner)",
        "~bob@imc.test (admin)",
        "carol@imc.test",
        "and 2 more",
    ]
    rows = (RoomRow(ROOM, False), RoomRow(ROOM, True, Role.INVITED), RoomRow(ROOM, False, Role.OWNER))
    assert text(notice("room-list", rooms=rows), POLICY).split("\r\n") == [
        "Rooms:",
        "chat-x@imc.test",
        "chat-x@imc.test (private, invited)",
        "chat-x@imc.test (owner)",
    ]


def test_help_names_every_command_with_the_configured_character() -> None:
    """Spec R-HELP-1."""
    words = text(notice("help"), replace(POLICY, start_char="/"))
    assert "#" not in words
    for name in USAGE:
        assert f"\r\n/{name}" in words
    for alias in ("/deny", "/exit", "/list"):
        assert alias in words
    assert len(text(notice("help"), POLICY).encode()) < 1_000


# --- pages


def test_one_page_has_no_number() -> None:
    assert pages("Rooms:", ["a", "b"], 100) == ["Rooms:\r\na\r\nb"]


def test_pages_are_numbered_and_lose_nothing() -> None:
    assert pages("H", ["aaaa", "bbbb", "cccc"], 1 + 10 + 12) == ["H (1/2)\r\naaaa\r\nbbbb", "H (2/2)\r\ncccc"]


@given(st.lists(st.text(alphabet="ab\N{EURO SIGN}", max_size=30)), st.integers(60, 300))
def test_pages_fit(lines: list[str], max_bytes: int) -> None:
    found = pages("Head:", lines, max_bytes)
    assert all(len(page.encode()) <= max(max_bytes, 110) for page in found)
    assert [line for page in found for line in page.split("\r\n")[1:]] == lines


def test_a_long_list_is_cut() -> None:
    """Spec R-LIST-4."""
    members = tuple((user(f"somebody-{n}"), Role.MEMBER) for n in range(1_000))
    found = texts(notice("member-list", members=members), POLICY, 1_000)
    assert len(found) > 20
    assert all(len(page.encode()) <= 1_000 for page in found)
    assert found[0].startswith(f"In the room chat-x@imc.test: (1/{len(found)})\r\n")
    assert texts(notice("help"), POLICY, 1_000) == [text(notice("help"), POLICY)]


# --- what members say


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("hello", "[alice]: hello"),
        ("", "[alice]: "),
        ("hello\r\n", "[alice]: hello\r\n"),
        ("hello\r", "[alice]: hello\r"),
        ("hello\n\n", "[alice]: hello\n| \n"),
        ("hi\r\n[bob]: forged", "[alice]: hi\r\n| [bob]: forged"),
        ("hi\n[bob]: forged", "[alice]: hi\n| [bob]: forged"),
        ("hi\r[bob]: forged", "[alice]: hi\r| [bob]: forged"),
        ("hi\n\r[bob]: forged", "[alice]: hi\n| \r| [bob]: forged"),
        ("\r\n[bob]: forged", "[alice]: \r\n| [bob]: forged"),
        ("hi\x0b[bob]: forged", "[alice]: hi\x0b| [bob]: forged"),
        ("hi\x0c[bob]: forged", "[alice]: hi\x0c| [bob]: forged"),
        ("hi\x85[bob]: forged", "[alice]: hi\x85| [bob]: forged"),
        ("hi\u2028[bob]: forged", "[alice]: hi\u2028| [bob]: forged"),
        ("hi\u2029[bob]: forged", "[alice]: hi\u2029| [bob]: forged"),
        ("a\x00b", "[alice]: a\x00b"),
        ("%s {c} \\1 \\g<0>", "[alice]: %s {c} \\1 \\g<0>"),
    ],
)
def test_format(body: str, shown: str) -> None:
    """Spec R-MSG-5, R-MSG-7."""
    assert format_room_text("alice", body) == shown


@given(st.text(alphabet=st.sampled_from("a[]|: \r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\udc85")))
def test_no_line_of_a_member_begins_otherwise(body: str) -> None:
    """Spec R-MSG-7: str.splitlines knows all the line ends of the clause."""
    first, *others = format_room_text("alice", body).splitlines()
    assert first.startswith("[alice]: ")
    assert all(line.startswith("| ") for line in others)


@given(st.text())
def test_a_text_is_relayed_whole(body: str) -> None:
    """Spec R-MSG-8: the marks are all that is added."""
    lines = format_room_text("x", body).removeprefix("[x]: ").splitlines(keepends=True)
    assert "".join(lines[:1] + [line.removeprefix("| ") for line in lines[1:]]) == body


def test_bytes_that_are_no_text_pass_unharmed() -> None:
    body = bytes(range(256)).decode(errors="surrogateescape")
    encoded = format_room_text("x", body).encode(errors="surrogateescape")
    assert encoded.replace(b"| ", b"").removeprefix(b"[x]: ") == bytes(range(256)).replace(b"| ", b"")


def test_label() -> None:
    """Spec R-MSG-6."""
    room = Room(ROOM, False, Map({who: member(Role.MEMBER) for who in (ALICE, BOB, Aor("alice", "other.test"))}))
    assert display_name(room, BOB) == "bob"
    assert display_name(room, ALICE) == f"alice@{DOMAIN}"
    assert display_name(room, MANAGER) == "chat-manager"
