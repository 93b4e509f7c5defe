"""SIPVicious against a daemon: what its scanners, guessers and crackers find is that there is a SIP server, no more.

Row 18 and S-AUTH-9 from the attacker's own tools: `svmap` finds hosts, `svwar` extensions, `svcrack` passwords.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.attacker import request
from tests.attacks.process import Peer, process_config
from tests.daemon import Daemon, running
from tests.e2e.program import need

USERS = {"sip:100@127.0.0.1": "an excellent passphrase", "sip:200@127.0.0.1": "150"}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    # svcrack ends with an error of its own where auth-int is offered
    config = process_config(tmp_path, '[auth]\nqop = ["auth"]').replace("example.com", "127.0.0.1")
    with running(tmp_path, config, USERS) as one:
        yield one


def run(daemon: Daemon, tmp_path: Path, program: str, *arguments: str) -> str:
    """What it says, both ways. It keeps its sessions in its home."""
    path = need(program)
    done = subprocess.run(
        [path, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
    )
    said = done.stdout + done.stderr
    print(f"{program} {' '.join(arguments)}:\n{said}")
    with Peer(daemon, "127.0.0.200") as peer:  # whatever was done to it
        assert peer.ask(options()).status == 200
    assert not [one for one in daemon.records() if one["level"] in ("warning", "error")]
    return said


def options() -> bytes:
    return request("OPTIONS", "sip:127.0.0.1")


def test_svmap_finds_a_server_without_name(daemon: Daemon, tmp_path: Path) -> None:
    port = daemon.address()[1]
    said = run(daemon, tmp_path, "svmap", "--randomize", "-p", str(port), "127.0.0.1")
    assert f"127.0.0.1:{port}" in said
    assert "imc" not in said.replace(str(tmp_path), "")


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE", "MESSAGE"])
def test_svwar_cannot_tell_users_from_others(daemon: Daemon, tmp_path: Path, method: str) -> None:
    """100 is a user, 101 to 120 are none."""
    port = daemon.address()[1]
    said = run(daemon, tmp_path, "svwar", "--force", "-m", method, "-e", "100-120", "-p", str(port), "127.0.0.1")
    table = dict(re.findall(r"^[|│]\s*(\d+)\s*[|│]\s*(\w+)", said, re.MULTILINE))
    assert len(set(table.values())) <= 1, table
    assert len(table) in (0, 21), table


@pytest.mark.parametrize(
    ("user", "guesses", "is_found"),
    [("100", "130-155", False), ("300", "130-155", False), ("200", "130-155", True), ("200", "110-155", False)],
)
def test_svcrack_finds_what_is_among_the_first_guesses(
    daemon: Daemon, tmp_path: Path, user: str, guesses: str, is_found: bool
) -> None:
    """Neither the password of 100 nor that there is no 300. That of 200, which is 150, shows that the tool works; the
    41st guess comes after `guess_burst`, and is not looked at (spec S-AUTH-14)."""
    port = daemon.address()[1]
    said = run(daemon, tmp_path, "svcrack", "-u", user, "-r", guesses, "-p", str(port), "127.0.0.1")
    assert (re.search(rf"^[|│]\s*{user}\s*[|│]\s*150\s", said, re.MULTILINE) is not None) == is_found, said
    assert "Traceback" not in said
