"""`conformance.load.measure`: a small one of each work on real servers; all is answered and heard."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conformance.load.measure import Options, SetupFailed, measure
from conformance.load.sender import Names
from conformance.load.servers import External, Imc, Kamailio
from conformance.load.works import Ask, Work, build

WORKS = ["fan-out-100", "small-rooms", "join-storm-300", "commands", "mixed", "start"]
USERS = 20


@pytest.mark.parametrize("name", WORKS)
def test_a_small_one_of_each_work(name: str) -> None:
    work = build(name, USERS, 40)
    found = measure(work, Imc(), Options(sinks=2))
    assert found.is_complete, found
    assert found.requests == len(work.asks)
    assert found.deliveries >= work.deliveries
    assert found.cpu_seconds is not None
    assert found.cpu_seconds > 0
    assert found.start_seconds is not None
    assert found.pss is not None
    assert 0 < found.answer_p50 <= found.answer_p99


def test_users_who_register() -> None:
    found = measure(build("fan-out-100", USERS, 5), Imc(), Options(sinks=2, is_registered=True))
    assert found.is_complete, found
    assert found.deliveries == 5 * (USERS - 1)


def test_a_server_that_runs_already(tmp_path: Path) -> None:
    """Its rooms are made by commands, and destroyed; so it can be done twice."""
    names = Names()
    options = Options(sinks=2, is_registered=True, names=names)
    with Imc().running(tmp_path, (), names, None) as running:
        for pid in (running.pid, None):
            found = measure(build("small-rooms", USERS, 10), External(running.address, pid), options)
            assert found.is_complete, found
            assert (found.cpu_seconds is None) == (pid is None)
            assert found.start_seconds is None


def test_what_is_refused_beforehand_ends_it() -> None:
    nobody = Work("odd", "a text from a stranger first", 2, [], [], 1, warm_up=[Ask(1, 0, audience=(0,))])
    with pytest.raises(SetupFailed, match=r"warm-up: 404 ×1, 1 deliveries lost"):
        measure(nobody, Imc(), Options(sinks=1, quiet=0.1))


@pytest.mark.skipif(
    shutil.which("kamailio", path="/usr/sbin:/usr/bin:/sbin") is None, reason="kamailio is not installed"
)
@pytest.mark.parametrize("is_registered", [False, True])
def test_kamailio(is_registered: bool) -> None:
    found = measure(build("fan-out-100", USERS, 5), Kamailio(), Options(sinks=1, is_registered=is_registered))
    assert (found.lost, found.refused, found.duplicates) == (0, 0, 0)
    assert found.deliveries == 5 * (USERS - 1)
