"""``imc db import-kamailio`` and ``export-kamailio``: the report as text, and the files around it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from imc.cli.common import load_settings
from imc.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from imc.store.kamailio.report import Report

_KINDS = {"misfit": "did not fit", "conflict": "conflict", "note": "note"}
_MAX_ROW = 200


def run(
    direction: Literal["import", "export"],
    url: str,
    path: Path | None,
    tables: Mapping[str, str | None],
    file: Path | None,
    *,
    is_writing: bool,
    is_forced: bool,
) -> None:
    """Into imc's database from Kamailio's at ``url``, or back; ``tables`` are the names of Kamailio's, by part, and
    ``file`` is where the report goes. ConfigError, StoreError."""
    from imc.options import store_options
    from imc.service.silo import Silo
    from imc.store.kamailio.read import Names
    from imc.store.kamailio.transfer import Transfer, export_kamailio, import_kamailio

    settings = load_settings(path)
    asked = {part: name for part, name in tables.items() if name is not None}
    if len({*asked.values()}) < len(asked):
        raise ConfigError("two of the tables have the same name")
    with _opened(file) as lines:
        transfer = Transfer(
            url=url,
            options=store_options(settings),
            names=Names(**asked, asked=frozenset(asked.values())),
            codec=Silo(),
            is_writing=is_writing,
            is_forced=is_forced,
            manager=settings.imc.manager,
            domains=settings.imc.domains,
            file=lines,
        )
        report = import_kamailio(transfer) if direction == "import" else export_kamailio(transfer)
    _print(report, is_forced=is_forced)


@contextmanager
def _opened(file: Path | None) -> Iterator[IO[str] | None]:
    """For its owner alone: it tells of accounts."""
    if file is None:
        yield None
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as lines:
            yield lines
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}") from error


def _print(report: Report, *, is_forced: bool) -> None:
    from imc.log import escape

    print(f"from {report.source}\nto   {report.target}")
    for name, count in report.counts.items():
        print(
            f"{name}: {count.read} read, {count.new} new, {count.same} the same, {count.conflicting} in conflict, "
            f"{count.misfit} did not fit, {count.gone} over (deleted, sent or expired)"
        )
    for entry in report.kept:
        row = entry.row if len(entry.row) <= _MAX_ROW else entry.row[: _MAX_ROW - 1] + "…"
        print(escape(f"{_KINDS[entry.kind]}: {entry.table}: {row}: {entry.why}"))
    if report.left_out():
        print(f"and {report.left_out()} more: --report FILE has all of them")
    for note in report.notes:
        print(escape(f"note: {note}"))
    print(_end(report, is_forced=is_forced))


def _end(report: Report, *, is_forced: bool) -> str:
    conflicts = sum(count.conflicting for count in report.counts.values())
    if report.is_done:
        if not report.changes:
            return "Nothing was to be done." if not conflicts else "Nothing was done: what differs was left alone."
        left = "" if is_forced or not conflicts else " What differs was left alone."
        return f"Done.{left}"
    if not any(count.new for count in report.counts.values()) and not (conflicts and is_forced):
        return "Nothing is to be done."
    return "Nothing was changed: this was a dry run. --yes does it."
