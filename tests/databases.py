"""Real databases for tests: each test gets fresh ones, on servers that this process started and ends.

Nothing here uses a database server that happens to run on the machine: a server has its own data directory in a new
temporary folder, and is ended by its process id. It dies with the test process, however that ends
(`prctl(PR_SET_PDEATHSIG)`). PostgreSQL listens on a unix socket in the folder, MariaDB on a free port of the loopback
as well: PyMySQL does not close a unix socket that could not be connected. Use it from a conftest::

    from tests.databases import database, mariadb_server, postgresql_server, sqlite_database  # noqa: F401

- ``database``: parametrised over SQLite, MariaDB and PostgreSQL; ``server_database``: over the last two;
- ``sqlite_database``, ``mariadb_database``: one alone;
- ``mariadb_server`` / ``postgresql_server``: a server, to make databases of, to stop and to start again.

Where the binaries of a server are missing, its tests are skipped with that reason.
"""

from __future__ import annotations

import abc
import contextlib
import ctypes
import functools
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy

from imc.store.urls import engine_url

START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1
_numbers = itertools.count(1)
# PR_SET_PDEATHSIG counts from the thread that forked, not from the process: so one thread forks, and lives to the end.
_FORKS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forks")


def _die_with_parent(ending: signal.Signals) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(ending))


