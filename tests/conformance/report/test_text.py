"""Runs as plain text."""

from __future__ import annotations

from conformance.report.text import case_text, render
from tests.conformance.report.samples import case, every_outcome, hostile, run


def test_a_case() -> None:
    told = case("join/declared", "deviates", why="It knows no ranks.", link="https://example.org/a#b")
    assert case_text(told) == (
        "join/declared  deviates  (R-INVITE-1, must)\n"
        "  Title of join/declared\n"
        "  “An owner invites.”\n"
        "  It knows no ranks.\n"
        "  https://example.org/a#b\n"
        "  1. alice → room: #invite rita\n"
        "     expected  200\n"
        "     seen      403\n"
        "     ! status 403, not 200\n"
        "\n"
        "              alice  server\n"
        "      0.000     |------>|    MESSAGE #invite rita\n"
        "      0.010     |       o    killed\n"
        "      0.020     |<------|    403 Forbidden\n"
    )


def test_a_run_tells_what_did_not_pass_and_why_what_was_skipped() -> None:
    lines = render([every_outcome()]).splitlines()
    assert lines[:4] == [
        "imc 0.1.0, profile imc, 2026-11-23T07:20:00+00:00, 12.3 s on build-7",
        "7 cases: 1 passed, 2 failed, 1 skipped, 1 deviates, 1 deviation-gone, 1 error",
        "  skipped 1: It has no #modify.",
        "",
    ]
    assert [line.split()[0] for line in lines[4:] if line and not line.startswith(" ")] == [
        "invite/fails",
        "invite/wish",
        "join/declared",
        "join/gone",
        "join/broken",
    ]


def test_several_runs_follow_each_other() -> None:
    assert render([run(), run(target="kamailio", version="")]).splitlines() == [
        "imc 0.1.0, profile imc, 2026-11-23T07:20:00+00:00, 12.3 s on build-7",
        "no cases",
        "",
        "kamailio, profile imc, 2026-11-23T07:20:00+00:00, 12.3 s on build-7",
        "no cases",
    ]


def test_long_words_are_within_the_width() -> None:
    told = case("a/b", "failed", why="x" * 300, ladder=[])
    assert max(map(len, case_text(told).splitlines())) == 100


def test_what_is_hostile_is_an_escape() -> None:
    assert render([hostile()]).replace("\n", "").isprintable()
