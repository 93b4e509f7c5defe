from __future__ import annotations

import pytest

from conformance.drivers.events import Classifier, compile_pattern

PATTERNS = {"member-joined": (r"\*\*\* \[{user}\] has joined",), "member-list": ("Members:\n.*", "Nobody")}
ROOM = "chat-1@example.com"


def classifier(patterns: dict[str, tuple[str, ...]]) -> Classifier:
    return Classifier(patterns, lambda address: address == "rita@example.com")


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("*** [sip:rita@example.com] has joined", "member-joined"),
        ("*** [rita@example.com] has joined", "member-joined"),
        ("*** [rita] has joined", "message"),
        ("*** [rita@example.com] has joined!", "message"),
        ("Members:\na\nb", "member-list"),
        ("Nobody", "member-list"),
        ("", "message"),
    ],
)
def test_patterns(text: str, event: str) -> None:
    assert classifier(PATTERNS).event(ROOM, None, text) == event


def test_with_patterns_for_copies_the_rest_is_unknown() -> None:
    assert classifier({**PATTERNS, "message": (r"\[.*",)}).event(ROOM, None, "Nothing known") is None


def test_the_header_comes_first() -> None:
    assert classifier(PATTERNS).event(ROOM, "help", "Nobody") == "help"
    assert classifier({}).event("rita@example.com", "forged", "hello") == "forged"


def test_what_a_user_sends_is_relayed() -> None:
    assert classifier(PATTERNS).event("rita@example.com", None, "Nobody") == "relayed"


def test_without_header_and_patterns_nothing_is_known() -> None:
    assert classifier({}).event(ROOM, None, "hello") is None


def test_braces_of_other_kinds_are_left() -> None:
    assert compile_pattern("a{2}{address}").fullmatch("aax@example.com")
