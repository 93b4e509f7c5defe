"""imc's chat page in a headless Chromium (`browser/page.mjs`), used as its users use it: by labels, names and keys.

Each `Tab` is a user in a browser of their own. At its end, a console error, an exception or a violation of the page's
Content-Security-Policy fails the test.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Program, home_of, need

_FOLDER = Path(__file__).parent / "browser"
_WITHIN = 30.0


class Chromium:
    """One browser; `tab` opens a window."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._ids = count(1)

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Chromium]:
        node, chromium = need("node"), need("chromium")
        for package in ("playwright-core", "axe-core"):
            if not (_FOLDER / "node_modules" / package).is_dir():
                pytest.skip(f"{package} is not installed: make browser")
        home, env = home_of(folder, "chromium")
        async with Program.running([node, str(_FOLDER / "page.mjs"), chromium], env=env, cwd=home) as program:
            await program.wait_output(r"^ready$", within=_WITHIN)
            yield cls(program)

    async def step(self, **step: Any) -> Any:
        """Do it, and its value. AssertionError with the reason where it cannot be done in time."""
        number = next(self._ids)
        await self._program.type(json.dumps({"id": number, **step}) + "\n")
        found = await self._program.wait_output(rf"^#{number} (.*?)$", within=_WITHIN)
        answer = json.loads(found[1])
        assert "error" not in answer, (step, answer["error"])
        return answer["value"]

    async def tab(self, name: str, url: str, **options: Any) -> Tab:
        """``options``: width, height (pixels), scheme (light, dark), touch, insecure."""
        await self.step(do="open", tab=name, url=url, **options)
        return Tab(self, name)


class Tab:
    """A window of its own, and what its user does there."""

    def __init__(self, browser: Chromium, name: str) -> None:
        self._browser = browser
        self.name = name

    async def do(self, what: str, at: dict[str, Any] | None = None, **more: Any) -> Any:
        return await self._browser.step(tab=self.name, do=what, at=at or {}, **more)

    async def click(self, name: str, role: str = "button", **more: Any) -> None:
        await self.do("click", {"role": role, "name": name, **more})

    async def fill(self, label: str, value: str) -> None:
        await self.do("fill", {"label": label}, value=value)

    async def see(self, css: str, text: str | None = None) -> None:
        """Wait until it is shown."""
        await self.do("see", {"css": css, **({} if text is None else {"text": text})})

    async def gone(self, css: str, text: str | None = None) -> None:
        await self.do("gone", {"css": css, **({} if text is None else {"text": text})})

    async def texts(self, css: str) -> list[str]:
        found: list[str] = await self.do("texts", {"css": css})
        return found

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.do("press", value=key)

    async def log_in(self, user: str, password: str) -> None:
        await self.fill("Name", user)
        await self.fill("Password", password)
        await self.click("Log in")

    async def enter(self, user: str, password: str) -> None:
        """Log in, and wait for the rooms."""
        await self.log_in(user, password)
        await self.see("#connection.online")

    async def say(self, text: str) -> None:
        await self.fill("Message", text)
        await self.press("Enter")

    async def create(self, name: str, *, is_private: bool = False) -> None:
        await self.click("New room")
        await self.do("fill", {"css": "dialog #field-name"}, value=name)
        if is_private:
            await self.do("check", {"css": "dialog #field-private"})
        await self.click("Create")
        await self.see("#room-name", f"chat-{name}")
        await self.see("#entry-form")

    async def invite(self, user: str) -> None:
        if not await self.do("run", value="!document.getElementById('people').hidden"):
            await self.click("People")
        await self.click("Invite", exact=True)
        await self.fill("Name or address", user)
        await self.do("click", {"css": "dialog button.primary"})
        await self.gone("dialog")

    async def talk(self) -> list[str]:
        """What was said, as it is shown."""
        return await self.texts("#log .talk .text")

    async def shot(self, name: str) -> None:
        """A picture for the documentation, where `make screenshots` asks for them."""
        if folder := os.environ.get("IMC_SCREENSHOTS"):
            await self.do("shot", value=str(Path(folder) / f"{name}.png"))

    async def problems(self) -> list[str]:
        found: list[str] = await self.do("problems")
        return found

    async def is_clean(self, *expected: str) -> None:
        """AssertionError where the console has an error that names none of ``expected``."""
        found = [line for line in await self.problems() if not any(each in line for each in expected)]
        assert found == [], found
