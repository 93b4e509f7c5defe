"""`imc serve` in a process of its own, and user agents that stay while it is ended and started again.

A start listens on new ports: the clients turn to these, and are reached where they registered.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from conformance.agent.client import Received
from tests.daemon import Daemon
from tests.e2e.stage import DOMAIN, Clients

CONFIG = """
[imc]
domains = ["{domain}"]
manager_uri = "sip:chat-manager@{domain}"
db_url = "{db_url}"
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
[auth]
mode = "{mode}"
[limits]
enabled = false
[manage]
listen = ""
"""


def config(db_url: str = "sqlite:///imc.db", *, mode: str = "none", domain: str = DOMAIN) -> str:
    return CONFIG.format(db_url=db_url, mode=mode, domain=domain)


class Served(Clients):
    """A daemon's process, not started yet, and its clients."""

    def __init__(self, nursery: trio.Nursery, daemon: Daemon) -> None:
        super().__init__(nursery, {})
        self.daemon = daemon
        self._seen: set[tuple[str, str]] = set()

    async def settle(self, users: Iterable[str] | None = None) -> dict[str, list[Received]]:
        """As the other one, each copy once: what was under way at a kill comes again, with the same Call-ID."""
        found = await super().settle(users)
        for user, messages in found.items():
            found[user] = [one for one in messages if self._is_new(user, one.request.call_id)]
        return found

    def _is_new(self, user: str, call_id: str) -> bool:
        is_new = (user, call_id) not in self._seen
        self._seen.add((user, call_id))
        return is_new

    async def start(self, *flags: str) -> None:
        """Start and wait until it is ready; the clients turn to it."""
        await trio.to_thread.run_sync(self.daemon.start, *flags)
        self.addresses = {"udp": self.daemon.address("udp"), "tcp": self.daemon.address("tcp")}
        for client in self.clients.values():
            if client.transport == "udp":
                client.turn_to(self.addresses["udp"])

    async def kill_and_start(self) -> None:
        """kill -9, and a new start."""
        self.daemon.kill()
        await self.start()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal, while the clients go on; the exit status."""
        return await trio.to_thread.run_sync(partial(self.daemon.stop, number))

    async def wait_notice(self, text: str) -> list[str]:
        """See `tests.daemon.Daemon.wait_notice`."""
        return await trio.to_thread.run_sync(self.daemon.wait_notice, text)


@asynccontextmanager
async def served(folder: Path, text: str, *, is_started: bool = True) -> AsyncIterator[Served]:
    """A daemon with this configuration; it is ended with the block, whatever happens."""
    daemon = Daemon(folder, text)
    try:
        async with trio.open_nursery() as nursery:
            on = Served(nursery, daemon)
            if is_started:
                await on.start()
            yield on
            nursery.cancel_scope.cancel()
    finally:
        daemon.kill()
