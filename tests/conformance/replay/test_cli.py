from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conformance.replay import trace
from conformance.replay.cli import app
from conformance.replay.compare import IGNORED
from conformance.replay.recording import Recorded, Recording
from tests.conformance.replay.pcaps import RAW, Packet, pcap, udp
from tests.conformance.replay.talks import ALICE, SERVER, asked, recorded, recording, request, response
from tests.daemon import running

CONFIG = """
[imc]
domains = ["example.com"]
db_url = "sqlite:///imc.db"
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
[auth]
mode = "{mode}"
[manage]
listen = ""
"""
CREATE = request(body="#create", branch="z9hG4bKc", call_id="c")
REGISTER = request("REGISTER", "sip:example.com", to="sip:alice@example.com", branch="z9hG4bKr", call_id="r",
                   headers="Contact: <sip:alice@192.0.2.7:5062>\r\n")  # fmt: skip


def imc_replay(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, [str(each) for each in arguments])


def written(path: Path, of: Recording) -> Path:
    path.write_bytes(trace.head() + b"".join(map(trace.render, of.messages)))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Alice registers and asks for help; the notice was not captured."""
    return written(tmp_path / "talk.trace", recording(*asked(0.0, REGISTER), *asked(0.1, CREATE)))


def test_show(file: Path) -> None:
    done = imc_replay("show", file)
    assert done.exit_code == 0
    assert done.stdout == (
        "            alice  server\n"
        "    0.000     |------>|    REGISTER sip:example.com\n"
        "    0.010     |<------|    200 OK (REGISTER)\n"
        "    0.100     |------>|    MESSAGE #create\n"
        "    0.110     |<------|    200 OK (MESSAGE)\n"
    )


def test_show_whole(file: Path) -> None:
    done = imc_replay("show", "--whole", file)
    assert "\nline 3: udp 192.0.2.7:5062 > 192.0.2.1:5060\nREGISTER sip:example.com SIP/2.0\nVia: " in done.stdout


def test_nothing_that_is_shown_moves_the_cursor(tmp_path: Path) -> None:
    """Nor sets a title: what is in a file came from anybody."""
    text = "\x1b]0;pwn\x07\x1b[2J\u202ebad\r\nnext"
    data = request(body=text, headers="Subject: \x1b[31mred\r\n")
    file = written(tmp_path / "talk.trace", recording(*asked(0.0, data)))
    done = imc_replay("show", "--whole", file)
    assert done.exit_code == 0
    assert [char for char in done.output if not char.isprintable() and char != "\n"] == []
    assert "\\x1b]0;pwn\\x07\\x1b[2J\\u202ebad\nnext\n" in done.stdout


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"])
def test_dates_that_are_no_times(file: Path, tmp_path: Path, date: str) -> None:
    """A message without a time is left out, and the others are made anonymous."""
    with file.open("a") as more:
        more.write(f"@ {date} udp 192.0.2.7:5062 > 192.0.2.1:5060\n{CREATE.decode()}\n")
    done = imc_replay("anonymize", file, tmp_path / "out")
    assert done.exit_code == 1, done.exception
    assert f"not a time: '{date}'; the message is left out" in done.stderr


def test_show_of_what_is_cut_off_says_so_and_shows_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap([Packet(1.0, udp(CREATE)), Packet(2.0, udp(response(CREATE)))], RAW)[:-7])
    done = imc_replay("show", path)
    assert done.exit_code == 1
    assert "MESSAGE #create" in done.stdout
    assert "octets are there; the file was cut off" in done.stderr
    assert "packet 2" in done.stderr


@pytest.mark.parametrize("command", [["show"], ["run", "--target", "imc"], ["anonymize"]])
def test_what_cannot_be_read(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"neither this nor that")
    more = [tmp_path / "out"] if command == ["anonymize"] else []
    done = imc_replay(command[0], path, *more, *command[1:])
    assert done.exit_code == 2
    assert "neither a capture nor a trace" in done.stderr
    assert imc_replay(command[0], tmp_path / "missing", *more, *command[1:]).exit_code == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "sips:127.0.0.1"], "only sip: over UDP and TCP is spoken here"),
        (["--target", "nobody"], "give sip:HOST:PORT, imc or kamailio"),
        (["--target", "sip:127.0.0.1;transport=ws"], "transport ws is not spoken here"),
        (["--target", "imc", "--speed", "slow"], "neither a positive number nor max"),
        (["--target", "imc", "--user", "alice"], "is not OLD=NEW"),
        (["--target", "imc", "--ignore", "colour"], "is none of body, display-name"),
        (["--target", "imc", "--server", "nowhere"], "no port: 'nowhere'"),
        (["--target", "imc", "--server", "192.0.2.99:1"], "no client sends 192.0.2.99:1 anything"),
        (["--target", "imc", "--users", "/nonexistent"], "No such file"),
        ([], "Missing option '--target'"),
    ],
)
def test_wrong_usage(file: Path, options: list[str], words: str) -> None:
    done = imc_replay("run", file, *options)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())


def test_a_file_of_users_that_is_wrong(file: Path, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("# ours\nalice secret\nbob\n")
    done = imc_replay("run", file, "--target", "imc", "--users", users)
    assert (done.exit_code, done.stderr) == (2, f"imc-replay: --users: {users}:3: give an address and a password\n")


def test_nobody_there(file: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    done = imc_replay("run", file, "--target", f"sip:127.0.0.1:{port}")
    assert (done.exit_code, done.stderr) == (3, f"imc-replay: udp:127.0.0.1:{port}: Connection refused\n")


def test_run_same_and_otherwise(file: Path, tmp_path: Path) -> None:
    """Against a daemon that wants passwords; the notice that was not recorded is what differs."""
    users, result = tmp_path / "users", tmp_path / "result.json"
    users.write_text("sip:alice@example.com wonder land\n")
    folder = tmp_path / "imc"
    folder.mkdir()
    with running(folder, CONFIG.format(mode="digest"), {"sip:alice@example.com": "wonder land"}) as daemon:
        target = "sip:{}:{}".format(*daemon.address())
        options = ["--target", target, "--users", users, "--patience", 5]
        done = imc_replay("run", file, *options, "--json", result)
        assert done.exit_code == 1, done.stderr
        assert "+ " in done.stdout
        assert "MESSAGE [room-created]" in done.stdout
        assert done.stdout.endswith("requests, 2 responses, 1 MESSAGEs: 1 difference\n")
        found = json.loads(result.read_text())
        assert found["format"] == "imc-replay 1"
        assert [each["mark"] for each in found["ladder"] if each["mark"]] == ["extra"]
        registered = written(tmp_path / "register.trace", recording(*asked(0.0, REGISTER)))
        done = imc_replay("run", registered, *options, "--quiet")
        assert (done.exit_code, done.stdout) == (0, "2 requests, 1 responses, 0 MESSAGEs: the same as recorded\n")
        done = imc_replay("run", registered, "--target", target, "--quiet", "--patience", 5)
        assert done.exit_code == 1
        assert "401 Unauthorized; recorded: 200 OK" in done.stdout
        assert "give it with --users" in done.stderr


def test_anonymize(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "clean.trace"
    done = imc_replay("anonymize", file, out)
    assert (done.exit_code, done.stderr) == (0, "")
    text = out.read_text()
    assert "# anonymous: yes" in text
    assert "alice" not in text
    assert "#create" in text
    assert imc_replay("show", out).exit_code == 0
    again = imc_replay("anonymize", file, out)
    assert (again.exit_code, again.stderr) == (2, f"imc-replay: {out}: File exists\n")


def test_anonymize_leaves_out_what_it_cannot_read(tmp_path: Path) -> None:
    broken = recorded(CREATE.replace(b"CSeq", b"Nonsense"))
    file = written(tmp_path / "talk", recording(broken, Recorded(1.0, "udp", ALICE, SERVER, CREATE, "")))
    done = imc_replay("anonymize", file, tmp_path / "out")
    assert done.exit_code == 1
    assert "line 3: left out" in done.stderr


def test_what_is_ignored_is_listed() -> None:
    done = imc_replay("--ignored")
    assert done.exit_code == 0
    for what, why in IGNORED:
        assert f"  {what}: {why}\n" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--listen", "0.0.0.0:0"], "name one address"),
        (["--target", "imc"], "give the URI of a server that runs"),
        (["--listen", "192.0.2.1:0"], "192.0.2.1:0: Cannot assign requested address"),
    ],
)
def test_record_wrong_usage(tmp_path: Path, options: list[str], words: str) -> None:
    target = [] if "--target" in options else ["--target", "sip:127.0.0.1:9"]
    done = imc_replay("record", tmp_path / "out", *target, *options)
    assert done.exit_code == 2
    assert words in done.stderr
