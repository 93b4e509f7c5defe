"""``imc outbox``: what it asks the daemon, and what it prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imc.manage import client
from tests.cli.harness import Imc

ROW = {
    "id": "7.0", "recipient": "sip:bob@example.com", "from": "sip:chat-x@example.com", "event": "message",
    "state": "dead", "created": 0.0, "expires": None, "tries": 2, "status": 480, "changed": 1.0, "type": "text/plain",
    "size": 5,
}  # fmt: skip
Asked = list[tuple[str, dict[str, str]]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the daemon was asked. It has two pages of one copy, and puts back or deletes three."""
    found: Asked = []

    def call(_endpoint: str, method: str, params: Any, *, token: str | None = None) -> object:
        assert token is None
        found.append((method, dict(params)))
        if method != "imc.outbox":
            return 3
        body = {"body": "grüße"} if params["body"] == "yes" else {}
        if params["after"]:
            return {"copies": [{**ROW, **body, "id": "8.0", "state": "waiting", "status": 0}], "next": ""}
        return {"copies": [{**ROW, **body}], "next": "bob example.com 7 0"}

    monkeypatch.setattr(client, "call", call)
    return found


@pytest.fixture(autouse=True)
def _settings(imc: Imc) -> None:
    (imc.folder / "imc.toml").write_text('[imc]\ndomains = ["example.com"]\n[manage]\nlisten = "127.0.0.1:1"\n')


def test_all_pages_are_listed(imc: Imc, asked: Asked) -> None:
    outcome = imc("outbox", "list")
    assert outcome.status == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["Id", "Recipient", "From", "Event", "State", "Since", "Status"]
    assert [line.split()[0] for line in lines[1:]] == ["7.0", "8.0"]
    assert "1970-01-01 00:00:00" in lines[1]
    assert [(params["recipient"], params["state"], params["after"]) for _, params in asked] == [
        ("", "all", ""),
        ("", "all", "bob example.com 7 0"),
    ]
    assert {params["body"] for _, params in asked} == {"no"}


def test_as_json(imc: Imc, asked: Asked) -> None:
    rows = json.loads(imc("outbox", "list", "bob", "--state", "waiting", "--json").out)
    assert [row["id"] for row in rows] == ["7.0", "8.0"]
    assert (asked[0][1]["recipient"], asked[0][1]["state"]) == ("bob", "waiting")


def test_export_is_a_line_for_each_with_its_text(imc: Imc, asked: Asked) -> None:
    rows = [json.loads(line) for line in imc("outbox", "export").out.splitlines()]
    assert [(row["id"], row["body"]) for row in rows] == [("7.0", "grüße"), ("8.0", "grüße")]
    assert asked[0][1]["state"] == "dead"


def test_retry_and_drop(imc: Imc, asked: Asked) -> None:
    assert imc("outbox", "retry", "bob", "--id", "7.0").out == "3 put back\n"
    assert imc("outbox", "drop", "all").out == "3 deleted\n"
    assert asked == [
        ("imc.outbox_retry", {"recipient": "bob", "id": "7.0"}),
        ("imc.outbox_drop", {"recipient": "all", "state": "dead", "id": ""}),
    ]


def test_why_nothing_was_put_back(imc: Imc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "call", lambda *_, **__: 0)
    outcome = imc("outbox", "retry", "all")
    assert (outcome.out, "its inviter was told that it failed" in outcome.err) == ("0 put back\n", True)


@pytest.mark.parametrize(
    "arguments", [("outbox",), ("outbox", "retry"), ("outbox", "drop"), ("outbox", "list", "--state", "gone")]
)
def test_wrong_usage(imc: Imc, arguments: tuple[str, ...]) -> None:
    assert imc(*arguments).status == 2


def test_without_a_daemon(imc: Imc) -> None:
    outcome = imc("outbox", "list")
    assert outcome.status == 1
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1
