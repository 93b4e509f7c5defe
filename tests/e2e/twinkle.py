"""twinkle-console (Twinkle 1.10.2 in Debian 12), driven through its prompt.

It wants neither a display nor a sound device: without one it says at its start that it cannot access them, and goes
on. Its random numbers begin with the second of its start: two that start in the same second have the same Call-IDs,
tags and branches, and the second is answered 482 (RFC 3261 §8.2.2.2). So a test has one of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.program import Program, free_port, home_of, need
from tests.e2e.user_agent import Account, UserAgent

_PROFILE = """\
user_name={user}
user_domain={domain}
auth_realm={domain}
auth_name={login}
auth_pass={password}
outbound_proxy={server}
all_requests_to_proxy=yes
registrar={server}
register_at_startup=yes
registration_time=600
sip_transport={transport}
"""
_SYSTEM = """\
sip_port={port}
start_user_profile=twinkle
"""


class Twinkle(UserAgent):
    """Starts with `Twinkle.running`."""

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, account: Account, room: str, *, name: str = "") -> AsyncIterator[Twinkle]:
        binary = need("twinkle-console")
        home, env = home_of(folder, name or f"twinkle-{account.user}")
        settings = home / ".twinkle"
        settings.mkdir()
        (settings / "twinkle.cfg").write_text(
            _PROFILE.format(
                user=account.user,
                domain=account.domain,
                login=account.login or account.user,
                password=account.password,
                server=f"{account.server[0]}:{account.server[1]}",
                transport=account.transport,
            )
        )
        (settings / "twinkle.sys").write_text(_SYSTEM.format(port=free_port()))
        async with Program.running([binary], env=env, cwd=home) as program:
            yield cls(program, account, room)

    async def wait_registered(self) -> None:
        await self.program.wait_output(r"registration succeeded")

    async def wait_refused(self, status: int) -> None:
        await self.program.wait_output(rf"registration failed: {status} ")

    async def wait_status(self, status: int) -> None:
        await self.program.wait_output(rf"^{status} [A-Z]")

    async def say(self, text: str) -> None:
        await self.program.type(f'message {self.room} "{text}"\n')

    async def quit(self) -> None:
        await self.program.type("quit\n")
        await self.program.wait_end()

    def shown(self, sender: str, text: str) -> str:
        return rf"^Received message\nFrom:\t\t(?:[^\n<]*<)?{sender}>?\n(?:[^\n]+\n)+\n{text}"
