"""imc inside of a trio program: `running` is a daemon for as long as a block lasts.

These names are for programs of others and stay as they are: `Aor`, `Message`, `Running`, `Settings`, `running`. How
they are used is told in docs/how-to/embed.md, whose examples are run by a test.

Invariants
- What runs in the block is as safe as `imc serve`: who may speak from where is checked before anything listens.
- The block ends as a SIGTERM does: what was begun is finished, what is not delivered is stored.
- A program's own mistake in ``heard`` is logged, and harms nobody.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
import trio

from imc.aor import Aor
from imc.app import Daemon
from imc.config import Settings
from imc.options import store_options
from imc.service.inbound import Inbound
from imc.service.manager import Manager
from imc.store.accounts import Account
from imc.store.store import Store
from imc.transport.addresses import ListenAddress

__all__ = ["Aor", "Message", "Running", "Settings", "running"]
_log = structlog.get_logger("imc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What somebody said in a room, as it came. ``content_type`` is "" where there was none (RFC 3428: text/plain)."""

    room: Aor
    sender: Aor
    content_type: str
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none of it is replaced."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon that serves.

    ``addresses`` are where it listens: the ports that the system chose, too. ``manager`` asks and commands it:
    `Manager.run_command`, `Manager.room_active`, `Manager.room_member`, `Manager.list_rooms`, `Manager.list_members`.
    """

    addresses: tuple[ListenAddress, ...]
    manager: Manager


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    accounts: Mapping[str, str] | None = None,
    heard: Callable[[Message], None] | None = None,
) -> AsyncGenerator[Running, None]:
    """A daemon with these settings, until the end of the block.

    ``accounts`` are addresses with their passwords; who is there already gets that password. ``heard`` is called in the
    thread of the event loop with each message to a room, commands not among them, when it is on the disk: it must not
    take long. ConfigError, ListenError, StoreError, AccountError, and ValueError for an address: it did not start; as
    in all of trio they may come in an exception group.
    """
    store = await trio.to_thread.run_sync(partial(Store.open, store_options(settings, is_exclusive=True)))
    try:
        await trio.to_thread.run_sync(_set_accounts, store, accounts or {})
        has_accounts = bool((await trio.to_thread.run_sync(store.list_accounts, 1)).rows)
        settings.check_exposure(has_accounts=has_accounts)
        daemon = Daemon(settings, store)
        if heard is not None:
            daemon.on_message(partial(_tell, heard))
        async with trio.open_nursery() as nursery:
            # Whatever cancels the block, the daemon lives until it has drained.
            scope = trio.CancelScope(shield=True)
            addresses = await nursery.start(_serve, daemon, scope)
            try:
                yield Running(addresses, daemon.manager)
            finally:
                with trio.CancelScope(shield=True):
                    await daemon.drain()
                scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(store.close)


async def _serve(
    daemon: Daemon, scope: trio.CancelScope, *, task_status: trio.TaskStatus[tuple[ListenAddress, ...]]
) -> None:
    with scope:
        await daemon.run(task_status=task_status)


def _set_accounts(store: Store, accounts: Mapping[str, str]) -> None:
    for address, password in accounts.items():
        account = Account.from_password(Aor.parse(address), password)
        change = store.add_account if store.get_account(account.aor) is None else store.set_account
        change(account)


def _tell(heard: Callable[[Message], None], inbound: Inbound) -> None:
    message = Message(room=inbound.to, sender=inbound.sender, content_type=inbound.content_type, body=inbound.body)
    try:
        heard(message)
    except Exception as error:
        _log.error("heard-failed", room=str(inbound.to), exc_info=error)
