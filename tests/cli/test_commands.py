"""``imc`` itself: quick, plain about errors, and as its pages say."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from imc import __version__
from imc.aor import Aor
from imc.cli import Page
from imc.cli.demo import manage_port, page_port
from imc.config import Settings, load
from imc.store.accounts import Account
from imc.store.locks import FileLock
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.cli.harness import Imc

ROOT = Path(__file__).parents[2]
HEAVY = ("pydantic", "sqlalchemy", "trio", "structlog", "rich", "starlette", "imc.app")


def test_version(imc: Imc) -> None:
    assert imc("--version").out == f"imc {__version__}\n"


def test_version_and_usage_load_nothing_heavy(tmp_path: Path) -> None:
    """What makes them quick, counted and not timed."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "imc", "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "imc.cli" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [(), ("nonsense",), ("serve", "--nonsense"), ("user",), ("user", "add"), ("rpc",), ("demo", "--port", "0")],
)
def test_wrong_usage_is_status_2(imc: Imc, arguments: tuple[str, ...]) -> None:
    outcome = imc(*arguments)
    assert outcome.status == 2
    assert "Usage" in outcome.out + outcome.err


@pytest.mark.parametrize("page", list(Page))
def test_the_pages_made_from_the_code_are_not_stale(imc: Imc, page: Page) -> None:
    made = imc("reference", page.value)
    assert made.status == 0
    kind, _, name = page.value.rpartition("-")
    path = ROOT / "docs" / ("design/diagrams" if kind == "diagram" else "reference") / f"{name}.md"
    assert made.out == path.read_text(encoding="utf-8"), "run: make reference"


def test_import_config(imc: Imc) -> None:
    (imc.folder / "kamailio.cfg").write_text('modparam("imc", "hash_size", N)\nmodparam("imc", "db_mode", 2)\n')
    outcome = imc("import-config", "kamailio.cfg", "-A", "N=5")
    assert outcome.status == 0
    (imc.folder / "imc.toml").write_text(outcome.out)
    assert imc("config", "check").out == "imc.toml: good\n"
    assert load(imc.folder / "imc.toml").imc.hash_size == 5
    assert outcome.err == "kamailio.cfg:2: db_mode: imc always writes before it answers; it has no other mode\n"


def test_import_config_of_what_is_none(imc: Imc) -> None:
    (imc.folder / "empty.cfg").write_text("")
    outcome = imc("import-config", "empty.cfg")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith('imc: empty.cfg: no modparam("imc", ...) stands there')
    (imc.folder / "open.cfg").write_text("\n#!ifdef A\n")
    outcome = imc("import-config", "open.cfg")
    assert (outcome.status, outcome.err) == (1, "imc: open.cfg:3: an #!ifdef without its #!endif\n")
    assert imc("import-config", "no.cfg").err == "imc: no.cfg: cannot be read: No such file or directory\n"


def test_backup_and_restore(imc: Imc) -> None:
    assert imc("user", "add", "sip:alice@127.0.0.1", "--password-stdin", stdin="a secret\n").status == 0
    counts = "0 rooms, 0 members, 0 invitations, 1 accounts, 0 registrations, 0 deliveries under way\n"
    assert imc("db", "backup", "kept").out == f"kept: {counts}"
    assert imc("user", "remove", "sip:alice@127.0.0.1").status == 0
    assert "(table imc_audit)" in imc("db", "restore", "kept").err  # that somebody was removed is not lost unsaid
    assert imc("db", "restore", "kept", "--replace").out == f"database imc.db: {counts}"
    assert imc("user", "list").out == "sip:alice@127.0.0.1\n"
    refused = imc("db", "restore", "kept")
    assert (refused.status, refused.err) == (
        1,
        "imc: database imc.db is not empty (table subscriber); --replace removes all that is in it\n",
    )
    assert imc("db", "restore", "kept", "--replace").status == 0


def test_restore_of_what_is_none_makes_no_database(imc: Imc) -> None:
    (imc.folder / "text").write_text("no backup")
    assert "text: is not a backup of imc" in imc("db", "restore", "text").err
    assert imc("db", "restore", "nothing").err == "imc: nothing: No such file or directory\n"
    assert not (imc.folder / "imc.db").exists()


