"""Kamailio with its module imc, as it is installed, and with a configuration of our own: `kamailio.cfg`.

Its rooms come from its database, which it reads once, at the start. So what a case needs beforehand is in there before
anything is sent, admins and second owners too, whom its commands cannot make. Cases of the same settings share a
server; a case that ends its server has one of its own.
"""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import trio

from conformance.drivers.base import Server, SipConversation, SipTarget
from conformance.drivers.spawn import NotStarted, Spawned, find_binary
from conformance.suite.case import Case, Room, Standing
from conformance.suite.conversation import CannotStart, Driver, Lacks, Options, Target
from conformance.suite.wire_case import WireCase

CONFIG = Path(__file__).with_name("kamailio.cfg")
IP = "127.0.0.1"
DOMAIN = "example.com"
CONCURRENCY = 8
SHARED_MEMORY = "512"
"""MB: a transaction stays for 5 s after its answer (RFC 3261 timer K), and there are thousands a second."""
GIVES_UP = 8.0
"""Seconds: tm's fr_timer in kamailio.cfg, for the way to the proxy and the way from it, and some more."""
PATIENCE = 0.2
"""Seconds. One process does everything in its order: what is not there by the barrier does not come."""
_TABLES = ("standard", "usrloc", "imc")
_TABLE_FOLDERS = (Path("/usr/share/kamailio/db_sqlite"), Path("/usr/local/share/kamailio/db_sqlite"))
# The bits of the columns "flag", as imc keeps them too (imc.store.schema).
_ROOM_PRIVATE = 1
_MEMBER: dict[Standing, int] = {"owner": 1, "admin": 2, "member": 0, "invited": 4}
_PARAMETERS = {"create_on_join": "CREATE_ON_JOIN", "check_on_create": "CHECK_ON_CREATE"}
_FIXED = {"add_requires_consent": False, "room_pattern": "chat-*"}
"""What no parameter changes: `add` asks nobody, and the script tells rooms from users by their names."""


class KamailioDriver(Driver):
    name = "kamailio"
    profile = "kamailio-5.6"

    def describe(self) -> str:
        return "Kamailio with its module imc: the installed one, spawned with SQLite"

    def why_not(self) -> str | None:
        if find_binary("kamailio") is None:
            return "kamailio is not installed (Debian: apt install kamailio kamailio-sqlite-modules)"
        if _table_folder() is None:
            return "Kamailio's tables for SQLite are not installed (Debian: apt install kamailio-sqlite-modules)"
        return None

    @asynccontextmanager
    async def open(self, options: Options, cases: Sequence[Case]) -> AsyncIterator[Target]:
        problem = self.why_not()
        if problem is not None:
            raise CannotStart(problem)
        with tempfile.TemporaryDirectory(prefix="kamailio-", dir=options.folder) as folder:
            target = KamailioTarget(
                name=self.name, options=options, domain=options.domain or DOMAIN, folder=Path(folder)
            )
            target.version = await trio.to_thread.run_sync(_version)
            target.take(cases)
            try:
                await target.start()
                yield target
            finally:
                await target.stop()


@dataclass(frozen=True, slots=True)
class Setup:
    """What tells one server from another: definitions for its configuration, and the case that has it for itself."""

    defines: tuple[tuple[str, str], ...] = ()
    alone: str = ""


