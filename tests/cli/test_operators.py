"""`imc operator`: what it does to the database, what it says, and what it never shows."""

from __future__ import annotations

import json

from imc.store.operators import Operator
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.cli.harness import Imc

PASSWORD = "correct horse ü"


def operators(imc: Imc) -> list[Operator]:
    with Store.open(StoreOptions(url="sqlite:///imc.db", base=imc.folder)) as store:
        return store.list_operators()


def add(imc: Imc, name: str, *more: str, password: str = PASSWORD) -> str:
    outcome = imc("operator", "add", name, "--password-stdin", *more, stdin=password + "\n")
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert (outcome.status == 0) == (outcome.err == "")
    return outcome.err


def test_operators_by_command(imc: Imc) -> None:
    assert add(imc, "olga", "--role", "admin") == ""
    assert add(imc, "otto") == ""
    olga, otto = operators(imc)
    assert (olga.name, olga.role, otto.name, otto.role) == ("olga", "admin", "otto", "viewer")
    assert olga.has_password(PASSWORD)
    lines = imc("operator", "list").out.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["olga", "admin"], ["otto", "viewer"]]
    listed = imc("operator", "list", "--json").out
    assert [row["name"] for row in json.loads(listed)] == ["olga", "otto"]
    assert "scrypt" not in listed
    assert imc("operator", "role", "otto", "operator").status == 0
    assert imc("operator", "password", "otto", "--password-stdin", stdin="another one\n").status == 0
    otto = operators(imc)[1]
    assert (otto.role, otto.has_password("another one")) == ("operator", True)
    assert imc("operator", "remove", "olga").status == 0
    assert [one.name for one in operators(imc)] == ["otto"]


def test_what_cannot_be_is_said_in_a_line(imc: Imc) -> None:
    assert "from 8 to 1024 characters" in add(imc, "olga", password="short")
    assert "'Ölga' is no operator's name" in add(imc, "Ölga")
    assert add(imc, "olga") == ""
    assert add(imc, "olga") == "imc: there is an operator olga already\n"
    for arguments in (("remove", "otto"), ("role", "otto", "admin")):
        outcome = imc("operator", *arguments)
        assert (outcome.status, outcome.err) == (1, "imc: there is no operator 'otto'\n")
    assert imc("operator", "role", "olga", "root").status == 2
    assert imc("operator", "add", "eve").status == 1  # neither a terminal nor --password-stdin
