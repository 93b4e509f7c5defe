"""imc.store.kamailio.mapping: one row, and what it means."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.rooms.names import is_visible
from imc.store.accounts import Account
from imc.store.kamailio import mapping
from imc.store.kamailio.mapping import MAX_BODY, MAX_INT, Copy, Gone, Misfit
from tests.store.samples import ALICE, BOB, ODD_USERS

COPY = Copy(
    id="x",
    call_id="c",
    recipient=BOB,
    sender=ALICE,
    created=5.75,
    expires=0.0,
    content_type="text/plain",
    body=b"hello",
    headers=(("X-A", "b"),),
)
ROW: dict[str, object] = {
    "id": 1, "src_addr": "sip:alice@example.com", "dst_addr": "", "username": "bob", "domain": "example.com",
    "inc_time": 5, "exp_time": 0, "snd_time": 0, "ctype": "text/plain", "body": b"hello", "extra_hdrs": "X-A: b\r\n",
    "callid": "c", "status": 0,
}  # fmt: skip
ANYTHING = st.one_of(st.none(), st.integers(), st.text(), st.binary(), st.floats(), st.booleans())


@pytest.mark.parametrize(
    ("flag", "role"),
    [(0, 0), (1, 1), (2, 2), (3, 1), (4, 4), (5, 4), (6, 4), (16, 0)],
)
def test_flags_of_members(flag: int, role: int) -> None:
    assert mapping.member("alice", "example.com", "sip:chat-a@example.com", flag).flag == role


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_whatever_stands_in_a_column_has_an_end(one: object, two: object, three: object, four: object) -> None:
    """A record, or a reason; nothing else leaves."""
    row = {**ROW, "src_addr": one, "username": two, "body": three, "ctype": four, "exp_time": one, "extra_hdrs": two}
    for call in (
        lambda: mapping.room(one, two, three),
        lambda: mapping.member(one, two, three, four),
        lambda: mapping.account("a", "b", one, two, three),
        lambda: mapping.account(one, two, three, four, ""),
        lambda: mapping.stored(row, 1.0),
    ):
        with suppress(Misfit, Gone):
            call()


def test_an_account_with_a_password_gets_all_digests() -> None:
    made = Account.from_password(ALICE, "é")
    for ha1 in ("", made.ha1, made.ha1.upper(), made.ha1_sha256):
        found = mapping.account(*ALICE, "é", ha1, "")
        assert (found.ha1, found.ha1b, found.ha1_sha256, found.ha1_sha512_256, found.note) == (
            *(made.ha1, made.ha1b, made.ha1_sha256, made.ha1_sha512_256, ""),
        )
        assert "é" not in repr(found)
    assert mapping.account("alice", "Example.com", "", made.ha1, "").note == (
        "its domain is written Example.com: hashes for that realm are of no use"
    )


def test_a_message_and_its_row() -> None:
    row = mapping.silo_row(COPY)
    assert row == {**{name: ROW[name] for name in ROW if name != "id"}, "dst_addr": str(BOB), "exp_time": MAX_INT}
    back = mapping.stored({**row, "id": 1}, 6.0)
    assert replace(back, id="x") == replace(COPY, created=5.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"content_type": "text/plain;charset=" + "x" * 20}, "its Content-Type is 39 characters long, 32 fit"),
        ({"call_id": "x" * 129}, "its Call-ID is 129 characters long, 128 fit"),
        ({"body": b"x" * 65_536}, "it is longer than 64 KiB"),
        ({"headers": (("X", "x" * 65_536),)}, "it is longer than 64 KiB"),
    ],
)
def test_what_silo_has_no_room_for(change: dict[str, object], why: str) -> None:
    with pytest.raises(Misfit, match=why):
        mapping.silo_row(replace(COPY, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        ({"body": b"x" * (MAX_BODY + 1)}, Misfit, f"{MAX_BODY} fit"),
        ({"extra_hdrs": "X: y\r\n" * 3_000}, Misfit, "16000 fit"),
        ({"ctype": "text/plain\r\nVia: x"}, Misfit, "ctype"),
        ({"src_addr": "sip:example.com"}, Misfit, "no SIP address with a user part"),
        ({"username": "x" * 65}, Misfit, "R-ADDR-4"),
        ({"exp_time": 9}, Gone, "expired"),
        ({"status": 2}, Gone, "its status is 2"),
    ],
)
def test_messages_that_do_not_come(change: dict[str, object], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        mapping.stored({**ROW, **change}, 9.0)


def test_headers_that_imc_says_itself_are_left() -> None:
    copy = mapping.stored({**ROW, "extra_hdrs": "X-A: b\nl: 5\r\nVia: x\r\nno header\r\nSubject: s\r\n"}, 1.0)
    assert copy.headers == (("X-A", "b"), ("Subject", "s"))
    assert copy.note == "extra_hdrs: without Content-Length, Via, a line that is no header"


@pytest.mark.parametrize("user", ODD_USERS)
def test_odd_names_are_as_everywhere(user: str) -> None:
    """What the grammar lets pass comes, where its characters can be seen (spec R-ADDR-9)."""
    row = (user, "example.com", "sip:chat-a@example.com", 0)
    if is_visible(user):
        assert mapping.member(*row).user == Aor.make(user, "example.com")
    else:
        with pytest.raises(Misfit, match="R-ADDR-9"):
            mapping.member(*row)


def test_a_row_of_silo_has_one_name() -> None:
    assert mapping.stable_id("c", 1, BOB) == mapping.stable_id("c", 1, BOB)
    assert len({mapping.stable_id("c", 1, BOB), mapping.stable_id("c", 2, BOB), mapping.stable_id("c", 1, ALICE)}) == 3
