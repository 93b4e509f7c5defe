from __future__ import annotations

import pytest

from imc.aor import Aor
from imc.rooms import Policy
from tests.rooms.play import DOMAIN, MANAGER, POLICY, ROOM, user


@pytest.mark.parametrize("char", ["", "##", " ", "\t", "\n", "\x00", "\u200b"])
def test_start_character_is_one_visible_character(char: str) -> None:
    with pytest.raises(ValueError, match="imc_cmd_start_char"):
        Policy(start_char=char)


def test_which_addresses_may_be_rooms() -> None:
    """Spec R-ADDR-7."""
    assert POLICY.may_be_room(ROOM)
    assert not POLICY.may_be_room(MANAGER)
    assert not POLICY.may_be_room(user("alice"))
    assert not POLICY.may_be_room(Aor("CHAT-x", DOMAIN))
    assert not POLICY.may_be_room(Aor("chat-x", "other.test"))


def test_which_addresses_are_reserved() -> None:
    """Spec R-ADDR-8."""
    assert POLICY.is_reserved(ROOM)
    assert POLICY.is_reserved(MANAGER)
    assert not POLICY.is_reserved(user("alice"))
    assert not POLICY.is_reserved(Aor("chat-x", "other.test"))


@pytest.mark.parametrize("pattern", ["*", "", "**"])
def test_a_pattern_for_everything_reserves_nothing_but_the_manager(pattern: str) -> None:
    policy = Policy(room_pattern=pattern, manager=MANAGER, domains=(DOMAIN,))
    assert policy.may_be_room(user("alice"))
    assert not policy.is_reserved(user("alice"))
    assert policy.is_reserved(MANAGER)
    assert not policy.may_be_room(MANAGER)


def test_no_domains_are_all_domains() -> None:
    policy = Policy(room_pattern="chat-*")
    assert policy.may_be_room(Aor("chat-x", "other.test"))
    assert policy.is_reserved(Aor("chat-x", "other.test"))
    assert not policy.is_reserved(Aor("x", "other.test"))


def test_the_pattern_meets_the_whole_name() -> None:
    policy = Policy(room_pattern="chat-[0-9]?")
    assert policy.may_be_room(Aor("chat-12", DOMAIN))
    assert not policy.may_be_room(Aor("chat-123", DOMAIN))
    assert not policy.may_be_room(Aor("a-chat-12", DOMAIN))
