"""Who imports whom: the contracts of pyproject.toml, and a second look at the two pure parts that needs no tool."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent

# What each pure part must not name, at any depth of its own code.
FORBIDDEN = {
    "sip": {"trio", "sqlalchemy", "imc.rooms", "socket", "threading", "asyncio"},
    "rooms": {"trio", "sqlalchemy", "imc.sip", "socket", "threading", "asyncio", "time", "random", "secrets"},
}


def imports(source: str, package: str) -> Iterator[str]:
    """The absolute name of everything that a module of ``package`` imports, wherever it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_within(name: str, forbidden: set[str]) -> bool:
    return any(name == one or name.startswith(one + ".") for one in forbidden)


def test_the_contracts_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize("part", FORBIDDEN)
def test_the_pure_parts_are_pure(part: str) -> None:
    modules = sorted((ROOT / "imc" / part).rglob("*.py"))
    assert modules
    found = {
        f"{module.relative_to(ROOT)}: {name}"
        for module in modules
        for name in imports(module.read_text(encoding="utf-8"), f"imc.{part}")
        if is_within(name, FORBIDDEN[part])
    }
    assert found == set()


@pytest.mark.parametrize(
    "source",
    [
        "import trio",
        "import trio.lowlevel as x",
        "from trio import sleep",
        "def f():\n    from imc import rooms",
        "from .. import rooms",
    ],
)
def test_no_way_of_importing_is_missed(source: str) -> None:
    assert any(is_within(name, {"trio", "imc.rooms"}) for name in imports(source, "imc.sip"))


@pytest.mark.parametrize(
    "source", ["from . import uri", "import trionic", "from imc.sip.flow import Flow", "'import trio'"]
)
def test_what_may_be_imported(source: str) -> None:
    assert not any(is_within(name, {"trio", "imc.rooms"}) for name in imports(source, "imc.sip"))
