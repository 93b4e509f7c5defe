"""All management interfaces together: bound first, then served, each started again when it dies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass

import trio

from imc.manage.ctl import CtlListener
from imc.manage.fifo import FifoListener, Replies
from imc.manage.http import HttpListener
from imc.manage.methods import Methods, log
from imc.manage.options import ManageOptions
from imc.manage.ports import Manager
from imc.manage.unix import UnixListener

_STEADY = 60.0  # seconds of service after which a death is a new one, with the first delay again


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the interfaces are found. ``http``: (address, port) of each listening socket."""

    http: tuple[tuple[str, int], ...] = ()
    socket: str | None = None
    ctl: str | None = None
    fifos: tuple[str, ...] = ()


async def run(
    manager: Manager,
    options: ManageOptions,
    *,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; give the bound addresses when all are bound.

    ConfigError, ListenError: nothing was started, and what was bound is closed again. Once started, nothing that
    happens to a listener ends this.
    """
    methods = Methods(manager, options)
    services: dict[str, Callable[[], Awaitable[None]]] = {}
    bound = Bound()
    with ExitStack() as stack:
        if options.listen:
            http = await HttpListener.bind(methods, options)
            stack.callback(http.close)
            services["http"] = http.run
            bound = Bound(http.addresses)
        if options.socket is not None:
            unix = UnixListener(options.socket, methods, options)
            stack.callback(unix.close)
            services["socket"] = unix.run
        if options.ctl is not None:
            ctl = CtlListener(options.ctl, methods, options)
            stack.callback(ctl.close)
            services["ctl"] = ctl.run
        if options.fifos:
            replies = Replies(options)
            stack.callback(replies.close)
        for path in dict.fromkeys(options.fifos):
            fifo = FifoListener(path, methods, replies, options)
            stack.callback(fifo.close)
            services[f"fifo {path}"] = fifo.run
        if services:  # else nobody could ask for them
            services["samples"] = methods.samples.run
        async with trio.open_nursery() as nursery:
            for name, serve in services.items():
                nursery.start_soon(supervise, name, serve, options)
            task_status.started(Bound(bound.http, options.socket, options.ctl, tuple(dict.fromkeys(options.fifos))))


async def supervise(name: str, serve: Callable[[], Awaitable[None]], options: ManageOptions) -> None:
    """Run ``serve`` again whenever it ends, with a delay that doubles while it keeps dying soon."""
    delay = options.restart_delay
    while True:
        began = trio.current_time()
        error: Exception | None = None
        try:
            await serve()
        except Exception as caught:
            error = caught
        if trio.current_time() - began > _STEADY:
            delay = options.restart_delay
        log.error("manage-listener-died", listener=name, error=repr(error), restart_in=delay, exc_info=error)
        await trio.sleep(delay)
        delay = min(2 * delay, options.restart_delay_max)
