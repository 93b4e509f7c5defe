"""What the management interfaces are told at their start: one frozen set of options, and how an address is read."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from imc.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ManageOptions:
    """All options of `imc.manage.run`. Times are in seconds, sizes in bytes."""

    listen: str = "127.0.0.1:8060"
    """``host:port`` or ``[ipv6]:port`` of the HTTP server; port 0 takes any; empty: no HTTP."""
    token: str | None = None
    """Bearer token that HTTP callers must show. Without it HTTP is served on loopback only."""
    metrics_token: str | None = None
    """Bearer token for ``/metrics`` alone, beside the one for all; nothing where ``token`` is None."""
    allowed_origins: tuple[str, ...] = ()
    """Web origins (``https://chat.example.com``) that a reverse proxy serves, whose pages may call.

    A request with any other Origin is refused.
    """
    socket: str | None = None
    """Path of the Unix stream socket; None: no socket."""
    ctl: str | None = None
    """Path of the Unix stream socket for `kamcmd`, which speaks BINRPC; None: no socket."""
    fifos: tuple[str, ...] = ()
    """Paths of the FIFOs. Each takes JSON-RPC and the 2008 line format, told apart by a call's first character."""
    fifo_reply_dir: str = "/tmp"  # noqa: S108  Kamailio's default; only FIFOs that exist there already are written to
    """The directory of the reply FIFOs, which callers make themselves and name by their bare name."""
    file_mode: int = 0o600
    """Permissions of the sockets and of the FIFOs."""
    default_domain: str | None = None
    """The host of a room or user that is named without one."""
    version: str = "imc"
    """What ``core.version`` answers."""

    session_idle: float = 1_800.0
    session_lasts: float = 43_200.0
    """Of the operators' page: a session ends when nothing was done in it for so long, and so long after its log-in."""

    max_request: int = 64 * 1024
    max_batch: int = 50
    max_connections: int = 32
    """Of HTTP and of each Unix socket; also how many replies may wait for readers of reply FIFOs."""
    call_timeout: float = 10.0
    """For calls that only read. A command that was begun is finished."""
    read_timeout: float = 10.0
    """From the first byte of a call to its last."""
    write_timeout: float = 10.0
    idle_timeout: float = 60.0
    reply_wait: float = 2.0
    """How long a reply waits for somebody to open its FIFO."""
    restart_delay: float = 0.5
    restart_delay_max: float = 30.0
    """A listener that died is started again after ``restart_delay``, doubled each time up to this."""


def parse_listen(listen: str) -> tuple[str, int]:
    """``host:port`` in its parts, without the brackets of an IPv6 address. ConfigError for anything else."""
    host, colon, port = listen.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"manage.listen: not host:port: {listen!r}")
    if is_bracketed:
        host = host[1:-1]
    if not host or (":" in host) != is_bracketed:
        raise ConfigError(f"manage.listen: not host:port (an IPv6 address stands in brackets): {listen!r}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``. Of names, only ``localhost`` is taken for that."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_listen(options: ManageOptions) -> None:
    """ConfigError where HTTP would be served to other machines without a token, or the address cannot be read."""
    if not options.listen:
        return
    host, _ = parse_listen(options.listen)
    if not options.token and not is_loopback(host):
        raise ConfigError(f"manage.listen: {options.listen} is not loopback: that needs manage.token")
