"""sipsak (0.9.8.1 in Debian 12): one request, with digest, from a file.

Its own message mode (`-M`) crashes in this version before anything is sent, and where it writes URIs itself it cuts the
last digit of a port of five; so the request is written here, and sipsak adds the Via, and the credentials when asked.
"""

from __future__ import annotations

import re
import secrets
import subprocess
from dataclasses import dataclass

import trio

from tests.e2e.program import need
from tests.e2e.user_agent import Account

_REQUEST = """\
{method} {uri} SIP/2.0
To: <{to}>
From: <{sender}>;tag={tag}
Call-ID: {tag}@127.0.0.1
CSeq: 1 {method}
Max-Forwards: 70
{headers}Content-Length: {length}

{body}"""
_WITHIN = 20.0


@dataclass(frozen=True, kw_only=True)
class Done:
    """``statuses`` are those of all responses in their order; ``exit_status`` 0 is for a final 2xx."""

    statuses: list[int]
    exit_status: int
    output: str

    @property
    def status(self) -> int:
        """The final one."""
        return self.statuses[-1]


async def sipsak_message(
    account: Account, to: str, text: str, *, sender: str = "", headers: str = "", ip: str = ""
) -> Done:
    """MESSAGE to ``to``. ``sender`` is From, by default the account's address; ``headers`` are further lines.

    ``ip`` is the address to send from.
    """
    tag = secrets.token_hex(8)
    body = text.encode()
    request = _REQUEST.format(
        method="MESSAGE",
        uri=to,
        to=to,
        sender=sender or account.address,
        tag=tag,
        headers="Content-Type: text/plain\n" + headers,
        length=len(body),
        body=text,
    )
    return await _run(account, request, ["-k", ip] if ip else [])


async def sipsak_register(account: Account, contact: str, expires: int = 600) -> Done:
    """REGISTER ``contact``, a value of Contact; `*` with ``expires`` 0 removes all that is registered."""
    request = _REQUEST.format(
        method="REGISTER",
        uri=f"sip:{account.domain}",
        to=account.address,
        sender=account.address,
        tag=secrets.token_hex(8),
        headers=f"Contact: {contact}\nExpires: {expires}\n",
        length=0,
        body="",
    )
    return await _run(account, request, [])


async def sipsak_usrloc(account: Account) -> Done:
    """Its own way to register (`-U`). It takes the server's address for the domain: the account's must be that."""
    ip, port = account.server
    login = ["-u", account.user, "-a", account.password]  # without -u it logs in as "alice@"
    return await _call(["-U", "-i", "-x", "60", "-s", f"sip:{account.user}@{ip}:{port}", *login, "-vvv"], b"")


async def _run(account: Account, request: str, options: list[str]) -> Done:
    ip, port = account.server
    options = [*options, "-E", account.transport, "-s", f"sip:{ip}:{port}", "-f", "-", "-vvv"]
    if account.password:
        options += ["-u", account.login or account.user, "-a", account.password]
    return await _call(options, request.encode())


async def _call(options: list[str], stdin: bytes) -> Done:
    with trio.fail_after(_WITHIN):
        done = await trio.run_process(
            [need("sipsak"), *options], stdin=stdin, capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )
    output = done.stdout.decode("utf-8", "replace")
    statuses = [int(found) for found in re.findall(r"^SIP/2\.0 (\d{3}) ", output, re.MULTILINE)]
    return Done(statuses=statuses, exit_status=done.returncode, output=output)
