"""The real daemon in a process of its own: `imc serve` on loopback, on ports that the system chose.

Used by tests that need the whole: signals, restarts, real clients. Ready is what the daemon says itself
(`Type=notify`): nothing sleeps and nothing polls.

A new interpreter spends most of its start on imports. So the daemon is forked off a process that has them (the fork
server of multiprocessing) and runs the same `main()`; ``is_fresh`` starts an interpreter all the same, and ``program``
a command of its own, the imc of another installation.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

READY_WITHIN = 30.0
STOPPED_WITHIN = 20.0

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([
    "tests.daemon", "imc.cli", "imc.cli.serve", "imc.program", "imc.app", "imc.store.migrations", "alembic.command",
    "pymysql",
    "psycopg", "sqlalchemy.dialects.mysql", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite",
])  # fmt: skip


def _run(arguments: Sequence[str], folder: Path, files: Sequence[Path], env: Mapping[str, str]) -> None:
    """What a forked process does: `imc ARGUMENTS`; ``files`` are its standard input, output and errors."""
    gc.freeze()  # what was imported is the fork server's too: a collector that looks at it copies its pages
    for number, path in enumerate(files):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY
        os.dup2(os.open(path, flags, 0o600), number)
    sys.stdin = os.fdopen(0, closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["imc", *arguments]
    from imc.cli import main

    main()


class Daemon:
    """`imc serve -c CONFIG` in the folder of the configuration. ``log`` is the file of its stderr, in JSON."""

    def __init__(
        self,
        folder: Path,
        config: str,
        env: dict[str, str] | None = None,
        *,
        is_fresh: bool = False,
        program: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.config = folder / "imc.toml"
        self.config.write_text(config)
        self.log = folder / "imc.log"
        self.log.touch()
        self.env = env or {}
        self.is_fresh = is_fresh or bool(program)
        self._program = list(program) or [sys.executable, "-m", "imc"]
        self._process: BaseProcess | subprocess.Popen[bytes] | None = None
        self._notify: socket.socket | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return tomllib.loads(self.config.read_text())

    def imc(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `imc ARGS -c CONFIG` to its end."""
        arguments = [*args, "-c", str(self.config)]
        env = {**os.environ, **self.env}
        if self.is_fresh:
            command = [*self._program, *arguments]
            return subprocess.run(
                command, input=stdin, capture_output=True, text=True, cwd=self.folder, env=env, timeout=60, check=False
            )
        with tempfile.TemporaryDirectory() as name:
            files = [Path(name, each) for each in ("stdin", "stdout", "stderr")]
            files[0].write_text(stdin)
            process = _forks.Process(target=_run, args=(arguments, self.folder, files, env), daemon=True)
            process.start()
            process.join(60)
            status = process.exitcode
            assert status is not None, arguments
            process.close()
            return subprocess.CompletedProcess(arguments, status, files[1].read_text(), files[2].read_text())

    def add_user(self, address: str, password: str) -> None:
        done = self.imc("user", "add", address, "--password-stdin", stdin=password + "\n")
        assert done.returncode == 0, done.stderr

    def start(self, *flags: str) -> None:
        """Start and wait until the daemon says READY=1 (sd_notify)."""
        self.spawn(*flags)
        self.wait_notice("READY=1")

    def spawn(self, *flags: str) -> None:
        """Start, and wait for nothing."""
        path = str(self.folder / "notify")
        self._forget()
        if os.path.exists(path):
            os.unlink(path)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(path)
        arguments = ["serve", "-c", str(self.config), *flags]
        env = {**os.environ, **self.env, "NOTIFY_SOCKET": path}
        if self.is_fresh:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._program, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env=env,
                )
        else:
            self._process = _forks.Process(
                target=_run, args=(arguments, self.folder, (Path(os.devnull), self.log, self.log), env), daemon=True
            )
            self._process.start()

    def wait_notice(self, text: str) -> list[str]:
        """Wait until the daemon tells its service manager so; all lines that it told since the last call."""
        assert self._notify is not None
        self._notify.settimeout(READY_WITHIN)
        found: list[str] = []
        try:
            while text not in found:
                found += self._notify.recv(4096).decode().splitlines()
        except TimeoutError:
            self.kill()
            raise AssertionError(f"imc serve did not say {text}:\n{self.log.read_text()}") from None
        return found

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
        if self._process is not None:
            self._process.kill()
            self.wait()

    def send(self, number: signal.Signals) -> None:
        """A signal to the daemon."""
        assert self._process is not None
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    @property
    def pid(self) -> int:
        """The process id of the running daemon."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; the exit status."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; the exit status, a negative one of a signal that killed it."""
        process = self._process
        assert process is not None
        if isinstance(process, BaseProcess):
            process.join(STOPPED_WITHIN)
            status = process.exitcode
            if status is None:
                raise AssertionError(f"imc serve did not end:\n{self.log.read_text()}")
            process.close()
        else:
            status = process.wait(STOPPED_WITHIN)
        self._process = None
        self._forget()
        return status

    def _forget(self) -> None:
        if self._notify is not None:
            self._notify.close()
            self._notify = None


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
