"""The scripts for Kamailio beside the pages: Kamailio reads each as it stands. There is no OpenSIPS to read its one."""

from __future__ import annotations

import subprocess

import pytest

from tests.docs.blocks import ROOT
from tests.e2e.program import need

SCRIPTS = sorted(path.name for path in (ROOT / "docs" / "how-to").glob("kamailio*.cfg"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_kamailio_reads_it(name: str) -> None:
    kamailio = need("kamailio")
    done = subprocess.run(
        [kamailio, "-c", "-f", str(ROOT / "docs" / "how-to" / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "config file ok" in done.stderr
