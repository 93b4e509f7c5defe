"""imc.measures: histograms and tallies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.measures import SECONDS, Histogram, Measures, Tally


@given(st.lists(st.floats(min_value=0, max_value=100, allow_nan=False)))
def test_each_value_is_counted_once_and_under_its_bound(values: list[float]) -> None:
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.total == pytest.approx(sum(values))
    seen = 0
    for bound, count in zip(SECONDS, histogram.counts, strict=False):
        seen += count
        assert seen == sum(value <= bound for value in values)


def test_quantiles() -> None:
    histogram = Histogram((1.0, 2.0, 5.0))
    assert histogram.quantile(0.5) == 0.0
    for value in (0.5, 0.5, 1.5, 9.0):
        histogram.observe(value)
    assert [histogram.quantile(share) for share in (0.0, 0.5, 0.75, 1.0)] == [1.0, 1.0, 2.0, 5.0]


def test_a_copy_stays_as_it_is() -> None:
    measures = Measures()
    measures.calls.add("imc.rooms", "ok")
    measures.commit_size.observe(3)
    tallies, histograms = measures.tallies(), measures.histograms()
    measures.calls.add("imc.rooms", "ok")
    measures.commit_size.observe(3)
    assert tallies["calls"] == {("imc.rooms", "ok"): 1}
    assert histograms["commit_size"].counts[2] == 1
    assert measures.calls == Tally({("imc.rooms", "ok"): 2})
