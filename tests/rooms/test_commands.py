from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.rooms import REFUSALS, Limits, Role, is_command, parse_command
from imc.rooms.commands import (
    Accept,
    Add,
    BadCommand,
    Command,
    Create,
    Destroy,
    Help,
    Invite,
    Join,
    Leave,
    Members,
    Modify,
    Reject,
    Remove,
    Rooms,
)
from tests.rooms.play import DOMAIN, MANAGER, POLICY, ROOM, user

OTHER = Aor("chat-y", DOMAIN)
BOB = user("bob")


def parse(body: str, to: Aor = ROOM) -> Command:
    return parse_command(body, to, POLICY)


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("#create", Create(room=ROOM)),
        ("#create private", Create(room=ROOM, is_private=True)),
        ("#create chat-y", Create(room=OTHER)),
        ("#create chat-y private", Create(room=OTHER, is_private=True)),
        ("#create chat-y PRIVATE", Create(room=OTHER, is_private=True)),
        ("#create private private", Create(room=Aor("private", DOMAIN), is_private=True)),
        ("#join", Join(room=ROOM)),
        ("#join chat-y", Join(room=OTHER)),
        ("#invite bob", Invite(room=ROOM, user=BOB)),
        ("#invite bob chat-y", Invite(room=OTHER, user=BOB)),
        ("#add bob chat-y", Add(room=OTHER, user=BOB)),
        ("#accept", Accept(room=ROOM)),
        ("#accept chat-y", Accept(room=OTHER)),
        ("#reject", Reject(room=ROOM)),
        ("#deny chat-y", Reject(room=OTHER)),
        ("#remove bob", Remove(room=ROOM, user=BOB)),
        ("#leave", Leave(room=ROOM)),
        ("#exit chat-y", Leave(room=OTHER)),
        ("#destroy", Destroy(room=ROOM)),
        ("#members", Members(room=ROOM)),
        ("#list chat-y", Members(room=OTHER)),
        ("#rooms", Rooms(room=ROOM)),
        ("#modify bob admin", Modify(room=ROOM, user=BOB, role=Role.ADMIN)),
        ("#modify bob OWNER chat-y", Modify(room=OTHER, user=BOB, role=Role.OWNER)),
        ("#modify bob Member", Modify(room=ROOM, user=BOB, role=Role.MEMBER)),
        ("#help", Help(room=ROOM)),
        ("#help me with this", Help(room=ROOM)),
    ],
)
def test_forms(body: str, command: Command) -> None:
    assert parse(body) == command


@pytest.mark.parametrize(
    "body",
    ["#JOIN", "#Join", "#join ", "#join \t ", "#join\r\n", "#join\n", "#join\r", "#join\r\n#leave", "#join\rchat-y"],
)
def test_case_trailing_blanks_and_further_lines_do_not_count(body: str) -> None:
    """Spec R-CMD-1, R-CMD-2."""
    assert parse(body) == Join(room=ROOM)


@pytest.mark.parametrize(
    "word",
    [
        "bob", "bob@imc.test", "bob@IMC.TEST", "sip:bob@imc.test", "SIP:bob@imc.test", "sips:bob@imc.test", "<bob>",
        "<sip:bob@imc.test>", "sip:bob@imc.test:5070", "sip:bob@imc.test;transport=tcp", "sip:bob:pw@imc.test",
        "%62ob", "sip:bob@imc.test?subject=x",
    ],
)  # fmt: skip
def test_forms_of_an_address(word: str) -> None:
    """Spec R-ADDR-1, R-ADDR-2."""
    assert parse(f"#invite {word}") == Invite(room=ROOM, user=BOB)


def test_a_missing_host_is_that_of_the_room() -> None:
    there = Aor("chat-y", "other.test")
    assert parse("#invite bob chat-y@other.test") == Invite(room=there, user=Aor("bob", "other.test"))
    assert parse("#invite bob", there) == Invite(room=there, user=Aor("bob", "other.test"))


def test_users_differ_by_case() -> None:
    assert parse("#invite Bob") == Invite(room=ROOM, user=Aor("Bob", DOMAIN))


