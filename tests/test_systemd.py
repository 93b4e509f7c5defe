"""sd_notify(3) against a real socket, by path and in the abstract namespace."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from imc import systemd
from tests.daemon import Daemon


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@imc-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield sock


def test_ready(manager: socket.socket) -> None:
    assert systemd.ready("serving 3 rooms")
    assert manager.recv(4096) == b"READY=1\nSTATUS=serving 3 rooms"


def test_reloading_says_when(manager: socket.socket) -> None:
    assert systemd.reloading()
    first, second = manager.recv(4096).split(b"\n")
    assert first == b"RELOADING=1"
    assert second.removeprefix(b"MONOTONIC_USEC=").isdigit()


def test_stopping(manager: socket.socket) -> None:
    assert systemd.stopping("finishing")
    assert manager.recv(4096) == b"STOPPING=1\nSTATUS=finishing"


@pytest.mark.parametrize("name", [None, "", "vsock:2:1234", "relative", "/nonexistent/notify"])
def test_without_a_service_manager_nothing_happens(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if name is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert not systemd.ready("x")


def test_a_manager_that_does_not_read_holds_nothing_up(manager: socket.socket) -> None:
    results = [systemd.ready("x") for _ in range(2_000)]
    assert results[0]
    assert not results[-1]


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [
        ("30000000", None, 30.0),
        ("30000000", "own", 30.0),
        ("1", "", 1e-6),
        ("30000000", "1", None),
        ("30000000", "x", None),
        ("0", None, None),
        ("", None, None),
        ("-5", None, None),
        ("30s", None, None),
        ("²", None, None),
        (None, None, None),
    ],
)
def test_how_often_a_sign_of_life_is_wanted(
    microseconds: str | None, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, str(os.getpid()) if value == "own" else value)
    assert systemd.watchdog_seconds() == seconds


def test_a_sign_of_life(manager: socket.socket) -> None:
    assert systemd.alive()
    assert manager.recv(4096) == b"WATCHDOG=1"


def test_the_daemon_shows_life_while_it_is_watched(tmp_path: Path) -> None:
    daemon = Daemon(
        tmp_path,
        '[imc]\ndomains = ["127.0.0.1"]\n[sip]\nlisten = ["udp:127.0.0.1:0"]\n[manage]\nlisten = ""\n',
        env={"WATCHDOG_USEC": "20000"},
    )
    daemon.start()
    try:
        for _ in range(3):
            daemon.wait_notice("WATCHDOG=1")
        daemon.send(signal.SIGHUP)
        daemon.wait_notice("READY=1")
        daemon.wait_notice("WATCHDOG=1")
    finally:
        daemon.kill()
