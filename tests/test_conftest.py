"""A skip is a failure where IMC_TEST_NO_SKIP=1: each way of skipping, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CASES = {
    "mark": "import pytest\n@pytest.mark.skip(reason='because')\ndef test_a(): pass\n",
    "call": "import pytest\ndef test_a(): pytest.skip('because')\n",
    "module": "import pytest\npytest.skip('because', allow_module_level=True)\n",
    "fixture": "import pytest\n@pytest.fixture\ndef f(): pytest.skip('because')\ndef test_a(f): pass\n",
    "expected": "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_a(): assert False\n",
}


def run(folder: Path, no_skip: str) -> str:
    """The closing line of a run of all `CASES`."""
    (folder / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    for name, source in CASES.items():
        (folder / f"test_{name}.py").write_text(source)
    options = ["-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", "--tb=no"]
    environment = {**os.environ, "IMC_TEST_NO_SKIP": no_skip}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.stdout.splitlines()[-1]


def test_every_skip_fails_where_it_is_forbidden(tmp_path: Path) -> None:
    # What is skipped before its call counts as an error; an expected failure is no skip.
    assert run(tmp_path, "1").startswith("1 failed, 1 xfailed, 3 errors")


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    assert run(tmp_path, "").startswith("4 skipped, 1 xfailed")
