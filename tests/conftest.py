"""What holds for all tests: no skip where it was forbidden, and the same examples on every run."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

IS_SKIP_FORBIDDEN = os.environ.get("IMC_TEST_NO_SKIP") == "1"

# Deterministic by default; HYPOTHESIS_PROFILE=explore looks for new examples, and for longer.
settings.register_profile(
    "imc", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "imc"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from the environment of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("IMC_") and "__" in name:
            monkeypatch.delenv(name)


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IS_SKIP_FORBIDDEN and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which IMC_TEST_NO_SKIP=1 forbids: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report
