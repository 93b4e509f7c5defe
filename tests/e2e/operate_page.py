"""A page in a headless Chromium (`browser/operate.mjs`): what its user does, and what they see.

With ``IMC_SCREENSHOTS=FOLDER`` the pictures of `Page.screenshot` are written there.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.program import Program, home_of, need

_FOLDER = Path(__file__).parent / "browser"
_AXE = _FOLDER / "node_modules" / "axe-core" / "axe.min.js"
_WITHIN = 40.0


class Page:
    """Starts with `Page.running`. Selectors are Playwright's."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._serial = 0

    @classmethod
    @asynccontextmanager
    async def running(
        cls, folder: Path, *, width: int = 1280, height: int = 800, dark: bool = False, name: str = "page"
    ) -> AsyncIterator[Page]:
        node, chromium = need("node"), need("chromium")
        if not (_FOLDER / "node_modules" / "playwright-core").is_dir():
            pytest.skip("Playwright is not installed: make browser")
        home, env = home_of(folder, name)
        settings = {"chromium": chromium, "width": width, "height": height, "dark": dark, "axe": str(_AXE)}
        async with Program.running([node, str(_FOLDER / "operate.mjs"), json.dumps(settings)], env=env, cwd=home) as it:
            page = cls(it)
            await it.wait_output(r"^#0 .*?$", within=_WITHIN)
            yield page

    async def do(self, op: str, **more: Any) -> Any:
        """One op; AssertionError where it failed."""
        self._serial += 1
        await self._program.type(json.dumps({"id": self._serial, "op": op, **more}) + "\n")
        found = await self._program.wait_output(rf"^#{self._serial} ([^\n]*)\n", within=_WITHIN)
        answer = json.loads(found[1])
        assert "error" not in answer, (op, more, answer["error"], await self._seen())
        return answer["value"]

    async def _seen(self) -> object:
        """What is on the page, for a failure's message."""
        self._serial += 1
        await self._program.type(json.dumps({"id": self._serial, "op": "text", "selector": "body"}) + "\n")
        return (await self._program.wait_output(rf"^#{self._serial} ([^\n]*)\n", within=_WITHIN))[1]

    async def goto(self, url: str) -> int:
        return int(await self.do("goto", url=url))

    async def fill(self, selector: str, text: str) -> None:
        await self.do("fill", selector=selector, text=text)

    async def click(self, selector: str) -> None:
        await self.do("click", selector=selector)

    async def wait(self, selector: str) -> None:
        """Until something of this selector can be seen."""
        await self.do("wait", selector=selector)

    async def text(self, selector: str) -> str:
        return str(await self.do("text", selector=selector))

    async def evaluate(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        return await self.do("evaluate", script=script)

    async def until(self, script: str) -> None:
        """Until an expression is true."""
        await self.do("until", script=script)

    async def problems(self) -> list[str]:
        """Errors of the console, of scripts, and of the Content-Security-Policy, since the last call."""
        return [str(one) for one in await self.do("problems")]

    async def check_accessible(self) -> None:
        """axe-core finds nothing."""
        if not _AXE.is_file():
            pytest.skip("axe-core is not installed: make browser")
        found = await self.do("axe")
        assert found == [], found

    async def screenshot(self, name: str, *, full: bool = False) -> None:
        """Where pictures are wanted."""
        if folder := os.environ.get("IMC_SCREENSHOTS"):
            path = trio.Path(folder)
            await path.mkdir(parents=True, exist_ok=True)
            await self.do("screenshot", path=str(await path.resolve() / f"{name}.png"), full=full)
