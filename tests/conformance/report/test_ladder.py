"""Ladders of plain text."""

from __future__ import annotations

from rich.cells import cell_len

from conformance.report.ladder import Mark, draw
from conformance.suite.conversation import Arrow


def _arrow(at: float, source: str, target: str, summary: str) -> Arrow:
    return Arrow(at=at, source=source, target=target, summary=summary)


INVITE = [
    _arrow(100.0, "alice", "server", "MESSAGE #invite rita"),
    _arrow(100.002, "server", "rita", "MESSAGE invitation"),
    _arrow(100.0031, "rita", "server", "486 Busy Here"),
    _arrow(100.01, "server", "server", "kill -9"),
    _arrow(112.5, "server", "alice", "MESSAGE invitation-rejected"),
]


def test_a_lane_for_each_and_an_arrow_a_line() -> None:
    assert draw(INVITE) == (
        "            alice  server  rita\n"
        "    0.000     |------>|      |   MESSAGE #invite rita\n"
        "    0.002     |       |----->|   MESSAGE invitation\n"
        "    0.003     |       |<-----|   486 Busy Here\n"
        "    0.010     |       o      |   kill -9\n"
        "   12.500     |<------|      |   MESSAGE invitation-rejected\n"
    )


def test_marks_have_a_sign_a_shaft_a_note_and_a_legend() -> None:
    marks = {
        1: Mark("missing"),
        2: Mark("differs", "recorded 200 OK"),
        4: Mark("extra"),
    }
    assert draw(INVITE, marks) == (
        "            alice  server  rita\n"
        "    0.000     |------>|      |   MESSAGE #invite rita\n"
        "-   0.002     |       |.....>|   MESSAGE invitation\n"
        "!   0.003     |       |<-----|   486 Busy Here\n"
        "              |       |      |     ! recorded 200 OK\n"
        "    0.010     |       o      |   kill -9\n"
        "+  12.500     |<======|      |   MESSAGE invitation-rejected\n"
        "!  is otherwise than recorded\n"
        "-  was recorded and did not come\n"
        "+  came and was not recorded\n"
    )


def test_nothing_is_nothing() -> None:
    assert draw([]) == ""


def test_an_arrow_over_other_lanes_crosses_them() -> None:
    arrows = [_arrow(0, name, "server", "x") for name in ("alice", "bob")]
    assert draw([*arrows, _arrow(0, "bob", "alice", "y")]).splitlines()[-2:] == [
        "    0.000     |       |<----|   x",
        "    0.000     |<------|-----|   y",
    ]


def test_long_names_have_a_letter_that_no_other_is_called_by() -> None:
    there = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:5060"
    assert draw([_arrow(0, there, "A", "MESSAGE"), _arrow(0, "A", "[::1]:5060", "MESSAGE")]) == (
        f"B = {there}\n"
        "            B   A   [::1]:5060\n"
        "    0.000   |-->|        |      MESSAGE\n"
        "    0.000   |   |------->|      MESSAGE\n"
    )


def test_many_lanes_have_letters_all() -> None:
    drawn = draw([_arrow(0, "server", f"user-{number}", "x") for number in range(30)], width=80).splitlines()
    assert drawn[:2] == ["A = server", "B = user-0"]
    assert drawn[30] == "E1 = user-29"
    assert drawn[31].split()[-2:] == ["D1", "E1"]
    assert {line.index("x") for line in drawn[32:]} == {drawn[32].index("x")}


def test_wide_characters_keep_the_lanes_in_line() -> None:
    lines = draw([_arrow(0, "名前さん", "Zoë", "a"), _arrow(0, "Zoë", "server", "b")]).splitlines()
    heads, first = lines[0], lines[1]
    assert cell_len(heads[: heads.index("Zoë")]) + 1 == first.index(">") + 1


def test_long_summaries_go_on_below_within_the_width() -> None:
    drawn = draw([_arrow(0, "alice", "server", "MESSAGE " + "word " * 30 + "x" * 100)], width=60)
    assert max(map(len, drawn.splitlines())) <= 60
    assert drawn.replace(" ", "").replace("|", "").replace("\n", "").endswith("x" * 100)


def test_what_is_hostile_is_an_escape() -> None:
    drawn = draw([_arrow(0, "al\x1b[2Jice\n", "ser\u202ever", "a\r\nb\x00")], {0: Mark("differs", "\x07\ud800")})
    assert "al\\x1b[2Jice\\n" in drawn
    assert "ser\\u202ever" in drawn
    assert "a\\r\\nb\\x00" in drawn
    assert "\\x07\\ud800" in drawn
    assert drawn.replace("\n", "").isprintable()


def test_times_need_not_be_in_order() -> None:
    assert "    1.000" in draw([_arrow(3, "a", "b", "x"), _arrow(2, "b", "a", "y")])
