"""The daemon in a process of its own, on a port that stays the same, and all who speak with it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from conformance.drivers.spawn import free_port
from tests.daemon import Daemon
from tests.soak.crowd import QUIET, Crowd, Make, Shape
from tests.soak.ledger import Ledger
from tests.soak.outcome import Outcome
from tests.soak.relay import Address
from tests.soak.rites import check_all

CONFIG = """
[imc]
domains = ["example.com"]
db_url = "{db_url}"
[sip]
listen = ["udp:127.0.0.1:{port}", "tcp:127.0.0.1:{port}"]
[auth]
mode = "none"
[limits]
enabled = false
[manage]
listen = ""
"""
SQLITE = "sqlite:///imc.db"
_LOOK = 0.005
_FORGET_AFTER = 33.0  # more than 64*T1


class Stand:
    """``daemon`` may be ended and started as the fault likes; ``ledger`` and ``crowd`` go on."""

    def __init__(self, daemon: Daemon, address: Address, db_url: str, ledger: Ledger) -> None:
        self.daemon = daemon
        self.address = address
        self.db_url = db_url
        self.ledger = ledger
        self.crowd: Crowd
        self._forgotten = trio.current_time()

    async def start(self) -> None:
        """Until it says that it is ready; whoever waits for an answer then asks again."""
        await trio.to_thread.run_sync(self.daemon.start)
        self.crowd.nudge()

    async def wait_normal(self, within: float) -> bool:
        """Until something is acknowledged again; False where nothing is in so many seconds."""
        before = self.ledger.verdict.acknowledged
        with trio.move_on_after(within):
            while self.ledger.verdict.acknowledged == before:  # noqa: ASYNC110 - the ledger knows no event loop
                await trio.sleep(_LOOK)
        return self.ledger.verdict.acknowledged > before

    async def check_rites(self) -> None:
        """The daemon is not running: its database has what was answered."""
        await trio.to_thread.run_sync(check_all, self.crowd.rites, self.db_url, self.daemon.folder)

    async def settle(self, quiet: float = QUIET) -> None:
        """No load is on: all that was acknowledged arrives, or is lost. The books are closed."""
        await self.crowd.settle(quiet)
        self.ledger.close()
        if trio.current_time() - self._forgotten > _FORGET_AFTER:
            self._forgotten = trio.current_time()
            self.crowd.each(lambda person: person.forget())


@asynccontextmanager
async def stand(
    shape: Shape, db_url: str = SQLITE, folder: Path | None = None, make: Make | None = None
) -> AsyncIterator[Stand]:
    """A daemon that runs, and a crowd that is in its rooms, for `Crowd.open`'s ``make``.

    ``folder``: where the daemon is; a scratch one otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="imc-soak-") as scratch:
        port = free_port("127.0.0.1")
        daemon = Daemon(folder or Path(scratch), CONFIG.format(db_url=db_url, port=port))
        try:
            await trio.to_thread.run_sync(daemon.start)
            async with trio.open_nursery() as nursery:
                ledger = Ledger(trio.current_time)
                on = Stand(daemon, ("127.0.0.1", port), db_url, ledger)
                on.crowd = await Crowd.open(nursery, on.address, ledger, shape, make)
                yield on
                nursery.cancel_scope.cancel()
        finally:
            daemon.kill()


def finish(outcome: Outcome, on: Stand, began: float) -> None:
    """The sums, once more after the last books are closed."""
    outcome.take(on.ledger, trio.current_time() - began)
