from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.replay.vocabulary import read_command


def kinds(text: str) -> list[tuple[str, str]]:
    command = read_command(text)
    assert command is not None
    return [(piece.kind, piece.text) for piece in command.pieces if piece.kind != "blank"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#create", []),
        ("#create chat-a private", [("room", "chat-a"), ("private", "private")]),
        ("#create private", [("private", "private")]),
        ("#create PRIVATE chat-a", [("private", "PRIVATE"), ("word", "chat-a")]),
        ("#create chat-a foo", [("room", "chat-a"), ("word", "foo")]),
        ("#invite  bob\tchat-a", [("user", "bob"), ("room", "chat-a")]),
        ("#modify bob admin", [("user", "bob"), ("role", "admin")]),
        ("#MODIFY bob admin chat-a x", [("user", "bob"), ("role", "admin"), ("room", "chat-a"), ("word", "x")]),
        ("#help me", [("word", "me")]),
        ("#nonsense a b", [("word", "a"), ("word", "b")]),
        ("#leave\r\nchat-b", []),
    ],
)
def test_pieces(text: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(text) == expected


@given(st.text(alphabet="#creatjoinv \t\r\nab@", max_size=40))
def test_all_pieces_are_the_text(text: str) -> None:
    command = read_command("#" + text)
    assert str(command) == "#" + text


def test_what_is_no_command() -> None:
    assert read_command("hello #create") is None
    assert read_command("") is None
    assert read_command("!join", "!") is not None
