"""``imc operator``: who may log in on the operators' page.

They work on the database, so before the first start of a daemon and beside a running one. A password comes from the
terminal or from standard input, never from an argument. Whose role or password changes is logged out.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from imc.cli.common import AsJson, ConfigPath, load_settings, note, print_table
from imc.cli.users import FromStdin, open_store, read_password

app = typer.Typer(no_args_is_help=True, help="Add, list and remove operators: who may log in on the operators' page.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The operator's name: a-z, 0-9, '.', '_' and '-'.")]


class Role(StrEnum):
    """From the least to the most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_ROLE_HELP = "viewer: sees; operator: acts on rooms and the outbox too; admin: all."


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help=_ROLE_HELP)] = Role.VIEWER,
    password_stdin: FromStdin = False,
    path: ConfigPath = None,
) -> None:
    """Add an operator. Asks for the password on a terminal."""
    from imc.store.operators import Operator, check_name

    check_name(name)
    settings = load_settings(path)
    operator = Operator.from_password(name, role.value, read_password(password_stdin), time.time())
    with open_store(settings, may_create=True) as store:
        store.add_operator(operator)
        note(settings, store, "imc.operator_add", name, json.dumps({"role": role.value}))


@app.command("list")
def list_(path: ConfigPath = None, is_json: AsJson = False) -> None:
    """List all operators."""
    with open_store(load_settings(path)) as store:
        found = store.list_operators()
    if is_json:
        print(json.dumps([{"name": one.name, "role": one.role, "created": one.created} for one in found], indent=2))
        return
    rows = [
        [one.name, one.role, datetime.fromtimestamp(one.created, UTC).strftime("%Y-%m-%d %H:%M:%S")] for one in found
    ]
    print_table(["Name", "Role", "Since"], rows)


@app.command()
def password(name: Name, password_stdin: FromStdin = False, path: ConfigPath = None) -> None:
    """Change an operator's password. Asks for it on a terminal."""
    from imc.store.operators import hide

    settings = load_settings(path)
    secret = hide(read_password(password_stdin))
    with open_store(settings) as store:
        store.set_operator(name, secret=secret)
        note(settings, store, "imc.operator_password", name)


@app.command()
def role(
    name: Name, role: Annotated[Role, typer.Argument(metavar="ROLE", help=_ROLE_HELP)], path: ConfigPath = None
) -> None:
    """Give an operator another role."""
    settings = load_settings(path)
    with open_store(settings) as store:
        store.set_operator(name, role=role.value)
        note(settings, store, "imc.operator_role", name, json.dumps({"role": role.value}))


@app.command()
def remove(name: Name, path: ConfigPath = None) -> None:
    """Remove an operator."""
    settings = load_settings(path)
    with open_store(settings) as store:
        store.remove_operator(name)
        note(settings, store, "imc.operator_remove", name)
