"""The daemon with all its transports, in mode digest, and the users who are disturbed."""

from __future__ import annotations

import math
import signal
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from conformance.agent.client import SipClient
from imc.manage.client import call
from tests.daemon import Daemon
from tests.soak.crowd import Crowd, Shape
from tests.soak.ledger import Ledger, Record
from tests.soak.person import DOMAIN, Person
from tests.soak.relay import Address
from tests.transport.secure import Authority

PASSWORD = "secret"
TRUSTED = "127.0.0.99"
"""Whose word for who sends is taken: what is mutated comes as far as the rooms."""
TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")
MALLORIES = ("mallory", "mordred", "morgan")
"""Accounts of attackers."""
CONFIG = f"""
[imc]
domains = ["{DOMAIN}"]
db_url = "sqlite:///imc.db"
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0", "ws:127.0.0.1:0", "wss:127.0.0.1:0"]
handshake_deadline = 3.0
message_deadline = 5.0
write_deadline = 5.0
[websocket]
ping_interval = 5.0
ping_deadline = 3.0
[tls]
certificate = "server.pem"
[auth]
trusted_peers = ["{TRUSTED}"]
[registrar]
min_expires = 1
[roster]
min_expires = 1
[delivery]
retry_first = 1.0
retry_longest = 4.0
[limits]
sender_burst = 500
sender_rate = 50.0
[manage]
listen = ""
socket = "imc.sock"
"""
NAMES = ("localhost", "127.0.0.1", DOMAIN)


@dataclass(slots=True)
class Times:
    """Seconds from each text to its final answer, retransmissions and challenges included; ``failed`` had none."""

    answered: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile(self, share: float) -> float:
        known = sorted(self.answered) + [math.inf] * self.failed
        return known[min(len(known) - 1, int(share * len(known)))] if known else math.nan

    def __str__(self) -> str:
        shown = ", ".join(f"p{100 * share:g} {1e3 * self.percentile(share):.1f} ms" for share in (0.5, 0.9, 0.99))
        return f"{len(self.answered)} answered, {self.failed} not; {shown}"


class Member(Person):
    """A user with a password, over one transport for both ways."""

    def __init__(self, nursery: trio.Nursery, number: int, site: Site, ledger: Ledger, transport: str) -> None:
        super().__init__(nursery, number, site.addresses[transport], ledger)
        self.site = site

    @classmethod
    async def enter(cls, nursery: trio.Nursery, number: int, site: Site, ledger: Ledger, transport: str) -> Member:
        """It is registered."""
        member = cls(nursery, number, site, ledger, transport)
        member.ear = member.voice = await member._client(transport)
        member.ear.answer = member._judge
        status = await member.register()
        assert status == 200, (number, transport, status)
        return member

    async def _client(self, transport: str) -> SipClient:
        return await self.site.client(self.nursery, f"user{self.number}", transport, PASSWORD)

    async def say(self, record: Record, room: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> int:
        began = trio.current_time()
        status = await super().say(record, room, body, headers)
        if status == 0:
            self.site.times.failed += 1
        else:
            self.site.times.answered.append(trio.current_time() - began)
        return status


class Site:
    """Made by `site`. ``times`` may be replaced at any moment by new ones; ``late``: how often copies came late."""

    def __init__(self, daemon: Daemon, authority: Authority) -> None:
        self.daemon = daemon
        self.authority = authority
        self.addresses = {transport: daemon.address(transport) for transport in TRANSPORTS}
        self.context = authority.client_context()
        self.times = Times()
        self.late = 0
        self.crowd: Crowd

    async def client(self, nursery: trio.Nursery, user: str, transport: str, password: str | None) -> SipClient:
        more: dict[str, Any] = {"tls": self.context} if transport in ("tls", "wss") else {}
        return await SipClient.open(
            nursery, f"sip:{user}@{DOMAIN}", self.addresses[transport], password=password, transport=transport, **more
        )

    async def statistics(self) -> dict[str, int]:
        """Of all parts of the daemon, by its name in `stats`."""
        endpoint = str(self.daemon.folder / "imc.sock")
        found = await trio.to_thread.run_sync(lambda: call(endpoint, "stats.fetchn", ["all"], 30.0))
        assert isinstance(found, dict)
        return {str(key).rpartition(".")[2]: int(value) for key, value in found.items()}

    def renew_certificate(self) -> None:
        """A new one in place of the old, and SIGHUP."""
        self.authority.issue(*NAMES, file="new.pem").replace(self.daemon.folder / "server.pem")
        self.daemon.send(signal.SIGHUP)


@asynccontextmanager
async def site(users: int, seed: int, pause: float) -> AsyncIterator[Site]:
    """A daemon that runs, and so many users in its rooms, spread over all transports."""
    with tempfile.TemporaryDirectory(prefix="imc-soak-") as scratch:
        folder = Path(scratch)
        authority = Authority(folder)
        authority.issue(*NAMES)
        daemon = Daemon(folder, CONFIG)
        try:
            await trio.to_thread.run_sync(_open, daemon, users)
            on = Site(daemon, authority)
            ledger = Ledger(trio.current_time)
            async with trio.open_nursery() as nursery:

                async def enter(within: trio.Nursery, number: int, _server: Address, books: Ledger) -> Person:
                    return await Member.enter(within, number, on, books, TRANSPORTS[number % len(TRANSPORTS)])

                shape = Shape(users=users, rites=0, pause=pause, seed=seed)
                on.crowd = await Crowd.open(nursery, on.addresses["udp"], ledger, shape, enter)
                yield on
                nursery.cancel_scope.cancel()
        finally:
            daemon.kill()


def _open(daemon: Daemon, users: int) -> None:
    daemon.imc("db", "init")
    for name in (*(f"user{number}" for number in range(users)), *MALLORIES):
        daemon.add_user(f"sip:{name}@{DOMAIN}", PASSWORD)
    daemon.start()
