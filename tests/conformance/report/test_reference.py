"""docs/reference/conformance.md tells every command with its options, and none that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup, TyperOption

from conformance.cli import app
from conformance.suite.features import FEATURES
from conformance.suite.verdict import FORMAT, OUTCOMES, CaseVerdict, RunVerdict, StepSeen
from tests.conformance.report.samples import every_outcome

PAGE = (Path(__file__).parents[3] / "docs/reference/conformance.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n?)*)", PAGE, re.MULTILINE))


def _commands() -> dict[str, list[str]]:
    """Their options."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return {
        name: [option for each in command.params if isinstance(each, TyperOption) for option in each.opts]
        for name, command in group.commands.items()
    }


COMMANDS = _commands()
ELSEWHERE = {"load", "scale"}


def test_every_command_has_a_section() -> None:
    named = {name.removeprefix("imc-conformance ") for name in SECTIONS if name.startswith("imc-conformance ")}
    assert named == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - ELSEWHERE))
def test_options_of_a_command(name: str) -> None:
    section = SECTIONS[f"imc-conformance {name}"]
    described = set(re.findall(r"^- `(--[a-z-]+)", section, re.MULTILINE))
    usage = set(re.findall(r"\[(--[a-z-]+)", section))
    assert described == usage == set(COMMANDS[name]) - {"--help"}


def test_features() -> None:
    told = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", SECTIONS["Features"], re.MULTILINE))
    assert told == FEATURES


def test_outcomes_and_fields() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", SECTIONS["Outcomes"], re.MULTILINE) == [
        each for each in ("passed", "failed", "deviates", "deviation-gone", "skipped", "error") if each in OUTCOMES
    ]
    told = re.findall(r"`([A-Za-z_]+)`", SECTIONS["RUN.json"])
    for kind in (RunVerdict, CaseVerdict, StepSeen):
        assert set(kind.__dataclass_fields__) <= set(told)
    assert set(type(every_outcome().cases[0].ladder[0]).__dataclass_fields__) <= set(told)
    assert f"`{FORMAT}`" in SECTIONS["RUN.json"]
