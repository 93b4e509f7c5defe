"""``imc-conformance load``."""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
import socket
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from conformance.load.measure import Options
    from conformance.load.servers import Server
    from conformance.load.works import Work

_WIDTH = 110  # of a table that goes to a file
_MAX_PORT = 65_535
INCOMPLETE, WRONG, NOT_STARTED = 1, 2, 3
_TARGET = re.compile(r"sip:(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?(?:;transport=udp)?")


class Reach(StrEnum):
    """How recipients are reached."""

    PROXY = "proxy"
    REGISTRAR = "registrar"


class Usage(Exception):
    """What was asked for makes no sense."""


def add_to(app: typer.Typer) -> None:
    app.command()(load)


def load(
    works: Annotated[
        list[str] | None, typer.Argument(metavar="WORK", help="What to do; all without. --works lists them.")
    ] = None,
    *,
    list_works: Annotated[bool, typer.Option("--works", help="List the works and end.")] = False,
    target: Annotated[str, typer.Option(metavar="imc|kamailio|sip:HOST:PORT", help="The server.")] = "imc",
    vs: Annotated[
        str | None, typer.Option(metavar="imc|kamailio|sip:HOST:PORT", help="Another one, in turn with the first.")
    ] = None,
    pid: Annotated[
        int | None, typer.Option(min=1, help="The process of a server that runs already; its children count too.")
    ] = None,
    users: Annotated[int | None, typer.Option(min=2, help="Users (start: rooms), instead of the usual.")] = None,
    messages: Annotated[int | None, typer.Option(min=1, help="Messages, instead of the usual.")] = None,
    repeat: Annotated[int, typer.Option(min=1, max=20, help="How often, each time with new servers.")] = 2,
    sinks: Annotated[int, typer.Option(min=1, max=64, help="Processes that are the recipients.")] = 2,
    reach: Annotated[
        Reach | None,
        typer.Option(
            help="proxy: all copies go to the sinks, which are the server's outbound proxy; registrar: users register. "
            "Of a server that runs already: registrar."
        ),
    ] = None,
    sink_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the sinks listen, with --reach proxy; 0: anywhere.")
    ] = 0,
    domain: Annotated[
        str | None, typer.Option(help="Of users and rooms; else example.com, or sip:HOST's HOST.")
    ] = None,
    room_prefix: Annotated[str, typer.Option(help="What names of rooms begin with.")] = "chat-",
    user_prefix: Annotated[str, typer.Option(help="What names of users begin with; a number follows.")] = "user",
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its first line is the password of all users.")
    ] = None,
    limit: Annotated[float, typer.Option(min=1, max=3600, help="Seconds for a work, at most.")] = 120.0,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures; - is stdout.")
    ] = None,
    may: Annotated[
        bool, typer.Option("--i-may-load-this-server", help="Needed for a server that is not on this machine.")
    ] = False,
) -> None:
    """Load a chat-room server, alone or in turn with another, and print what it cost.

    Exit status: 0 the target did all of it, 1 something was lost, refused or told twice, 2 wrong usage, 3 a server or a
    sink did not start.
    """
    from conformance.load.measure import Options
    from conformance.load.sender import Names

    if list_works:
        _print_works()
        return
    try:
        servers = _servers(target, vs, pid, may=may)
        is_external = target.startswith("sip:") or bool(vs and vs.startswith("sip:"))
        is_registered = reach is Reach.REGISTRAR or (reach is None and is_external)
        if is_external and not is_registered and not sink_port:
            raise Usage("--reach proxy needs --sink-port: the server's outbound proxy must be there")
        if is_registered and sink_port:
            raise Usage("--sink-port is for --reach proxy")
        name = Names(domain or _domain(target), _prefix(user_prefix), f"{_prefix(room_prefix)}{secrets.token_hex(3)}-")
        options = Options(
            sinks=sinks,
            is_registered=is_registered,
            sink_port=sink_port,
            limit=limit,
            names=name,
            password=_password(password_file, is_external=is_external),
        )
        chosen = _works(works or [], users, messages, servers)
        _check_writable(as_json)
    except Usage as error:
        print(f"imc-conformance: {error}", file=sys.stderr)
        raise typer.Exit(WRONG) from None
    _run(chosen, servers, options, repeat, as_json)


