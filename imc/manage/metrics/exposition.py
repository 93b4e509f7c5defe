"""A snapshot in the formats of Prometheus: OpenMetrics 1.0, and the text format 0.0.4 for whoever asks for no other."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from imc.manage.metrics.table import INFO, LAG, METRICS, START, Metric
from imc.measures import Histogram, Snapshot


class _Once(Collector):
    """Gives one snapshot."""

    def __init__(self, snapshot: Snapshot, version: str, started: float, lag: float) -> None:
        self._snapshot = snapshot
        self._version = version
        self._started = started
        self._lag = lag

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            yield _family(metric, self._snapshot)
        info = GaugeMetricFamily(INFO.name, INFO.help, labels=INFO.labels)
        info.add_metric([self._version, platform.python_version()], 1)
        yield info
        yield GaugeMetricFamily(START.name, START.help, value=self._started)
        yield GaugeMetricFamily(LAG.name, LAG.help, value=self._lag)


def encode(snapshot: Snapshot, accept: str, *, version: str, started: float, lag: float) -> tuple[bytes, str]:
    """The text, and its Content-Type as ``accept`` (RFC 9110 §12.5.1) asks for it.

    ``started`` is in unix seconds; ``lag`` is how long the event loop let us wait, in seconds.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(snapshot, version, started, lag))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _family(metric: Metric, snapshot: Snapshot) -> Family:
    if metric.kind == "histogram":
        return _histogram(metric, snapshot.histograms[metric.measure])
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    if metric.measure:
        family = kind(metric.name, metric.help, labels=metric.labels)
        for labels, count in sorted(snapshot.tallies[metric.measure].items()):
            family.add_metric(labels, count)
        return family
    family = kind(metric.name, metric.help, labels=metric.labels)
    for figure, value in metric.sources:
        if figure in snapshot.figures:  # there is none of what is switched off, or has no listener
            family.add_metric([value] if metric.labels else [], snapshot.figures[figure])
    return family


def _histogram(metric: Metric, found: Histogram) -> Family:
    buckets: list[tuple[str, float]] = []
    seen = 0
    for bound, count in zip((*map(repr, found.bounds), "+Inf"), found.counts, strict=True):
        seen += count
        buckets.append((bound, float(seen)))
    return HistogramMetricFamily(metric.name, metric.help, buckets=buckets, sum_value=found.total)
