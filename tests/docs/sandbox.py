"""A folder in which a page is tried as a new user would: commands by bash, configurations by ``imc config check``.

A page has one sandbox, and its blocks run in their order. What they start ends with them: each is a process group.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs.blocks import ROOT, Block, Command, commands, fits
from tests.docs.forks import CLIENT

WITHIN = 120.0  # seconds for one block, on a busy machine
_PROGRAMS = {"imc-conformance": "conformance", "imc-replay": "conformance.replay"}
# `imc serve` runs until it is ready, and ends; where IMC_DOCS_STAY is set it stays until the block ends.
_IMC = """\
if [ "$1" = serve ]; then
    [ -z "$IMC_DOCS_STAY" ] || exec "{python}" -m imc "$@"
    exec "{python}" -m tests.docs.served "$@"
fi
{quick}"""


class Failed(AssertionError):
    """A block did not do what the page says."""


class Sandbox:
    """``forks`` is where `tests.docs.forks` listens, for a quick start. ``replace`` has texts of the pages
    that are others here: addresses, ports, places of the system."""

    def __init__(
        self, folder: Path, replace: Mapping[str, str], env: Mapping[str, str], forks: Path | None = None
    ) -> None:
        self.folder = folder
        self.replace = dict(replace)
        self.bin = folder / ".venv" / "bin"
        self.bin.mkdir(parents=True)
        home = folder / "home"
        home.mkdir()
        for name, module in _PROGRAMS.items():
            self.program(name, f'exec "{sys.executable}" -m {module} "$@"')
        quick = f'exec "{sys.executable}" -I -S "{folder.parent}/client.py" "{forks}" "$@"' if forks else ""
        (folder.parent / "client.py").write_text(CLIENT)
        self.program("imc", _IMC.format(python=sys.executable, quick=quick or f'exec "{sys.executable}" -m imc "$@"'))
        self.program("python", f'exec "{sys.executable}" "$@"')
        self.env = {
            "HOME": str(home),
            "PATH": f"{self.bin}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "TERM": "dumb",
            **env,
        }

    def program(self, name: str, script: str) -> None:
        """A program on the path of the page's commands."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def local(self, text: str) -> str:
        """A text of the page as it is here."""
        for old, new in self.replace.items():
            text = text.replace(old, new)
        return text

    def shell(self, script: str) -> str:
        """What a script prints to standard output. Failed."""
        return self._run(["bash", "-euo", "pipefail", "-c", self.local(script)])

    def python(self, source: str) -> str:
        """What a program prints. Failed."""
        return self._run([sys.executable, "-W", "error", "-c", self.local(source)])

    def _run(self, command: list[str]) -> str:
        out, err = (self.folder.parent / name for name in ("stdout", "stderr"))
        with out.open("w") as printed, err.open("w") as complained:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=printed, stderr=complained,
                start_new_session=True,
            )  # fmt: skip
        status: int | str
        try:
            status = process.wait(WITHIN)
        except subprocess.TimeoutExpired:
            status = f"none after {WITHIN:.0f} s"
        finally:  # what it started in the background ends with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if status:
            raise Failed(f"exit status {status}\n{_read(out)}{_read(err)}")
        return _read(out)

    def check(self, text: str) -> str:
        """A configuration of the page: ``imc config check``."""
        path = self.folder / "checked.toml"
        path.write_text(self.local(text))
        return self.shell(f"imc config check -c {path}")

    def run(self, block: Block) -> str:
        """A block that is run; what it prints. Failed, with the block's place."""
        try:
            if block.language == "console":
                return "".join(self._command(one) for one in commands(block))
            how = {"sh": self.shell, "python": self.python, "toml": self.check}[block.language]
            return how(block.text)
        except Failed as error:
            raise Failed(f"{block}: {error}") from None

    def _command(self, command: Command) -> str:
        printed = self.shell(command.text)
        if command.output and not fits(self.local(command.output), printed):
            raise Failed(f"{command.text}\nprints\n{printed}\nand not\n{command.output}")
        return printed

    def compare(self, block: Block, printed: str) -> None:
        """What the page shows as the output of the block before. Failed."""
        if not fits(self.local(block.text), printed):
            raise Failed(f"{block}: printed was\n{printed}")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def need(*programs: str) -> str:
    """Which of the programs of the system are missing, as a reason; "" where all are there."""
    missing = [one for one in programs if shutil.which(one) is None and shutil.which(one, path="/usr/sbin") is None]
    return f"not installed: {', '.join(missing)}" if missing else ""
