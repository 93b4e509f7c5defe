"""linphonec (Linphone 5.1 in Debian 12), driven through its prompt.

Without a database for its messages (by default below ~/.local/share/linphone, which it does not create) it crashes at
the first text. It sends quotation marks as part of the text, and answers each message with a notification of delivery
(IMDN) of its own accord. It shows messages, and nothing of the fate of what it sent: for that, and for registrations,
its log is read, which holds all SIP messages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.program import Program, home_of, need
from tests.e2e.user_agent import Account, UserAgent

# Port -1 is any free one, 0 is none at all.
_CONFIG = """\
[sip]
sip_port={udp_port}
sip_tcp_port={tcp_port}
sip_tls_port={tls_port}
root_ca={ca}
verify_server_certs=1
verify_server_cn=1
default_proxy=0

[net]
firewall_policy=0

[storage]
backend=sqlite3
uri={home}/linphone.db

[auth_info_0]
username={login}
realm={domain}
passwd={password}

[proxy_0]
reg_proxy=<{server}>
reg_route=<{server};lr>
reg_identity=sip:{user}@{domain}
reg_expires=600
reg_sendregister=1
"""


class Linphone(UserAgent):
    """Starts with `Linphone.running`."""

    @classmethod
    @asynccontextmanager
    async def running(
        cls, folder: Path, account: Account, room: str, *, name: str = "", takes_tcp: bool = True
    ) -> AsyncIterator[Linphone]:
        binary = need("linphonec")
        home, env = home_of(folder, name or f"linphone-{account.user}")
        config = home / "linphonerc"
        server = account.server_uri
        if account.transport == "tls":  # its TLS library reads no IP addresses in certificates
            server = server.replace("127.0.0.1", "localhost")
        config.write_text(
            _CONFIG.format(
                home=home,
                udp_port=-1,
                tcp_port=-1 if takes_tcp else 0,
                tls_port=-1 if account.transport == "tls" else 0,
                ca=account.ca or "",
                user=account.user,
                domain=account.domain,
                login=account.login or account.user,
                password=account.password,
                server=server,
            )
        )
        command = [binary, "-c", str(config), "-d", "5"]
        async with Program.running(command, env=env, cwd=home) as program:
            yield cls(program, account, room)

    async def wait_registered(self) -> None:
        await self.program.wait_output(r"\[LinphoneRegistrationProgress\] to \[LinphoneRegistrationOk\]")

    async def wait_refused(self, status: int) -> None:
        assert status == 401
        await self.program.wait_output(rf"^Password for {self.account.user} on {self.account.domain}: ")

    async def wait_no_tls(self) -> None:
        """The server's certificate was not believed."""
        await self.program.wait_output(r"SSL handshake failed|[Cc]ertificate (?:verification|is not)|not trusted")

    async def wait_status(self, status: int) -> None:
        await self.program.wait_output(rf"^SIP/2\.0 {status} [^\n]*\n(?:[^\n]+\n)*CSeq: \d+ MESSAGE$")

    async def say(self, text: str) -> None:
        await self.program.type(f"chat {self.room} {text}\n")

    async def quit(self) -> None:
        await self.program.type("quit\n")
        await self.program.wait_end()

    def shown(self, sender: str, text: str) -> str:
        return rf"^(?:linphonec> )?Message received from {sender}: {text}"
