"""``imc user``: the accounts of digest authentication.

They work on the database, so before the first start of a daemon and beside a running one, which follows by itself. A
password comes from the terminal or from standard input, never from an argument: those are in the process list.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from imc.aor import Aor
from imc.cli.common import AsJson, ConfigPath, load_settings, note, print_table
from imc.errors import AccountError

if TYPE_CHECKING:
    from imc.config import Settings
    from imc.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Add, list and remove accounts.")

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="The user, for example sip:alice@example.com.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, its first line.")
]

_PAGE = 1_000


@app.command()
def add(address: Address, password_stdin: FromStdin = False, path: ConfigPath = None) -> None:
    """Add an account. Asks for the password on a terminal."""
    settings = load_settings(path)
    aor = _parse(address)
    check_name(settings, aor)
    add_account(settings, aor, read_password(password_stdin))
    if aor.host not in settings.imc.domains:
        served = ", ".join(settings.imc.domains)
        print(
            f"imc: {aor.host} is no served domain ([imc] domains: {served}): nobody can use {aor} yet", file=sys.stderr
        )


@app.command()
def passwd(address: Address, password_stdin: FromStdin = False, path: ConfigPath = None) -> None:
    """Change the password of an account. Asks for it on a terminal."""
    from imc.store.accounts import Account

    settings = load_settings(path)
    account = Account.from_password(_parse(address), read_password(password_stdin))
    with open_store(settings) as store:
        store.set_account(account)
        note(settings, store, "imc.user_password", str(account.aor))


@app.command()
def remove(address: Address, path: ConfigPath = None) -> None:
    """Remove an account."""
    settings = load_settings(path)
    aor = _parse(address)
    with open_store(settings) as store:
        store.remove_account(aor)
        note(settings, store, "imc.user_remove", str(aor))


@app.command("list")
def list_(path: ConfigPath = None, is_json: AsJson = False) -> None:
    """List all accounts."""
    with open_store(load_settings(path)) as store:
        addresses = [str(aor) for aor in all_accounts(store)]
    if is_json:
        print(json.dumps(addresses, indent=2))
    else:
        print_table(["User"], [[address] for address in addresses])


@contextmanager
def open_store(settings: Settings, *, may_create: bool = False) -> Iterator[Store]:
    """The database of these settings, brought up to date. StoreError, also where a SQLite file is missing: a command
    that only reads would else tell of an empty one, in whichever folder it is called."""
    from imc.options import store_options
    from imc.store.store import Store

    with Store.open(store_options(settings, may_create=may_create)) as store:
        yield store


def all_accounts(store: Store) -> Iterator[Aor]:
    """Every account's address, ordered by name and host."""
    page = store.list_accounts(_PAGE)
    yield from page.rows
    while page.next is not None:
        page = store.list_accounts(_PAGE, page.next)
        yield from page.rows


def add_account(settings: Settings, aor: Aor, password: str) -> None:
    """AccountError where there is one already, or the password is empty."""
    from imc.store.accounts import Account

    account = Account.from_password(aor, password)
    with open_store(settings, may_create=True) as store:
        store.add_account(account)
        note(settings, store, "imc.user_add", str(aor))


def check_name(settings: Settings, aor: Aor) -> None:
    """AccountError for an address that can only be a room's, or is the manager's: nobody could speak to that user."""
    from imc.options import check_account

    check_account(settings, aor)


def _parse(address: str) -> Aor:
    try:
        return Aor.parse(address)
    except ValueError:
        raise AccountError(f"{address!r} is no address: write sip:NAME@DOMAIN") from None


def read_password(is_stdin: bool) -> str:
    """From the first line of standard input, else asked for twice on the terminal. AccountError without either."""
    if is_stdin:
        try:
            password = sys.stdin.buffer.readline().decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise AccountError("the password is not UTF-8") from None
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, default="", show_default=False)
    else:
        raise AccountError("standard input is no terminal: use --password-stdin")
    if not password:
        raise AccountError("the password is empty")
    return password
