"""``imc-conformance list`` and ``run``: the cases, and a server held against them.

Exit status of ``run``: 0 all is as declared, 1 a must-case failed or a deviation went away, 2 wrong usage or unreadable
input, 3 the server could not be started.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from conformance.suite.conversation import Driver, Options, User
    from conformance.suite.profile import Profile
    from conformance.suite.selection import AnyCase
    from conformance.suite.verdict import RunVerdict

OTHERWISE, USAGE, NOT_STARTED = 1, 2, 3
_URI = "sip:"
_RUNNING = "Of a server that runs already, --target sip:HOST:PORT (or of a PATH.py that reads them)"


class _Transport(Enum):
    UDP = "udp"
    TCP = "tcp"


Selectors = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SELECT...]", help="Ids, globs of ids, families, tags, clauses, must, should. Default: all."
    ),
]


Without = Annotated[
    list[str] | None,
    typer.Option("--not", metavar="SELECT", help="Leave out what this fits, as SELECT; may be given several times."),
]


def add_to(app: typer.Typer) -> None:
    app.command("list")(list_)
    app.command()(run)


def list_(
    select: Selectors = None,
    without: Without = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which cases there are."""
    cases = _cases(select, without)
    if as_json:
        print(json.dumps([_row(case) for case in cases], indent=1, ensure_ascii=False))
        return
    for case in cases:
        print(f"{case.id}  {case.clause}  {case.level}  {case.title}")


def run(
    select: Selectors = None,
    *,
    without: Without = None,
    target: Annotated[
        str, typer.Option(help="core, imc, kamailio, opensips, sip:HOST:PORT of a running one, or a driver's PATH.py.")
    ] = "imc",
    profile: Annotated[
        str | None, typer.Option(help="A profile's name, or a path that ends in .toml. Default: the target's own.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write JSON, for report.")] = None,
    page: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A should-case that fails makes the run fail.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End with the first case that fails the run.")] = False,
    users: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="TOML, accounts by actor: alice = { address, password }.", rich_help_panel=_RUNNING
        ),
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="The part behind @ of users and rooms.", rich_help_panel=_RUNNING)
    ] = None,
    manager: Annotated[
        str | None, typer.Option(help="user@host of the conference manager.", rich_help_panel=_RUNNING)
    ] = None,
    as_outbound_proxy: Annotated[
        str | None,
        typer.Option(
            metavar="IP:PORT",
            help="Be the proxy, there, that the server sends everything to.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    room_prefix: Annotated[
        str | None, typer.Option(help="How the names of rooms begin. Default: chat-.", rich_help_panel=_RUNNING)
    ] = None,
    transport: Annotated[_Transport, typer.Option(help="Of the users' requests.")] = _Transport.UDP,
    patience: Annotated[float | None, typer.Option(min=0.1, help="Seconds for a message that must come.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Cases at a time.")] = None,
) -> None:
    """Play the cases against a server, and say what is not as the specification says."""
    from conformance.suite.conversation import Options

    of_running = {
        "--users": users,
        "--domain": domain,
        "--manager": manager,
        "--as-outbound-proxy": as_outbound_proxy,
        "--room-prefix": room_prefix,
    }
    _check_target(target, [name for name, value in of_running.items() if value is not None])
    cases = _cases(select, without)
    driver, declared, accounts = _target(target, profile, users)
    options = Options(
        profile=declared,
        uri=target if target.startswith(_URI) else None,
        transport="tcp" if transport is _Transport.TCP else "udp",
        users=accounts,
        domain=domain,
        manager=manager,
        as_proxy=_address(as_outbound_proxy),
        room_prefix="chat-" if room_prefix is None else room_prefix,
        patience=patience,
        concurrency=jobs,
    )
    _check_outputs(junit, json_file, page)
    verdict = _run(driver, options, cases, is_fail_fast=fail_fast, is_strict=strict)
    _write(verdict, junit=junit, json_file=json_file, page=page, is_strict=strict)
    if verdict.failing(is_strict=strict):
        raise typer.Exit(OTHERWISE)


def _cases(select: Sequence[str] | None, without: Sequence[str] | None) -> list[AnyCase]:
    from conformance.suite.case import BadCase
    from conformance.suite.selection import NothingSelected, all_cases
    from conformance.suite.selection import select as choose

    try:
        return choose(all_cases(), select or (), without or ())
    except (BadCase, NothingSelected, OSError) as error:
        raise _stop(str(error)) from None


def _row(case: AnyCase) -> dict[str, object]:
    from conformance.suite.selection import needs

    return {
        "id": case.id,
        "clause": case.clause,
        "level": case.level,
        "title": case.title,
        "tags": list(case.tags),
        "requires": sorted(needs(case)),
    }


