"""imc in processes of its own: `imc serve` in temporary folders, on loopback, with SQLite.

Cases whose settings are alike share a daemon, which starts when the first of them comes and ends behind the last. Cases
that restart it have one for themselves in turn, as have those that ask for passwords: their accounts are few.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import trio

from conformance.drivers.base import SENTINEL, Server, SipConversation, SipTarget
from conformance.drivers.spawn import NotStarted, Spawned, free_port
from conformance.suite.case import Case
from conformance.suite.conversation import CannotStart, Driver, Options, Target, User
from conformance.suite.wire_case import WireCase

DOMAIN = "example.com"
MANAGER = f"chat-manager@{DOMAIN}"
CONCURRENCY = 8
_IP = "127.0.0.1"
_BASE: dict[str, dict[str, object]] = {
    "imc": {"domains": [DOMAIN], "manager_uri": f"sip:{MANAGER}", "db_url": "sqlite:///imc.db"},
    "sip": {},
    "auth": {},
    "log": {"level": "warning"},
    "manage": {"listen": ""},
}
_WIRE_ACTORS = ("alice", "mary")


class _Kind(NamedTuple):
    """What a daemon is started with: the settings as JSON, and who has it for themselves."""

    settings: str
    asks_passwords: bool
    is_alone: bool


_PLAIN = _Kind("{}", asks_passwords=False, is_alone=False)


def config(kind: _Kind, port: int, web_port: int = 0) -> str:
    """imc.toml. A setting without a section is one of [imc]. ``web_port`` is that of WebSocket, 0 for none."""
    sections = {name: dict(values) for name, values in _BASE.items()}
    web = [f"ws:{_IP}:{web_port}"] if web_port else []
    sections["sip"]["listen"] = [f"udp:{_IP}:{port}", f"tcp:{_IP}:{port}", *web]
    sections["auth"]["mode"] = "digest" if kind.asks_passwords else "none"
    for key, value in json.loads(kind.settings).items():
        section, _, name = key.rpartition(".")
        sections.setdefault(section or "imc", {})[name] = value
    lines: list[str] = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


@dataclass
class _Daemon:
    """One process and its folder. ``turn`` is held by the one case that has it for itself."""

    kind: _Kind
    folder: Path
    accounts: Mapping[str, User]
    has_started: bool = False
    server: Server | None = None
    starting: trio.Lock = field(default_factory=trio.Lock)
    turn: trio.Lock = field(default_factory=trio.Lock)
    web_port: int = 0
    spawned: Spawned = field(init=False)

    def __post_init__(self) -> None:
        self.spawned = Spawned(self.command, self.folder, ip=_IP)

    async def start(self) -> Server:
        """Unless it runs. CannotStart."""
        async with self.starting:
            if self.server is None:
                await self._start()
            assert self.server is not None
            return self.server

    async def _start(self) -> None:
        """CannotStart. What a start that fails leaves is removed: an account half made would be in the way again."""
        try:
            await self._add_all()
            await self.spawned.start()
        except BaseException as error:
            if not self.has_started:
                self._empty()
            if isinstance(error, NotStarted):
                raise CannotStart(f"imc serve: {error}") from None
            raise
        self.has_started = True
        self.server = Server({}, None)
        self._tell(self.server)

    async def _add_all(self) -> None:
        """The accounts, before the first start. CannotStart."""
        if self.has_started or not self.accounts:
            return
        self.command(0)  # the configuration, for the accounts
        for user in self.accounts.values():  # one after the other: SQLite has one writer
            await self._add(user)

    def _empty(self) -> None:
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    def _tell(self, server: Server) -> None:
        server.addresses = dict.fromkeys(("udp", "tcp"), self.spawned.address) | {"ws": (_IP, self.web_port)}
        server.pid = self.spawned.pid

    def command(self, port: int) -> list[str]:
        """What starts it; the configuration is written anew, since the port may be another one."""
        path = self.folder / "imc.toml"
        while self.web_port in (0, port):
            self.web_port = free_port(_IP)
        path.write_text(config(self.kind, port, self.web_port), encoding="utf-8")
        return [sys.executable, "-m", "imc", "serve", "-c", str(path)]

    async def _add(self, user: User) -> None:
        path = str(self.folder / "imc.toml")
        done = await trio.run_process(
            [sys.executable, "-m", "imc", "user", "add", f"sip:{user.address}", "--password-stdin", "-c", path],
            stdin=f"{user.password}\n".encode(),
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            check=False,
        )
        if done.returncode:
            raise CannotStart(f"imc user add {user.address}: {done.stdout.decode(errors='replace')}")

    async def restart(self, server: Server, *, kill: bool) -> None:
        """CannotStart."""
        try:
            await self.spawned.restart(signal.SIGKILL if kill else signal.SIGTERM)
        except NotStarted as error:
            raise CannotStart(f"imc serve, again: {error}") from None
        self._tell(server)

    async def stop(self) -> None:
        self.server = None
        await self.spawned.stop()


@dataclass
class ImcTarget(SipTarget):
    """``folder`` holds a folder for each daemon. `take` the cases first."""

    folder: Path = Path()
    concurrency: int = CONCURRENCY
    _daemons: dict[_Kind, _Daemon] = field(default_factory=dict)
    _left: Counter[_Kind] = field(default_factory=Counter)
    _people: dict[_Kind, set[str]] = field(default_factory=dict)

    def take(self, cases: Sequence[Case]) -> None:
        super().take(cases)
        for case in cases:
            self._left[kind_of(case)] += 1
            self._people.setdefault(kind_of(case), set()).update(case.people)

    def again(self, case: Case) -> None:
        super().again(case)
        self._left[kind_of(case)] += 1

    async def begin(self) -> None:
        """The daemon of cases without settings, where there are any. CannotStart."""
        if self._left[_PLAIN] or not self._left:
            self.pid = (await self._daemon(_PLAIN).start()).pid

    @asynccontextmanager
    async def serving(self, case: Case | WireCase) -> AsyncIterator[Server]:
        kind = kind_of(case)
        daemon = self._daemon(kind)
        async with _turn(daemon):
            try:
                yield await daemon.start()
            finally:
                await self._done(case, daemon)

    async def _done(self, case: Case | WireCase, daemon: _Daemon) -> None:
        """A daemon of unusual settings ends when no case is left for it."""
        self._left[daemon.kind] -= isinstance(case, Case)
        if self._left[daemon.kind] <= 0 and json.loads(daemon.kind.settings):
            await daemon.stop()

    def _daemon(self, kind: _Kind) -> _Daemon:
        if kind not in self._daemons:
            folder = self.folder / f"imc-{len(self._daemons) + 1}"
            folder.mkdir()
            self._daemons[kind] = _Daemon(kind, folder, self._accounts(kind))
        return self._daemons[kind]

    def _accounts(self, kind: _Kind) -> dict[str, User]:
        """Those of all cases that such a daemon plays, room cases and byte-exact ones."""
        if not kind.asks_passwords:
            return {}
        actors = self._people.get(kind, set()) | {SENTINEL, *_WIRE_ACTORS}
        return {actor: User(address=f"{actor}@{DOMAIN}", password=f"{actor} secret") for actor in sorted(actors)}

    def account(self, case: Case, actor: str) -> User:
        return self._accounts(kind_of(case))[actor] if self.shares_accounts(case) else super().account(case, actor)

    def shares_accounts(self, case: Case) -> bool:
        return kind_of(case).asks_passwords

    def wire_accounts(self, case: WireCase) -> Mapping[str, tuple[str, str]]:
        return {actor: (actor, user.password or "") for actor, user in self._accounts(kind_of(case)).items()}

    async def restart(self, server: Server, *, kill: bool) -> None:
        for daemon in list(self._daemons.values()):
            if daemon.server is server:
                await daemon.restart(server, kill=kill)

    async def consequences(self, conversation: SipConversation) -> None:
        """Commits are made in order: what was refused before a text is accepted has been dealt with by then."""
        room = conversation.room("commits")
        await conversation.command(SENTINEL, "create", room)
        await conversation.command(SENTINEL, "destroy", room)

    async def stop(self) -> None:
        """All of them."""
        for daemon in list(self._daemons.values()):
            await daemon.stop()


class ImcDriver(Driver):
    """See the module."""

    name = "imc"
    profile = "imc"

    def describe(self) -> str:
        return "imc as installed beside this program, started in a temporary folder"

    @asynccontextmanager
    async def open(self, options: Options, cases: Sequence[Case]) -> AsyncIterator[Target]:
        with tempfile.TemporaryDirectory(prefix="imc-conformance-", dir=options.folder) as name:
            target = ImcTarget(
                name=self.name,
                options=options,
                domain=DOMAIN,
                manager=MANAGER,
                version=_version(),
                folder=Path(name),
            )
            target.take(cases)
            try:
                await target.begin()
                yield target
            finally:
                with trio.CancelScope(shield=True):
                    await target.stop()


def kind_of(case: Case | WireCase) -> _Kind:
    """Which daemon a case needs."""
    if isinstance(case, WireCase):
        return _Kind("{}", "digest" in case.requires, is_alone="digest" in case.requires)
    asks = "digest" in case.needs
    return _Kind(json.dumps(case.settings, sort_keys=True), asks, asks or "restart" in case.needs)


@asynccontextmanager
async def _turn(daemon: _Daemon) -> AsyncIterator[None]:
    if daemon.kind.is_alone:
        async with daemon.turn:
            yield
    else:
        yield


def _version() -> str:
    try:
        return version("imc")
    except PackageNotFoundError:
        return ""
