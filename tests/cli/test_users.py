"""Accounts by command: what they do to the database, what they say, and what they never show."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import sqlite3
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from imc.aor import Aor
from imc.store.accounts import Account
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.cli.harness import Imc

ALICE = "sip:alice@127.0.0.1"
PASSWORD = "correct horse, battery: staple ü"


def add(imc: Imc, address: str = ALICE, password: str = PASSWORD) -> None:
    outcome = imc("user", "add", address, "--password-stdin", stdin=password + "\n")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def account(imc: Imc) -> Account | None:
    with Store.open(StoreOptions(url="sqlite:///imc.db", base=imc.folder)) as store:
        return store.get_account(Aor("alice", "127.0.0.1"))


def test_an_account_can_be_added_before_the_first_start(imc: Imc) -> None:
    add(imc)
    assert account(imc) == Account.from_password(Aor("alice", "127.0.0.1"), PASSWORD)


def test_the_forms_of_an_address_are_one_account(imc: Imc) -> None:
    add(imc, "alice@127.0.0.1")
    outcome = imc("user", "add", "<sips:%61lice@127.0.0.1:5061;x=y>", "--password-stdin", stdin="x")
    assert (outcome.status, outcome.err) == (1, f"imc: {ALICE} has an account already\n")


def test_list(imc: Imc) -> None:
    assert imc("user", "list").out == ""
    add(imc)
    add(imc, "sip:Bob@LOCALHOST")
    assert imc("user", "list").out == "sip:Bob@localhost\nsip:alice@127.0.0.1\n"
    assert json.loads(imc("user", "list", "--json").out) == ["sip:Bob@localhost", "sip:alice@127.0.0.1"]


def test_passwd_changes_the_password(imc: Imc) -> None:
    add(imc)
    assert imc("user", "passwd", ALICE, "--password-stdin", stdin="new\r\n").status == 0
    assert account(imc) == Account.from_password(Aor("alice", "127.0.0.1"), "new")


def test_remove(imc: Imc) -> None:
    add(imc)
    assert imc("user", "remove", ALICE).status == 0
    assert account(imc) is None


REFUSED = {
    "duplicate": (("add", ALICE, "--password-stdin"), "x", f"{ALICE} has an account already"),
    "unknown, remove": (("remove", "sip:bob@127.0.0.1"), "", "sip:bob@127.0.0.1 has no account"),
    "unknown, passwd": (("passwd", "sip:bob@127.0.0.1", "--password-stdin"), "x", "sip:bob@127.0.0.1 has no account"),
    "empty": (("add", "bob@127.0.0.1", "--password-stdin"), "", "the password is empty"),
    "empty line": (("add", "bob@127.0.0.1", "--password-stdin"), "\nsecret", "the password is empty"),
    "empty, passwd": (("passwd", ALICE, "--password-stdin"), "\r\n", "the password is empty"),
    "no terminal": (("add", "bob@127.0.0.1"), "secret\n", "standard input is no terminal: use --password-stdin"),
    "no domain": (("add", "bob", "--password-stdin"), "x", "'bob' is no address: write sip:NAME@DOMAIN"),
    "no name": (
        ("add", "sip:127.0.0.1", "--password-stdin"),
        "x",
        "'sip:127.0.0.1' is no address: write sip:NAME@DOMAIN",
    ),
    "a blank": (
        ("add", "a b@127.0.0.1", "--password-stdin"),
        "x",
        "'a b@127.0.0.1' is no address: write sip:NAME@DOMAIN",
    ),
    "bad, remove": (("remove", "@"), "", "'@' is no address: write sip:NAME@DOMAIN"),
    "the manager": (
        ("add", "chat-manager@127.0.0.1", "--password-stdin"),
        "x",
        "sip:chat-manager@127.0.0.1 is the conference manager ([imc] manager_uri)",
    ),
    "a room": (
        ("add", "chat-a@127.0.0.1", "--password-stdin"),
        "x",
        "sip:chat-a@127.0.0.1 is a room's name ([imc] room_pattern = 'chat-*')",
    ),
}


@pytest.mark.parametrize(("arguments", "stdin", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_said_in_a_line(imc: Imc, arguments: tuple[str, ...], stdin: str, said: str) -> None:
    add(imc)
    outcome = imc("user", *arguments, stdin=stdin)
    assert (outcome.status, outcome.out, outcome.err) == (1, "", f"imc: {said}\n")
    assert imc("user", "list").out == f"{ALICE}\n"


def test_what_does_not_fit_the_table_is_refused(imc: Imc) -> None:
    outcome = imc("user", "add", f"{'x' * 65}@127.0.0.1", "--password-stdin", stdin="x")
    assert outcome.status == 1
    assert outcome.err.count("\n") == 1
    assert imc("user", "list").out == ""


def test_a_password_that_is_no_text(imc: Imc) -> None:
    outcome = imc("user", "add", ALICE, "--password-stdin", stdin=b"\xff\n")
    assert (outcome.status, outcome.err) == (1, "imc: the password is not UTF-8\n")


def test_a_user_of_another_domain_is_added_with_a_warning(imc: Imc) -> None:
    outcome = imc("user", "add", "sip:alice@example.org", "--password-stdin", stdin="x")
    assert outcome.status == 0
    assert outcome.err.startswith("imc: example.org is no served domain ([imc] domains: 127.0.0.1, localhost)")


def test_the_configuration_says_which_database(imc: Imc) -> None:
    (imc.folder / "other.toml").write_text(
        f"[imc]\ndb_url = 'sqlite://{imc.folder}/other.db'\ndomains = ['example.org']\n"
    )
    add_to_other = imc("user", "add", "alice@example.org", "--password-stdin", "-c", "other.toml", stdin="x")
    assert (add_to_other.status, add_to_other.err) == (0, "")
    assert imc("user", "list", "-c", "other.toml").out == "sip:alice@example.org\n"
    assert not (imc.folder / "imc.db").exists()


def test_a_database_that_cannot_be_reached_is_said_in_a_line(imc: Imc) -> None:
    (imc.folder / "imc.toml").write_text("[imc]\ndb_url = 'sqlite:///nowhere/imc.db'\n")
    outcome = imc("user", "list")
    assert (outcome.status, outcome.out) == (1, "")
    assert "Traceback" not in outcome.err
    assert outcome.err.startswith("imc: ")


def test_no_password_is_in_the_database(imc: Imc) -> None:
    add(imc)
    imc("user", "passwd", ALICE, "--password-stdin", stdin="second secret\n")
    with sqlite3.connect(imc.folder / "imc.db") as database:
        dump = "\n".join(database.iterdump())
    database.close()
    raw = b"".join(path.read_bytes() for path in imc.folder.iterdir())
    for secret in (PASSWORD, "second secret"):
        assert secret not in dump
        assert secret.encode() not in raw


def on_a_terminal(folder: Path, *arguments: str, typed: str) -> tuple[int, str]:
    """Run with a controlling terminal of its own; what is typed waits there. Status, and all that was shown."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "imc", *arguments],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  nothing but this
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    os.close(slave)
    shown = b""
    # Typed only once it is asked for: what was typed before is thrown away.
    waiting = typed.splitlines(keepends=True)
    while select.select([master], [], [], 30.0)[0]:
        try:
            shown += os.read(master, 4096)
        except OSError:  # EIO: the other side is closed
            break
        if waiting and shown.endswith(b": "):
            os.write(master, waiting.pop(0).encode())
    os.close(master)
    return process.wait(30), shown.decode()


def test_a_terminal_is_asked_twice_and_shows_nothing(imc: Imc) -> None:
    status, shown = on_a_terminal(imc.folder, "user", "add", ALICE, typed="geheim\ngeheim\n")
    assert status == 0, shown
    assert "geheim" not in shown
    assert account(imc) == Account.from_password(Aor("alice", "127.0.0.1"), "geheim")
