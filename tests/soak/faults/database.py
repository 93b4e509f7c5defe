"""A database that is killed, gone, slow, locked by another, full, or read-only, under load.

Meanwhile a sender hears 5xx or waits; what was answered 2xx is kept, and nobody hears of what was refused (spec
R-DURABLE-2). Afterwards all goes on by itself.

Excuses: where a server dies between a commit and its answer, imc cannot know what became of it; so while a server is
being killed a refused request may have been written, and may be heard of by whoever it is sent to again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import trio

from conformance.load import proc
from tests.databases import MariaDb, PostgreSql, Server
from tests.soak.crowd import Shape
from tests.soak.outcome import Outcome, Plan, Work
from tests.soak.relay import StreamRelay
from tests.soak.servers import Skipped
from tests.soak.stand import Stand, finish, stand

_BEFORE, _SMALL_BEFORE = 1.0, 0.2
_SMALL = Shape(users=6, rites=2)
_DISK = 8 << 20
_DELAY = 0.1
_NORMAL_WITHIN = 60.0
_SERVERS = ("mariadb", "postgresql")
Fault = Callable[[Stand], AbstractAsyncContextManager[None]]
"""Lasts as long as its block. What it raises is a fault of the soak."""


async def _endure(plan: Plan, outcome: Outcome, on: Stand, fault: Fault, seconds: float) -> Outcome:
    """Load, the fault for so long, recovery; as often as there are rounds."""
    chance = random.Random(f"{plan.seed}.{outcome.fault}")
    began = trio.current_time()
    for _ in range(outcome.rounds):
        async with on.crowd.load():
            await trio.sleep(chance.uniform(0.0, _SMALL_BEFORE if plan.is_small else _BEFORE))
            async with fault(on):
                await trio.sleep(seconds)
            on.ledger.fault_ends()
            if not await on.wait_normal(_NORMAL_WITHIN):
                on.ledger.verdict.blame(f"nothing was acknowledged within {_NORMAL_WITHIN:.0f} s after the fault")
            await trio.sleep(_SMALL_BEFORE)
        await on.settle()
    await trio.to_thread.run_sync(partial(on.daemon.stop, signal.SIGTERM))
    await on.check_rites()
    finish(outcome, on, began)
    return outcome


def _shape(plan: Plan) -> Shape:
    return _SMALL if plan.is_small else Shape(seed=plan.seed)


# --- killed, gone -----------------------------------------------------------------------------------------------------


def _kill_server(found: Server) -> None:
    """kill -9 of all its processes at once."""
    assert found.process is not None
    for pid in proc.tree(found.process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    found.stop()


@asynccontextmanager
async def _gone(found: Server, on: Stand) -> AsyncIterator[None]:
    excuse = on.ledger.excuse("database killed")
    await trio.to_thread.run_sync(_kill_server, found)
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(found.start)
    on.ledger.pardon(excuse)


async def _server_gone(kind: str, name: str, usual: tuple[int, float], plan: Plan) -> Outcome:
    outcome = Outcome(fault=f"database-{name}-{kind}", rounds=plan.rounds_or(usual[0], 1))
    with plan.server(kind) as found:
        async with stand(_shape(plan), found.create_database()) as on:
            return await _endure(plan, outcome, on, partial(_gone, found), plan.seconds_or(usual[1], 0.1))


# --- slow -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _behind(found: Server, folder: Path) -> AsyncIterator[tuple[StreamRelay, str]]:
    """A relay before the server, and the URL of a new database behind it."""
    url = found.create_database()
    if isinstance(found, MariaDb):
        relay = StreamRelay(("127.0.0.1", found.port))
        at = relay.listen()
        assert isinstance(at, tuple)
        url = url.replace(f":{found.port}/", f":{at[1]}/")
    else:
        relay = StreamRelay(found.folder / ".s.PGSQL.5432")
        relay.listen(folder / ".s.PGSQL.5432")
        url = url.replace(quote(str(found.folder)), str(folder)).replace(str(found.folder), str(folder))
    async with trio.open_nursery() as nursery:
        await nursery.start(relay.run)
        yield relay, url
        nursery.cancel_scope.cancel()


async def _slow(kind: str, plan: Plan) -> Outcome:
    outcome = Outcome(fault=f"database-slow-{kind}", rounds=plan.rounds_or(2, 1))

    @asynccontextmanager
    async def slow(_on: Stand) -> AsyncIterator[None]:
        relay.delay = _DELAY
        try:
            yield
        finally:
            relay.delay = 0.0

    with tempfile.TemporaryDirectory(prefix="imc-slow-") as folder, plan.server(kind) as found:
        async with _behind(found, Path(folder)) as (relay, url), stand(_shape(plan), url) as on:
            return await _endure(plan, outcome, on, slow, plan.seconds_or(10.0, 0.5))


# --- locked by another ------------------------------------------------------------------------------------------------


@contextmanager
def _sqlite_lock(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@contextmanager
def _table_lock(found: Server, url: str) -> Iterator[None]:
    name = url.rpartition("/")[2].partition("?")[0]
    if isinstance(found, MariaDb):
        with contextlib.closing(found.connect(name)) as connection, connection.cursor() as cursor:
            cursor.execute("LOCK TABLES imc_outbox WRITE")
            yield
            cursor.execute("UNLOCK TABLES")
    elif isinstance(found, PostgreSql):
        database = _postgresql_name(url)
        with found.connect(database) as connection, connection.transaction():
            connection.execute("LOCK TABLE imc_outbox IN ACCESS EXCLUSIVE MODE")
            yield


def _postgresql_name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


@asynccontextmanager
async def _locked(lock: Callable[[Stand], contextlib.AbstractContextManager[None]], on: Stand) -> AsyncIterator[None]:
    """The lock is taken and given back in a thread: it may have to wait for the daemon."""
    held = lock(on)
    await trio.to_thread.run_sync(held.__enter__)
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(held.__exit__, None, None, None)


async def _locked_sqlite(plan: Plan) -> Outcome:
    outcome = Outcome(fault="database-locked-sqlite", rounds=plan.rounds_or(2, 1))
    async with stand(_shape(plan)) as on:
        lock = partial(_locked, lambda on: _sqlite_lock(on.daemon.folder / "imc.db"))
        return await _endure(plan, outcome, on, lock, plan.seconds_or(15.0, 0.3))


async def _locked_server(kind: str, plan: Plan) -> Outcome:
    outcome = Outcome(fault=f"database-locked-{kind}", rounds=plan.rounds_or(2, 1))
    with plan.server(kind) as found:
        url = found.create_database()
        async with stand(_shape(plan), url) as on:
            lock = partial(_locked, lambda _on: _table_lock(found, url))
            return await _endure(plan, outcome, on, lock, plan.seconds_or(15.0, 0.3))


# --- a full disk, a read-only one -------------------------------------------------------------------------------------


@contextmanager
def _disk() -> Iterator[Path]:
    """A small file system of its own. Skipped where we may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="imc-disk-"))
    mount = shutil.which("mount")
    try:
        if os.geteuid() or mount is None or _run(mount, "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)):
            raise Skipped("a file system can be mounted by root only")
        try:
            yield folder
        finally:
            _run("umount", str(folder))
    finally:
        folder.rmdir()


def _run(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Nothing more fits on the file system of the folder."""
    path = folder / "filler"
    try:
        with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (65_536, 4_096, 512, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
        yield
    finally:
        path.unlink()


@asynccontextmanager
async def _full(folder: Path, _on: Stand) -> AsyncIterator[None]:
    with _filled(folder):
        yield


async def _full_disk(plan: Plan) -> Outcome:
    """The log is on another disk than the database."""
    outcome = Outcome(fault="database-full-sqlite", rounds=plan.rounds_or(3, 1))
    with _disk() as folder:
        async with stand(_shape(plan), f"sqlite:///{folder}/imc.db") as on:
            return await _endure(plan, outcome, on, partial(_full, folder), plan.seconds_or(3.0, 0.3))


@asynccontextmanager
async def _file_limit(on: Stand) -> AsyncIterator[None]:
    """The daemon's files, its log as well, may not grow any more (RLIMIT_FSIZE): so it is for who is not root."""
    _, hard = resource.prlimit(on.daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(on.daemon.pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.prlimit(on.daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))


async def _limited_files(plan: Plan) -> Outcome:
    outcome = Outcome(fault="database-limited-sqlite", rounds=plan.rounds_or(3, 1))
    async with stand(_shape(plan)) as on:
        return await _endure(plan, outcome, on, _file_limit, plan.seconds_or(3.0, 0.3))


@asynccontextmanager
async def _read_only_server(found: Server, url: str, _on: Stand) -> AsyncIterator[None]:
    """As a server is that has become a replica of another one."""
    await trio.to_thread.run_sync(_set_read_only, found, url, True)
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(_set_read_only, found, url, False)


def _set_read_only(found: Server, url: str, is_so: bool) -> None:
    if isinstance(found, MariaDb):
        with contextlib.closing(found.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"SET GLOBAL read_only={int(is_so)}")
    elif isinstance(found, PostgreSql):
        with found.connect() as connection:
            name = _postgresql_name(url)
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only={'on' if is_so else 'off'}")
            # the setting is for new sessions
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='{name}'")


async def _read_only(kind: str, plan: Plan) -> Outcome:
    outcome = Outcome(fault=f"database-readonly-{kind}", rounds=plan.rounds_or(3, 1))
    with plan.server(kind) as found:
        url = found.create_database()
        if isinstance(found, MariaDb):  # root may write all the same
            with contextlib.closing(found.connect()) as connection, connection.cursor() as cursor:
                cursor.execute("CREATE OR REPLACE USER soak@'%' IDENTIFIED BY 'soak'")
                cursor.execute("GRANT ALL ON *.* TO soak@'%'")
                cursor.execute("REVOKE READ_ONLY ADMIN, SUPER ON *.* FROM soak@'%'")
            url = url.replace("root@", "soak:soak@")
        async with stand(_shape(plan), url) as on:
            return await _endure(plan, outcome, on, partial(_read_only_server, found, url), plan.seconds_or(3.0, 0.3))


async def _read_only_file(plan: Plan) -> Outcome:
    """The disk has become read-only while the daemon was down: it says so and ends; then all is there again."""
    outcome = Outcome(fault="database-readonly-sqlite", rounds=plan.rounds_or(3, 1))
    with _disk() as folder:
        async with stand(_shape(plan), f"sqlite:///{folder}/imc.db") as on:
            began = trio.current_time()
            for _ in range(outcome.rounds):
                async with on.crowd.load():
                    await trio.sleep(_SMALL_BEFORE)
                    excuse = on.ledger.excuse("crash")
                    on.daemon.kill()
                    await trio.to_thread.run_sync(_refused_on, folder, on, outcome)
                    on.ledger.fault_ends()
                    await on.start()
                    on.ledger.pardon(excuse)
                    await trio.sleep(_SMALL_BEFORE)
                await on.settle()
            finish(outcome, on, began)
    return outcome


def _refused_on(folder: Path, on: Stand, outcome: Outcome) -> None:
    if _run("mount", "-o", "remount,ro", str(folder)):
        raise Skipped(os.strerror(errno.EBUSY))
    try:
        done = on.daemon.imc("serve")
    finally:
        _run("mount", "-o", f"remount,rw,size={_DISK}", str(folder))
    said = done.stderr.strip().splitlines()[-1:]
    if done.returncode != 1 or "Traceback" in done.stderr or not said:
        outcome.blame(f"a start on a read-only disk ended with {done.returncode}: {done.stderr[-300:]}")
    note = f"a start on a read-only disk: {said[0] if said else ''}"
    if note not in outcome.notes:
        outcome.notes.append(note)


WORKS: dict[str, Work] = {
    **{f"database-killed-{kind}": partial(_server_gone, kind, "killed", (20, 0.2)) for kind in _SERVERS},
    **{f"database-gone-{kind}": partial(_server_gone, kind, "gone", (1, 60.0)) for kind in _SERVERS},
    **{f"database-slow-{kind}": partial(_slow, kind) for kind in _SERVERS},
    "database-locked-sqlite": _locked_sqlite,
    **{f"database-locked-{kind}": partial(_locked_server, kind) for kind in _SERVERS},
    "database-full-sqlite": _full_disk,
    "database-limited-sqlite": _limited_files,
    "database-readonly-sqlite": _read_only_file,
    **{f"database-readonly-{kind}": partial(_read_only, kind) for kind in _SERVERS},
}  # fmt: skip
