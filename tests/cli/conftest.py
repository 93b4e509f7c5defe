from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.harness import Imc


@pytest.fixture
def imc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Imc:
    return Imc(tmp_path, monkeypatch, capsys)
