"""`conformance.load.scale`: tiny points on real servers, and what is kept of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import Any

import pytest

from conformance.load import scale
from conformance.load.axes import AXES
from conformance.load.compare import Machine
from conformance.load.measure import Options, SetupFailed
from conformance.load.scale import Cost, Found, Growth, Series, grow, measure_point
from conformance.load.servers import Imc, Kamailio


def found(**changes: Any) -> Found:
    """A point at which all went well."""
    cost = Cost(100.0, 10.0, 0.001, 0.002, 0, True)
    usual = Found(
        1.0, 0.5, 60.0, 70.0, 62.0, 80.0, 90.0, {"first": cost, "texts": replace(cost, cpu_per_request=50.0)}, 0.1
    )
    return replace(usual, **changes)


def growth(*series: Series) -> Growth:
    made = Growth({"imc": "imc 1.0"}, Machine(2, "Linux", "3.11", 0.5), "2026-01-01T00:00:00+00:00")
    made.series += series
    return made


@pytest.mark.parametrize("name", AXES)
def test_a_small_point_of_each_axis(name: str) -> None:
    point = AXES[name].point(12)
    for _ in range(3):  # beside other tests a sink may be so slow that what is kept for it comes after the measuring
        one = measure_point(point, Imc(), Options(sinks=1))
        if all(cost.is_complete for cost in one.costs.values()):
            break
    assert all(cost.is_complete for cost in one.costs.values()), one
    assert set(one.costs) == {work.name for work in point.works} | ({"refresh"} if name == "users" else set())
    assert all(cost.cpu_per_request for cost in one.costs.values())
    assert one.start_seconds > 0 < one.start_cpu
    assert 0 < one.pss_idle <= one.rss_idle


@pytest.mark.skipif(
    shutil.which("kamailio", path="/usr/sbin:/usr/bin:/sbin") is None, reason="kamailio is not installed"
)
def test_a_small_point_on_kamailio_too() -> None:
    made = grow(
        [(AXES["members"], [10]), (AXES["users"], [10])],
        [Imc(), Kamailio()],
        Options(sinks=1),
        repeat=1,
        progress=lambda *_: None,
    )
    assert {server: len(runs) for server, runs in made.of("members")[0].found.items()} == {"imc": 1, "kamailio": 1}
    assert list(made.of("users")[0].found) == ["imc"]  # it has no table of ours for them
    assert made.of("members")[0].is_complete("imc")


def test_a_point_that_fails_is_told_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(point: Any, *_: Any) -> Found:
        if point.size == 10:
            raise SetupFailed("no")
        return found()

    monkeypatch.setattr(scale, "measure_point", measured)
    made = grow([(AXES["rooms"], [10, 20])], [Imc()], Options(), repeat=2, progress=lambda *_: None)
    assert [each.failures for each in made.series] == [{"imc": ["no", "no"]}, {}]
    assert [each.is_complete("imc") for each in made.series] == [False, True]


def test_medians_and_what_is_each() -> None:
    runs = [found(pss_filled=filled) for filled in (61.0, 62.0, 70.0)]
    rooms = Series("memory", 1_024, 1_024, 10_240, 0, {"imc": runs})
    assert rooms.cost("imc", "texts", "cpu_per_request") == 50
    assert rooms.cost("imc", "dance", "cpu_per_request") is None
    assert rooms.cost("kamailio", "texts", "cpu_per_request") is None
    assert rooms.bytes_each("imc") == 2_048
    assert Series("members", 1_024, 1, 1_024, 0, {"imc": runs}).bytes_each("imc") == 2_048
    assert not Series("rooms", 1, 1, 1, 0).is_complete("imc")


def test_json_there_and_back() -> None:
    made = growth(Series("rooms", 10, 10, 50, 0, {"imc": [found()]}, {"kamailio": ["it ended"]}))
    text = json.dumps(made.to_json())
    assert Growth.from_json(json.loads(text)).to_json() == made.to_json()


@pytest.mark.parametrize(
    "data",
    [[], {}, {"format": "imc-conformance load 1"}, {"format": scale.FORMAT}, {"format": scale.FORMAT, "servers": 1}],
)
def test_other_json_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="not imc-conformance scale 1"):
        Growth.from_json(data)


def test_what_was_measured_again_takes_the_place_of_what_was() -> None:
    first = Series("rooms", 10, 10, 50, 0, {"imc": [found()]}, {"kamailio": ["no"]})
    made = growth(first, Series("rooms", 20, 20, 100, 0))
    again = Series("rooms", 10, 10, 50, 0, {"imc": [found(start_seconds=9.0)]}, {"imc": ["once"]})
    made.add(growth(again, Series("rooms", 30, 30, 150, 0)))
    made.add(growth(Series("rooms", 10, 10, 50, 0, {"kamailio": [found(start_seconds=7.0)]})))
    assert [each.size for each in made.series] == [10, 20, 30]
    starts = {server: [run.start_seconds for run in runs] for server, runs in made.series[0].found.items()}
    assert starts == {"imc": [9.0], "kamailio": [7.0]}
    assert made.series[0].failures == {"imc": ["once"]}
