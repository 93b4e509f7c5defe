"""A proxy with the module imc of the year 2006, Kamailio's or OpenSIPS', spawned with SQLite.

The module reads its rooms from the database once, at the start. So what a case needs beforehand is in there before
anything is sent, admins and second owners too, whom its commands cannot make. Cases of the same settings share a
server; a case that ends its server has one of its own.
"""

from __future__ import annotations

import signal
import sqlite3
import tempfile
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import trio

from conformance.drivers.base import Server, SipConversation, SipTarget
from conformance.drivers.spawn import NotStarted, Spawned
from conformance.suite.case import Case, Room, Standing
from conformance.suite.conversation import CannotStart, Driver, Lacks, Options, Target
from conformance.suite.wire_case import WireCase

IP = "127.0.0.1"
DOMAIN = "example.com"
CONCURRENCY = 8
PATIENCE = 0.2
"""Seconds. One process does everything in its order: what is not there by the barrier does not come."""
GIVES_UP = 8.0
"""Seconds: 3 for the way to the proxy, 3 for the way from it (see the configurations), and some more."""
DATABASE = "database.sqlite"
# The bits of the columns "flag", as imc keeps them too (imc.store.schema).
_ROOM_PRIVATE = 1
_MEMBER: dict[Standing, int] = {"owner": 1, "admin": 2, "member": 0, "invited": 4}


@dataclass(frozen=True, slots=True)
class Setup:
    """What tells one server from another: definitions for its configuration, and the case that has it for itself."""

    defines: tuple[tuple[str, str], ...] = ()
    alone: str = ""


@dataclass
class ModuleTarget(SipTarget):
    """``folder`` is where its servers have theirs, each with database and log."""

    folder: Path = Path()
    patience: float = PATIENCE
    concurrency: int = CONCURRENCY
    gives_up: float = GIVES_UP
    servers: dict[Setup, Spawned] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    _announced: set[str] = field(default_factory=set)
    _starting: trio.Lock = field(default_factory=trio.Lock)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.manager = self.options.manager or f"chat-manager@{self.domain}"
        self.room_prefix = self.options.room_prefix

    @abstractmethod
    def command(self, setup: Setup, folder: Path, port: int) -> list[str]:
        """What starts it on `IP` and this port, with the database in ``folder``."""

    @abstractmethod
    def tables(self) -> str:
        """SQL that makes its tables."""

    @abstractmethod
    def defines(self, case: Case) -> dict[str, str]:
        """The settings of a case, for `command`. Lacks: there is no such parameter."""

    def take(self, cases: Sequence[Case]) -> None:
        super().take(cases)
        self.cases |= {case.id: case for case in cases}
        self._announced |= {case.id for case in cases}

    def again(self, case: Case) -> None:
        """On a server of its own, since its room is not in the database of the others."""
        super().again(case)
        self._announced.discard(case.id)

    # --- servers ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """The server of all cases without settings. CannotStart."""
        self.pid = (await self._server(Setup())).pid

    async def stop(self) -> None:
        for server in self.servers.values():
            await server.stop(signal.SIGKILL)

    @asynccontextmanager
    async def serving(self, case: Case | WireCase) -> AsyncIterator[Server]:
        setup = Setup()
        if isinstance(case, Case):
            self.cases.setdefault(case.id, case)
            setup = self.setup(case)
        server = await self._server(setup)
        try:
            yield Server(addresses={"udp": server.address, "tcp": server.address}, pid=server.pid)
        finally:
            if setup.alone:
                await self.servers.pop(setup).stop(signal.SIGKILL)

    async def restart(self, server: Server, *, kill: bool) -> None:
        spawned = next(each for each in self.servers.values() if each.pid == server.pid)
        try:
            await spawned.restart(signal.SIGKILL if kill else signal.SIGTERM)
        except NotStarted as error:
            raise CannotStart(f"{self.name}, again: {error}") from None
        server.pid = spawned.pid

    def setup(self, case: Case) -> Setup:
        """Which server plays it. Lacks."""
        is_alone = "restart" in case.needs or case.id not in self._announced
        return Setup(tuple(sorted(self.defines(case).items())), case.id if is_alone else "")

    async def _server(self, setup: Setup) -> Spawned:
        """The one of this setup, started when it is first asked for, and again when it has died. CannotStart."""
        async with self._starting:
            server = self.servers.get(setup)
            if server is None or server.has_ended:
                server = self.servers[setup] = await self._started(setup)
            return server

    async def _started(self, setup: Setup) -> Spawned:
        folder = self.folder / f"{self.name}-{len(list(self.folder.iterdir())) + 1}"
        folder.mkdir()
        await trio.to_thread.run_sync(self.fill, folder / DATABASE, setup)
        server = Spawned(lambda port: self.command(setup, folder, port), folder, ip=IP)
        try:
            await server.start()
        except NotStarted as error:
            raise CannotStart(f"{self.name}: {error}") from None
        return server

    # --- rooms that stand beforehand --------------------------------------------------------------------------------

    async def preload(self, case: Case, room: Room) -> bool:
        return True  # they came with the database

    def fill(self, path: Path, setup: Setup) -> None:
        """A database with the rooms of all cases of a setup."""
        with closing(sqlite3.connect(path)) as database, database:
            database.executescript(self.tables())
            for case in self.cases.values():
                if case.room is not None and self._is_of(case, setup):
                    self._insert(database, case, case.room)

    def _is_of(self, case: Case, setup: Setup) -> bool:
        try:
            return self.setup(case) == setup
        except Lacks:
            return False

    def _insert(self, database: sqlite3.Connection, case: Case, room: Room) -> None:
        address = self.room(case, "room")
        name, _, domain = address.partition("@")
        flag = _ROOM_PRIVATE if room.kind == "private" else 0
        database.execute("INSERT INTO imc_rooms (name, domain, flag) VALUES (?, ?, ?)", (name, domain, flag))
        database.executemany(
            "INSERT INTO imc_members (username, domain, room, flag) VALUES (?, ?, ?, ?)",
            self._members(case, room, f"sip:{address}"),
        )

    def _members(self, case: Case, room: Room, uri: str) -> Iterator[tuple[str, str, str, int]]:
        for actor, standing in room.standings.items():
            user, _, domain = self.account(case, actor).address.partition("@")
            yield user, domain, uri, _MEMBER[standing]

    # --- the barrier ------------------------------------------------------------------------------------------------

    async def consequences(self, conversation: SipConversation) -> None:
        """A refusal goes by the proxy to the module, what it tells then by the proxy to the user: two hops more."""
        for _ in range(2):
            await conversation.pass_barrier(conversation.case.people)


class ModuleDriver(Driver):
    """A driver of such a proxy."""

    @abstractmethod
    def version(self) -> str:
        """Of the program that is installed; it blocks."""

    @abstractmethod
    def target(self, options: Options, folder: Path) -> ModuleTarget: ...

    @asynccontextmanager
    async def open(self, options: Options, cases: Sequence[Case]) -> AsyncIterator[Target]:
        problem = self.why_not()
        if problem is not None:
            raise CannotStart(problem)
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-", dir=options.folder) as folder:
            target = self.target(options, Path(folder))
            target.version = await trio.to_thread.run_sync(self.version)
            target.take(cases)
            try:
                await target.start()
                yield target
            finally:
                await target.stop()


def tables_in(folders: Sequence[Path], names: Sequence[str]) -> list[Path] | None:
    """Where the tables come with a package, as SQL: a file each, in the first folder that has all."""
    for folder in folders:
        found = [folder / f"{name}-create.sql" for name in names]
        if all(path.is_file() for path in found):
            return found
    return None