@pytest.mark.parametrize("words", [("db", "backup", "kept"), ("user", "list"), ("export", "chat-1")])
def test_what_reads_makes_no_database(imc: Imc, words: tuple[str, ...]) -> None:
    """In another folder than the daemon's it would else tell of an empty one."""
    refused = imc(*words)
    assert refused.status == 1
    assert "imc.db: No such file or directory; imc serve" in refused.err
    assert not (imc.folder / "imc.db").exists()


def test_restore_beside_a_daemon_is_refused(imc: Imc) -> None:
    assert imc("db", "upgrade").status == 0
    assert imc("db", "backup", "kept").status == 0
    with Store.open(StoreOptions(url="sqlite:///imc.db", base=imc.folder, is_exclusive=True)):
        refused = imc("db", "restore", "kept")
    assert refused.status == 1
    assert "another" in refused.err


def test_config_check_of_a_good_file(imc: Imc) -> None:
    assert imc("config", "check").out == "built-in defaults: good\n"
    (imc.folder / "imc.toml").write_text("[imc]\nhash_size = 5\n")
    assert imc("config", "check").out == "imc.toml: good\n"


def test_config_check_of_a_bad_file(imc: Imc) -> None:
    (imc.folder / "bad.toml").write_text("[imc]\nhash_sice = 5\n[log]\nlevel = 'loud'\n")
    outcome = imc("config", "check", "-c", "bad.toml")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.splitlines() == [
        "imc: bad.toml:2: [imc] hash_sice: unknown setting, did you mean 'hash_size'?",
        "imc: bad.toml:4: [log] level: must be 'debug', 'info', 'warning' or 'error'",
    ]


@pytest.mark.parametrize(
    "command", [("serve",), ("config", "check"), ("config", "show"), ("db", "upgrade"), ("rooms",)]
)
def test_a_file_that_is_not_there(imc: Imc, command: tuple[str, ...]) -> None:
    outcome = imc(*command, "-c", "absent.toml")
    assert (outcome.status, outcome.err) == (1, "imc: absent.toml: cannot be read: No such file or directory\n")


def test_config_show_can_be_read_again(imc: Imc) -> None:
    shown = imc("config", "show", "--set", "log.level=debug").out
    (imc.folder / "imc.toml").write_text(shown)
    assert load(imc.folder / "imc.toml") == load(None, ["log.level=debug"])
    assert 'level = "debug"  # --set\n' in shown


def test_db_upgrade_makes_the_tables_and_can_be_repeated(imc: Imc) -> None:
    for _ in range(2):
        outcome = imc("db", "upgrade")
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out.endswith("imc.db: up to date\n")


def test_serve_gets_settings_file_and_flags(imc: Imc, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[Settings, Path | None, tuple[str, ...], Path | None]] = []

    def serve(settings: Settings, path: Path | None, flags: Sequence[str], *, trace_spec: Path | None) -> None:
        served.append((settings, path, tuple(flags), trace_spec))

    monkeypatch.setattr("imc.log.configure", lambda level: None)
    monkeypatch.setattr("imc.program.serve", serve)
    (imc.folder / "imc.toml").write_text("[log]\nlevel = 'error'\n")
    assert imc("serve", "--set", "imc.hash_size=3", "--trace-spec", "trace.jsonl").status == 0
    ((settings, path, flags, trace_spec),) = served
    assert (settings.log.level, settings.imc.hash_size) == ("error", 3)
    assert (path, flags, trace_spec) == (Path("imc.toml"), ("imc.hash_size=3",), Path("trace.jsonl"))


@pytest.mark.parametrize("command", [("rooms",), ("members", "chat-a"), ("rpc", "imc.list_rooms")])
def test_no_daemon_is_said_in_a_line(imc: Imc, command: tuple[str, ...]) -> None:
    (imc.folder / "imc.toml").write_text(f"[manage]\nsocket = '{imc.folder}/imc.sock'\n")
    outcome = imc(*command)
    assert (outcome.status, outcome.out) == (1, "")
    why = "No such file or directory (is the daemon running?)"
    assert outcome.err == f"imc: unix:{imc.folder}/imc.sock: {why}\n"


