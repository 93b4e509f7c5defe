"""What an operator does from a shell, to a running daemon: `imc room`, `imc reload`, `imc limits`, `imc audit`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.daemon import Daemon

CONFIG = """
[imc]
domains = ["imc.test"]
db_url = "sqlite:///imc.db"
[sip]
listen = ["udp:127.0.0.1:0"]
[manage]
listen = ""
socket = "{folder}/sock"
[limits]
max_members = 5
"""
ME = f"uid={os.getuid()}"


def run(daemon: Daemon, *words: str, status: int = 0) -> str:
    done = daemon.imc(*words)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def test_rooms_are_made_changed_and_ended(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, CONFIG.format(folder=tmp_path))
    daemon.add_user("sip:alice@imc.test", "secret-of-alice")
    daemon.start()
    try:
        run(daemon, "room", "create", "chat-x", "alice", "--private")
        run(daemon, "room", "add", "chat-x", "bob")
        run(daemon, "room", "role", "chat-x", "bob", "admin")
        run(daemon, "room", "invite", "chat-x", "carol")
        run(daemon, "room", "set", "chat-x", "keep", "9")
        run(daemon, "room", "set", "chat-x", "private", "no")
        assert "last-owner" in run(daemon, "room", "remove", "chat-x", "alice", status=1)
        assert "no such option" in run(daemon, "room", "set", "chat-x", "colour", "9", status=1)
        shown = json.loads(run(daemon, "room", "show", "chat-x", "--json"))
        assert (shown["members"], shown["invited"], shown["kept"]["messages"]) == (2, 1, 9)
        assert "public" in run(daemon, "room", "show", "chat-x")
        run(daemon, "room", "remove", "chat-x", "carol")
        run(daemon, "room", "destroy", "chat-x", "--yes")
        assert run(daemon, "rooms", "--json").strip() == "[]"
        rows = [json.loads(line) for line in run(daemon, "audit", "export", "--room", "chat-x").splitlines()]
        assert [row["act"] for row in rows[::-1]] == [
            "create", "add", "modify", "invite", "set", "privacy", "imc.remove", "imc.set_room", "remove", "destroy",
        ]  # fmt: skip
        assert {(row["caller"], row["via"]) for row in rows} == {(ME, "socket")}
    finally:
        daemon.stop()


def test_the_daemon_is_asked_and_told(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, CONFIG.format(folder=tmp_path))
    daemon.start()
    try:
        assert "changed: nothing" in run(daemon, "reload")
        daemon.config.write_text(CONFIG.format(folder=tmp_path).replace("max_members = 5", "max_members = 7"))
        assert "changed: limits.max_members" in run(daemon, "reload")
        limits = {one["limit"]: one for one in json.loads(run(daemon, "limits", "--json"))}
        assert limits["max_members"]["value"] == 7
        assert "max_members\t7\t" in run(daemon, "limits")
        run(daemon, "rpc", "imc.set_limit", "max_members", '"8"')
        assert "max_members\t8\t" in run(daemon, "limits")
        assert run(daemon, "registered") == ""
        assert run(daemon, "kick", "alice") == "0 ended\n"
        acts = [line.split("\t")[3] for line in run(daemon, "audit", "list", "--caller", ME).splitlines()]
        assert acts == ["imc.kick", "imc.set_limit", "imc.reload", "imc.reload"]
        assert run(daemon, "audit", "list", "--until", "2001-01-01") == ""
        assert "is no time" in run(daemon, "audit", "list", "--since", "once", status=1)
    finally:
        daemon.stop()


def test_commands_that_write_by_themselves(tmp_path: Path) -> None:
    """R-AUDIT-2: without a daemon too, and no password is in it."""
    daemon = Daemon(tmp_path, CONFIG.format(folder=tmp_path))
    daemon.add_user("sip:alice@imc.test", "secret-of-alice")
    done = daemon.imc("user", "passwd", "sip:alice@imc.test", "--password-stdin", stdin="another-secret\n")
    assert done.returncode == 0, done.stderr
    assert "rows of the audit" in run(daemon, "forget", "sip:alice@imc.test", "--yes", "--account")
    text = run(daemon, "audit", "export", "--user", "alice")
    assert "secret" not in text
    rows = [json.loads(line) for line in text.splitlines()]
    assert [(row["act"], row["caller"], row["via"]) for row in rows] == [
        ("imc.forget", ME, "cli"),
        ("imc.user_password", ME, "cli"),
        ("imc.user_add", ME, "cli"),
    ]
