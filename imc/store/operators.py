"""Operators: who may log in on the operators' page, in a table of their own. They are no users of SIP.

Of a password only what scrypt (RFC 7914) makes of it is kept, with its salt and cost:
``scrypt$N$r$p$salt$key``, salt and key in hex.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from imc.errors import AccountError, StoreConflict
from imc.store.database import Database
from imc.store.sql import Cursor
from imc.store.statements import Statements

ROLES = ("viewer", "operator", "admin")
"""From the least to the most: each may do what those before it may."""
MAX_OPERATORS = 1_000
LEAST_PASSWORD = 8  # characters; NIST SP 800-63B §5.1.1.2
MOST_PASSWORD = 1_024
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_N, _R, _P = 1 << 14, 8, 1  # 16 MB and some 50 ms a password
_KEY = 32  # bytes
_MEMORY = 64 << 20  # what scrypt may take at most, whatever a row says


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """``secret`` as the module says; ``created`` in unix seconds."""

    name: str
    role: str
    secret: str = field(repr=False)
    created: float

    @classmethod
    def from_password(cls, name: str, role: str, password: str, created: float) -> Operator:
        """AccountError for a bad name, role or password. Takes some 50 ms and 16 MB."""
        check_name(name)
        check_role(role)
        return cls(name=name, role=role, secret=hide(password), created=created)

    def has_password(self, password: str) -> bool:
        """Whether it is theirs, compared in constant time. As dear as `from_password`."""
        try:
            _, n, r, p, salt, key = self.secret.split("$")
            found = _scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p))
            return hmac.compare_digest(found, bytes.fromhex(key))
        except (ValueError, MemoryError):  # somebody else wrote into the table
            return False


def nobody() -> Operator:
    """One whose password nobody knows: for those who are not there, so that they take as long as those who are."""
    return Operator(name="", role="viewer", secret=hide(secrets.token_hex(16)), created=0.0)


def hide(password: str) -> str:
    """What is kept of a password. AccountError for one that is too short or too long."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise AccountError(f"a password has from {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_scrypt(password, salt, _N, _R, _P).hex()}"


def check_name(name: str) -> None:
    """AccountError."""
    if not _NAME.fullmatch(name):
        raise AccountError(f"{name[:40]!r} is no operator's name: up to 32 of a-z, 0-9, '.', '_' and '-'")


def check_role(role: str) -> None:
    """AccountError."""
    if role not in ROLES:
        raise AccountError(f"{role[:40]!r} is no role: there are {', '.join(ROLES)}")


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    octets = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(octets, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=_KEY)


class OperatorStore:
    """The operators' part of `imc.store.store.Store`."""

    database: Database
    sql: Statements

    def get_operator(self, name: str) -> Operator | None:
        """The operator of this name, None where there is none."""
        rows = self.database.read(lambda cursor: self.sql.get_operator.rows(cursor, name))
        return _operator(*rows[0]) if rows else None

    def list_operators(self) -> list[Operator]:
        """All of them, by name."""
        return [_operator(*row) for row in self.database.read(self.sql.list_operators.rows)]

    def add_operator(self, operator: Operator) -> None:
        """AccountError where there is one of this name, or there are too many."""

        def work(cursor: Cursor) -> None:
            if len(self.sql.list_operators.rows(cursor)) >= MAX_OPERATORS:
                raise AccountError(f"there are {MAX_OPERATORS} operators, and no more can be")
            self.sql.add_operator.one(cursor, operator.name, operator.role, operator.secret, operator.created)

        try:
            self.database.write(work)
        except StoreConflict as error:
            raise AccountError(f"there is an operator {operator.name} already") from error

    def set_operator(self, name: str, *, secret: str | None = None, role: str | None = None) -> None:
        """Another password or role. AccountError where there is no such operator."""

        def work(cursor: Cursor) -> None:
            found = self._find(cursor, name)
            self.sql.set_operator.one(cursor, name, role or found.role, secret or found.secret)

        self.database.write(work)

    def remove_operator(self, name: str) -> None:
        """AccountError where there is no such operator."""

        def work(cursor: Cursor) -> None:
            self._find(cursor, name)
            self.sql.remove_operator.one(cursor, name)

        self.database.write(work)

    def change_operators(self, check: Callable[[list[Operator]], None], name: str, role: str | None) -> None:
        """Give one another role, or remove it (``role`` None), where ``check`` takes what would be left."""

        def work(cursor: Cursor) -> None:
            self._find(cursor, name)
            left = []
            for row in self.sql.list_operators.rows(cursor):
                one = _operator(*row)
                if one.name != name:
                    left.append(one)
                elif role is not None:
                    left.append(Operator(name=name, role=role, secret=one.secret, created=one.created))
            check(left)
            if role is None:
                self.sql.remove_operator.one(cursor, name)
            else:
                secret = next(one.secret for one in left if one.name == name)
                self.sql.set_operator.one(cursor, name, role, secret)

        self.database.write(work)

    def _find(self, cursor: Cursor, name: str) -> Operator:
        rows = self.sql.get_operator.rows(cursor, name)
        if not rows:
            raise AccountError(f"there is no operator {name[:40]!r}")
        return _operator(*rows[0])


def _operator(name: str, role: str, secret: str, created: float) -> Operator:
    return Operator(name=name, role=role, secret=secret, created=created)
