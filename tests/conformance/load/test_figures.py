"""`conformance.load.figures`: ranks, medians, ratios."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from conformance.load import figures
from conformance.load.figures import Figures


def run(**changes: Any) -> Figures:
    """Figures of a run in which all went well, with these changed."""
    usual: dict[str, Any] = {
        "requests": 10, "answered": 10, "statuses": {"202": 10}, "deliveries": 100, "seconds": 2.0,
        "answer_seconds": 1.0, "cpu_seconds": 0.01, "answer_p50": 0.001, "answer_p99": 0.002, "last_p50": 0.003,
        "last_p99": 0.004, "resent_by_us": 0, "resent_by_server": 0, "lost": 0, "unexpected": 0, "duplicates": 0,
        "refused": 0, "rss_peak": 80.0, "pss_idle": 60.0, "pss": 70.0, "start_seconds": 1.0, "sink_shares": [0.1, 0.2],
        "sender_share": 0.1, "sink_drops": 0, "foreign_cores": 0.0,
    }  # fmt: skip
    return Figures(**{**usual, **changes})


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0, 2.0], 0.5, 1.0), (range(1, 101), 0.99, 99), ([5.0], 0.99, 5.0)],
)
def test_quantiles_are_values_that_were_seen(values: list[float], share: float, expected: float) -> None:
    assert figures.quantile(values, share) == expected


def test_no_quantile_of_nothing() -> None:
    assert math.isnan(figures.quantile([], 0.5))


def test_what_is_derived() -> None:
    found = run()
    assert (found.deliveries_per_second, found.requests_per_second) == (50.0, 10.0)
    assert found.cpu_per_delivery == pytest.approx(100.0)
    assert found.cpu_per_request == pytest.approx(1000.0)
    assert found.busiest == 0.2


def test_nothing_is_derived_from_what_is_not_known() -> None:
    found = run(cpu_seconds=None, deliveries=0, answer_p50=math.nan)
    assert (found.cpu_per_delivery, found.cpu_per_request) == (None, None)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["deliveries_per_second"] is None
    assert figures.middle([found], "answer_p50") is None


@pytest.mark.parametrize("fault", [{"lost": 1}, {"answered": 9}, {"refused": 1}, {"unexpected": 1}, {"duplicates": 1}])
def test_a_fault_is_not_complete(fault: dict[str, int]) -> None:
    assert run().is_complete
    assert not run(**fault).is_complete


def test_medians_and_their_ratio() -> None:
    ours, theirs = [run(seconds=1.0), run(seconds=3.0), run(seconds=2.0)], [run(seconds=4.0)]
    assert figures.middle(ours, "seconds") == 2.0
    assert figures.ratio(ours, theirs, "seconds") == 0.5
    assert figures.ratio(ours, theirs, "lost") is None
    assert figures.ratio(ours, [], "seconds") is None


def test_every_number_is_one() -> None:
    assert {type(getattr(run(), name)) for name in figures.NUMBERS} <= {int, float}