def _run(
    works: list[tuple[str, Work]], servers: list[Server], options: Options, repeat: int, as_json: Path | None
) -> None:
    from rich.console import Console

    from conformance.drivers.ending import ends_in_order
    from conformance.load import table
    from conformance.load.compare import compare
    from conformance.load.servers import CannotStart
    from conformance.load.sinks import SinkDied

    notes = Console(stderr=True)

    def progress(work: str, server: str, repetition: int) -> None:
        notes.print(f"{work}: {server}, {repetition} of {repeat}", highlight=False)

    try:
        with ends_in_order("imc-conformance"):
            found = compare(works, servers, options, repeat=repeat, progress=progress)
    except (CannotStart, SinkDied, OSError) as error:
        print(f"imc-conformance: {error}", file=sys.stderr)
        raise typer.Exit(NOT_STARTED) from None
    text = json.dumps(found.to_json(), indent=1) + "\n"
    if as_json is not None and not _is_stdout(as_json):
        as_json.write_text(text, encoding="utf-8")
    if _is_stdout(as_json):
        sys.stdout.write(text)
    else:
        Console(width=None if sys.stdout.isatty() else _WIDTH).print(table.render(found))
    for doubt in table.doubts(found):
        notes.print(doubt, highlight=False)
    if not all(result.is_complete(servers[0].name) for result in found.results):
        raise typer.Exit(INCOMPLETE)


def _password(path: Path | None, *, is_external: bool) -> str | None:
    if path is None:
        return None
    if not is_external:
        raise Usage("--password-file is for a server that runs already: sip:HOST:PORT")
    try:
        line = path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{path}: {error.strerror if isinstance(error, OSError) else 'not UTF-8'}") from None
    if not line:
        raise Usage(f"{path}: the first line is empty")
    return line


def _is_stdout(path: Path | None) -> bool:
    return str(path) == "-"


def _check_writable(path: Path | None) -> None:
    """Beforehand, since a load takes its time."""
    if path is None or _is_stdout(path):
        return
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise Usage(f"{path}: {error.strerror}") from None


def _servers(target: str, vs: str | None, pid: int | None, *, may: bool) -> list[Server]:
    if target == vs:
        raise Usage("--vs needs another server than --target")
    if pid is not None and not target.startswith("sip:"):
        raise Usage("--pid is for a target that runs already: --target sip:HOST:PORT")
    if pid is not None and not Path(f"/proc/{pid}").exists():
        raise Usage(f"--pid {pid}: there is no such process")
    found = [_server(target, pid, may=may)]
    return [*found, _server(vs, None, may=may)] if vs else found


def _server(text: str, pid: int | None, *, may: bool) -> Server:
    from conformance.load.servers import External, Imc, Kamailio

    if text == "imc":
        return Imc()
    if text == "kamailio":
        return Kamailio()
    match = _TARGET.fullmatch(text)
    if match is None:
        raise Usage(f"{text}: imc, kamailio or sip:HOST:PORT (UDP)")
    address = _resolve(match["host"].strip("[]"), int(match["port"] or 5060))
    if not (ipaddress.ip_address(address[0]).is_loopback or may):
        raise Usage(f"{text} is not on this machine; if it is yours to load: --i-may-load-this-server")
    return External(address, pid)


def _resolve(host: str, port: int) -> tuple[str, int]:
    if not 0 < port <= _MAX_PORT:
        raise Usage(f"{host}:{port}: there is no such port")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4]
    except OSError as error:
        raise Usage(f"{host}: {error.strerror}") from None
    return str(found[0]), int(found[1])


def _domain(target: str) -> str:
    match = _TARGET.fullmatch(target)
    return match["host"] if match else "example.com"


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise Usage(f"{text}: a prefix has letters, digits, dots, hyphens and underscores")
    return text


def _works(names: list[str], users: int | None, messages: int | None, servers: list[Server]) -> list[tuple[str, Work]]:
    from conformance.load.works import KINDS, TooMuch, build, named

    try:
        chosen = list(dict.fromkeys(named(names))) if names else list(KINDS)
        works = [(name, build(name, users, messages)) for name in chosen]
        for server in servers:
            for _, work in () if server.holds_rooms else works:
                work.check_can_be_joined()
    except KeyError as error:
        raise Usage(f"no work {error.args[0]}; there are {', '.join(KINDS)}") from None
    except (TooMuch, ValueError) as error:
        raise Usage(str(error)) from None
    return works


def _print_works() -> None:
    from conformance.load.works import KINDS, build

    for name in KINDS:
        print(f"{name:16}{build(name).about}")
