"""imc.store.urls"""

from __future__ import annotations

from pathlib import Path

import pytest

from imc.errors import ConfigError
from imc.store import urls
from imc.store.urls import engine_url


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///imc.db", "imc.db"),
        ("sqlite://imc.db", "imc.db"),
        ("sqlite://data/imc.db", "data/imc.db"),
        ("sqlite:///./data/imc.db", "data/imc.db"),
        ("sqlite:///../imc.db", "../imc.db"),
        ("sqlite:///etc/kamailio/kamailio.db", "/etc/kamailio/kamailio.db"),
        ("sqlite:////var/lib/imc/imc.db", "/var/lib/imc/imc.db"),
        ("sqlite:////imc.db", "/imc.db"),
        ("SQLite:///with%20blank.db", "with blank.db"),
    ],
)
def test_sqlite_paths_are_read_as_kamailio_and_as_sqlalchemy_write_them(text: str, path: str) -> None:
    url = engine_url(text)
    assert url.drivername == "sqlite"
    assert url.database == path


def test_a_relative_sqlite_path_starts_from_the_base(tmp_path: Path) -> None:
    assert engine_url("sqlite:///imc.db", base=tmp_path).database == str(tmp_path / "imc.db")
    assert engine_url("sqlite:////imc.db", base=tmp_path).database == "/imc.db"


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("mysql://imc:secret@db.example/imc", "mysql+pymysql://imc:secret@db.example/imc"),
        ("mariadb://imc:secret@db.example:3307/imc", "mysql+pymysql://imc:secret@db.example:3307/imc"),
        ("mysql+pymysql://imc@db.example/imc", "mysql+pymysql://imc@db.example/imc"),
        ("postgres://imc:secret@db.example/imc", "postgresql+psycopg://imc:secret@db.example/imc"),
        ("postgresql://imc@[2001:db8::1]:5433/imc", "postgresql+psycopg://imc@[2001:db8::1]:5433/imc"),
        ("postgresql+psycopg://db.example/imc", "postgresql+psycopg://db.example/imc"),
        ("postgres://imc@/imc?host=/run/postgresql", "postgresql+psycopg://imc@/imc?host=%2Frun%2Fpostgresql"),
        ("postgres://imc@h/imc?sslmode=require", "postgresql+psycopg://imc@h/imc?sslmode=require"),
        (" mysql://imc:@db.example/imc ", "mysql+pymysql://imc:@db.example/imc"),
    ],
)
def test_server_urls(text: str, rendered: str) -> None:
    assert engine_url(text).render_as_string(hide_password=False) == rendered


@pytest.mark.parametrize(
    ("written", "password"),
    [("p%40ss", "p@ss"), ("p@ss", "p@ss"), ("a/b:c?d", "a/b:c?d"), ("100%", "100%"), ("%25", "%")],
)
def test_a_password_may_hold_anything(written: str, password: str) -> None:
    url = engine_url(f"mysql://imc:{written}@db.example/imc")
    assert (url.username, url.password, url.host, url.database) == ("imc", password, "db.example", "imc")


def test_localhost_is_the_socket_of_mysql_as_for_its_c_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        monkeypatch.setattr(urls, "_MYSQL_SOCKETS", (str(tmp_path / "none"), str(path)))
        assert engine_url("mysql://imc@localhost/imc").query["unix_socket"] == str(path)
        assert "unix_socket" not in engine_url("mysql://imc@127.0.0.1/imc").query
        assert "unix_socket" not in engine_url("mysql://imc@localhost:3306/imc").query
        assert engine_url("mysql://imc@localhost/imc?unix_socket=/other").query["unix_socket"] == "/other"
    monkeypatch.setattr(urls, "_MYSQL_SOCKETS", ())
    assert "unix_socket" not in engine_url("mysql://imc@localhost/imc").query


@pytest.mark.parametrize(
    "text",
    [
        "",
        "imc.db",
        "sqlite:imc.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////var/lib/",
        "sqlite:///imc.db?mode=ro",
        "oracle://imc@db.example/imc",
        "text:///etc/kamailio/dbtext",
        "mysql://imc:secret@db.example",
        "mysql://imc:secret@db.example/",
        "mysql://imc:secret@db.example/a/b",
        "mysql://:secret@db.example/imc",
        "mysql://imc:secret@db.example:port/imc",
        "mysql://imc:secret@db.example:99999/imc",
        "mysql://imc:secret@[::1/imc",
        "mysql://imc:secret@[::1]x/imc",
        "mysql://[kamailio]/kamailio",
        "mysql://imc:secret@db.example/imc?local_infile=1",
        "postgres://imc:secret@db.example/imc?options=-cfsync=off",
    ],
)
def test_what_cannot_be_read_is_a_configuration_error_without_the_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        engine_url(text)
    assert str(caught.value).startswith("db_url: ")
    assert "secret" not in str(caught.value)
