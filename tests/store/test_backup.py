"""imc.store.backup, on every kind of database, and from one kind to another."""

from __future__ import annotations

import gzip
import json
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from imc.aor import Aor
from imc.errors import StoreError
from imc.rooms.model import Member, Role
from imc.store.accounts import Account
from imc.store.audit import AuditFilter
from imc.store.backup import FORMAT, backup, inspect_backup, restore
from imc.store.operators import Operator
from imc.store.ops import DeleteOutbox, PutAudit, PutBinding, PutMember, PutRoom
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.store.samples import ALICE, BOB, INVITED, MEMBER, ODD_USERS, OTHER, OWNER, ROOM, binding, entry

EVERY_BYTE = bytes(range(256))
OPERATOR = Operator(name="olga", role="admin", secret="scrypt$1$1$1$00$00", created=1.5)
AUDITED = PutAudit(1_024, 1.5, str(ALICE), "sip", "create", str(ROOM), str(ALICE), "", "200 R-CREATE-1")
ROWS = {
    "rooms": 2,
    "members": 4 + len(ODD_USERS),
    "invitations": 1,
    "subscriber": 2,
    "bindings": 2,
    "outbox": 2,
    "waiting": 0,
    "messages": 0,
    "room_settings": 0,
    "operators": 1,
    "audit": 1,
}


def wall() -> float:
    return 1_700_000_000.25


def fill(store: Store) -> None:
    odd = [PutMember(OTHER, Aor(user, "example.com"), MEMBER) for user in ODD_USERS]
    store.commit(
        [
            *(PutRoom(ROOM, is_private=True), PutRoom(OTHER, is_private=False)),
            *(PutMember(ROOM, ALICE, OWNER), PutMember(ROOM, BOB, INVITED), PutMember(OTHER, BOB, Member(Role.ADMIN))),
            *(PutMember(OTHER, ALICE, OWNER), *odd),
            *(PutBinding(binding()), PutBinding(binding(contact="sip:alice@[2001:db8::1]", flow=None))),
            *(
                entry("z", 2.5, EVERY_BYTE, b"x"),
                entry("gone", 1.0, b""),
                entry("a", 1.5, b"", b"y z"),
            ),
        ]
    )
    store.commit([DeleteOutbox("gone")])
    for aor in (ALICE, BOB):
        store.add_account(Account.from_password(aor, f"secret of {aor.user}"))
    store.add_operator(OPERATOR)
    store.commit([AUDITED])


def seen(store: Store) -> object:
    """All that a daemon reads."""
    return (
        [(store.load_room(room), room) for room in (ROOM, OTHER)],
        [store.get_account(aor) for aor in (ALICE, BOB)],
        store.list_operators(),
        store.audit_rows(AuditFilter(), 10),
        sorted(store.load_bindings(), key=str),
        [row[1:] for row in store.load_outbox(10)],
        store.accounts_version(),
    )


@contextmanager
def sqlite(folder: Path) -> Iterator[Store]:
    with Store.open(StoreOptions(url="sqlite:///other.db", base=folder, is_exclusive=True)) as store:
        yield store


def test_there_and_back_on_every_kind(store: Store, tmp_path: Path) -> None:
    fill(store)
    file = tmp_path / "backup"
    contents = backup(store, file, wall)
    assert {name: count for name, count in contents.rows.items() if name != "meta"} == ROWS
    assert inspect_backup(file) == contents
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.glob(".*")) == []
    before = seen(store)
    with sqlite(tmp_path) as other:
        assert restore(other, file) == contents
        assert seen(other) == before
        back = tmp_path / "back"
        backup(other, back, wall)
    store.commit([PutRoom(Aor("chat-later", "example.com"), is_private=False), PutMember(ROOM, BOB, OWNER)])
    with pytest.raises(StoreError, match=r"is not empty \(table imc_rooms\); --replace"):
        restore(store, back)
    restore(store, back, may_replace=True)
    assert seen(store) == before
    store.commit([entry("new", 3.0, b"")])
    assert [row.id for row in store.load_outbox(10)] == ["z", "a", "new"]