@pytest.mark.parametrize(
    ("body", "event", "returns", "detail"),
    [
        ("#", "empty-command", -20, ""),
        ("# ", "empty-command", -20, ""),
        ("#\r\njoin", "empty-command", -20, ""),
        ("# join", "empty-command", -20, ""),
        ("##", "unknown-command", -130, ""),
        ("#frob x", "unknown-command", -130, "frob"),
        ("#joinx", "unknown-command", -130, "joinx"),
        ("#join,", "unknown-command", -130, ""),
        ("#members\x00junk", "unknown-command", -130, ""),
        ("#\N{LATIN SMALL LETTER E WITH ACUTE}t", "unknown-command", -130, ""),
        ("#" + "x" * 40, "unknown-command", -130, ""),
        ("#%s%n{room}", "unknown-command", -130, ""),
        ("#invite", "missing-parameter", -50, "invite"),
        ("#add ", "missing-parameter", -50, "add"),
        ("#remove", "missing-parameter", -80, "remove"),
        ("#modify", "missing-parameter", -120, "modify"),
        ("#modify bob", "missing-parameter", -120, "modify"),
        ("#join chat-y chat-z", "too-many-parameters", -40, "join"),
        ("#rooms chat-y", "too-many-parameters", -100, "rooms"),
        ("#create a b c", "too-many-parameters", -30, "create"),
        ("#leave now please", "too-many-parameters", -90, "leave"),
        ("#create chat-y foo", "bad-parameter", -30, "private"),
        ("#create chat-y public", "bad-parameter", -30, "private"),
        ("#modify bob king", "bad-role", -120, "modify"),
        ("#modify bob invited", "bad-role", -120, "modify"),
        ("#modify bob chat-y admin", "bad-role", -120, "modify"),
        ("#invite tel:+123456", "bad-address", -50, "invite"),
        ("#invite sip:imc.test", "bad-address", -50, "invite"),
        ("#invite @imc.test", "bad-address", -50, "invite"),
        ("#invite bob@", "bad-address", -50, "invite"),
        ("#invite j\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen", "bad-address", -50, "invite"),
        ("#invite <bob", "bad-address", -50, "invite"),
        ("#invite bob>;evil=1", "bad-address", -50, "invite"),
        ('#invite "bob"', "bad-address", -50, "invite"),
        ("#invite b\x0bob", "bad-address", -50, "invite"),
        ("#invite bob\x00", "bad-address", -50, "invite"),
        ("#invite bob\udc85", "bad-address", -50, "invite"),
        ("#invite bob%0d%0aX:y", "bad-address", -50, "invite"),
        ("#invite bob%0d%0a", "bad-address", -50, "user"),
        ("#create chat-%e2%80%8b", "bad-address", -30, "room"),
        ("#create chat-x>;evil=1", "bad-address", -30, "create"),
        ("#create " + "r" * 65, "name-too-long", -30, "room"),
        ("#create chat-x@" + "h" * 60, "name-too-long", -30, "room"),
        ("#invite " + "u" * 65, "name-too-long", -50, "user"),
        ("#invite bob@" + "h" * 65, "name-too-long", -50, "user"),
        ("#join " + "x" * 1100, "command-too-long", -20, ""),
        ("#create chat-manager", "room-needed", -30, "create"),
    ],
)
def test_bad_commands(body: str, event: str, returns: int, detail: str) -> None:
    bad = parse(body)
    assert isinstance(bad, BadCommand)
    assert (bad.event, bad.returns, bad.detail) == (event, returns, detail)
    assert bad.room == ROOM
    assert REFUSALS[event] == 400


@pytest.mark.parametrize(
    "body",
    ["#create", "#create private", "#join", "#invite bob", "#add bob", "#accept", "#reject", "#remove bob", "#leave",
     "#destroy", "#members", "#modify bob admin"],
)  # fmt: skip
def test_the_manager_is_no_room(body: str) -> None:
    """Spec R-ADDR-6."""
    bad = parse(body, MANAGER)
    assert isinstance(bad, BadCommand)
    assert bad.event == "room-needed"
    good = parse(f"{body} chat-y" if body != "#create private" else "#create chat-y private", MANAGER)
    assert good.room == OTHER


def test_help_and_rooms_need_no_room() -> None:
    assert parse("#help", MANAGER) == Help(room=MANAGER)
    assert parse("#rooms", MANAGER) == Rooms(room=MANAGER)


def test_what_just_fits_the_columns() -> None:
    room = Aor("r" * (64 - len("sip:@imc.test")), DOMAIN)
    assert len(str(room)) == 64
    assert parse(f"#create {room.user}") == Create(room=room)
    assert parse(f"#create {room.user}r").name == "bad"
    assert parse("#invite " + "u" * 64) == Invite(room=ROOM, user=Aor("u" * 64, DOMAIN))


def test_start_character() -> None:
    policy = replace(POLICY, start_char="/")
    assert is_command("/join", policy)
    assert parse_command("/join", ROOM, policy) == Join(room=ROOM)
    for body in ("#join", " /join", "\r\n/join", "", "hello"):
        assert not is_command(body, policy)


def test_a_line_has_its_limit_only_where_there_is_one() -> None:
    """Spec R-CMD-5, R-LIMIT-3."""
    long = "#join" + " " * 2_000
    assert parse(long).name == "bad"
    limits = Limits(max_command_line=None)
    assert parse_command(long, ROOM, replace(POLICY, limits=limits)) == Join(room=ROOM)
    # The limit counts the start character, and further lines do not count
    limits = Limits(max_command_line=5)
    assert parse_command("#join\r\n" + "x" * 99, ROOM, replace(POLICY, limits=limits)) == Join(room=ROOM)
    assert parse_command("#join ", ROOM, replace(POLICY, limits=limits)).name == "bad"


words = st.one_of(
    st.text(max_size=80),
    st.sampled_from(("private", "owner", "sip:", "<", ">", "@", "%", "%0a", "chat-y", "bob@x", "[::1]", "bob@[::1]")),
)
lines = st.one_of(
    st.text(),
    st.builds(
        lambda name, values, blank: name + blank + blank.join(values),
        st.sampled_from(("create", "JOIN", "invite", "modify", "deny", "list", "help", "")),
        st.lists(words, max_size=5),
        st.sampled_from((" ", "\t", "  ")),
    ),
    st.binary(max_size=200).map(lambda data: data.decode(errors="surrogateescape")),
)


@given(lines)
def test_any_text_is_a_command_or_a_bad_one(line: str) -> None:
    command = parse("#" + line)
    assert isinstance(command, Command)
    if isinstance(command, BadCommand):
        assert REFUSALS[command.event] == 400
        assert command.detail.isascii()
    else:
        assert len(str(command.room)) <= 64 or isinstance(command, Help | Rooms)
        assert command.room != MANAGER or isinstance(command, Help | Rooms)


@given(st.text(alphabet="#join \t\r\nabc"))
def test_only_the_first_line_counts(text: str) -> None:
    """Spec R-CMD-1."""
    first = text.replace("\r", "\n").split("\n")[0]
    assert parse("#" + text) == parse("#" + first)