def _check_target(name: str, of_running: Sequence[str]) -> None:
    """Nothing that the target would not heed."""
    from conformance.drivers import names

    if name.startswith("sips:"):
        raise _stop(f"{name}: there is no TLS; only sip: URIs, over UDP or TCP")
    if of_running and name in names():
        raise _stop(f"{of_running[0]} is for --target sip:HOST:PORT; {name} is started with its own")


def _target(name: str, profile_name: str | None, users: Path | None) -> tuple[Driver, Profile, dict[str, User]]:
    from conformance.drivers import NoDriver, driver
    from conformance.suite.profile import BadProfile, Profile, load_profile
    from conformance.suite.selection import all_cases
    from conformance.suite.users import BadUsers, load_users

    try:
        found = driver(name)
        wanted = profile_name or found.profile
        profile = load_profile(wanted) if wanted is not None else Profile(target=name)
        _warn_of_other_target(profile, name, found)
        for stale in profile.unused(case.id for case in all_cases()):
            print(f"imc-conformance: {profile.name}: deviation: {stale} is no case", file=sys.stderr)
        return found, profile, load_users(users) if users is not None else {}
    except (NoDriver, BadProfile, BadUsers) as error:
        raise _stop(str(error)) from None


def _warn_of_other_target(profile: Profile, name: str, driver: Driver) -> None:
    """A profile of a driver's server may well be for one that runs somewhere; one of another address is not."""
    is_uri = name.startswith(_URI)
    if is_uri and not profile.target.startswith(_URI):
        return
    if profile.target not in (name, driver.name, name.partition(";")[0]):
        print(
            f"imc-conformance: {profile.name}: this profile is of the target {profile.target}, not {name}",
            file=sys.stderr,
        )


def _address(text: str | None) -> tuple[str, int] | None:
    """``IP:PORT``, or ``[IP]:PORT`` of IPv6."""
    if text is None:
        return None
    ip, _, port = text.rpartition(":")
    if not ip or not port.isdecimal() or int(port) > 65535:
        raise _stop(f"{text}: no IP:PORT")
    return ip.strip("[]"), int(port)


def _check_outputs(junit: Path | None, json_file: Path | None, page: Path | None) -> None:
    """Before the run, so that it is not in vain."""
    for path in (junit, json_file, page):
        if path is not None and not path.parent.is_dir():
            raise _stop(f"{path}: there is no such folder")
    if page is None:
        return
    try:
        import conformance.report.html  # noqa: F401
    except ModuleNotFoundError as error:
        raise _stop(f"--html needs {error.name}: pip install 'imc[conformance]'") from None


def _run(
    driver: Driver, options: Options, cases: Sequence[AnyCase], *, is_fail_fast: bool, is_strict: bool
) -> RunVerdict:
    import trio
    from rich.console import Console

    from conformance.drivers.ending import ends_in_order
    from conformance.report.terminal import Live, print_summary, sends_no_event
    from conformance.suite import runner
    from conformance.suite.conversation import CannotStart

    problem = driver.why_not()
    if problem is not None:
        raise _stop(problem, NOT_STARTED)
    console = Console(stderr=False)

    async def play() -> RunVerdict:
        with Live(len(cases), console) as live:
            return await runner.run(
                driver, options, cases, tell=live.tell, is_fail_fast=is_fail_fast, is_strict=is_strict
            )

    try:
        with ends_in_order("imc-conformance"):
            verdict = trio.run(play)
    except* CannotStart as group:
        raise _stop(_first(group), NOT_STARTED) from None
    if options.uri is not None and not options.profile.events and sends_no_event(verdict):
        print(
            "imc-conformance: this server sends no IMC-Event: write a profile "
            "(docs/how-to/test-your-own-server.md, Write a profile)",
            file=sys.stderr,
        )
    print_summary(verdict, console, is_strict=is_strict, not_played=len(cases) - len(verdict.cases))
    return verdict


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


def _write(
    verdict: RunVerdict, *, junit: Path | None, json_file: Path | None, page: Path | None, is_strict: bool
) -> None:
    from conformance.report.json import write

    try:
        if json_file is not None:
            write(verdict, json_file)
        if junit is not None:
            from conformance.report.junit import render as as_junit

            junit.write_text(as_junit([verdict], is_strict=is_strict), encoding="utf-8")
        if page is not None:
            from conformance.report.html import render as as_page

            page.write_text(as_page([verdict]), encoding="utf-8")
    except OSError as error:
        raise _stop(f"{error.filename}: {error.strerror}") from None


def _stop(why: str, status: int = USAGE) -> typer.Exit:
    print(f"imc-conformance: {why}", file=sys.stderr)
    return typer.Exit(status)
