"""Every exception that imc raises on purpose.

::

    ImcError
    ├── ConfigError          a setting is wrong: names file, line and key
    ├── BadMessage           bytes from outside are not what the grammar allows (carries the answer's status)
    ├── Overloaded           a bound is reached; the caller answers 503 with Retry-After, or drops
    ├── StoreError           the database refused or failed
    │   ├── StoreUnavailable     for now: not reachable, busy, full; a repeat may succeed
    │   │   └── StoreLocked          another daemon has the database
    │   └── StoreConflict        the rows do not fit: duplicate key, value too long
    ├── AccountError         an account command cannot be done (duplicate, unknown, bad address, empty password)
    ├── BadPacket            bytes from a management socket are no BINRPC
    ├── RpcError             a call over a management interface was refused (code and text as sent to the caller)
    └── TransportError
        ├── ListenError          an address cannot be listened on (in use, no permission, not ours)
        └── Unreachable          no next hop could be reached (DNS, connection refused, timeout)

A refusal of a room command is no exception but a value (`imc.rooms.outcome.Refused`).
"""

from __future__ import annotations

from typing import Any


class ImcError(Exception):
    """The root: what imc raises on purpose."""


class ConfigError(ImcError):
    """A setting is wrong. The text names file, line and key where they are known."""


class BadMessage(ImcError):
    """Input from outside breaks its grammar.

    ``status`` is the SIP status the answer should carry (400, 413, 505 …), ``reason`` its reason phrase, and
    ``request`` the part of a request that could be read (`imc.sip.message.Request`), or None where no answer
    is possible.
    """

    def __init__(self, reason: str, *, status: int = 400, request: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.request = request


class Overloaded(ImcError):
    """A bound is reached. ``retry_after`` is in seconds."""

    def __init__(self, what: str, *, retry_after: int = 5) -> None:
        super().__init__(what)
        self.retry_after = retry_after


class StoreError(ImcError):
    """The database refused or failed."""


class StoreUnavailable(StoreError):
    """The database cannot be used for now; a repeat may succeed."""


class StoreLocked(StoreUnavailable):
    """Another daemon has the database: two would overwrite each other's rooms."""


class StoreConflict(StoreError):
    """The rows do not fit the tables: duplicate key, value too long."""


class AccountError(ImcError):
    """An account command cannot be done."""


class BadPacket(ImcError):
    """A BINRPC packet cannot be read. ``cookie`` is what its answer has to bear; empty where it was not read."""

    def __init__(self, reason: str, cookie: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.cookie = cookie


class RpcError(ImcError):
    """A call over a management interface was refused: raised where it is served, and again where it was asked.

    ``code`` is the JSON-RPC error code (500 for an error of the application, as Kamailio's), ``status`` what the line
    format of the 2008 FIFO says in its place (400, 404, 500).
    """

    def __init__(self, message: str, *, code: int = 500, status: int = 500) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


class TransportError(ImcError):
    """Sockets."""


class ListenError(TransportError):
    """An address cannot be listened on."""


class Unreachable(TransportError):
    """No next hop could be reached."""
