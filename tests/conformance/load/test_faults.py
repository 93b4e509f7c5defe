"""What a server does wrong is counted, each fault as what it is."""

from __future__ import annotations

import pytest

from conformance.load import measure as module
from conformance.load.figures import Figures
from conformance.load.measure import Options, SetupFailed, measure
from conformance.load.servers import External
from conformance.load.works import Ask, Room, Work, build
from tests.conformance.load.faulty import Fault, FaultyServer, faulty_server

USERS = 5
MEMBERS = range(1, USERS)  # user0 is outside
ASKS = [Ask(1, 0, audience=(2, 3, 4)) for _ in range(4)]
WORK = Work("texts", "four texts to a room of four", USERS, [Room(0, MEMBERS)], ASKS, 1)


@pytest.fixture(autouse=True)
def _no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not send anything by itself."""
    monkeypatch.setattr(module, "_SILENCE", 0.05)


def load(server: FaultyServer, work: Work = WORK) -> Figures:
    options = Options(sinks=2, is_registered=True, quiet=0.3)
    return measure(work, External(server.sock.getsockname(), None), options)


def in_texts(*what: str, nth: int = 2) -> Fault:
    """Do this with the nth recipient's copy of each text, and no fault with notices."""
    return lambda _, recipient, text: list(what) if "~" in text and recipient == f"user{nth}" else ["send"]


def test_nothing_is_wrong() -> None:
    with faulty_server() as server:
        found = load(server)
        assert found.is_complete, found
        assert (found.deliveries, found.resent_by_server, found.statuses) == (12, 0, {"202": 4})
        assert server.rooms == {}
        assert server.answers == server.copies


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (in_texts("lose"), {"lost": 4, "deliveries": 8}),
        (in_texts("repeat"), {"resent_by_server": 4, "deliveries": 12}),
        (in_texts("double"), {"duplicates": 4, "deliveries": 12}),
        (in_texts("send", "stray"), {"unexpected": 4, "deliveries": 16}),
        (in_texts("stray"), {"unexpected": 4, "lost": 4, "deliveries": 12}),
    ],
)
def test_each_fault_is_counted(fault: Fault, expected: dict[str, int]) -> None:
    counts = {"lost": 0, "resent_by_server": 0, "duplicates": 0, "unexpected": 0}
    with faulty_server(fault) as server:
        found = load(server)
    assert {name: getattr(found, name) for name in (*counts, "deliveries")} == {**counts, **expected}
    assert found.is_complete == (set(expected) == {"resent_by_server", "deliveries"})


def test_refusals_are_counted() -> None:
    with faulty_server(refuses=lambda text: "~" in text) as server:
        found = load(server)
    assert (found.refused, found.lost, found.statuses) == (4, 12, {"403": 4})
    assert not found.is_complete


def test_who_cannot_join_cannot_begin() -> None:
    with faulty_server(refuses=lambda text: text == "#join") as server, pytest.raises(SetupFailed, match="403 ×3"):
        load(server)


def test_joins_count_also_where_notices_do_not_name_their_cause() -> None:
    with faulty_server(names_its_cause=False) as server:
        found = load(server, build("join-storm-300", 6))
        assert (found.requests, found.lost) == (5, 0)
        assert found.deliveries >= build("join-storm-300", 6).deliveries
        assert load(server).is_complete


def test_a_join_that_somebody_was_not_told_of_is_lost() -> None:
    with faulty_server(lambda number, *_: ["lose"] if number == 2 else ["send"]) as server:
        found = load(server, build("join-storm-300", 6))
    assert (found.lost, found.deliveries) == (1, sum(range(2, 7)) - 1)
