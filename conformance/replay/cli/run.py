"""`imc-replay run`."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import trio
import typer

from conformance.replay.cli.common import (
    DIFFERS,
    NOT_REACHABLE,
    UNREADABLE,
    File,
    Server,
    address,
    fail,
    load,
    run_trio,
    tell,
    width,
)
from conformance.replay.clients import NotReachable
from conformance.replay.compare import NAMES
from conformance.replay.credentials import BadUsers, read_users
from conformance.replay.drawing import Played
from conformance.replay.people import People, people_of
from conformance.replay.player import PlayOptions, play
from conformance.replay.script import NoServer, Script, build
from conformance.replay.targets import BadTarget, opened

TargetOption = Annotated[
    str, typer.Option("--target", metavar="sip:HOST:PORT|imc|kamailio", help="Whom to replay it against.")
]
DomainOption = Annotated[
    list[str] | None,
    typer.Option("--domain", metavar="[OLD=]NEW", help="The domain of the target; without OLD, for the usual one."),
]
UserOption = Annotated[
    list[str] | None,
    typer.Option("--user", metavar="OLD=NEW", help="A user, or the manager, has another name at the target."),
]
SuffixOption = Annotated[
    str, typer.Option("--room-suffix", metavar="TEXT", help="Put behind the names of rooms, so that they are new.")
]
UsersOption = Annotated[
    Path | None,
    typer.Option("--users", metavar="FILE", help="Passwords: an address, a blank, the password, on each line."),
]
SpeedOption = Annotated[
    str, typer.Option("--speed", metavar="N|max", help="1 as recorded, 10 ten times as fast, max without waiting.")
]
PatienceOption = Annotated[
    float, typer.Option("--patience", min=0.0, metavar="SECONDS", help="What may take longer than recorded.")
]
IgnoreOption = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="NAME", help=f"Do not compare it: {', '.join(NAMES)}.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what came of it as JSON, too.")]
CharOption = Annotated[str, typer.Option("--command-char", metavar="CHAR", help="With which the commands in it begin.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print no ladder, only what differs.")]


def run(  # noqa: PLR0917 - typer's options
    file: File,
    target: TargetOption,
    server: Server = None,
    domain: DomainOption = None,
    user: UserOption = None,
    room_suffix: SuffixOption = "",
    users: UsersOption = None,
    speed: SpeedOption = "max",
    patience: PatienceOption = 2.0,
    ignore: IgnoreOption = None,
    json_file: JsonOption = None,
    command_char: CharOption = "#",
    is_quiet: QuietOption = False,
) -> None:
    """Play the clients of a recording against a server, and compare what comes with the recording.

    Exit status: 0 the same, 1 something differs, 2 unreadable, 3 the target cannot be reached.
    """
    script = _script(file, server)
    people = people_of(script, command_char)
    options = PlayOptions(
        target=script.server,
        domains=_domains(domain or [], people),
        users=_pairs(user or [], "--user"),
        room_suffix=room_suffix,
        passwords=_passwords(users),
        speed=_speed(speed),
        patience=patience,
        command_char=command_char,
        ignored=_ignored(ignore or []),
    )
    try:
        played = run_trio(_run, script, target, people, options)
    except BadTarget as error:
        fail(str(error), UNREADABLE)
    except NotReachable as error:
        fail(str(error), NOT_REACHABLE)
    if json_file is not None:
        _write(json_file, played)
    _print(played, is_quiet=is_quiet)
    if played.differences:
        raise typer.Exit(DIFFERS)


def _script(file: Path, server: str | None) -> Script:
    recording = load(file)
    try:
        script = build(recording, address(server, "--server"))
    except NoServer as error:
        fail(f"{file}: it cannot be told who is the server: {error}")
    if not script.exchanges:
        fail(f"{file}: no client sends {script.server} anything; name the server with --server")
    tell(script.notes)
    return script


async def _run(script: Script, target: str, people: People, options: PlayOptions) -> Played:
    """SIGTERM ends it, and the server that was started for it."""
    played: Played | None = None
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with opened(target, people) as place, trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at, signals, nursery.cancel_scope)
            domains = dict(options.domains)
            if place.domain is not None and people.domain is not None:
                domains.setdefault(people.domain, place.domain)
            if script.server.ip in (people.domain, *(each.partition("@")[2] for each in people.users)):
                domains.setdefault(script.server.ip, place.address.ip)
            there = replace(options, target=place.address, transport=place.transport, domains=domains)
            played = await play(script, there)
            nursery.cancel_scope.cancel()
    if played is None:
        raise SystemExit(128 + signal.SIGTERM)
    return played


async def _cancel_at(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


def _write(path: Path, played: Played) -> None:
    try:
        path.write_text(json.dumps(plain(played), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"--json: {path}: {error.strerror or error}")


def plain(played: Played) -> dict[str, object]:
    """As JSON has it."""
    return {
        "format": "imc-replay 1",
        "requests": played.requests,
        "responses": played.responses,
        "messages": played.messages,
        "differences": played.differences,
        "ladder": [
            {
                "at": round(arrow.at, 6),
                "from": arrow.source,
                "to": arrow.target,
                "summary": arrow.summary,
                "message": None if arrow.data is None else arrow.data.decode("utf-8", "backslashreplace"),
                "mark": None if place not in played.marks else played.marks[place].kind,
                "note": "" if place not in played.marks else played.marks[place].note,
            }
            for place, arrow in enumerate(played.arrows)
        ],
    }


def _print(played: Played, *, is_quiet: bool) -> None:
    from conformance.report.ladder import draw
    from conformance.report.plain import visible

    if not is_quiet:
        print(draw(played.arrows, played.marks, width=width()))
    for line in played.differences if is_quiet else ():
        print(visible(line, keep="\n"))
    tell(played.hints)
    count = len(played.differences)
    verdict = "the same as recorded" if not count else f"{count} {'difference' if count == 1 else 'differences'}"
    print(f"{played.requests} requests, {played.responses} responses, {played.messages} MESSAGEs: {verdict}")


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e6:
        fail(f"--speed: {text!r} is neither a positive number nor max")
    return speed


def _ignored(names: list[str]) -> list[str]:
    known = {name.lower() for name in NAMES}
    for name in names:
        if name.lower() not in known:
            fail(f"--ignore: {name!r} is none of {', '.join(NAMES)}")
    return names


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        old, equal, new = text.partition("=")
        if not old or not equal or not new:
            fail(f"{option}: {text!r} is not OLD=NEW")
        found[old] = new
    return found


def _domains(texts: list[str], people: People) -> dict[str, str]:
    whole = [text if "=" in text else f"{people.domain or ''}={text}" for text in texts]
    return {old.lower(): new.lower() for old, new in _pairs(whole, "--domain").items()}


def _passwords(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        return read_users(path)
    except (BadUsers, OSError) as error:
        fail(f"--users: {error}")
