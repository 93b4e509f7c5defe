from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.rooms.names import is_too_long_for_room, is_too_long_for_user, is_visible, lookalike_key


@pytest.mark.parametrize(
    "user", ["bob", "chat-1", "a%22b", "a%40b", "%C3%BC", "j%C3%BCrgen", "%D0%B0", "%E4%BD%A0", "a;b", "a%25b"]
)
def test_visible(user: str) -> None:
    assert is_visible(user)


@pytest.mark.parametrize(
    "user",
    [
        "%0D%0A", "a%00", "a%20b", "%7F", "%C2%85",  # controls, blanks
        "%E2%80%8B", "%E2%80%8D", "%E2%80%AE", "%EF%BB%BF", "%EF%B8%8F", "%C2%AD",  # zero width, bidi, ignorable
        "%E3%85%A4", "%E1%84%80",  # fillers, old Hangul
        "%EF%BC%A1", "%E2%84%AB", "%C2%B9",  # compatibility forms
        "u%CC%88",  # not in NFC
        "%F0%9F%98%80", "%C2%A0", "%E2%80%A8",  # symbols, other blanks, line separator
        "%FF", "%C3", "%ED%A0%80",  # not UTF-8
    ],
)  # fmt: skip
def test_not_visible(user: str) -> None:
    assert not is_visible(user)


@given(st.text(min_size=1, max_size=5))
def test_what_is_visible_has_no_control_blank_or_format_character(text: str) -> None:
    user = quote(text, safe="", errors="surrogatepass")
    if is_visible(user):
        assert all(unicodedata.category(char)[0] not in "CZ" for char in text)


def test_columns() -> None:
    assert not is_too_long_for_user(Aor("u" * 64, "h" * 64))
    assert is_too_long_for_user(Aor("u" * 65, "h"))
    assert is_too_long_for_user(Aor("u", "h" * 65))
    assert not is_too_long_for_room(Aor("u" * 57, "hh"))
    assert is_too_long_for_room(Aor("u" * 58, "hh"))


@pytest.mark.parametrize(
    ("one", "two"), [("alice", "Alice"), ("alice", "a1ice"), ("alice", "alIce"), ("bob", "b0b"), ("mary", "rnary")]
)
def test_lookalikes(one: str, two: str) -> None:
    assert lookalike_key(one) == lookalike_key(two)


def test_not_lookalike() -> None:
    assert lookalike_key("alice") != lookalike_key("alicia")
