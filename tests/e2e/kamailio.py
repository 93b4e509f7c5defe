"""Kamailio as docs/how-to/behind-kamailio.md sets it up: from the very files and commands of that page.

What a site changes is changed as the page says: defines on the command line, settings from the environment.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.e2e.program import WITHIN, Program, home_of, need

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGE = HOW_TO / "behind-kamailio.md"
CONFIG = HOW_TO / "kamailio.cfg"
IMC_CONFIG = HOW_TO / "behind-kamailio.toml"
DOMAIN = "example.com"
_OPTIONS = """\
OPTIONS sip:{ip}:{port} SIP/2.0\r
Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{serial};rport\r
From: <sip:ping@127.0.0.1>;tag=ping\r
To: <sip:{ip}:{port}>\r
Call-ID: {serial}@127.0.0.1\r
CSeq: 1 OPTIONS\r
Max-Forwards: 70\r
Content-Length: 0\r
\r
"""


def _block(heading: str, language: str) -> str:
    pattern = rf"^## {re.escape(heading)}$(?:(?!^## ).)*?^```{language}\n(.*?)^```$"
    found = re.search(pattern, PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, (heading, language)
    return found[1]


def commands(heading: str) -> str:
    """The commands that the page has under a heading."""
    return _block(heading, "sh")


def install(folder: Path, address: tuple[str, int], imc: tuple[str, int]) -> Kamailio:
    """The page from its beginning until Kamailio can be started."""
    found = Kamailio(folder, address, imc)
    (found.home / ".kamctlrc").write_text(found.local(_block("2 Accounts", "ini")))
    for heading in ("1 Kamailio's database", "2 Accounts"):
        subprocess.run(["/bin/sh", "-euc", found.local(commands(heading))], env=found.env, cwd=found.home, check=True)
    return found


class Kamailio:
    """A proxy at ``address``, an (ip, port), with its own folder, and its database in it."""

    def __init__(self, folder: Path, address: tuple[str, int], imc: tuple[str, int]) -> None:
        for binary in ("kamailio", "kamctl", "kamcmd", "sqlite3", "sipsak"):
            need(binary)
        self.home, self.env = home_of(folder, "kamailio")
        self.env["PATH"] += ":/usr/sbin:/sbin"
        self.address = address
        self.imc = imc
        self.database = self.home / "kamailio.sqlite"
        self.control = self.home / "kamailio_ctl"

    @property
    def imc_environment(self) -> dict[str, str]:
        """What replaces settings of imc.toml."""
        listen = ",".join(f"{transport}:{self.imc[0]}:{self.imc[1]}" for transport in ("udp", "tcp"))
        return {
            "IMC_SIP__LISTEN": listen,
            "IMC_IMC__OUTBOUND_PROXY": f"sip:{self.address[0]}:{self.address[1]}",
            "IMC_IMC__DB_URL": "sqlite:///imc.db",
            "IMC_MANAGE__SOCKET": "imc.sock",
            # The tests share people: who was away in one of them is not to be waited for in the next.
            "IMC_DELIVERY__RETRY_FIRST": "1",
            "IMC_DELIVERY__RETRY_LONGEST": "1",
        }

    def local(self, text: str) -> str:
        """Text of the page with its places replaced by ours."""
        text = text.replace("/var/lib/kamailio/kamailio.sqlite", str(self.database))
        text = text.replace("kamcmd ", f"kamcmd -s unix:{self.control} ")
        return text.replace("127.0.0.1:5060", f"{self.address[0]}:{self.address[1]}")

    async def shell(self, script: str) -> str:
        """Run commands of the page; the output. Each must succeed."""
        with trio.fail_after(WITHIN):
            done = await trio.run_process(
                ["/bin/sh", "-euc", self.local(script)],
                env=self.env,
                cwd=self.home,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout.decode()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Program]:
        """Until the end of the block. Ready when it answers OPTIONS."""
        ip, port = self.address
        defines = {
            "DOMAIN": f'"{DOMAIN}"',
            "LISTEN_UDP": f"udp:{ip}:{port}",
            "LISTEN_TCP": f"tcp:{ip}:{port}",
            "IMC_IP": f'"{self.imc[0]}"',
            "IMC_URI": f'"sip:{self.imc[0]}:{self.imc[1]}"',
            "DBURL": f'"sqlite:///{self.database}"',
        }
        command = [need("kamailio"), "-f", str(CONFIG), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(self.home)]
        for name, value in defines.items():
            command += ["-A", f"{name}={value}"]
        async with Program.running(command, env=self.env, cwd=self.home) as program:
            await wait_answer(self.address, program)
            yield program


async def wait_answer(address: tuple[str, int], program: Program) -> None:
    """Until it answers OPTIONS over UDP."""
    ip, port = address
    with trio.move_on_after(WITHIN), trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        while not program.has_ended:  # RFC 3261 §17.1.2.2 in short: again until there is an answer
            request = _OPTIONS.format(ip=ip, port=port, serial=os.urandom(8).hex())
            await sock.sendto(request.encode(), address)
            with trio.move_on_after(0.1):
                if (await sock.recv(4096)).startswith(b"SIP/2.0 200 "):
                    return
    raise AssertionError(f"kamailio does not answer:\n{program.output}")
