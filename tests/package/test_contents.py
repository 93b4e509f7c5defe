"""What is in the wheel and in the source distribution, and what they say of themselves."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

import imc
from tests.package.conftest import build
from tests.package.harness import ROOT

_DIST = f"imc-{imc.__version__}"
_SHARED = f"{_DIST}.data/data/share"


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def _metadata(wheel: Path) -> Metadata:
    with zipfile.ZipFile(wheel) as file:
        return Metadata.from_email(file.read(f"{_DIST}.dist-info/METADATA"), validate=True)


def _source(folder: str) -> set[str]:
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_every_file_of_the_packages_is_in_the_wheel_and_no_other(wheel: Path) -> None:
    names = _names(wheel)
    inside = {name for name in names if not name.startswith(_DIST)}
    assert inside == _source("imc") | _source("conformance")
    assert {Path(name).name for name in names if name.startswith(f"{_DIST}.dist-info/")} == {
        "METADATA", "WHEEL", "RECORD", "entry_points.txt", "LICENSE", "jssip-licences.txt",
    }  # fmt: skip


def test_manual_completion_and_unit_are_in_the_wheel(wheel: Path) -> None:
    shared = {name.removeprefix(f"{_SHARED}/") for name in _names(wheel) if name.startswith(_SHARED)}
    programs = ("imc", "imc-conformance", "imc-replay")
    assert shared == {
        "man/man5/imc.toml.5",
        "imc/imc.service",
        "imc/sysusers.d/imc.conf",
        *(f"man/man1/{name}.1" for name in programs),
        *(f"bash-completion/completions/{name}" for name in programs),
        *(f"fish/vendor_completions.d/{name}.fish" for name in programs),
        *(f"zsh/site-functions/_{name}" for name in programs),
    }


def test_the_metadata_is_valid(wheel: Path) -> None:
    metadata = _metadata(wheel)
    assert (metadata.name, str(metadata.version)) == ("imc", imc.__version__)
    assert str(metadata.requires_python) == ">=3.11"
    assert metadata.license_expression == "MIT"
    assert metadata.license_files == ["LICENSE", "imc/page/chat/jssip-licences.txt"]
    assert metadata.provides_extra == ["conformance"]


def test_the_description_can_be_read_away_from_the_source(wheel: Path) -> None:
    """An index shows it on a page of its own, where a link to a file leads nowhere."""
    metadata = _metadata(wheel)
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description is not None
    links = re.findall(r"\]\(([^)]*)\)", metadata.description)
    assert [link for link in links if not link.startswith("https://")] == []


def test_the_source_distribution_makes_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as file:
        names = {name.removeprefix(f"{_DIST}/") for name in file.getnames()}
        file.extractall(tmp_path / "source", filter="data")
    tops = {name.partition("/")[0] for name in names}
    assert {"LICENSE", "Makefile", "README.md", "pyproject.toml", "spec", "tests", "docs", ".ci"} <= tops
    assert not tops & {".venv", "build", "dist", "run", ".git"}
    assert [name for name in names if "node_modules" in name or "__pycache__" in name] == []
    assert build(tmp_path / "source" / _DIST, tmp_path / "again", "wheel").read_bytes() == wheel.read_bytes()
