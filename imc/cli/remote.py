"""Commands that ask a running daemon: ``imc rpc``, ``imc rooms``, ``imc members``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from imc.cli.common import AsJson, ConfigPath, load_settings


def add_to(app: typer.Typer) -> None:
    """They stand beside ``imc serve``, without a word before them."""
    app.command()(rpc)
    app.command()(rooms)
    app.command()(members)


def rpc(
    method: Annotated[str, typer.Argument(help="The method's name, for example imc.list_rooms.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARG]…", help="Its arguments, texts or JSON.")
    ] = None,
    path: ConfigPath = None,
) -> None:
    """Call a method of the running daemon and print its result as JSON."""
    from imc.manage import client

    endpoint, token = daemon_of(path)
    result = client.call(endpoint, method, client.params_of(arguments or []), token=token)
    client.show_json(result, sys.stdout)


def rooms(path: ConfigPath = None, is_json: AsJson = False) -> None:
    """List the rooms of the running daemon."""
    from imc.manage import client

    endpoint, token = daemon_of(path)
    client.rooms(endpoint, is_json=is_json, token=token, file=sys.stdout)


def members(
    room: Annotated[str, typer.Argument(help="The room's address; its domain may be left out.")],
    path: ConfigPath = None,
    is_json: AsJson = False,
) -> None:
    """List who is in a room of the running daemon."""
    from imc.manage import client

    endpoint, token = daemon_of(path)
    client.members(endpoint, room, is_json=is_json, token=token, file=sys.stdout)


def daemon_of(path: ConfigPath) -> tuple[str, str | None]:
    """Where the daemon with these settings is asked, and the token it wants."""
    from imc.manage.client import endpoint_of

    manage = load_settings(path).manage
    return endpoint_of(manage.listen, manage.socket), manage.token
