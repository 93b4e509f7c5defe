"""JsSIP in a headless Chromium (`browser/agent.mjs`), driven at a prompt as the other user agents are.

JsSIP comes from npm (`make browser`), Chromium and Node from Debian. The page is of `PAGE`, which no server serves: the
browser is told what it holds, so that the WebSocket has an Origin of our choice.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.e2e.program import Program, home_of, need
from tests.e2e.user_agent import Account, UserAgent

PAGE = "https://chat.example.com"
_FOLDER = Path(__file__).parent / "browser"


def key_of(certificate: Path) -> str:
    """What Chromium knows a server's key by: SHA-256 of the first certificate's public key, in base64."""
    first = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    spki = first.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


class Browser(UserAgent):
    """Starts with `Browser.running`; ``certificate`` is the server's: this one is believed, no other."""

    @classmethod
    @asynccontextmanager
    async def running(
        cls, folder: Path, account: Account, room: str, *, certificate: Path, page: str = PAGE, name: str = ""
    ) -> AsyncIterator[Browser]:
        node, chromium = need("node"), need("chromium")
        if not (_FOLDER / "node_modules" / "jssip").is_dir():
            pytest.skip("JsSIP is not installed: make browser")
        home, env = home_of(folder, name or f"browser-{account.user}")
        settings = {
            "chromium": chromium,
            "url": f"wss://localhost:{account.server[1]}",
            "spki": key_of(certificate),
            "page": page,
            "uri": account.address,
            "password": account.password,
            "room": room,
        }
        async with Program.running([node, str(_FOLDER / "agent.mjs"), json.dumps(settings)], env=env, cwd=home) as it:
            yield cls(it, account, room)

    async def wait_registered(self) -> None:
        await self.program.wait_output(r"^registered$", within=30)

    async def wait_refused(self, status: int) -> None:
        await self.program.wait_output(rf"^refused {status}$", within=30)

    async def wait_closed(self) -> None:
        """The connection could not be made, or has ended."""
        await self.program.wait_output(r"^closed$", within=30)

    async def wait_status(self, status: int) -> None:
        await self.program.wait_output(rf"^sent {status}$")

    async def say(self, text: str) -> None:
        await self.program.type(f"{text}\n")

    async def leave(self) -> None:
        """Close the page, as a user does: nothing is unregistered."""
        await self.program.type("/gone\n")

    async def quit(self) -> None:
        await self.program.type("/quit\n")
        await self.program.wait_end()

    def shown(self, sender: str, text: str) -> str:
        return rf'^{sender}: "{text}'
