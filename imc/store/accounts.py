"""Accounts: who may log in, in Kamailio's ``subscriber`` table.

A password is never kept, only what digest authentication needs: H(A1) of RFC 8760 §2.3 for each algorithm, with the
host of the address as realm. ``ha1b`` is Kamailio's: the same with ``user@host`` as the name. Where Kamailio kept the
password itself (``calculate_ha1``), the hashes are derived when the account is read, and `set_account` clears it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from imc.aor import Aor
from imc.errors import AccountError, StoreConflict
from imc.store.database import Database
from imc.store.ops import check_user
from imc.store.rooms import MAX_PAGE, Page, Position
from imc.store.sql import Cursor
from imc.store.statements import Statements

VERSION_KEY = "accounts_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What digest authentication knows of a user: lower-case hex digests, "" where one is not known."""

    aor: Aor
    ha1: str = field(repr=False)
    ha1b: str = field(default="", repr=False)
    ha1_sha256: str = field(default="", repr=False)
    ha1_sha512_256: str = field(default="", repr=False)

    @classmethod
    def from_password(cls, aor: Aor, password: str) -> Account:
        """The account of a user with this password. AccountError where it is empty."""
        if not password:
            raise AccountError("the password is empty")
        a1 = f"{aor.user}:{aor.host}:{password}".encode()
        return cls(
            aor=aor,
            ha1=_md5(a1),
            ha1b=_md5(f"{aor.user}@{aor.host}:{aor.host}:{password}".encode()),
            ha1_sha256=hashlib.sha256(a1).hexdigest(),
            ha1_sha512_256=hashlib.new("sha512_256", a1).hexdigest(),
        )


class AccountStore:
    """The accounts' part of `imc.store.store.Store`."""

    database: Database
    sql: Statements

    def get_account(self, aor: Aor) -> Account | None:
        """The user's account, None where there is none."""
        rows = self.database.read(lambda cursor: self.sql.get_account.rows(cursor, *aor))
        return _account(aor, rows[0]) if rows else None

    def list_accounts(self, limit: int, after: Position | None = None) -> Page[Aor]:
        """Whose accounts there are, ordered by name and host, ``limit`` a page (at most `MAX_PAGE`)."""
        limit = min(limit, MAX_PAGE)
        rows = self.database.read(lambda cursor: self.sql.list_accounts.rows(cursor, *(after or ("", "")), limit))
        found = []
        for name, domain in rows:
            try:
                found.append(Aor.make(name, domain))
            except ValueError:
                continue
        return Page(found, (rows[-1][0], rows[-1][1]) if len(rows) == limit else None)

    def add_account(self, account: Account) -> None:
        """AccountError where the user has one, or where the address does not fit the table."""
        try:
            check_user(account.aor)
            self._change(lambda cursor: self.sql.add_account.one(cursor, *account.aor, *_secrets(account)))
        except StoreConflict as error:
            known = self.get_account(account.aor) is not None
            text = f"{account.aor} has an account already" if known else str(error)
            raise AccountError(text) from error

    def set_account(self, account: Account) -> None:
        """New hashes for a user; a password that Kamailio kept is cleared. AccountError where there is no account."""

        def work(cursor: Cursor) -> None:
            # MySQL counts only rows that change: so ask whether there is one.
            if not self.sql.get_account.rows(cursor, *account.aor):
                raise AccountError(f"{account.aor} has no account")
            self.sql.set_account.one(cursor, *account.aor, *_secrets(account))

        self._change(work)

    def remove_account(self, aor: Aor) -> None:
        """AccountError where there is no account."""

        def work(cursor: Cursor) -> None:
            self.sql.remove_account.one(cursor, *aor)
            if cursor.rowcount < 1:
                raise AccountError(f"{aor} has no account")

        self._change(work)

    def accounts_version(self) -> str:
        """Another text after each change that imc made to any account; what others wrote into the table is not seen."""
        rows = self.database.read(lambda cursor: self.sql.get_meta.rows(cursor, VERSION_KEY))
        return str(rows[0][0]) if rows else ""

    def _change(self, work: Callable[[Cursor], None]) -> None:
        version = secrets.token_hex(8)

        def change(cursor: Cursor) -> None:
            work(cursor)
            self.sql.put_meta.one(cursor, VERSION_KEY, version)

        self.database.write(change)


def _secrets(account: Account) -> Sequence[str]:
    """In the order of `imc.store.statements.ACCOUNT_COLUMNS`; the password's own column stays empty."""
    return "", account.ha1, account.ha1b, account.ha1_sha256, account.ha1_sha512_256


def _account(aor: Aor, row: Sequence[Any]) -> Account:
    _, _, password, ha1, ha1b, ha1_sha256, ha1_sha512_256 = row
    if password and not ha1:
        return Account.from_password(aor, password)
    return Account(aor=aor, ha1=ha1, ha1b=ha1b, ha1_sha256=ha1_sha256, ha1_sha512_256=ha1_sha512_256)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