def _find(*names: str) -> str | None:
    """The first of the programs that is there, in PATH or where Debian keeps servers."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    places = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *map(str, versions)]
    return next((found for name in names if (found := shutil.which(name, path=os.pathsep.join(places)))), None)


def _fast_folder() -> str:
    """Memory, where there is enough of it: tests make hundreds of tables, and servers sync the disk for each."""
    memory = "/dev/shm"
    is_good = os.access(memory, os.W_OK | os.X_OK) and shutil.disk_usage(memory).free > 1 << 30
    return memory if is_good else "/tmp"


class Server(abc.ABC):
    """A database server in a folder of its own. `stop` and `start` as often as you like; `close` at the end."""

    # How it ends for good, and when this process dies.
    ending = signal.SIGKILL

    def __init__(self, *, is_durable: bool = False) -> None:
        self.is_durable = is_durable
        self.folder = Path(tempfile.mkdtemp(prefix="imc-db-", dir="/tmp" if is_durable else _fast_folder()))
        self.data = self.folder / "data"
        self.process: subprocess.Popen[bytes] | None = None
        # Servers refuse to run as root: then they run as somebody who has nothing.
        self.user: int | None = None
        if os.geteuid() == 0:
            entry = pwd.getpwnam("nobody")
            self.user = entry.pw_uid
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self.install()
        self.start()

    @abc.abstractmethod
    def install(self) -> None:
        """Make the data directory."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """What starts the server, in the foreground."""

    @abc.abstractmethod
    def ping(self) -> None:
        """Raises where the server does not answer yet."""

    @abc.abstractmethod
    def create_database(self) -> str:
        """A new database; its URL in Kamailio's form."""

    @abc.abstractmethod
    def drop_database(self, url: str) -> None:
        """Remove one that `create_database` made."""

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(self.folder)}

    def run(self, command: Sequence[str]) -> None:
        """A set-up program, as the user that the server runs as."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), user=self.user, extra_groups=[] if self.user else None,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stdout.decode(errors='replace')[-2000:]}")

    def _fork(self) -> subprocess.Popen[bytes]:
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                self.command(), cwd=self.folder, env=self.environment(), user=self.user,
                extra_groups=[] if self.user else None, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=functools.partial(_die_with_parent, self.ending),  # noqa: PLW1509 - no thread of ours holds a lock then
            )  # fmt: skip

    def start(self) -> None:
        self.process = _FORKS.submit(self._fork).result()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.ping()
            except (psycopg.Error, pymysql.Error, OSError) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log_text = (self.folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"the server did not start: {error}\n{log_text}") from error
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the server; by default as a crash would."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def close(self) -> None:
        self.stop(self.ending)
        shutil.rmtree(self.folder, ignore_errors=True)


class MariaDb(Server):
    """MariaDB, or MySQL where `mysqld` is that."""

    port = 0

    @property
    def socket(self) -> str:
        return str(self.folder / "sock")

    def install(self) -> None:
        program = _find("mariadb-install-db", "mysql_install_db")
        assert program is not None
        self.run([
            program, "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
            "--skip-test-db", "--skip-name-resolve",
        ])  # fmt: skip
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]

    def command(self) -> list[str]:
        program = _find("mariadbd", "mysqld")
        assert program is not None
        flush = 1 if self.is_durable else 2  # 2: survives the server's end, not the machine's
        return [
            program, "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}", f"--port={self.port}",
            "--bind-address=127.0.0.1", f"--pid-file={self.folder}/pid", "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
            f"--innodb-flush-log-at-trx-commit={flush}", "--skip-name-resolve", "--performance-schema=OFF",
        ]  # fmt: skip

    def connect(self, database: str | None = None) -> Any:
        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", database=database, autocommit=True)

    def ping(self) -> None:
        self.connect().close()

    def create_database(self) -> str:
        name = f"imc{next(_numbers)}"
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return f"mysql://root@127.0.0.1:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        name = engine_url(url).database
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


class PostgreSql(Server):
    """PostgreSQL."""

    # A fast shutdown: after a kill, shared memory of the system would be left behind.
    ending = signal.SIGINT

    def install(self) -> None:
        program = _find("initdb")
        assert program is not None
        self.run([
            program, f"--pgdata={self.data}", "--username=root", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
            "--no-sync",
        ])  # fmt: skip

    def command(self) -> list[str]:
        program = _find("postgres")
        assert program is not None
        settings = [
            "listen_addresses=", f"unix_socket_directories={self.folder}", "shared_buffers=32MB",
            f"fsync={'on' if self.is_durable else 'off'}", "max_connections=40",
            "dynamic_shared_memory_type=mmap",
        ]  # fmt: skip
        return [program, "-D", str(self.data), *(part for setting in settings for part in ("-c", setting))]

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), user="root", dbname=database, autocommit=True)

    def ping(self) -> None:
        self.connect().close()

    def create_database(self) -> str:
        name = f"imc{next(_numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgres://root@/{name}?host={self.folder}"

    def drop_database(self, url: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE {engine_url(url).database} WITH (FORCE)")


@dataclass
class Database:
    """A fresh database. ``url`` is in Kamailio's form; ``server`` is None for SQLite."""

    kind: str
    url: str
    server: Server | None = None

    @property
    def live_server(self) -> Server:
        assert self.server is not None
        return self.server

    def execute(self, statement: str, parameters: dict[str, object] | None = None) -> list[tuple[Any, ...]]:
        """One statement beside the program under test, as another program would; the rows it gives."""
        engine = sqlalchemy.create_engine(engine_url(self.url), poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            result = connection.execute(sqlalchemy.text(statement), parameters or {})
            return [tuple(row) for row in result] if result.returns_rows else []


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    """A MariaDB server for the whole session. Leave it running; databases in it are dropped by whoever made them."""
    if _find("mariadbd", "mysqld") is None or _find("mariadb-install-db", "mysql_install_db") is None:
        pytest.skip("no MariaDB or MySQL server is installed")
    server = MariaDb()
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSql]:
    """A PostgreSQL server for the whole session, like `mariadb_server`."""
    if _find("postgres") is None or _find("initdb") is None:
        pytest.skip("no PostgreSQL server is installed")
    server = PostgreSql()
    yield server
    server.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Database:
    """An SQLite file that does not exist yet."""
    return Database("sqlite", f"sqlite:///{tmp_path}/imc.db")


def _fresh(request: pytest.FixtureRequest, kind: str) -> Iterator[Database]:
    if kind == "sqlite":
        yield request.getfixturevalue("sqlite_database")
        return
    server: Server = request.getfixturevalue(f"{kind}_server")
    url = server.create_database()
    yield Database(kind, url, server)
    server.drop_database(url)


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh, empty database of each kind in turn."""
    yield from _fresh(request, request.param)


@pytest.fixture(params=["mariadb", "postgresql"])
def server_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh, empty database on each kind of server in turn."""
    yield from _fresh(request, request.param)


@pytest.fixture
def mariadb_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh, empty database in MariaDB."""
    yield from _fresh(request, "mariadb")
