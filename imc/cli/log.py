"""What is kept of what people say: ``imc export`` writes it out, ``imc forget`` takes back what one user said.

Exporting reads only, so it may be done beside a running daemon. Forgetting changes rooms, which the daemon has in
memory: where one runs it is asked to, else the database is locked as a daemon would.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from imc.aor import Aor
from imc.cli.common import AsJson, ConfigPath, load_settings, note
from imc.errors import ImcError, StoreError, StoreLocked

if TYPE_CHECKING:
    from imc.config import Settings
    from imc.store.messages import MessageRow
    from imc.store.store import Store

_PAGE = 100  # messages in memory at a time
_TIMEOUT = 600.0


class Form(StrEnum):
    """How messages are written: an object of JSON a line, or as members read them."""

    JSONL = "jsonl"
    TXT = "txt"


def add_to(app: typer.Typer) -> None:
    """They stand beside ``imc serve``, without a word before them."""
    app.command()(export)
    app.command()(forget)


def export(
    room: Annotated[str, typer.Argument(help="The room's address; its domain may be left out.")],
    form: Annotated[Form, typer.Option("--format", help="jsonl or txt.", metavar="FORM")] = Form.JSONL,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not what was said before: 2026-11-30, or 2026-11-30T14:05, UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Not what was said at this time or later.")] = None,
    path: ConfigPath = None,
) -> None:
    """Write what was said in a room, as far as it is kept, to standard output. The daemon may run."""
    from imc.cli.users import open_store

    settings = load_settings(path)
    aor = _address(room, settings.imc.domains[0])
    bounds = {key: _time(key, text) for key, text in (("since", since), ("until", until)) if text is not None}
    with open_store(settings) as store:
        if store.last_message(aor) == 0 and store.load_room(aor) is None:
            raise StoreError(f"there is no room {aor}")
        for row in _rows(store, aor, bounds):
            sys.stdout.writelines(f"{line}\n" for line in _lines(aor, row, form))
    sys.stdout.flush()


def forget(
    user: Annotated[str, typer.Argument(help="The user's address.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without: only say what would be done.")] = False,
    account: Annotated[bool, typer.Option("--account", help="Remove the account too.")] = False,
    path: ConfigPath = None,
    is_json: AsJson = False,
) -> None:
    """Take back what a user said, and take the user out of every room. Where a daemon runs, it does it."""
    settings = load_settings(path)
    aor = _address(user, None)
    try:
        result = _forget_here(settings, aor, is_done=yes, with_account=account)
    except StoreLocked:
        from imc.manage.client import call, endpoint_of

        manage = settings.manage
        parameters = {"user": str(aor), "do": "yes" if yes else "no", "account": "remove" if account else "keep"}
        result = call(endpoint_of(manage.listen, manage.socket), "imc.forget", parameters, _TIMEOUT, token=manage.token)
    if is_json:
        print(json.dumps(result, indent=2))
    else:
        print("\n".join(_report(result)))
    if yes and account and cast(dict[str, Any], result)["refused"]:
        raise ImcError(
            f"the account of {aor} is kept: they are the last owner of a room; give it another owner, then do it again"
        )


def _forget_here(settings: Settings, user: Aor, *, is_done: bool, with_account: bool) -> object:
    """Without a daemon; StoreLocked where one has the database. Whoever is to be told of it is at the next start."""
    import trio

    from imc.app import Daemon
    from imc.options import store_options
    from imc.service.inbound import Act
    from imc.store.store import Store

    async def work() -> object:
        async with Daemon(settings, store).offline() as manager:
            try:
                act = Act(actor=f"uid={os.getuid()}", via="cli", method="imc.forget")
                found = await manager.forget(user, is_done=is_done, with_account=with_account, act=act)
                return found.as_json()
            except ImcError as error:  # a nursery would wrap it
                return error

    with Store.open(replace(store_options(settings, is_exclusive=True), lock_wait=0.0)) as store:
        result = trio.run(work)
        if is_done and not isinstance(result, ImcError):
            note(settings, store, "imc.forget", str(user))
    if isinstance(result, ImcError):
        raise result
    return result


def _report(found: Any) -> Iterator[str]:
    """In words, a line for each room."""
    is_done = found["done"]
    words = {
        "left": "left" if is_done else "would leave",
        "ended": "ended, with its last owner" if is_done else "would end, with its last owner",
        "refused": "not left: its last owner may not leave (owner_leave = refuse)"
        if is_done
        else "would not be left: its last owner may not leave (owner_leave = refuse)",
        "declined": "invitation declined" if is_done else "would decline the invitation",
    }
    yield f"{found['user']}: {'forgotten' if is_done else 'nothing is done without --yes'}"
    for key, what in words.items():
        for room in found[key]:
            yield f"  {room}: {what}"
    yield f"  messages {'taken back' if is_done else 'to take back'}: {found['messages']}"
    yield f"  copies of them that wait for others {'deleted' if is_done else 'to delete'}: {found['waiting']}"
    yield f"  copies for them that wait {'deleted' if is_done else 'to delete'}: {found['addressed']}"
    yield f"  registrations {'ended' if is_done else 'to end'}: {found['registrations']}"
    yield f"  account: {found['account']}"
    yield f"  rows of the audit that name them, and stay until they are too old: {found['audit']}"


def _rows(store: Store, room: Aor, bounds: dict[str, float]) -> Iterator[MessageRow]:
    after = 0
    while True:
        rows = store.messages_after(room, after, _PAGE, **bounds)
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1].seq


def _lines(room: Aor, row: MessageRow, form: Form) -> Iterator[str]:
    from imc.log import escape
    from imc.rooms.history import lines_of
    from imc.service.history import said

    one = said(row)
    if form is Form.TXT:
        whole = sys.maxsize
        yield from map(escape, lines_of(one, f"{row.sender.user}@{row.sender.host}", whole, whole))
        return
    time = datetime.fromtimestamp(row.created, UTC).isoformat(timespec="milliseconds")
    body = {"base64": base64.b64encode(row.body).decode()} if one.text is None else {"text": one.text}
    head = {"room": str(room), "seq": row.seq, "from": str(row.sender), "time": time, "type": row.type}
    yield json.dumps(head | body)


def _address(text: str, domain: str | None) -> Aor:
    try:
        return Aor.parse(text, domain)
    except ValueError:
        raise ImcError(f"{text!r} is no address: write sip:NAME@DOMAIN") from None


def _time(key: str, text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ImcError(f"--{key} {text!r} is no time: write 2026-11-30 or 2026-11-30T14:05") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
