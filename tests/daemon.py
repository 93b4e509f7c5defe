"""The real daemon in a process of its own: `imc serve` on loopback, on ports that the system chose.

Used by tests that need the whole: signals, restarts, real clients. Ready is what the daemon says itself (`Type=notify`):
nothing sleeps and nothing polls.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomllib

READY_WITHIN = 30.0
STOPPED_WITHIN = 20.0


class Daemon:
    """`imc serve -c CONFIG` in the folder of the configuration. ``log`` is the file of its stderr, one JSON record a line."""

    def __init__(self, folder: Path, config: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.config = folder / "imc.toml"
        self.config.write_text(config)
        self.log = folder / "imc.log"
        self.env = env or {}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return tomllib.loads(self.config.read_text())

    def imc(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `imc ARGS -c CONFIG` to its end."""
        command = [sys.executable, "-m", "imc", *args, "-c", str(self.config)]
        env = {**os.environ, **self.env}
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, cwd=self.folder, env=env, timeout=60, check=False
        )

    def add_user(self, address: str, password: str) -> None:
        done = self.imc("user", "add", address, "--password-stdin", stdin=password + "\n")
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start and wait until the daemon says READY=1 (sd_notify)."""
        path = str(self.folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            if os.path.exists(path):
                os.unlink(path)
            notify.bind(path)
            notify.settimeout(READY_WITHIN)
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "imc", "serve", "-c", str(self.config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env={**os.environ, **self.env, "NOTIFY_SOCKET": path},
                )
            try:
                while b"READY=1" not in notify.recv(4096):
                    pass
            except TimeoutError:
                self.kill()
                raise AssertionError(f"imc serve was not ready:\n{self.log.read_text()}") from None

    def records(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def address(self, transport: str = "udp") -> tuple[str, int]:
        """Where the latest start listens: the log's ``listening`` records name it."""
        for record in reversed(self.records()):
            if record.get("event") == "listening" and record["address"].startswith(transport + ":"):
                host, _, port = record["address"].removeprefix(transport + ":").rpartition(":")
                return host.strip("[]"), int(port)
        raise AssertionError(f"no {transport} listener:\n{self.log.read_text()}")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOPPED_WITHIN)
        self.process = None
        return status


@contextmanager
def running(folder: Path, config: str, users: dict[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon with these accounts, ended whatever happens."""
    daemon = Daemon(folder, config)
    for address, password in (users or {}).items():
        daemon.add_user(address, password)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()
