"""The pages of docs/reference/ that are made from the code, so that they cannot say anything else than it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

_RPC = """\
# RPC methods

This page is made from the code by `imc reference rpc`; a test fails where it is stale.

How to call them is told in [Manage a daemon](../how-to/manage.md). Parameters are taken by position or by name. Where
a host is missing in an address it is the first of `[imc] domains`. A method that fails gives a JSON-RPC error: −32601
for an unknown method, −32602 for parameters that do not fit, 500 for what the daemon could not do.
"""

_COMMANDS = """\
# The command imc

This page is made from the code by `imc reference imc`; a test fails where it is stale.

An expected error is a line on standard error and exit status 1; wrong usage is 2. Without `-c` the configuration is
`imc.toml` in the folder in which the command runs, if there is one, else the built-in defaults hold.
"""


def rpc() -> str:
    """docs/reference/rpc.md."""
    import imc.manage.methods  # noqa: F401 – it fills the registry
    from imc.manage.registry import describe

    parts = [_RPC]
    for method in describe():
        aliases = "".join(f", also `{alias}`" for alias in method.aliases)
        parts.append(f"\n## {method.name}\n\n`{method.usage}`{aliases}\n\n{method.doc}\n\n")
        for param in method.params:
            default = "" if param.is_required else f" Default: `{param.default}`."
            parts.append(f"- `{param.name}`: {param.kind.value}. {param.doc}{default}\n")
        parts.append(f"- Result: {method.returns}.\n")
        parts.extend(f"- Error {code}: {why}.\n" for code, why in method.errors)
    return "".join(parts)


def metrics() -> str:
    """docs/reference/metrics.md."""
    from imc.manage.metrics.table import page

    return page()


def imc(app: typer.Typer) -> str:
    """docs/reference/imc.md."""
    group = typer.main.get_command(app)
    return _COMMANDS + "".join(_command(path, command) for path, command in _walk("imc", group))


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in sorted(children.items()):
        if not child.hidden:
            yield from _walk(f"{path} {name}", child)


def _command(path: str, command: Any) -> str:
    parameters = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    options = [one for one in parameters if one.param_type_name == "option"]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    usage = " ".join([path, *(_argument(one) for one in arguments), *(f"[{_option(one)}]" for one in options)])
    lines = [f"- `{_argument(one)}`: {one.help}\n" for one in arguments if one.help]
    lines += [f"- `{_option(one)}`: {one.help}{_default(one)}\n" for one in options]
    text = " ".join((command.help or "").split())
    return f"\n## {path}\n\n`{usage}`\n\n{text}\n" + "".join(["\n", *lines] if lines else [])


def _default(parameter: Any) -> str:
    """What holds without the option; nothing where its text says that, or there is none."""
    value = getattr(parameter.default, "value", parameter.default)
    if parameter.is_flag or parameter.required or callable(value) or value in (None, "", (), []):
        return ""
    return f" Default: `{value}`."


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name.upper())
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _option(parameter: Any) -> str:
    names = "|".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {parameter.metavar or 'VALUE'}"
