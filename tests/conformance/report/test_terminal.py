from __future__ import annotations

import io

import pytest
from rich.console import Console

from conformance.report.terminal import Live, print_summary, sends_no_event
from conformance.suite.conversation import Arrow
from conformance.suite.verdict import Outcome
from tests.conformance.report.samples import HOSTILE, case, run


def played(*, is_terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=is_terminal, width=60, color_system=None, _environ={})
    with Live(4, console) as live:
        live.tell(case("invite/passes", "passed"))
        live.tell(case("invite/fails", "failed", why="status 403, not 200\nnobody is told"))
        live.tell(case("invite/should", "failed", level="should", why=HOSTILE))
        live.tell(case("invite/lacks", "skipped", why="modify: has none"))
    return out.getvalue()


def test_where_there_is_no_terminal_each_case_has_a_line() -> None:
    lines = played(is_terminal=False).splitlines()
    assert lines[:4] == [
        "passed         invite/passes",
        "failed         invite/fails",
        "    status 403, not 200",
        "    nobody is told",
    ]
    assert lines[4] == "failed         invite/should (should)"
    assert lines[-2:] == ["skipped        invite/lacks", "    modify: has none"]
    assert "\x1b" not in "".join(lines)


def test_on_a_terminal_only_what_is_bad_has_one() -> None:
    said = played(is_terminal=True)
    assert "failed         invite/fails" in said
    assert "invite/passes" not in said
    assert "invite/lacks" not in said
    assert "4/4" in said


def test_why_cases_were_skipped() -> None:
    def said(reasons: int) -> list[str]:
        out = io.StringIO()
        cases = [case(f"a/{n}-{again}", "skipped", why=f"needs: {n}") for n in range(reasons) for again in range(n + 1)]
        print_summary(run(*cases), Console(file=out, width=40), is_strict=False, not_played=3)
        return out.getvalue().splitlines()[1:]

    assert said(2) == [
        "  skipped 2: needs: 1",
        "  skipped 1: needs: 0",
        "6 cases: 3 skipped, 3 not played: as declared",
    ]
    assert said(6)[-2] == "  skipped 1: needs: 0"
    assert len(said(9)) == 7
    assert said(9)[-3:-1] == ["  skipped 5: needs: 4", "  skipped 10: for 4 other reasons"]


@pytest.mark.parametrize(
    ("outcomes", "sent", "is_told"),
    [
        (["failed", "failed", "passed", "skipped"], b"MESSAGE sip:a SIP/2.0\r\n\r\nRoom created", True),
        (["failed", "failed", "passed"], b"MESSAGE sip:a SIP/2.0\r\nIMC-Event: help\r\n\r\n", False),
        (["failed", "passed", "passed"], b"MESSAGE sip:a SIP/2.0\r\n\r\nRoom created", False),
        (["failed"], b"SIP/2.0 403 Forbidden\r\n\r\n", False),
        ([], b"", False),
    ],
)
def test_a_server_without_imc_event(outcomes: list[Outcome], sent: bytes, is_told: bool) -> None:
    ladder = [Arrow(at=0.0, source="server", target="alice", summary="s", data=sent)]
    cases = [case(f"a/{number}", outcome, ladder=ladder) for number, outcome in enumerate(outcomes)]
    assert sends_no_event(run(*cases)) is is_told


def test_the_end() -> None:
    out = io.StringIO()
    console = Console(file=out, width=40)
    print_summary(run(case("a/b", "passed")), console, is_strict=False)
    one = run(case("a/b", "failed", level="should"), case("a/c", "deviates"))
    print_summary(one, console, is_strict=False)
    print_summary(one, console, is_strict=True)
    lines = out.getvalue().splitlines()
    assert lines[1::2] == [
        "1 cases: 1 passed: as declared",
        "2 cases: 1 failed, 1 deviates: as declared",
        "2 cases: 1 failed, 1 deviates: 1 not as declared",
    ]