@dataclass
class KamailioTarget(SipTarget):
    """``folder`` is where its servers have theirs, each with database and log."""

    folder: Path = Path()
    cases: dict[str, Case] = field(default_factory=dict)
    servers: dict[Setup, Spawned] = field(default_factory=dict)

    patience: float = PATIENCE
    concurrency: int = CONCURRENCY
    gives_up: float = GIVES_UP
    _starting: trio.Lock = field(default_factory=trio.Lock)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.manager = self.options.manager or f"chat-manager@{self.domain}"
        self.room_prefix = self.options.room_prefix

    def take(self, cases: Sequence[Case]) -> None:
        super().take(cases)
        self.cases |= {case.id: case for case in cases}

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
            setup = self._setup(case)
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
            raise CannotStart(str(error)) from None
        server.pid = spawned.pid

    def _setup(self, case: Case) -> Setup:
        """Lacks: there is no parameter for a setting."""
        is_alone = "restart" in case.needs or case.id not in self.numbers
        return Setup(tuple(sorted(_defines(case).items())), case.id if is_alone else "")

    async def _server(self, setup: Setup) -> Spawned:
        """The one of this setup, started when it is first asked for, and again when it has died. CannotStart."""
        async with self._starting:
            server = self.servers.get(setup)
            if server is None or server.has_ended:
                folder = self.folder / f"{len(self.servers)}-{len(list(self.folder.iterdir()))}"
                folder.mkdir()
                await trio.to_thread.run_sync(self._fill, folder / "kamailio.sqlite", setup)
                server = Spawned(lambda port: self._command(setup, folder, port), folder, ip=IP)
                try:
                    await server.start()
                except NotStarted as error:
                    raise CannotStart(f"kamailio: {error}") from None
                self.servers[setup] = server
            return server

    def _command(self, setup: Setup, folder: Path, port: int) -> list[str]:
        binary = find_binary("kamailio")
        assert binary is not None
        manager = (self.manager or "").partition("@")[0]
        defines = {
            "LISTEN_UDP": f"udp:{IP}:{port}",
            "LISTEN_TCP": f"tcp:{IP}:{port}",
            "PROXY": f'"sip:{IP}:{port}"',
            "DB_URL": f'"sqlite:///{folder}/kamailio.sqlite"',
            "RPC_SOCKET": f'"{folder}/rpc.sock"',
            "ROOMS": f'"^({re.escape(self.room_prefix)}|{re.escape(manager)}$)"',
            "LOCATION_MODE": "1" if setup.alone else "0",
            **dict(setup.defines),
        }
        options = [part for name, value in defines.items() for part in ("-A", f"{name}={value}")]
        return [binary, "-f", str(CONFIG), "-DD", "-E", "-m", SHARED_MEMORY, "-M", "8", "-Y", str(folder), *options]

    # --- rooms that stand beforehand ---------------------------------------------------------------------------------

    async def preload(self, case: Case, room: Room) -> bool:
        return True  # they came with the database

    def _fill(self, path: Path, setup: Setup) -> None:
        """A database with the rooms of all cases of a setup."""
        folder = _table_folder()
        assert folder is not None
        with closing(sqlite3.connect(path)) as database, database:
            for name in _TABLES:
                database.executescript((folder / f"{name}-create.sql").read_text())
            for case in self.cases.values():
                if case.room is not None and self._is_of(case, setup):
                    self._insert(database, case, case.room)

    def _is_of(self, case: Case, setup: Setup) -> bool:
        try:
            return self._setup(case) == setup
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


def _defines(case: Case) -> dict[str, str]:
    """The settings of a case as definitions for `kamailio.cfg`. Lacks: there is no such parameter."""
    found = {}
    for name, value in case.settings.items():
        if name in _PARAMETERS:
            found[_PARAMETERS[name]] = str(int(bool(value)))
        elif name == "imc_cmd_start_char":
            found["START_CHAR"] = f'"{value}"'
        elif _FIXED.get(name) != value:
            raise Lacks(f"the setting {name} = {value!r}")
    return found


def _table_folder() -> Path | None:
    """Where the tables come with Kamailio, as SQL."""
    wanted = [f"{name}-create.sql" for name in _TABLES]
    return next((each for each in _TABLE_FOLDERS if _has(each, wanted)), None)


def _has(folder: Path, names: Iterable[str]) -> bool:
    return all((folder / name).is_file() for name in names)


def _version() -> str:
    """As ``kamailio -v`` tells it: "5.6.3"."""
    binary = find_binary("kamailio")
    assert binary is not None
    said = subprocess.run(  # noqa: S603 - the program that the driver is for
        [binary, "-v"], capture_output=True, text=True, timeout=10, check=False
    ).stdout
    found = re.search(r"kamailio (\d+(?:\.\d+)+)", said)
    return found[1] if found is not None else ""
