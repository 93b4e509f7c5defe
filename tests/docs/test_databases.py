"""docs/how-to/databases.md: the database that its statements and commands make is one that imc can use."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import MariaDb, PostgreSql, mariadb_server, postgresql_server
from tests.docs.blocks import blocks
from tests.docs.sandbox import Sandbox, need

__all__ = ["mariadb_server", "postgresql_server"]
PAGE = blocks("docs/how-to/databases.md")


def _upgrade(folder: Path, url: str) -> None:
    """The page's `imc db upgrade`, and an account."""
    sandbox = Sandbox(folder, {}, {"IMC_IMC__DB_URL": url, "IMC_IMC__DOMAINS": "example.com"})
    sandbox.shell("touch imc.toml; imc db upgrade -c imc.toml")
    sandbox.shell("imc user add sip:alice@example.com --password-stdin -c imc.toml <<< secret")
    assert sandbox.shell("imc user list --json -c imc.toml").split() == ["[", '"sip:alice@example.com"', "]"]


@pytest.fixture
def clean(mariadb_server: MariaDb) -> Iterator[MariaDb]:
    yield mariadb_server
    with contextlib.closing(mariadb_server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE imc")
        cursor.execute("DROP USER imc@localhost")


def test_the_statements_for_mariadb(tmp_path: Path, clean: MariaDb) -> None:
    (sql,) = [one.text for one in PAGE if one.language == "sql"]
    with contextlib.closing(clean.connect()) as connection, connection.cursor() as cursor:
        for statement in sql.replace("'…'", "'secret'").split(";"):
            if statement.strip():
                cursor.execute(statement)
    _upgrade(tmp_path, f"mysql://imc:secret@localhost/imc?unix_socket={clean.socket}")


@pytest.mark.skipif(bool(need("createuser", "createdb")), reason="PostgreSQL's programs are not installed")
def test_the_commands_for_postgresql(tmp_path: Path, postgresql_server: PostgreSql) -> None:
    (script,) = [one.text for one in PAGE if one.first.startswith("createuser")]
    at = str(postgresql_server.folder)
    env = {"PATH": os.environ["PATH"], "PGHOST": at, "PGUSER": "root", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            ["bash", "-euc", script], env=env, input="secret\nsecret\n", text=True, capture_output=True, timeout=60,
            start_new_session=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        _upgrade(tmp_path, f"postgres://imc:secret@/imc?host={at}")
    finally:
        with postgresql_server.connect() as connection:
            connection.execute("DROP DATABASE IF EXISTS imc WITH (FORCE)")
            connection.execute("DROP ROLE IF EXISTS imc")
