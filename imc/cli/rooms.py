"""``imc room``: what an operator does to rooms of the running daemon (spec §21)."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from imc.cli.common import AsJson, ConfigPath
from imc.cli.remote import ask

app = typer.Typer(no_args_is_help=True, help="Act on rooms of the running daemon, with an operator's rights.")

Room = Annotated[str, typer.Argument(help="The room's address; its domain may be left out.")]
User = Annotated[str, typer.Argument(help="The user's address.")]


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


@app.command()
def show(room: Room, path: ConfigPath = None, is_json: AsJson = False) -> None:
    """Tell of a room: owners, how many are in it, what it keeps."""
    from imc.cli.common import print_table
    from imc.manage.client import show_json

    found: Any = ask(path, "imc.room", room=room)
    if is_json:
        show_json(found, sys.stdout)
        return
    kept = found["kept"]
    rows = [
        ["room", found["room"]],
        ["kind", "private" if found["private"] else "public"],
        ["owners", " ".join(found["owners"])],
        ["members", found["members"]],
        ["invited", found["invited"]],
        ["replay", found["settings"]["replay"]],
        ["kept", f"{kept['messages']} messages, {kept['days']} days"],
    ]
    print_table(["", ""], rows)


@app.command()
def create(
    room: Room,
    owner: Annotated[str, typer.Argument(help="Who is to own it.")],
    is_private: Annotated[bool, typer.Option("--private", help="Only the invited may join.")] = False,
    path: ConfigPath = None,
) -> None:
    """Make a room for somebody, who is told."""
    ask(path, "imc.create_room", room=room, owner=owner, private="yes" if is_private else "no")


@app.command()
def destroy(
    room: Room,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    path: ConfigPath = None,
) -> None:
    """End a room, with what was said in it. Everybody in it is told."""
    if not yes:
        typer.confirm(f"End the room {room}, with all that was said in it?", abort=True, err=True)
    ask(path, "imc.destroy_room", room=room)


@app.command()
def invite(room: Room, user: User, path: ConfigPath = None) -> None:
    """Invite somebody. The room's owners are told what comes of it."""
    ask(path, "imc.invite", room=room, user=user)


@app.command()
def add(room: Room, user: User, path: ConfigPath = None) -> None:
    """Make somebody a member without asking them."""
    ask(path, "imc.add", room=room, user=user)


@app.command()
def remove(room: Room, user: User, path: ConfigPath = None) -> None:
    """Remove somebody, or withdraw their invitation. The last owner stays."""
    ask(path, "imc.remove", room=room, user=user)


@app.command()
def role(
    room: Room,
    user: User,
    to: Annotated[Role, typer.Argument(metavar="ROLE", help="owner, admin or member.")],
    path: ConfigPath = None,
) -> None:
    """Give somebody in a room a role."""
    _say(ask(path, "imc.set_role", room=room, user=user, role=to.value))


@app.command("set")
def set_(
    room: Room,
    option: Annotated[str, typer.Argument(help="replay, keep, days or private.")],
    value: Annotated[str, typer.Argument(help="A number, or default; of private yes or no.")],
    path: ConfigPath = None,
) -> None:
    """Set what a room keeps and repeats, or whether it is private."""
    _say(ask(path, "imc.set_room", room=room, option=option, value=value))


def _say(found: Any) -> None:
    if not found["changed"]:
        print("imc: it was so already", file=sys.stderr)
