"""What is repeated: nobody can write a line that is taken for another's or for a notice (spec R-HISTORY-3 to -7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from imc.aor import Aor
from imc.rooms.commands import BadCommand, History, Set, Settings, parse_command
from imc.rooms.decide import decide
from imc.rooms.history import Said, labels_of, lines_of, repeat, text_lines
from imc.rooms.model import Role, Room, member
from imc.rooms.outcome import Context, Notice
from imc.rooms.policy import UNLIMITED, Limits, Policy
from imc.rooms.replies import history_head, text, texts
from imc.rooms.settings import DEFAULT, RoomSettings, kept, replayed

HOST = "example.com"
ROOM = Aor("chat-x", HOST)
ALICE, BOB, MARY = Aor("alice", HOST), Aor("bob", HOST), Aor("mary", HOST)
POLICY = Policy(manager=Aor("chat-manager", HOST), domains=(HOST,), room_pattern="chat-*")
LIVE = Room(ROOM, False, Map({ALICE: member(Role.OWNER), MARY: member(Role.MEMBER)}))
NOON = 1_796_047_500.0  # 2026-11-30 14:05 UTC
PAGE = 400


def said(body: str, sender: Aor = ALICE, time: float = NOON) -> Said:
    return Said(sender, time, "text/plain", len(body.encode()), body)


def repeated(*messages: Said, max_bytes: int = 16_384, room: Room = LIVE) -> list[str]:
    max_line = PAGE - len(history_head(room.aor)) - 12
    found = repeat(room, messages, max_line=max_line, max_bytes=max_bytes)
    notice = Notice(event="history", room=room.aor, recipients=(MARY,), lines=found.lines, left_off=int(found.is_cut))
    return texts(notice, POLICY, PAGE)


def test_a_message_has_its_label_and_its_time() -> None:
    assert repeated(said("hello"), said("you too", MARY, NOON + 60)) == [
        "What was said in the room chat-x@example.com:\r\n[alice 2026-11-30 14:05]: hello\r\n"
        "[mary 2026-11-30 14:06]: you too"
    ]


def test_further_lines_are_marked() -> None:
    # spec R-HISTORY-5
    assert lines_of(said("one\r\ntwo\n\nthree\u2028four\n"), "alice", 300, 9_999) == [
        "[alice 2026-11-30 14:05]: one",
        "| two",
        "| ",
        "| three",
        "| four",
    ]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [("", [""]), ("\n", [""]), ("\r\n", [""]), ("a\n", ["a"]), ("a\n\n", ["a", ""]), ("\ra", ["", "a"])],
)
def test_lines_of_a_text(body: str, wanted: list[str]) -> None:
    assert text_lines(body) == wanted


def test_what_is_no_text_is_named() -> None:
    image = Said(ALICE, NOON, "image/png", 48_213, None)
    assert lines_of(image, "alice", 300, 999) == ["[alice 2026-11-30 14:05]: (image/png, 48213 bytes)"]
    assert lines_of(said("x" * 1_000), "a", 300, 999) == ["[a 2026-11-30 14:05]: (text/plain, 1000 bytes)"]
    odd = Said(ALICE, NOON, "x" * 81, 3, None)
    assert lines_of(odd, "alice", 300, 999) == ["[alice 2026-11-30 14:05]: (something, 3 bytes)"]


def test_a_long_line_is_parted_at_blanks_and_within_characters_never() -> None:
    words = " ".join(["word"] * 40)
    lines = lines_of(said(words), "alice", 60, 9_999)
    assert all(len(line.encode()) <= 60 for line in lines)
    assert "".join(line.removeprefix("[alice 2026-11-30 14:05]: ").removeprefix("| ") for line in lines) == words
    assert all(line.endswith("word ") for line in lines[:-1])
    smileys = lines_of(said("\U0001f600" * 50), "alice", 60, 9_999)
    assert "".join(smileys).count("\U0001f600") == 50


def test_who_looks_alike_is_named_whole_also_when_they_have_left() -> None:
    # spec R-HISTORY-5
    other, gone = Aor("a1ice", "elsewhere.example"), Aor("ALICE", HOST)
    labels = labels_of((ALICE, MARY, other, gone))
    assert labels == {
        ALICE: "alice@example.com", MARY: "mary", other: "a1ice@elsewhere.example", gone: "ALICE@example.com"
    }  # fmt: skip
    assert repeated(said("hi", gone))[0].endswith("[ALICE@example.com 2026-11-30 14:05]: hi")


def test_of_too_much_the_newest_is_repeated() -> None:
    found = repeated(*(said(f"{number} " + "x" * 90) for number in range(100)), max_bytes=1_000)
    whole = "\r\n".join(found)
    assert "(more is left off here)" in found[0]
    assert "99 x" in whole
    assert "98 x" in whole
    assert "\n[alice 2026-11-30 14:05]: 0 x" not in whole
    assert sum(map(len, found)) < 2_000


bodies = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("[]|: \r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")),
    max_size=400,
)
people = st.sampled_from((ALICE, MARY, BOB, Aor("a1ice", "elsewhere.example"), Aor("%5B" * 21, HOST)))
messages = st.lists(
    st.builds(
        Said,
        people,
        st.floats(0, 4e9),
        st.sampled_from(("text/plain", "image/png", "x" * 500)),
        st.integers(0, 5_000),
        st.one_of(bodies, st.none()),
    ),
    max_size=12,
)


@given(messages)
def test_every_line_is_the_servers_own_or_marked(found: list[Said]) -> None:
    """Spec R-HISTORY-5, R-NOTICE-3: in each page a head, then lines that begin with a label or with a mark."""
    head = history_head(ROOM)
    for page in repeated(*found, max_bytes=4_000):
        first, *lines = page.splitlines()
        assert len(page.encode()) <= PAGE
        if not found:
            assert (first, lines) == ("Nothing that was said in the room chat-x@example.com is kept.", [])
            continue
        assert first.startswith(head)
        for line in lines:
            assert line == "(more is left off here)" or line.startswith(("| ", "[")), line
            if line.startswith("["):
                label, _, rest = line[1:].partition("]: ")
                who, _, _time = label.partition(" ")
                assert who in labels_of((*LIVE.audience, *(one.sender for one in found))).values()
                assert "[" not in who
                assert rest is not None


# --- the command ------------------------------------------------------------------------------------------------------


def parsed(words: str, policy: Policy = POLICY) -> object:
    return parse_command(words, ROOM, policy)


def test_how_many_and_of_which_room() -> None:
    # spec R-HISTORY-3
    other = Aor("chat-y", HOST)
    assert parsed("#history") == History(room=ROOM, count=20)
    assert parsed("#History 7") == History(room=ROOM, count=7)
    assert parsed("#history chat-y") == History(room=other, count=20)
    assert parsed("#history 7 sip:chat-y@example.com") == History(room=other, count=7)
    assert parsed("#history 999999999") == History(room=ROOM, count=100)
    assert parsed("#history 5", replace(POLICY, limits=Limits(max_history=3))) == History(room=ROOM, count=3)
    assert parsed("#history", replace(POLICY, limits=Limits(max_history=3))) == History(room=ROOM, count=3)
    assert parsed("#history 5000", replace(POLICY, limits=UNLIMITED)) == History(room=ROOM, count=5_000)


@pytest.mark.parametrize(
    "words",
    [
        "#history 0",
        "#history 0 chat-y",
        "#history few chat-y",
        "#history 1234567890 chat-y",
        "#history -1",
        "#history +5",
        "#history 2.5",
        "#history 1234567890",
    ],
)
def test_no_number(words: str) -> None:
    found = parsed(words)
    assert isinstance(found, BadCommand)
    assert (found.event, found.clause, found.returns) == ("bad-parameter", "R-HISTORY-3", -100)


def test_what_is_set() -> None:
    # spec R-SET-2, R-SET-4
    assert parsed("#set") == Settings(room=ROOM)
    assert parsed("#set chat-y") == Settings(room=Aor("chat-y", HOST))
    assert parsed("#set Keep 5") == Set(room=ROOM, option="keep", value=5)
    assert parsed("#set days DEFAULT chat-y") == Set(room=Aor("chat-y", HOST), option="days", value=DEFAULT)


def test_words_of_refusals_say_what_can_be_set() -> None:
    decision = decide(LIVE, parse_command("#set keep lots", ROOM, POLICY), ALICE, POLICY)
    assert text(decision.notices[0], POLICY) == (
        "That cannot be set. Options are: replay from 0 to 100, keep from 0 to 10000, days from 1 to 365; keep and "
        "days also default. Usage: #set [option] [value] [room]"
    )
    few = decide(LIVE, parse_command("#history 0", ROOM, POLICY), ALICE, POLICY)
    assert "How many messages?" in text(few.notices[0], POLICY)


# --- settings and replay ----------------------------------------------------------------------------------------------


def test_what_is_in_force() -> None:
    # spec R-HISTORY-6
    policy = replace(POLICY, keep_messages=50, keep_days=7, limits=Limits(max_keep_messages=30, max_keep_days=5))
    assert kept(RoomSettings(), policy) == (50, 7)
    assert kept(RoomSettings(keep=10, days=3), policy) == (10, 3)
    assert kept(RoomSettings(keep=40, days=300), policy) == (30, 5)  # set when more was allowed
    assert kept(RoomSettings(keep=10), replace(policy, is_log_kept=False)) == (0, 7)
    assert replayed(RoomSettings(replay=90), replace(policy, limits=Limits(max_history=5))) == 5
    assert replayed(RoomSettings(replay=9, keep=0), policy) == 0


def test_the_room_is_told_in_words_what_is_kept() -> None:
    # spec R-SET-1
    decision = decide(LIVE, parse_command("#set replay 10", ROOM, POLICY), ALICE, POLICY)
    assert decision.room is not None
    assert decision.room.settings == RoomSettings(replay=10)
    answer, told = decision.notices
    assert (told.recipients, told.is_answer) == ((MARY,), False)
    now = (
        "What is said is kept for 30 days, the newest 1000 messages at most.\r\n"
        "Of that, the newest 10 are repeated to whoever joins."
    )
    assert text(answer, POLICY) == f"replay is now 10 in the room chat-x@example.com.\r\n{now}"
    assert text(told, POLICY) == f"alice@example.com has set replay to 10 in the room chat-x@example.com.\r\n{now}"
    nothing = decide(LIVE, parse_command("#set keep 0", ROOM, POLICY), ALICE, POLICY)
    assert "Nothing that is said is kept" in text(nothing.notices[0], POLICY)


def joined(
    words: str, sender: Aor, policy: Policy = POLICY, **context: bool
) -> list[tuple[str, tuple[Aor, ...], bool]]:
    room = replace(LIVE, settings=RoomSettings(replay=10))
    decision = decide(room, parse_command(words, ROOM, policy), sender, policy, Context(**context))  # type: ignore[arg-type]
    return [(notice.event, notice.recipients, notice.is_answer) for notice in decision.notices]


def test_who_joins_is_repeated_to_behind_the_answer() -> None:
    # spec R-HISTORY-7
    assert joined("#join", BOB) == [
        ("member-joined", (BOB,), True),
        ("member-joined", (ALICE, MARY), False),
        ("history", (BOB,), True),
    ]
    assert joined("#join", BOB, is_automatic=True) == [("member-joined", (ALICE, MARY), False)]
    assert joined("#join", MARY) == [("already-joined", (MARY,), True)]


def test_who_is_added_is_repeated_to() -> None:
    # spec R-HISTORY-7
    policy = replace(POLICY, add_requires_consent=False)
    assert joined("#add bob", ALICE, policy) == [
        ("member-joined", (ALICE,), True),
        ("member-joined", (BOB, MARY), False),
        ("history", (BOB,), False),
    ]


def test_a_founder_is_repeated_nothing() -> None:
    # spec R-HISTORY-7
    decision = decide(None, parse_command("#join", ROOM, POLICY), BOB, POLICY)
    assert [notice.event for notice in decision.notices] == ["room-created"]


def test_where_nothing_was_said_nothing_is_repeated() -> None:
    assert texts(Notice(event="history", room=ROOM, recipients=(BOB,), is_replay=True), POLICY, PAGE) == []


def test_settings_stay_when_people_come_and_go() -> None:
    room = replace(LIVE, settings=RoomSettings(replay=10))
    for words, sender in (("#join", BOB), ("#leave", BOB), ("#modify mary admin", ALICE), ("#remove mary", ALICE)):
        decision = decide(room, parse_command(words, ROOM, POLICY), sender, POLICY)
        assert decision.room is not None
        assert decision.room.settings == RoomSettings(replay=10)
        room = decision.room
