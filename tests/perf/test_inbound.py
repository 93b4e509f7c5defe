"""What a request may cost: in calls of imc's own functions and in commits, which no machine makes more of.

Somebody who needs more raises the bound, and says in docs/design/performance.md what for.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.perf.inbound import count, running


@pytest.mark.parametrize(("work", "most"), [("texts", 320), ("commands", 370), ("lonely", 475)])
async def test_calls_and_commits_a_request(work: str, most: int, tmp_path: Path) -> None:
    async with running(work, tmp_path) as bench:
        calls, commits = await count(bench, 50)
        assert set(bench.statuses) == {{"texts": b"202", "lonely": b"202"}.get(work, b"200")}
        assert calls <= most
        assert commits <= 2 / bench.outstanding
