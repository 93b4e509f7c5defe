"""`imc serve`: a daemon in a process of its own, which obeys signals and tells the service manager how it is."""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import structlog
import trio

from imc import __version__, systemd
from imc.app import Daemon
from imc.config import Settings, differences, load
from imc.control import with_settings
from imc.errors import ConfigError, ImcError
from imc.options import store_options
from imc.service.spec_trace import SpecTrace, TraceOptions
from imc.store.store import Store

_log = structlog.get_logger("imc")
_SWITCH_SECONDS = 0.0005


def serve(settings: Settings, path: Path | None, flags: Sequence[str] = (), *, trace_spec: Path | None = None) -> None:
    """`imc serve`: until SIGTERM or SIGINT. ConfigError, ListenError, StoreError where it cannot start.

    ``trace_spec`` is where each decision is written down.
    """
    failed = False
    try:
        trio.run(_serve, settings, path, tuple(flags), trace_spec)
    except* ImcError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        _log.error("not-started", error=str(error))
        failed = True
    if failed:  # not in the block above: what is raised there is wrapped in a group, and shown with a traceback
        raise SystemExit(1)


async def _serve(settings: Settings, path: Path | None, flags: tuple[str, ...], trace_spec: Path | None) -> None:
    trace = None
    if trace_spec is not None:
        trace = SpecTrace(TraceOptions(path=trace_spec, version=__version__), time.time)
        await trio.to_thread.run_sync(trace.probe)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        store = await trio.to_thread.run_sync(Store.open, store_options(settings, is_exclusive=True))
        try:
            for sentence in store.warnings:
                _log.warning("database", warning=sentence)
            page = await trio.to_thread.run_sync(lambda: store.list_accounts(1))
            settings.check_exposure(has_accounts=bool(page.rows))
            daemon = Daemon(settings, store, trace=trace, read_settings=lambda: load(path, flags))
            async with trio.open_nursery() as nursery:
                bound = await nursery.start(daemon.run)
                _calm_collector()  # before it is said that we are ready: it stops everything for a moment
                addresses = " ".join(str(address) for address in bound)
                _log.info("ready", addresses=addresses, database=store.place, mode=settings.auth.mode)
                systemd.ready(f"serving on {addresses}")
                nursery.start_soon(_show_life)
                nursery.start_soon(_obey, signals, daemon, path, flags)
                await daemon.ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(store.close)


async def _show_life() -> None:
    """For a service manager that watches: while the event loop turns it hears of it, twice as often as it has to."""
    limit = systemd.watchdog_seconds()
    while limit is not None:
        systemd.alive()
        await trio.sleep(limit / 2)


def _calm_collector() -> None:
    """What a start made stays; transactions live for 32 s and hold no cycles: looking for them often only costs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    # After its COMMIT the writer's thread has to have the interpreter back: not only after the usual 5 ms.
    sys.setswitchinterval(_SWITCH_SECONDS)


async def _obey(signals: object, daemon: Daemon, path: Path | None, flags: tuple[str, ...]) -> None:
    async for number in signals:  # type: ignore[attr-defined]
        if number == signal.SIGHUP:
            _reload(daemon, path, flags)
            continue
        _log.info("stopping", signal=signal.Signals(number).name)
        systemd.stopping("finishing what was begun")
        await daemon.drain()
        return


def _reload(daemon: Daemon, path: Path | None, flags: tuple[str, ...]) -> None:
    systemd.reloading()
    try:
        settings = load(path, flags)
        reloadable, others = differences(daemon.settings, settings)
    except ConfigError as error:
        _log.error("not-reloaded", error=str(error))
    else:
        daemon.reload(with_settings(daemon.settings, settings, reloadable))
        _log.info("reloaded", changed=", ".join(reloadable) or "nothing")
        if others:
            _log.warning("needs-a-restart", settings=", ".join(others))
    systemd.ready("serving")
