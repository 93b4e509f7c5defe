"""``imc config``: is a configuration good, what does it come to, and what can be set."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from imc.cli.common import ConfigPath, Flags

app = typer.Typer(no_args_is_help=True, help="Check and show settings.")


@app.command()
def check(path: ConfigPath = None, flags: Flags = None) -> None:
    """Say whether the configuration is good; if not, name file, line and key."""
    from imc.config import Loader, find_file

    file = find_file(path)
    Loader(file, flags or []).load()
    print(f"{file or 'built-in defaults'}: good")


@app.command()
def show(
    path: ConfigPath = None,
    flags: Flags = None,
    with_secrets: Annotated[bool, typer.Option("--with-secrets", help="Do not mask passwords.")] = False,
) -> None:
    """Print the values in force as TOML, each with where it comes from."""
    from imc.config import Loader, find_file
    from imc.config.render import show as render

    loader = Loader(find_file(path), flags or [])
    print(render(loader.load(), loader, with_secrets=with_secrets), end="")


@app.command()
def reference() -> None:
    """Print the reference of all settings, in Markdown."""
    from imc.config.render import reference as render

    print(render(), end="")


def translate(file: Path, defines: Sequence[str]) -> None:
    """``imc import-config``: the configuration on stdout, the notes on stderr. ConfigError."""
    from imc.config.kamailio import translate as read
    from imc.config.load import read_text
    from imc.errors import ConfigError

    try:
        found = read(read_text(file), defines=defines)
    except ConfigError as error:
        raise ConfigError(f"{file}:{str(error).removeprefix(f'{file}:')}") from None
    for note in found.notes:
        print(f"{file}:{note}", file=sys.stderr)
    if not found.settings and not found.notes:
        raise ConfigError(f'{file}: no modparam("imc", ...) stands there; is it the file that loads imc.so?')
    print(found.toml(file.name), end="")