# The demo


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The configurations that would have been served."""
    configs: list[Path] = []
    monkeypatch.setattr("imc.cli.serve.run", configs.append)
    return configs


@pytest.fixture
def port() -> int:
    return _free_port()


def _free_port() -> int:
    """One whose pages' ports are free too, as far as that can be known."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if all(map(_is_free, (port, page_port(port), manage_port(port)))):
            return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def test_the_demo_can_be_logged_in_with_what_it_prints(imc: Imc, served: list[Path], port: int) -> None:
    shown = imc("demo", "--dir", "a folder", "--port", str(port)).out
    assert "ends with exit status 0, where the password is right" in shown
    (config,) = served
    settings = load(config)
    page = page_port(port)
    assert settings.sip.listen == (f"udp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port}", f"ws:127.0.0.1:{page}")
    assert shown.startswith(f"Chat here, in a browser on this machine:\n\n    http://127.0.0.1:{page}/\n")
    assert settings.is_loopback_only
    assert settings.manage.token
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert settings.manage.listen == f"127.0.0.1:{manage_port(port)}"
    assert f"http://127.0.0.1:{manage_port(port)}/operate/" in shown
    secret = next(line for line in shown.splitlines() if "log in as operator" in line).split()[-1]
    with Store.open(StoreOptions(url=settings.imc.db_url)) as store:
        operator = store.get_operator("operator")
    assert operator is not None
    assert (operator.role, operator.has_password(secret)) == ("admin", True)
    for user in ("alice", "bob"):
        line = next(line for line in shown.splitlines() if line.strip().startswith(f"sip:{user}@127.0.0.1 "))
        password = line.split()[-1]
        aor = Aor(user, "127.0.0.1")
        with Store.open(StoreOptions(url=settings.imc.db_url)) as store:
            assert store.get_account(aor) == Account.from_password(aor, password)
        for client in (f"baresip-{user}/accounts", f"linphone-{user}"):
            assert password in (config.parent / client).read_text()


def test_the_demo_keeps_its_passwords(imc: Imc, served: list[Path], port: int) -> None:
    assert imc("demo", "--port", str(port)).out == imc("demo", "--port", str(port)).out
    assert served == [imc.folder / "run" / "imc.toml"] * 2


def test_only_its_owner_reads_the_demos_passwords(imc: Imc, served: list[Path], port: int) -> None:
    imc("demo", "--port", str(port))
    passwords = [line.split()[1] for line in (imc.folder / "run" / "passwords").read_text().splitlines()]
    with_secret = [
        path
        for path in (imc.folder / "run").rglob("*")
        if path.is_file() and any(p in path.read_text("latin-1") for p in passwords)
    ]
    assert len(with_secret) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in with_secret} == {0o600}


def test_beside_a_running_demo_nothing_is_written(imc: Imc, served: list[Path], port: int) -> None:
    imc("demo", "--port", str(port))
    before = {path: path.read_bytes() for path in (imc.folder / "run").iterdir() if path.is_file()}
    running = FileLock(imc.folder / "run" / "imc.db.lock")
    running.acquire(0.0)
    outcome = imc("demo", "--port", str(_free_port()))
    running.release()
    assert (outcome.status, outcome.out) == (1, "")
    assert "another imc daemon uses the database" in outcome.err
    assert {path: path.read_bytes() for path in before} == before
    assert len(served) == 1


def test_a_port_in_use_is_said_before_anything_else(imc: Imc, served: list[Path]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        outcome = imc("demo", "--port", str(port))
    assert (outcome.status, outcome.out) == (1, "")
    hint = "try another: imc demo --port 5070, or make run PORT=5070"
    assert outcome.err == f"imc: port {port} on 127.0.0.1: Address already in use; {hint}\n"
    assert not (imc.folder / "run").exists()
    assert served == []


def test_the_port_of_the_page_in_use_is_said_too(imc: Imc, served: list[Path]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        outcome = imc("demo", "--port", str(port - 20))
    assert outcome.status == 1
    assert f"port {port} on 127.0.0.1: Address already in use" in outcome.err
    assert served == []


def test_each_port_has_a_page_of_its_own() -> None:
    assert [page_port(port) for port in (5060, 5070, 65_535)] == [5080, 5090, 65_515]
    assert [manage_port(port) for port in (5060, 5070, 65_535)] == [8060, 8070, 62_535]
