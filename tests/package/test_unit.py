"""The unit for systemd, as systemd's own programs judge it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.e2e.program import need
from tests.package.harness import ROOT

_UNIT = ROOT / "docs" / "how-to" / "imc.service"


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """With a program that is there, and without the manual, which is not installed here."""
    text = _UNIT.read_text().replace("/opt/imc/bin/imc", "/bin/true")
    unit = tmp_path / "imc.service"
    unit.write_text(re.sub("^Documentation=.*\n", "", text, flags=re.MULTILINE))
    said = _run(need("systemd-analyze"), "verify", str(unit))
    assert "imc.service" not in said, said


def test_it_is_exposed_as_little_as_the_documentation_says() -> None:
    told = re.search(r"exposure of (\d\.\d)", (ROOT / "docs" / "how-to" / "install.md").read_text())
    assert told is not None
    tenths = str(round(10 * float(told[1])))
    said = _run(need("systemd-analyze"), "security", "--offline=true", f"--threshold={tenths}", str(_UNIT))
    assert "Overall exposure level" in said


def test_its_user_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "usr" / "lib" / "sysusers.d"
    folder.mkdir(parents=True)
    (folder / "imc.conf").write_text((ROOT / "docs" / "how-to" / "imc.sysusers").read_text())
    (tmp_path / "etc").mkdir()
    _run(need("systemd-sysusers"), f"--root={tmp_path}", "imc.conf")
    assert re.search(r"^imc:x:\d+:\d+:.*:/var/lib/imc:/", (tmp_path / "etc" / "passwd").read_text(), re.MULTILINE)
