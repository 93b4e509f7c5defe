"""imc.manage.metrics: the table, the formats, the pages of docs that name metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from imc.manage.metrics.exposition import encode
from imc.manage.metrics.table import METRICS, OWN, Metric
from imc.measures import Measures, Snapshot
from tests.manage.metrics.promtool import promtool

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROCESS = {"process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_cpu_seconds_total", "up"}
ALL = (*METRICS, *OWN)


def snapshot() -> Snapshot:
    measures = Measures()
    measures.requests.add("MESSAGE", "200")
    measures.refusals.add("R-JOIN-4", "private-room")
    for value in (0.0005, 0.003, 99.0):
        measures.answer_seconds.observe(value)
    figures = {figure: number for number, (figure, _) in enumerate(s for metric in METRICS for s in metric.sources)}
    return Snapshot(figures=figures, tallies=measures.tallies(), histograms=measures.histograms())


def encoded(accept: str) -> str:
    return encode(snapshot(), accept, version="1.2", started=5.0, lag=0.25)[0].decode()


_read: Any = text_string_to_metric_families


def test_openmetrics_can_be_read() -> None:
    families = {family.name: family for family in _read(encoded(OPENMETRICS))}
    assert {metric.name for metric in ALL} <= families.keys()
    for metric in ALL:
        assert (families[metric.name].type, families[metric.name].documentation) == (metric.kind, metric.help)
    (asked,) = families["imc_sip_requests"].samples
    assert (asked.labels, asked.value) == ({"method": "MESSAGE", "status": "200"}, 1)
    buckets = {one.labels.get("le", one.name): one.value for one in families["imc_answer_seconds"].samples}
    assert (buckets["0.001"], buckets["0.005"], buckets["30.0"], buckets["+Inf"]) == (1, 2, 2, 3)
    assert buckets["imc_answer_seconds_count"] == 3
    assert buckets["imc_answer_seconds_sum"] == pytest.approx(99.0035)


def test_the_older_format_is_given_where_no_other_is_asked_for() -> None:
    body, kind = encode(snapshot(), "", version="1.2", started=5.0, lag=0.25)
    assert kind.startswith("text/plain; version=0.0.4")
    assert not body.endswith(b"# EOF\n")
    assert encode(snapshot(), OPENMETRICS, version="1.2", started=5.0, lag=0.25)[1].startswith(
        "application/openmetrics-text"
    )


def test_prometheus_finds_nothing_to_complain_of() -> None:
    assert promtool("check", "metrics", stdin=encoded("")) == ""


def test_names_and_labels_are_prometheus_way() -> None:
    names = [metric.shown for metric in ALL]
    assert len(set(names)) == len(names)
    for metric in ALL:
        assert re.fullmatch(r"imc_[a-z_]+", metric.name), metric.name
        assert metric.help.endswith("."), metric.name
        assert len(metric.sources) <= 1 or metric.labels, metric.name
        assert not {"user", "room", "address", "ip"} & set(metric.labels)


# What the dashboard and the alert rules ask for


def _expressions() -> Iterator[str]:
    dashboard: Any = json.loads((HOW_TO / "grafana-imc.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    rules = (HOW_TO / "imc-alerts.yml").read_text(encoding="utf-8")
    yield from re.findall(r"^ +expr: (.+)$", rules, re.MULTILINE)


def _known() -> dict[str, Metric]:
    found = {metric.shown: metric for metric in ALL}
    for metric in ALL:
        if metric.kind == "histogram":
            found |= {f"{metric.name}_{end}": metric for end in ("bucket", "sum", "count")}
    return found


@pytest.mark.parametrize("expression", sorted(set(_expressions())))
def test_what_is_asked_for_exists(expression: str) -> None:
    known = _known()
    used = re.findall(r"\b((?:imc|process)_\w+|up)\b(?:\{([^}]*)\})?", expression)
    assert used
    for name, selector in used:
        assert name in known or name in PROCESS, name
        for label, _, value in re.findall(r'(\w+)\s*(=~|!=|=)\s*"([^"]*)"', selector):
            if label in ("job", "instance"):
                continue
            assert label in known[name].labels, (name, label)
            values = {value for _, value in known[name].sources}
            assert not values or set(value.split("|")) <= values, (name, value)
    for labels in re.findall(r"\bby\s*\(([^)]*)\)", expression):
        allowed = {"le", "instance"}.union(*(known[name].labels for name, _ in used if name in known))
        assert {label.strip() for label in labels.split(",")} <= allowed, labels


def test_prometheus_takes_the_alert_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(HOW_TO / "imc-alerts.yml"))
