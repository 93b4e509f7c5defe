"""A new environment somewhere, and what is in it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_UNREACHABLE = re.compile(
    r"Could not find a version that satisfies|Connection|name resolution|Max retries", re.IGNORECASE
)


def constraints(folder: Path) -> Path:
    """The versions of requirements.lock without their hashes: what is installed is the same on every day."""
    pins = re.findall(r"^[a-z0-9][\w.\[\],-]*==[^\\\n]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert len(pins) > 20
    file = folder / "constraints.txt"
    file.write_text("".join(re.sub(r"\[.*?\]", "", pin).strip() + "\n" for pin in pins))
    return file


def run(
    command: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None, status: int = 0
) -> subprocess.CompletedProcess[str]:
    """A command in a folder, from which no source of ours is found."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def install(command: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None) -> None:
    """A command that installs; the test is skipped where no registry of packages is reached."""
    try:
        run(command, folder, env)
    except AssertionError as error:
        if _UNREACHABLE.search(str(error)):
            pytest.skip(f"no registry of packages: {str(error).splitlines()[-1]}")
        raise
