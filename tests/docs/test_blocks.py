"""Every block of README.md and of docs/ that a reader may type is run here, or listed in `stages` with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon import running
from tests.docs.blocks import ROOT, RUN, SHOWN, Block, blocks, pages
from tests.docs.forks import serving
from tests.docs.sandbox import Failed, Sandbox, need
from tests.docs.stages import STAGES, Stage
from tests.e2e.program import free_port

PAGES = {page: blocks(page) for page in pages()}
TRIED = [page for page, found in PAGES.items() if any(one.language in RUN for one in found)]


def reason(block: Block, stage: Stage) -> str:
    """Why a block is not run; "" where it is."""
    return next((why for first, why in stage.not_run.items() if block.first.startswith(first)), "")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str) -> None:
    wrong = [f"{one}: {one.language!r}" for one in PAGES[page] if one.language not in (*RUN, *SHOWN)]
    assert not wrong, "write ```sh, ```console, ```python or ```toml for what is run, ```text for what is shown"


@pytest.mark.parametrize("page", STAGES)
def test_what_is_listed_is_there(page: str) -> None:
    firsts = [one.first for one in PAGES[page] if one.language in RUN]
    for named in (*STAGES[page].not_run, *STAGES[page].save):
        assert any(first.startswith(named) for first in firsts), f"{page} has no block that begins with {named!r}"


@contextmanager
def staged(stage: Stage, folder: Path) -> Iterator[Sandbox]:
    """A sandbox for a page, with its daemon."""
    folder = folder / "page"
    folder.mkdir()
    ports = {name: str(free_port()) for name in ("@SIP@", "@HTTP@", "@OTHER@")}
    places = {**ports, "@DIR@": str(folder), "@ROOT@": str(ROOT)}
    forks = folder.parent / "forks"
    sandbox = Sandbox(folder, {**stage.replace, **places}, stage.env, forks)
    if not stage.config:
        with serving(forks):
            prepare(stage, sandbox)
            yield sandbox
        return
    with serving(forks), running(folder, sandbox.local(stage.config), dict(stage.users)):
        prepare(stage, sandbox)
        yield sandbox


def prepare(stage: Stage, sandbox: Sandbox) -> None:
    for name, text in stage.files.items():
        (sandbox.folder / name).write_text(sandbox.local(text))
    if stage.setup:
        sandbox.shell(stage.setup)
    if stage.prepare is not None:
        stage.prepare(sandbox)


@pytest.mark.parametrize("page", TRIED)
def test_a_page(page: str, tmp_path: Path) -> None:
    stage = STAGES.get(page, Stage())
    missing = need(*stage.needs)
    if missing:
        pytest.skip(missing)
    complaints: list[str] = []
    printed = ""
    with staged(stage, tmp_path) as sandbox:
        for block in PAGES[page]:
            try:
                if block.is_output:
                    sandbox.compare(block, printed)
                elif block.language in RUN and not reason(block, stage):
                    printed = sandbox.run(block)
                    save(block, stage, sandbox)
            except Failed as error:
                complaints.append(str(error))
    assert not complaints, "\n\n".join(complaints)


def save(block: Block, stage: Stage, sandbox: Sandbox) -> None:
    """A configuration that the commands after it use."""
    for first, name in stage.save.items():
        if block.language == "toml" and block.first.startswith(first):
            (sandbox.folder / name).write_text(sandbox.local(block.text))
