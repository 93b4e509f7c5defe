"""One small round of each fault, so that the soak works when it is wanted; and what its command says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Server, mariadb_server, postgresql_server
from tests.soak import cli, report
from tests.soak.faults import WORKS, named
from tests.soak.faults.steady import slope
from tests.soak.features import HAS_WAITING
from tests.soak.outcome import Outcome, Plan
from tests.soak.servers import Skipped

__all__ = ["mariadb_server", "postgresql_server"]


def _say_nothing(_text: str) -> None:
    """What a small round has to say is in its outcome."""


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> Plan:
    @contextlib.contextmanager
    def server(kind: str) -> Iterator[Server]:
        found: Server = request.getfixturevalue(f"{kind}_server")
        try:
            yield found
        finally:
            if found.process is None:
                found.start()

    return Plan(is_small=True, say=_say_nothing, server=server)


NEEDS_A_DISK = ("database-full-sqlite", "database-readonly-sqlite")


async def small(name: str, plan: Plan) -> Outcome:
    """For who may not mount a disk, what its files may grow to is bounded in place of that."""
    try:
        return await WORKS[name](plan)
    except Skipped:
        if name not in NEEDS_A_DISK:
            raise
        return await WORKS["database-limited-sqlite"](plan)


UNTRIED = ("edge-flood", "edge-all")
"""They take all that the machine has, and as long as it then needs: `tests.attacks.test_flood` floods by number."""
TRIED = [name for name in WORKS if name not in UNTRIED and (HAS_WAITING or not name.startswith("away"))]


@pytest.mark.parametrize("name", TRIED)
async def test_small(name: str, plan: Plan) -> None:
    outcome = await small(name, plan)
    assert outcome.is_good, outcome.examples
    assert outcome.acknowledged > 0
    assert outcome.delivered >= outcome.due > 0  # what got no answer, as at a kill, may be delivered as well


def test_names() -> None:
    assert list(named([])) == list(WORKS)
    assert list(named(["end", "second"])) == ["end", "second-sqlite", "second-mariadb", "second-postgresql"]
    with pytest.raises(KeyError):
        list(named(["earthquake"]))


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome(fault="x"), 0), (Outcome(fault="x", lost=1), 1), (Outcome(fault="x", repeated=1), 1),
     (Outcome(fault="x", disordered=1), 1), (Outcome(fault="x", leaked=1), 1), (Outcome(fault="x", wrong=1), 1)],
)  # fmt: skip
def test_the_status_says_whether_all_is_well(
    outcome: Outcome, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work(_plan: Plan) -> Outcome:
        return outcome

    monkeypatch.setitem(WORKS, "end", work)
    monkeypatch.setattr("imc.log.configure", lambda _level: None)
    monkeypatch.setattr("sys.argv", ["soak", "end", "--json", str(tmp_path / "figures"), "--markdown"])
    assert cli.main() == status
    assert json.loads((tmp_path / "figures").read_text())[0]["fault"] == "x"
    assert "| x |" in capsys.readouterr().out


def test_an_unknown_fault_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["soak", "earthquake"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2


def test_a_row_for_what_was_skipped() -> None:
    assert report.row(Outcome(fault="x", skipped="no such server"))[3] == "skipped: no such server"


def test_slope() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == 2.0
    assert slope([(0.0, 1.0)]) == 0.0
