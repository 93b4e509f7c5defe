"""What the commands share: the options that say which settings hold, and how tables are printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from imc.config import Settings
    from imc.store.store import Store

ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="The configuration. Without it: imc.toml here, else defaults."),
]
Flags = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="A setting that goes before file and environment."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load_settings(path: Path | None, flags: Sequence[str] = ()) -> Settings:
    """The settings in force for a command. ConfigError."""
    from imc.config import find_file, load

    return load(find_file(path), flags)


# spec R-AUDIT-2
def note(settings: Settings, store: Store, act: str, user: str = "", detail: str = "") -> None:
    """Write into the audit what a command did to the database by itself."""
    import os
    import time

    from imc.store.audit import id_at
    from imc.store.ops import PutAudit

    if settings.audit.enabled:
        now = time.time()
        id_ = id_at(now) | os.getpid() % 1024
        store.commit([PutAudit(id_, now, f"uid={os.getuid()}", "cli", act, "", user, detail, "200")])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on a terminal; elsewhere a line a row, with tabs, and nothing else: for cut and awk.

    Control characters are escaped: what is shown may be of somebody else's choosing.
    """
    from imc.log import escape

    cells = [[escape(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)
