"""A whole daemon in this process, on real sockets of the loopback, and user agents that talk to it.

The barrier: a message from one user to another is answered by the recipient, and a recipient's lane keeps order. So
once the sentinel's message to somebody is answered, all that was sent to them before has arrived; nothing sleeps.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from conformance.agent.client import Received, SipClient
from imc.aor import Aor
from imc.app import Daemon
from imc.config import Settings, load
from imc.options import store_options
from imc.service.spec_trace import SpecTrace
from imc.store.accounts import Account
from imc.store.store import Store

DOMAIN = "example.com"
CONFIG = """
[imc]
domains = ["example.com"]
manager_uri = "sip:chat-manager@example.com"
db_url = "{db_url}"
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
[auth]
mode = "{mode}"
[manage]
listen = ""
"""


def settings(folder: Path, *flags: str, mode: str = "none", db_url: str | None = None) -> Settings:
    """As from a configuration file, with ``section.key=value`` flags."""
    path = folder / "imc.toml"
    path.write_text(CONFIG.format(db_url=db_url or f"sqlite:///{folder}/imc.db", mode=mode))
    return load(path, flags)


class Clients:
    """Clients of one daemon, by user part. ``addresses`` is where the daemon listens, by transport."""

    domain = DOMAIN

    def __init__(self, nursery: trio.Nursery, addresses: dict[str, tuple[str, int]]) -> None:
        self.nursery = nursery
        self.addresses = addresses
        self.clients: dict[str, SipClient] = {}
        self._serial = 0

    async def client(
        self, user: str, *, transport: str = "udp", password: str | None = None, is_registered: bool = True, **more: Any
    ) -> SipClient:
        """A new client of a user, registered unless told otherwise."""
        client = await SipClient.open(
            self.nursery,
            f"sip:{user}@{self.domain}",
            self.addresses[transport],
            transport=transport,
            password=password,
            **more,
        )
        self.clients[user] = client
        if is_registered:
            response = await client.register()
            assert response.status == 200, response
        return client

    async def settle(self, users: Iterable[str] | None = None) -> dict[str, list[Received]]:
        """What each user received since the last call, once all that was under way has arrived."""
        if "sentinel" not in self.clients:
            await self.client("sentinel")
        sentinel = self.clients["sentinel"]
        self._serial += 1
        text = f"barrier {self._serial}"
        found: dict[str, list[Received]] = {}

        async def wait_for(user: str) -> None:
            response = await sentinel.message(f"sip:{user}@{self.domain}", text)
            assert response.status == 200, (user, response)
            client = self.clients[user]
            await client.wait_message(text=text)
            found[user] = client.take_unread()

        async with trio.open_nursery() as nursery:
            for user in users or [name for name in self.clients if name != "sentinel"]:
                nursery.start_soon(wait_for, user)
        return found


class Stage(Clients):
    """One daemon in this process, and its clients."""

    def __init__(self, nursery: trio.Nursery, daemon: Daemon, addresses: dict[str, tuple[str, int]]) -> None:
        super().__init__(nursery, addresses)
        self.daemon = daemon


def open_store(config: Settings) -> Store:
    return Store.open(store_options(config, is_exclusive=True))


@asynccontextmanager
async def stage(
    config: Settings, accounts: dict[str, str] | None = None, trace: SpecTrace | None = None
) -> AsyncIterator[Stage]:
    """A daemon with these settings and accounts (user part to password), until the end of the block."""
    store = await trio.to_thread.run_sync(open_store, config)
    try:
        for user, password in (accounts or {}).items():
            account = Account.from_password(Aor(user, DOMAIN), password)
            await trio.to_thread.run_sync(store.add_account, account)
        daemon = Daemon(config, store, trace=trace)
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(daemon.run)
            addresses: dict[str, tuple[str, int]] = {}
            for address in bound:
                addresses.setdefault(address.transport, (address.ip, address.port))
            yield Stage(nursery, daemon, addresses)
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(store.close)
