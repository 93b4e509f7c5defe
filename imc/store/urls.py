"""Database URLs: the forms that Kamailio and the source document write, turned into SQLAlchemy's.

``driver://username:password@host:port/database`` (source document 1.3.1); an SQLite URL is ``sqlite://`` and a path.

An SQLite path that begins with a slash is absolute, as Kamailio reads it (``sqlite:///var/lib/imc.db``), but for two
forms: a single name (``sqlite:///imc.db``, as SQLAlchemy reads it) and one that begins with ``./`` or ``../`` are
relative. Nobody keeps a database in the root directory, and both habits work.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from sqlalchemy.engine import URL

from imc.errors import ConfigError

_DRIVERS = {
    "mysql": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
# What may follow "?": each is a parameter of PyMySQL, or of libpq (PostgreSQL manual, "Parameter Key Words").
_QUERY: Mapping[str, frozenset[str]] = {
    "mysql+pymysql": frozenset({"unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_check_hostname"}),
    "postgresql+psycopg": frozenset({"host", "sslmode", "sslrootcert", "sslcert", "sslkey", "application_name"}),
}
# Where Debian, Red Hat and the MySQL sources put the server's socket. The C client, and so Kamailio, uses it for
# "localhost"; PyMySQL knows no default.
_MYSQL_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")  # noqa: S108


def engine_url(text: str, *, base: Path | None = None) -> URL:
    """The SQLAlchemy URL of a database URL as a configuration holds it.

    ``base`` is the directory that a relative SQLite path starts from (default: the current one). ConfigError where the
    URL cannot be read or names a kind of database that imc does not know; its text never holds the password.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        raise ConfigError("db_url: expected driver://user:password@host/database or sqlite:///file")
    scheme = scheme.lower()
    if scheme == "sqlite":
        return _sqlite_url(rest, base)
    driver = _DRIVERS.get(scheme)
    if driver is None:
        raise ConfigError(f"db_url: unknown kind of database {scheme!r}; known are sqlite, mysql and postgres")
    return _server_url(driver, rest)


def _sqlite_url(rest: str, base: Path | None) -> URL:
    path = unquote(rest) if "%" in rest else rest
    if path in ("", "/") or path.endswith("/") or ":memory:" in path or "?" in path:
        raise ConfigError("db_url: sqlite:// needs the path of a file, such as sqlite:///imc.db")
    if path.startswith("/"):
        inner = path.lstrip("/")
        is_relative = not path.startswith("//") and ("/" not in inner or inner.startswith(("./", "../")))
        path = inner if is_relative else "/" + inner
    return URL.create("sqlite", database=str((base or Path()) / path))


def _server_url(driver: str, rest: str) -> URL:
    # The last "@" ends the password, so that an "@", "/" or ":" in it need no escape.
    login, at, place = rest.rpartition("@")
    username, colon, password = login.partition(":")
    place, _, query_text = place.partition("?")
    address, slash, database = place.partition("/")
    if address.startswith("[") and "]" not in address:
        raise ConfigError("db_url: the host's bracket is not closed")
    host, port = _host_and_port(address)
    if not slash or not database or "/" in database:
        raise ConfigError("db_url: no database is named after the host: driver://user:password@host/database")
    if at and not username:
        raise ConfigError("db_url: no user is named before the @")
    query = dict(parse_qsl(query_text, keep_blank_values=True))
    for key in query:
        if key not in _QUERY[driver]:
            raise ConfigError(f"db_url: unknown option {key!r}; known are {', '.join(sorted(_QUERY[driver]))}")
    if driver == "mysql+pymysql" and port is None and host in (None, "localhost") and "unix_socket" not in query:
        socket = next((path for path in _MYSQL_SOCKETS if Path(path).is_socket()), None)
        if socket is not None:
            query["unix_socket"] = socket
    return URL.create(
        driver,
        username=unquote(username) if at else None,
        password=unquote(password) if colon else None,
        host=host,
        port=port,
        database=unquote(database),
        query=query,
    )


def _host_and_port(address: str) -> tuple[str | None, int | None]:
    """``host``, ``host:port``, ``[2001:db8::1]:port`` or nothing."""
    if address.startswith("["):
        host, _, tail = address[1:].partition("]")
        if ":" not in host:  # Kamailio's mysql://[group]/database
            raise ConfigError("db_url: a group of my.cnf cannot be used; write user, password and host")
        if tail and not tail.startswith(":"):
            raise ConfigError("db_url: only a port may follow the host")
        port_text = tail[1:]
    else:
        host, _, port_text = address.partition(":")
    if not port_text:
        return host or None, None
    if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536):
        raise ConfigError("db_url: the port is not a number from 1 to 65535")
    return host or None, int(port_text)