def test_it_is_of_one_moment(store: Store, tmp_path: Path) -> None:
    """A daemon writes on meanwhile: a room that comes after the beginning is wholly absent."""
    fill(store)

    def late() -> float:
        return wall()

    file = tmp_path / "backup"
    options = store.database.options
    with Store.open(replace(options, is_exclusive=False)) as daemon:
        original = store.database.session

        @contextmanager
        def session(*, is_writing: bool = True) -> Iterator[object]:
            with original(is_writing=is_writing) as connection:
                yield _Interrupted(connection, daemon)

        store.database.session = session  # type: ignore[method-assign, assignment]
        contents = backup(store, file, late)
    assert {name: contents.rows[name] for name in ROWS} == ROWS


class _Interrupted:
    """A connection; when the second table is read, somebody else has just added to both."""

    def __init__(self, connection: object, daemon: Store) -> None:
        self._connection = connection
        self._daemon = daemon
        self._queries = 0

    def execution_options(self, **options: object) -> _Interrupted:
        self._queries += 1
        if self._queries == 2:
            room = Aor("chat-late", "example.com")
            self._daemon.commit([PutRoom(room, is_private=False), PutMember(room, ALICE, OWNER)])
        return self

    def execute(self, *arguments: object) -> object:
        return self._connection.execute(*arguments)  # type: ignore[attr-defined]


def test_an_empty_database(store: Store, tmp_path: Path) -> None:
    contents = backup(store, tmp_path / "backup", wall)
    with sqlite(tmp_path) as other:
        assert restore(other, tmp_path / "backup") == contents


# --- files that are no good -------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with sqlite(tmp_path) as store:
        fill(store)
        backup(store, tmp_path / "backup", wall)
    return tmp_path / "backup"


def spoil(file: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = gzip.decompress(file.read_bytes()).decode().splitlines(keepends=True)
    file.write_bytes(gzip.compress("".join(change(lines)).encode()))


HEAD_OF = json.dumps({"format": FORMAT, "schema": "9999", "created": 0.0}) + "\n"
WRONG: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "no end": (lambda lines: lines[:-1], "ends too early"),
    "a row less": (lambda lines: [*lines[:2], *lines[3:]], "its rows are not as many as it says"),
    "no JSON": (lambda lines: [*lines[:3], "{\n", *lines[3:]], "is not a backup of imc"),
    "a row first": (lambda lines: [lines[0], "[1]\n", *lines[1:]], "is not a backup of imc"),
    "another format": (lambda lines: ['{"format": "tar"}\n', *lines[1:]], "does not begin as one"),
    "newer": (lambda lines: [HEAD_OF, *lines[1:]], "made by a newer imc"),
    "empty": (lambda lines: [], "is not a backup of imc"),
    "a list": (lambda lines: ["[]\n"], "does not begin as one"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_that_is_no_backup_changes_nothing(file: Path, tmp_path: Path, kind: str) -> None:
    change, words = WRONG[kind]
    spoil(file, change)
    with sqlite(tmp_path) as store:
        before = seen(store)
        with pytest.raises(StoreError, match=words):
            restore(store, file, may_replace=True)
        assert seen(store) == before


def test_a_file_that_does_not_fit_changes_nothing(file: Path, tmp_path: Path) -> None:
    """Well formed, and found out by the database in the midst of it."""
    spoil(
        file,
        lambda lines: [line.replace('"chat-other","example.com"', '"chat-garden","example.com"') for line in lines],
    )
    with sqlite(tmp_path) as store:
        before = seen(store)
        with pytest.raises(StoreError):
            restore(store, file, may_replace=True)
        assert seen(store) == before


def test_a_file_that_was_cut_or_damaged(file: Path) -> None:
    data = file.read_bytes()
    for broken in (data[: len(data) // 2], data[:-1], data[:40] + b"\0\0\0" + data[43:], b"no gzip at all"):
        file.write_bytes(broken)
        with pytest.raises(StoreError):
            inspect_backup(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        inspect_backup(tmp_path / "nothing")


def test_where_nothing_can_be_written(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        backup(store, tmp_path / "no folder" / "backup", wall)
    (tmp_path / ".backup.part").touch()
    with pytest.raises(StoreError, match="another backup runs"):
        backup(store, tmp_path / "backup", wall)
    assert not (tmp_path / "backup").exists()
