"""What a program has started ends with it, whichever signal tells it to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMANDS = {
    "run": ("run", "--target", "imc", "invite/silence"),  # it waits for a silent user for half a minute
    "load": ("load", "fan-out-100", "--target", "imc", "--messages", "15000"),
}


def children(pid: int) -> set[int]:
    """Of a process, and theirs."""
    found: set[int] = set()
    with suppress(OSError):  # it has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= {child} | children(child)
    return found


def is_serving(pid: int) -> bool:
    try:
        return b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_left(command: str, number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "conformance", *COMMANDS[command]],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            started: set[int] = set()
            while process.poll() is None and not any(tmp_path.rglob("*.lock")):  # the daemon has its database
                started |= children(process.pid)
            assert process.poll() is None
            process.send_signal(number)
            _, words = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert words.splitlines()[-1] == f"imc-conformance: ended by {number.name}"
    assert not any(map(is_serving, started))
    assert list(tmp_path.glob("imc-*")) == []
