"""``imc db import-kamailio`` and ``export-kamailio``, as they are called."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing

import pytest

from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.cli.harness import Imc
from tests.databases import Database
from tests.store.kamailio.samples import A_ROOM, insert, make_schema

COUNTS = "{} read, {} new, {} the same, {} in conflict, {} did not fit, 0 over (deleted, sent or expired)"


@pytest.fixture
def kamailio(imc: Imc) -> Database:
    """With a room of two, one account, and a member of no room."""
    found = Database("sqlite", f"sqlite:///{imc.folder}/kamailio.db")
    make_schema(found)
    for table, columns, rows in A_ROOM:
        insert(found, table, columns, rows)
    return found


def test_a_dry_run_comes_first(imc: Imc, kamailio: Database) -> None:
    command = ("db", "import-kamailio", "sqlite:///kamailio.db", "--report", "report")
    dry = imc(*command)
    assert (dry.status, dry.err) == (0, "")
    assert dry.out.splitlines() == [
        "from database kamailio.db",
        "to   database imc.db",
        "rooms: " + COUNTS.format(1, 1, 0, 0, 0),
        "members: " + COUNTS.format(3, 2, 0, 0, 1),
        "accounts: " + COUNTS.format(1, 1, 0, 0, 0),
        "messages: " + COUNTS.format(0, 0, 0, 0, 0),
        "did not fit: members: sip:eve@example.com in sip:chat-b@example.com: there is no such room, or it did not fit",
        "note: 1 rooms are in example.com, which is no served domain ([imc] domains)",
        "note: 1 accounts are in example.com, which is no served domain ([imc] domains)",
        "Nothing was changed: this was a dry run. --yes does it.",
    ]
    assert not (imc.folder / "imc.db").exists()
    assert stat.S_IMODE((imc.folder / "report").stat().st_mode) == 0o600
    assert [json.loads(line)["kind"] for line in (imc.folder / "report").read_text().splitlines()] == [
        "misfit",
        "note",
        "note",
    ]
    assert imc(*command, "--yes").out.splitlines()[-1] == "Done."
    assert imc("user", "list").out == "sip:alice@example.com\n"
    assert imc(*command, "--yes").out.splitlines()[-1] == "Nothing was to be done."
    assert imc(*command).out.splitlines()[-1] == "Nothing is to be done."


def test_what_differs_is_left_alone_unless_it_is_said(imc: Imc, kamailio: Database) -> None:
    command = ("db", "import-kamailio", "sqlite:///kamailio.db", "--yes")
    imc(*command)
    kamailio.execute("UPDATE subscriber SET password = 'other', ha1 = '', ha1b = ''")
    assert imc(*command).out.splitlines()[-1] == "Nothing was done: what differs was left alone."
    assert imc(*command, "--prefer-theirs").out.splitlines()[-1] == "Done."
    imc("user", "passwd", "sip:alice@example.com", "--password-stdin", stdin="a third\n")
    back = ("db", "export-kamailio", "sqlite:///kamailio.db", "--yes")
    assert "conflict: accounts: sip:alice@example.com: it is there already, with another secret" in imc(*back).out
    assert imc(*back, "--prefer-ours").out.splitlines()[-1] == "Done."
    assert imc(*command).out.splitlines()[-1] == "Nothing was to be done."


def test_what_cannot_be_done_is_said_in_a_line(imc: Imc, kamailio: Database) -> None:
    command = ("db", "import-kamailio", "sqlite:///kamailio.db")
    assert imc("db", "import-kamailio", "sqlite:///no.db").err == "imc: database no.db: there is no such file\n"
    assert imc(*command, "--silo", "mine").err == "imc: database kamailio.db: there is no table mine\n"
    assert imc(*command, "--silo", "a", "--rooms", "a").err == "imc: two of the tables have the same name\n"
    assert imc(*command, "--report", "no/where").err == "imc: no/where: No such file or directory\n"
    with Store.open(StoreOptions(url="sqlite:///imc.db", base=imc.folder, is_exclusive=True)):
        refused = imc(*command, "--yes")
    assert (refused.status, "another imc daemon uses the database" in refused.err) == (1, True)


def test_long_lists_are_cut_and_whole_in_the_file(imc: Imc, kamailio: Database) -> None:
    with closing(sqlite3.connect(imc.folder / "kamailio.db")) as raw, raw:
        raw.executemany(
            "INSERT INTO imc_rooms (name, domain, flag) VALUES (?, 'example.com', 0)",
            [(f"no name {number}\x1b[2J" + "x" * 300,) for number in range(30)],
        )
    lines = imc("db", "import-kamailio", "sqlite:///kamailio.db", "--report", "report").out
    assert "and 10 more: --report FILE has all of them" in lines.splitlines()
    assert "\x1b" not in lines
    assert len((imc.folder / "report").read_text().splitlines()) == 33
