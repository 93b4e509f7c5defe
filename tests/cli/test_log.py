"""``imc export`` and ``imc forget`` without a daemon (spec R-HISTORY-9)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from imc.aor import Aor
from imc.delivery.job import Job
from imc.rooms.model import Member, Role, member
from imc.store.accounts import Account
from imc.store.locks import FileLock
from imc.store.ops import Op, PutBinding, PutMember, PutMessage, PutOutbox, PutRoom, PutWaiting
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.cli.harness import Imc
from tests.delivery.fakes import message
from tests.store.samples import binding

HOST = "example.com"
NOON = 1_796_047_500.0  # 2026-11-30 14:05 UTC
ALICE, BOB, CAROL = (Aor(name, HOST) for name in ("alice", "bob", "carol"))
ROOM, SHARED, ASKED = (Aor(f"chat-{name}", HOST) for name in ("x", "shared", "asked"))


@pytest.fixture
def store(imc: Imc) -> Iterator[Store]:
    (imc.folder / "imc.toml").write_text(f'[imc]\ndomains = ["{HOST}"]\n[manage]\nlisten = ""\n')
    with Store.open(StoreOptions(url=f"sqlite:///{imc.folder}/imc.db")) as opened:
        yield opened


def said(seq: int, body: bytes, sender: Aor = ALICE, kind: str = "text/plain", room: Aor = ROOM) -> PutMessage:
    return PutMessage(room, seq, sender, kind, body, NOON + 60 * seq)


def room(aor: Aor, **people: Role) -> list[Op]:
    return [PutRoom(aor, False), *(PutMember(aor, Aor(name, HOST), member(role)) for name, role in people.items())]


def test_export_as_json(imc: Imc, store: Store) -> None:
    store.commit(
        [*room(ROOM, alice=Role.OWNER), said(1, "grüß\n\x1b[31m dich".encode()), said(2, b"\x89PNG", BOB, "image/png")]
    )
    outcome = imc("export", "chat-x")
    assert (outcome.status, outcome.err) == (0, "")
    assert [json.loads(line) for line in outcome.out.splitlines()] == [
        {
            "room": "sip:chat-x@example.com", "seq": 1, "from": "sip:alice@example.com",
            "time": "2026-11-30T14:06:00.000+00:00", "type": "text/plain", "text": "grüß\n\x1b[31m dich",
        },
        {
            "room": "sip:chat-x@example.com", "seq": 2, "from": "sip:bob@example.com",
            "time": "2026-11-30T14:07:00.000+00:00", "type": "image/png",
            "base64": base64.b64encode(b"\x89PNG").decode(),
        },
    ]  # fmt: skip


def test_export_as_text_obeys_no_terminal(imc: Imc, store: Store) -> None:
    store.commit([*room(ROOM, alice=Role.OWNER), said(1, b"one\r\ntwo\x1b[31m"), said(2, b"\x89PNG", BOB, "image/png")])
    assert imc("export", "sip:chat-x@example.com", "--format", "txt").out.splitlines() == [
        "[alice@example.com 2026-11-30 14:06]: one",
        "| two\\x1b[31m",
        "[bob@example.com 2026-11-30 14:07]: (image/png, 4 bytes)",
    ]


def test_export_of_a_time_and_of_many(imc: Imc, store: Store) -> None:
    store.commit([*room(ROOM, alice=Role.OWNER), *(said(seq, b"x") for seq in range(1, 351))])

    def seqs(*bounds: str) -> list[int]:
        return [json.loads(line)["seq"] for line in imc("export", "chat-x", *bounds).out.splitlines()]

    assert seqs() == list(range(1, 351))
    assert seqs("--since", "2026-11-30T14:10", "--until", "2026-11-30T14:12") == [5, 6]
    assert seqs("--since", "2026-11-30T15:10+01:00", "--until", "2026-11-30T14:12Z") == [5, 6]
    assert seqs("--since", "2026-12-01") == []


def test_export_of_nothing(imc: Imc, store: Store) -> None:
    store.commit(room(ROOM, alice=Role.OWNER))
    assert (imc("export", "chat-x").out, imc("export", "chat-x").status) == ("", 0)
    missing = imc("export", "chat-y")
    assert (missing.status, missing.err) == (1, "imc: there is no room sip:chat-y@example.com\n")
    wrong = imc("export", "chat-x", "--since", "yesterday")
    assert (wrong.status, wrong.err.startswith("imc: --since 'yesterday' is no time")) == (1, True)
    assert imc("export", "tel:1").status == 1


def furnished(store: Store) -> None:
    store.commit([
        *room(ROOM, alice=Role.OWNER, bob=Role.MEMBER),
        *room(SHARED, alice=Role.OWNER, bob=Role.OWNER, carol=Role.MEMBER),
        *room(ASKED, bob=Role.OWNER),
        PutMember(ASKED, ALICE, Member(Role.INVITED, BOB, 7)),
        said(1, b"mine"), said(2, b"not mine", BOB), said(3, b"mine again"),
        *(said(seq, b"mine", room=SHARED) for seq in range(1, 251)),
    ])  # fmt: skip
    store.add_account(Account.from_password(ALICE, "secret"))
    store.commit([PutBinding(binding(ALICE, expires_wall=4e9))])


def test_forget_says_what_it_would_do(imc: Imc, store: Store) -> None:
    furnished(store)
    outcome = imc("forget", "sip:alice@example.com")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "sip:alice@example.com: nothing is done without --yes",
        "  sip:chat-shared@example.com: would leave",
        "  sip:chat-x@example.com: would end, with its last owner",
        "  sip:chat-asked@example.com: would decline the invitation",
        "  messages to take back: 252",
        "  copies of them that wait for others to delete: 0",
        "  copies for them that wait to delete: 0",
        "  registrations to end: 1",
        "  account: kept",
        "  rows of the audit that name them, and stay until they are too old: 0",
    ]
    assert store.count_said_by(ALICE) == 252
    assert store.load_room(ROOM) is not None


def test_forget_does_it_by_the_rules(imc: Imc, store: Store) -> None:
    furnished(store)
    result = json.loads(imc("forget", "sip:alice@example.com", "--yes", "--json").out)
    assert result == {
        "user": "sip:alice@example.com", "done": True, "left": [str(SHARED)], "ended": [str(ROOM)], "refused": [],
        "declined": [str(ASKED)], "registrations": 1, "messages": 252, "waiting": 0, "addressed": 0, "account": "kept",
        "audit": 2,
    }  # fmt: skip
    assert store.load_room(ROOM) is None
    shared, asked = store.load_room(SHARED), store.load_room(ASKED)
    assert shared is not None
    assert asked is not None
    assert set(shared.members) == {BOB, CAROL}
    assert set(asked.members) == {BOB}
    assert store.count_said_by(ALICE) == 0
    assert store.last_message(SHARED) == 250
    assert store.load_bindings() == []
    assert store.get_account(ALICE) is not None
    # whoever is to be told will be, at the next start: bob of three rooms, carol of one
    told = sorted(line for row in store.load_outbox(100) for line in row.payload.split() if b"member-left" in line)
    assert len(store.load_outbox(100)) == 3
    assert told
    again = json.loads(imc("forget", "sip:alice@example.com", "--yes", "--account", "--json").out)
    assert again["account"] == "removed"
    assert store.get_account(ALICE) is None


def test_forget_where_last_owners_stay(imc: Imc, store: Store) -> None:
    furnished(store)
    with (imc.folder / "imc.toml").open("a") as file:
        file.write("[history]\nkeep_days = 3\n")
    text = (imc.folder / "imc.toml").read_text().replace("[imc]\n", '[imc]\nowner_leave = "refuse"\n')
    (imc.folder / "imc.toml").write_text(text)
    assert "would not be left: its last owner may not leave" in imc("forget", "sip:alice@example.com").out
    result = json.loads(imc("forget", "sip:alice@example.com", "--yes", "--json").out)
    assert (result["refused"], result["left"], result["messages"]) == ([str(ROOM)], [str(SHARED)], 252)
    live = store.load_room(ROOM)
    assert live is not None
    assert set(live.members) == {ALICE, BOB}
    kept = imc("forget", "sip:alice@example.com", "--yes", "--account")
    assert (kept.status, "give it another owner" in kept.err, "account: kept" in kept.out) == (1, True, True)
    assert store.get_account(ALICE) is not None


def test_forget_never_writes_behind_a_daemons_back(imc: Imc, store: Store) -> None:
    furnished(store)
    lock = FileLock(imc.folder / "imc.db.lock")
    lock.acquire(0.0)
    try:
        outcome = imc("forget", "sip:alice@example.com", "--yes")
    finally:
        lock.release()
    assert outcome.status == 1
    assert "the daemon takes no calls" in outcome.err
    assert store.count_said_by(ALICE) == 252


def test_forget_nobody(imc: Imc, store: Store) -> None:
    store.commit(room(ROOM, alice=Role.OWNER))
    for words in ((), ("--yes",)):
        unknown = imc("forget", "sip:zoe@example.com", *words)
        assert (unknown.status, "sip:zoe@example.com is unknown" in unknown.err) == (1, True)
        room_ = imc("forget", str(ROOM), *words)
        assert (room_.status, "is a room, not a user" in room_.err) == (1, True)
    assert imc("forget", "zoe").status == 1


def test_what_waits_for_them_goes_with_the_account(imc: Imc, store: Store) -> None:
    store.add_account(Account.from_password(ALICE, "secret"))
    job = Job("0" * 16, NOON, (message(b"x", ALICE),), is_durable=True, seq=1)
    store.commit([
        PutOutbox(job.id, NOON, job.payload(), b"", 1), PutWaiting(ALICE, 1, 0, True, NOON, 0.0, 1, 480, 4e9),
    ])  # fmt: skip
    assert json.loads(imc("forget", "sip:alice@example.com", "--yes", "--json").out)["addressed"] == 0
    assert len(store.list_waiting(9)) == 1
    for words in ((), ("--yes",)):
        outcome = imc("forget", "sip:alice@example.com", "--account", "--json", *words)
        assert json.loads(outcome.out)["addressed"] == 1, outcome.err
    assert store.list_waiting(9) == []
