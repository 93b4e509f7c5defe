"""baresip (1.0 in Debian 12), driven through its prompt.

Its `M` takes what is typed next as the text, a blank as well, for the contact that is chosen: here the room is the only
one. It prints the final status of a text that was refused, and each message as ``ADDRESS: "TEXT"``: nothing of it where
that line has more than 509 bytes, though it answers 200. Each character that is typed draws the line anew, which makes
long texts slow to type.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.program import Program, home_of, need
from tests.e2e.user_agent import Account, UserAgent

_MODULES = next(filter(os.path.isdir, ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")), None)

_CONFIG = """\
sip_listen {listen}
module_path {modules}
module stdio.so
module_app account.so
module_app contact.so
module_app menu.so
"""
_ACCOUNT = (
    "<sip:{user}@{domain};transport={transport}>;auth_user={login};auth_pass={password};"
    'outbound="{server}";regint=300{more}\n'
)


class Baresip(UserAgent):
    """Starts with `Baresip.running`."""

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        folder: Path,
        account: Account,
        room: str,
        *,
        name: str = "",
        port: int = 0,
        is_traced: bool = False,
        second: str = "",
    ) -> AsyncIterator[Baresip]:
        """``port`` is where it listens, over UDP and over TCP; with 0 they differ.

        With ``second``, the URI of a server, it registers there as well, by a flow of its own (RFC 5626).

        With ``is_traced`` it prints all SIP that it sends and receives.
        """
        binary = need("baresip")
        if _MODULES is None:
            pytest.skip("baresip has no modules")
        home, env = home_of(folder, name or f"baresip-{account.user}")
        config = _CONFIG.format(listen=f"127.0.0.1:{port}", modules=_MODULES)
        if account.ca is not None:
            config += f"sip_cafile {account.ca}\n"
        if second:  # an instance needs a name
            config = config.replace("module stdio.so", "module_tmp uuid.so\nmodule stdio.so")
        (home / "config").write_text(config)
        (home / "accounts").write_text(
            _ACCOUNT.format(
                user=account.user,
                domain=account.domain,
                transport=account.transport,
                login=account.login or account.user,
                password=account.password,
                server=account.server_uri,
                more=f';outbound2="{second}";sipnat=outbound' if second else "",
            )
        )
        (home / "contacts").write_text(f'"Room" <{room}>\n')
        async with Program.running(
            [binary, "-f", str(home), *(["-s"] if is_traced else [])], env=env, cwd=home
        ) as program:
            yield cls(program, account, room)

    async def wait_registered(self) -> None:
        await self.program.wait_output(r"registered successfully!")

    async def wait_refused(self, status: int) -> None:
        await self.program.wait_output(rf"{self.account.user}@{self.account.domain}: [^\n]*{status} ")

    async def wait_no_tls(self) -> None:
        """The server's certificate was not believed."""
        await self.program.wait_output(rf"{self.account.user}@{self.account.domain}: [^\n]*(?:rotocol error|TLS|ertif)")

    async def wait_status(self, status: int) -> None:
        """The final status of a text that was refused."""
        await self.program.wait_output(rf"^ {status} [A-Z]")

    async def wait_request(self, transport: str, body: str) -> None:
        """A MESSAGE came over ``transport`` with ``body``, a regular expression. It must be traced."""
        await self.program.wait_output(rf"^{transport.upper()} [^\n]+\nMESSAGE (?:[^\n]+\n)+\n{body}")

    async def say(self, text: str) -> None:
        await self.program.type(f"M{text}\n")

    async def quit(self) -> None:
        await self.program.type("q")
        await self.program.wait_end()

    def shown(self, sender: str, text: str) -> str:
        return rf'^{sender}: "{text}'
