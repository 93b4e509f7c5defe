"""SIGTERM: what imc-replay started ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from conformance.replay import trace
from tests.conformance.replay.talks import asked, recorded, request

T = TypeVar("T")
CREATE = request(body="#create", branch="z9hG4bKc", call_id="c")
HELP = request(body="#help", branch="z9hG4bKh", call_id="h", cseq=2)


@pytest.mark.parametrize("is_playing", [True, False])
def test_sigterm_ends_the_server(tmp_path: Path, is_playing: bool) -> None:
    """While the clients play, and while the server starts."""
    file = tmp_path / "slow.trace"
    messages = [*asked(0.0, CREATE), recorded(HELP, at=600.0)]
    file.write_bytes(trace.head() + b"".join(map(trace.render, messages)))
    with replay(tmp_path, "run", file, "--target", "imc", "--speed", "1") as process:
        (server,) = awaited(lambda: [pid for pid in children(process.pid) if is_server(pid)], process)
        if is_playing:
            time.sleep(3)
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
        assert awaited(lambda: not Path(f"/proc/{server}").exists())


@contextmanager
def replay(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "conformance.replay", *map(str, arguments)]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            for pid in children(process.pid) if process.poll() is None else ():
                os.kill(pid, signal.SIGKILL)
            process.kill()


def is_server(pid: int) -> bool:
    """Not one of the programs that are asked for their version."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def children(pid: int) -> list[int]:
    """Of all its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that ended
            found += map(int, (task / "children").read_text().split())
    return found


def awaited(of: Callable[[], T], process: subprocess.Popen[bytes] | None = None) -> T:
    end = time.monotonic() + 30
    while not (found := of()):
        assert time.monotonic() < end
        assert process is None or process.poll() is None
        time.sleep(0.02)
    return found
