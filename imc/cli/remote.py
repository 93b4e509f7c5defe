"""Commands that ask a running daemon: ``imc rpc``, ``imc rooms``, ``imc members``, and what operators ask it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from imc.cli.common import AsJson, ConfigPath, load_settings, print_table


def add_to(app: typer.Typer) -> None:
    """They stand beside ``imc serve``, without a word before them."""
    app.command()(rpc)
    app.command()(rooms)
    app.command()(members)
    app.command()(reload)
    app.command()(limits)
    app.command()(registered)
    app.command()(kick)


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


def reload(path: ConfigPath = None) -> None:
    """Have the running daemon read its configuration and certificates again, as SIGHUP does, and say what changed."""
    found: Any = ask(path, "imc.reload")
    print(f"changed: {', '.join(found['changed']) or 'nothing'}")
    if found["needs_restart"]:
        print(f"needs a restart: {', '.join(found['needs_restart'])}")
    print(f"certificates: {found['certificates']}")


def limits(path: ConfigPath = None, is_json: AsJson = False) -> None:
    """List the limits of the running daemon: what is set, what is used, how often each was hit."""
    from imc.manage import client

    found: Any = ask(path, "imc.limits")
    if is_json:
        client.show_json(found, sys.stdout)
        return
    rows = [
        [one["limit"], one["value"], *("" if one[key] is None else one[key] for key in ("used", "hits"))]
        for one in found
    ]
    print_table(["Limit", "Value", "Used", "Hits"], rows)


def registered(
    user: Annotated[str, typer.Argument(help="Only this user. Without it, everybody.")] = "",
    path: ConfigPath = None,
    is_json: AsJson = False,
) -> None:
    """List where users are registered with the running daemon."""
    from imc.manage import client

    users: list[Any] = []
    after = ""
    while True:
        page: Any = ask(path, "imc.registered", user=user, after=after, limit="1000")
        users += page["users"]
        after = page["next"]
        if not after:
            break
    if is_json:
        client.show_json(users, sys.stdout)
        return
    rows = [
        [one["user"], contact["contact"], contact["expires"], contact["transport"], contact["from"], contact["agent"]]
        for one in users
        for contact in one["contacts"]
    ]
    print_table(["User", "Contact", "Expires", "Way", "From", "Program"], rows)


def kick(user: Annotated[str, typer.Argument(help="The user's address.")], path: ConfigPath = None) -> None:
    """End all registrations of a user with the running daemon."""
    print(f"{ask(path, 'imc.kick', user=user)} ended")


def ask(path: ConfigPath, method: str, **params: Any) -> object:
    """A method of the running daemon. RpcError, Unreachable."""
    from imc.manage import client

    endpoint, token = daemon_of(path)
    return client.call(endpoint, method, params, token=token)


def daemon_of(path: ConfigPath) -> tuple[str, str | None]:
    """Where the daemon with these settings is asked, and the token it wants."""
    from imc.manage.client import endpoint_of

    manage = load_settings(path).manage
    return endpoint_of(manage.listen, manage.socket), manage.token
